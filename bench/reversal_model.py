"""Measure the reversal model: a scan's prediction, training, and memory, with everything growing tenfold.

`python -m bench.reversal_model`. Bars are the recorded ones, put end to end and moved in time where more are
needed than were recorded; each measurement runs in a process of its own, whose highest memory it tells.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from bench import ground
from core.bar import Bar, length
from core.reversal import Score
from reversal.features import NEEDED
from reversal.sources.base import Origin
from reversal.sources.replay import RECORDINGS, recorded

ROOT = Path(__file__).resolve().parents[1]
TIMEFRAMES = ("15 Min", "1 Hour", "4 Hour")
PAIRS = (10, 100, 1000)
BARS = (5_000, 50_000, 500_000)
HISTORIES = (NEEDED, 10 * NEEDED)
ROUNDS = 5
KILOBYTE = 1024
REPLAY = Origin(name="replay", is_replay=True)


def histories(pairs: int, bars: int) -> dict[tuple[str, str], list[Bar]]:
    """Return so many pairs with three timeframes each, every one with prices of another place."""
    whole = recorded(RECORDINGS[0])
    return {
        (f"P{number}/USD", timeframe): [replace(bar) for bar in whole[start : start + bars]]
        for number in range(pairs)
        for place, timeframe in enumerate(TIMEFRAMES)
        for start in [(number * 3 + place) * 7 % (len(whole) - bars)]
    }


def long_series(count: int) -> list[Bar]:
    """Return so many bars of an hour: the recording again and again, each time at a price a little higher."""
    whole, lasts = recorded(RECORDINGS[0]), length("1 Hour")
    first, found = whole[0].opened_at - timedelta(hours=count), []
    for number in range(count):
        turn, place = divmod(number, len(whole))
        factor = 1 + Decimal(turn) / 100
        prices = {name: getattr(whole[place], name) * factor for name in ("open", "high", "low", "close")}
        opened = first + number * lasts
        found.append(replace(whole[place], opened_at=opened, closed_at=opened + lasts, **prices))
    return found


def predict(pairs: int, bars: int) -> dict[str, float]:
    """Measure the score of so many pairs with three timeframes; the best of five rounds, in seconds."""
    from reversal.model import Model

    model = Model.load(sys.stdin.buffer.read())
    given = histories(pairs, bars)
    origins = dict.fromkeys(given, REPLAY)
    seconds = min(_timed(lambda: model.score(given, origins), expected=len(given)) for _ in range(ROUNDS))
    return {"scores": len(given), "seconds": seconds, "memory": _memory()}


def train(bars: int) -> dict[str, float]:
    """Measure features, labels, fitting and the walk-forward of a series of so many bars, in seconds."""
    from reversal import training
    from reversal.training import Series

    series = [Series(pair="EUR/USD", timeframe="1 Hour", source="bench", learned=long_series(bars))]
    before, started = _memory(), time.perf_counter()
    made = training.train(series)
    seconds = time.perf_counter() - started
    record = made.model.record["EUR/USD 1 Hour"]
    assert record["folds"] == 8
    return {"rows": record["rows"], "seconds": seconds, "memory": _memory(), "bars_alone": before}


def default() -> dict[str, float]:
    """Measure the making of the default model, libraries' loading included."""
    started = time.perf_counter()
    from reversal import training

    made = training.train(training.recordings())
    return {"seconds": time.perf_counter() - started, "memory": _memory(), "bytes": len(made.row.file)}


def main() -> None:
    """Measure everything and print the tables."""
    from reversal import training

    file = training.train(training.recordings()).row.file
    rows = [
        (f"{pairs:,} pairs x 3, {bars} bars each", _seconds(found), f"{found['memory']:.0f}")
        for pairs in PAIRS
        for bars in HISTORIES
        if pairs * bars < 1_000_000
        for found in [_apart("predict", pairs, bars, given=file)]
    ]
    ground.table("Features and prediction of the newest bars, one batch", ("", "seconds", "MB"), rows)
    trained = [
        (f"{bars:,}", _seconds(found), f"{found['memory']:.0f}", f"{found['bars_alone']:.0f}")
        for bars in BARS
        for found in [_apart("train", bars)]
    ]
    head = ("bars", "seconds", "MB", "of it the bars themselves, MB")
    ground.table("Training with its walk-forward of eight folds", head, trained)
    made = _apart("default")
    ground.table(
        "The default model, from nothing",
        ("seconds", "MB", "bytes of its file"),
        [(_seconds(made), f"{made['memory']:.0f}", f"{made['bytes']:,}")],
    )


def _timed(call: Callable[[], Sequence[Score]], *, expected: int) -> float:
    started = time.perf_counter()
    found = call()
    seconds = time.perf_counter() - started
    assert len(found) == expected
    return seconds


def _apart(what: str, *arguments: int, given: bytes = b"") -> dict[str, float]:
    command = [sys.executable, "-m", "bench.reversal_model", what, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, input=given, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _seconds(found: dict[str, float]) -> str:
    return f"{found['seconds']:.2f}"


def _memory() -> float:
    """Return the most memory this process has had so far, in MB."""
    # Not getrusage's: that begins with what the process had that started this one
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / KILOBYTE


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        _, what, *arguments = sys.argv
        measure = {"predict": predict, "train": train, "default": default}[what]
        print(json.dumps(measure(*map(int, arguments))))
