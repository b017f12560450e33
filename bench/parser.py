"""Measure how many Discord messages a second one core reads.

`python -m bench.parser`. The mix is a busy channel's: half signals of every format, with the decoration people
give them, half chatter; the messages are those of the tests. Beside it: what each kind takes, and where the
time of a signal goes. JSON, which goes through the webhook's own reading, is a row of its own. The best of
several rounds counts, because other work only ever makes one slower.
"""

import time
from collections.abc import Callable, Sequence

from bench import ground
from signals.discord_cursor import Unread
from signals.discord_grammar import read_parts
from signals.discord_json import json_in
from signals.discord_judging import judge
from signals.discord_scanner import plain, scan
from signals.discord_text import FORMATS, NoSignal, RefusedSignal, TextSignal, read
from tests.unit.discord_messages import MESSAGES

AIM = 20_000
ROUNDS = 15
REPEATED = 20
# What a channel between its signals is full of
CHATTER = (
    "gm everyone, hope you all had a great weekend ☕",
    "what do you think about the CPI numbers tomorrow?",
    "nice, I took half off at the first target and moved my stop to break even",
    "lol this market is insane today, BTC up 4% and alts are bleeding 🤣🤣",
    "Anyone long here? I am waiting for a retest of 58k before I do anything at all.",
    "https://www.tradingview.com/x/AbCdEfGh/ look at this beautiful cup and handle on the weekly",
    "TP1 hit ✅ congrats to everyone who followed!",
    "I would not buy that, the funding is way too high and the volume is dying out since yesterday evening",
)


def main() -> None:
    """Print messages a second for the mix and for each kind, and the shares of a signal's time."""
    signals = [example.text for each in FORMATS for example in each.examples]
    signals += [text for text, _ in MESSAGES if isinstance(read(text), TextSignal)]
    in_json = [text for text in signals if json_in(text) is not None]
    signals = [text for text in signals if json_in(text) is None]
    refused = [text for text, _ in MESSAGES if isinstance(read(text), RefusedSignal)]
    nothing = [text for text, _ in MESSAGES if isinstance(read(text), NoSignal)]
    chatter = [CHATTER[number % len(CHATTER)] for number in range(len(signals))]
    mix = [text for pair in zip(signals, chatter, strict=True) for text in pair]
    rows = [
        ("half signals, half chatter", *_figures(mix), "met" if _speed(mix) >= AIM else "missed"),
        ("signals", *_figures(signals), ""),
        ("signals in JSON", *_figures(in_json), ""),
        ("chatter", *_figures(chatter), ""),
        ("refused signals of the tests", *_figures(refused), ""),
        ("talk about trades of the tests", *_figures(nothing), ""),
    ]
    head = ("messages", "how many", "characters each", "a second", f"aim {AIM:,}")
    ground.table("Reading Discord messages on one core", head, rows)
    ground.table("Where the time of a signal goes", ("step", "µs each"), _steps(signals))


def _figures(texts: Sequence[str]) -> tuple[int, str, str]:
    return len(texts), f"{sum(map(len, texts)) / len(texts):.0f}", f"{_speed(texts):,.0f}"


def _speed(texts: Sequence[str]) -> float:
    return 1 / _seconds(read, texts)


def _seconds(step: Callable[..., object], inputs: Sequence[object]) -> float:
    """Return the processor seconds that one input takes, in the best of the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(REPEATED):
            for each in inputs:
                step(each)
        best = min(best, time.process_time() - start)
    return best / (REPEATED * len(inputs))


def _steps(signals: Sequence[str]) -> list[tuple[str, str]]:
    texts = [plain(text) for text in signals]
    pieces = [scan(text) for text in texts]
    drafts = [read_parts(lexemes) for lexemes in pieces]
    steps: list[tuple[str, Callable[..., object], Sequence[object]]] = [
        ("plain letters", plain, signals),
        ("cutting into pieces", scan, texts),
        ("reading the parts", _parts, pieces),
        ("judging and explaining", lambda draft: judge(draft, None), drafts),
        ("all of it", read, signals),
    ]
    return [(name, f"{_seconds(step, inputs) * 1e6:.1f}") for name, step, inputs in steps]


def _parts(lexemes: list[object]) -> object:
    try:
        return read_parts(lexemes)  # type: ignore[arg-type]
    except Unread:
        return None


if __name__ == "__main__":
    main()
