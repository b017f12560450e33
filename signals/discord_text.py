"""Read a Discord message: a signal, a refusal with its reason, or nothing.

`python -m signals.discord_text "LONG BTC 60000/58000/65000"` shows what was understood. The message is read
whole: whatever is left over between the parts of a signal makes it none.
"""

import re
import sys
from decimal import Decimal

from core.plan import Code
from core.signal import Action, QuantityMode
from core.wording import number as shown
from signals.discord_cursor import Unread
from signals.discord_formats import BY_NAME, FORMATS, Format, format_of
from signals.discord_grammar import read_parts
from signals.discord_json import json_in, read_json
from signals.discord_judging import judge, refused
from signals.discord_numbers import ambiguous, both_readings
from signals.discord_reading import NoSignal, Part, Reading, RefusedSignal, SignalFormat, TextSignal
from signals.discord_scanner import Lexeme, plain, scan
from signals.discord_talk import is_signal_like, why_talk

__all__ = [
    "FORMATS",
    "Format",
    "NoSignal",
    "Part",
    "Reading",
    "RefusedSignal",
    "SignalFormat",
    "TextSignal",
    "explain",
    "fields_of",
    "read",
]

LONGEST = 4000
_COMMAND = re.compile(r"[!/\\.;?%&+^-]{1,2}[A-Za-z]")
_WORTH_READING = re.compile(
    r"\b(?:long|short|buy|sell|close|exit|entry|ticker)\b|[📈📉🟢🔴]|^`*(?:json\n)?\s*\{",
    re.IGNORECASE | re.ASCII,
)


def read(text: str) -> Reading:
    """Return what a message asks for; never raises, whatever the text.

    Whether its channel takes it, and what can be traded, is for whoever trades to say.
    """
    text = plain(text[: LONGEST + 1])
    stripped = text.strip()
    if not stripped:
        return NoSignal(why="The message has no text.")
    if len(text) > LONGEST:
        return NoSignal(why=f"The message is longer than {LONGEST} characters.")
    if _COMMAND.match(stripped):
        return NoSignal(why="The message is a command.")
    if _WORTH_READING.search(stripped) is None:
        return NoSignal(why="It names no side, and nothing to close.")
    body = json_in(stripped)
    return _read_text(stripped) if body is None else _read_json(body)


def fields_of(signal: TextSignal) -> dict[str, object]:
    """Return the signal's part of the body for `POST /api/v1/signals`, every number as text."""
    quantity_type = None if signal.quantity is None else _QUANTITY_TYPES[signal.quantity_mode]
    fields: dict[str, object] = {
        "action": signal.action.lower(),
        "symbol": signal.coin or signal.symbol,
        "price": _text(signal.entry),
        "entry_range": None if signal.entry_range is None else [_text(price) for price in signal.entry_range],
        "stop_loss": _text(signal.stop_loss),
        "take_profit": [_text(price) for price in signal.take_profits] or None,
        "leverage": _text(signal.leverage),
        "quantity": _text(signal.quantity),
        "quantity_type": quantity_type,
        "prev_market_position": None if signal.closes is None else signal.closes.lower(),
    }
    return {name: value for name, value in fields.items() if value is not None}


def explain(text: str) -> str:
    """Return in lines for people what a message is read as, and which of its words gave what."""
    reading = read(text)
    if isinstance(reading, NoSignal):
        return f"No signal: {reading.why}"
    head = _head(reading)
    width = max((len(part.what) for part in reading.explanation), default=0)
    lines = [f"  {part.what:<{width}}  “{part.text}”{_arrow(part)}" for part in reading.explanation]
    return "\n".join([*head, *lines])


_QUANTITY_TYPES = {
    QuantityMode.UNITS: "units",
    QuantityMode.NOTIONAL: "notional",
    QuantityMode.RISK_AMOUNT: "risk_dollar_amount",
    QuantityMode.RISK_PERCENT: "risk_percent",
    QuantityMode.PERCENT_OF_EQUITY: "percent_of_equity",
    QuantityMode.PERCENT_OF_POSITION: "percent_of_position",
}


def _head(reading: RefusedSignal | TextSignal) -> list[str]:
    if isinstance(reading, RefusedSignal):
        return [f"Refused ({reading.code}): {reading.sentence}"]
    lines = [f"Signal: {reading.summary}", f"Format: {reading.format} ({BY_NAME[reading.format].what})"]
    if reading.action is not Action.CLOSE and reading.stop_loss is None:
        lines.append("No stop-loss: refused unless the channel allows signals without one.")
    return lines


def _arrow(part: Part) -> str:
    return f" → {part.value}" if part.value else ""


def _text(number: Decimal | None) -> str | None:
    return None if number is None else shown(number)


def _read_json(body: str) -> Reading:
    try:
        draft = read_json(body)
    except Unread as fault:
        return refused(Code.INVALID_SIGNAL, fault.said, SignalFormat.TRADERSPOST)
    if draft is None:
        return NoSignal(why="It looks like JSON and names neither an action nor a symbol.")
    return judge(draft)


def _read_text(text: str) -> Reading:
    lexemes = scan(text)
    try:
        draft = read_parts(lexemes)
    except Unread as fault:
        return _unread(lexemes, fault.said)
    doubtful = ambiguous(lexeme.text.removeprefix("$") for lexeme in lexemes if lexeme.text[:1] in _DIGITS)
    if doubtful is not None and (draft.has_levels or draft.sizes):
        sentence = f"“{doubtful}” may be thousands or thousandths: write {both_readings(doubtful)}."
        return refused(Code.INVALID_SIGNAL, sentence, format_of(draft), tuple(draft.parts))
    return judge(draft)


_DIGITS = frozenset("$0123456789")


def _unread(lexemes: list[Lexeme], said: str) -> Reading:
    talk = why_talk(lexemes)
    if talk is not None:
        return NoSignal(why=talk)
    if is_signal_like(lexemes):
        return refused(Code.INVALID_SIGNAL, said)
    return NoSignal(why=said)


if __name__ == "__main__":
    sys.stdout.write(explain(" ".join(sys.argv[1:]) or sys.stdin.read()) + "\n")
