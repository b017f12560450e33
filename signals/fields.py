"""Read single values of a message; a reader that cannot raises BadValue with what is allowed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from core import timeframe
from core.order import OrderType
from core.signal import PositionSide, QuantityMode
from signals.json_text import NumberText
from signals.problems import BadValue

LARGEST = Decimal(10) ** 15

_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?")
_SYMBOL = re.compile(r"(?:([A-Z0-9_]{1,20}):)?([A-Z0-9][A-Z0-9.!&_/-]{0,29})")
_PAIR_SEPARATOR = re.compile(r"[/_-](?=[A-Z0-9]{3,}$)")
_EXCHANGE = re.compile(r"[A-Z0-9_]{1,20}")
_EPOCH = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,6})[0-9]*)?|([0-9]{12,13})")
_PLACEHOLDER = re.compile(r"\{\{[^{}]{0,80}\}\}")
_Word = TypeVar("_Word")
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


class Verb(StrEnum):
    """What the sender's action word says; ADD and CANCEL mean something only with more knowledge."""

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"
    ADD = "ADD"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """A symbol without decoration and the exchange that was written before it, if any."""

    symbol: str
    exchange: str | None


VERBS = {
    **dict.fromkeys(("buy", "long", "bull", "bullish"), Verb.BUY),
    **dict.fromkeys(("sell", "short", "bear", "bearish"), Verb.SELL),
    **dict.fromkeys(("close", "exit", "flat", "flatten"), Verb.CLOSE),
    "add": Verb.ADD,
    "cancel": Verb.CANCEL,
}
POSITIONS = {
    **dict.fromkeys(("long", "bull", "bullish"), PositionSide.LONG),
    **dict.fromkeys(("short", "bear", "bearish"), PositionSide.SHORT),
    "flat": PositionSide.FLAT,
}
ORDER_TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT}
QUANTITY_MODES = {
    **dict.fromkeys(("fixed_quantity", "units", "base"), QuantityMode.UNITS),
    **dict.fromkeys(("dollar_amount", "notional", "quote"), QuantityMode.NOTIONAL),
    "risk_dollar_amount": QuantityMode.RISK_AMOUNT,
    "risk_percent": QuantityMode.RISK_PERCENT,
    "percent_of_equity": QuantityMode.PERCENT_OF_EQUITY,
    "percent_of_position": QuantityMode.PERCENT_OF_POSITION,
}
ACTION_WORDS = ", ".join(word for word, verb in VERBS.items() if verb is not Verb.CANCEL)


def read_verb(raw: object) -> Verb:
    """Read the action word."""
    return one_of(raw, VERBS, ACTION_WORDS)


def read_position(raw: object) -> PositionSide:
    """Read a position's side: TradingView's market position or TradersPost's sentiment."""
    return one_of(raw, POSITIONS)


def read_order_type(raw: object) -> OrderType:
    """Read how to enter; stop orders are no way to enter here."""
    return one_of(raw, ORDER_TYPES)


def read_quantity_mode(raw: object) -> QuantityMode:
    """Read what the quantity counts, in TradersPost's words, ours, or 3Commas' `base` and `quote`."""
    return one_of(raw, QUANTITY_MODES)


def read_flag(raw: object) -> bool:
    """Read true or false strictly: a `test` that is misread would trade."""
    if isinstance(raw, bool):
        return raw
    return one_of(raw, {"true": True, "false": False})


def read_price(raw: object) -> Decimal:
    """Read a price or a quantity: a number above zero."""
    number = read_number(raw, "a number above 0, such as 143.12")
    if number <= 0:
        raise BadValue("a number above 0, such as 143.12")
    return number


def read_size(raw: object) -> Decimal:
    """Read a position size, which TradingView signs: -5 is five short, 0 is flat."""
    return read_number(raw, "a number, negative for a short position, such as 10 or -10")


def read_symbol(raw: object) -> Ticker:
    """Read a symbol: `NASDAQ:AAPL` → AAPL on NASDAQ; `BTCUSDT.P`, `BTC/USDT`, `BTC-USDT` → BTCUSDT."""
    allowed = "a symbol such as AAPL, NASDAQ:AAPL, BRK.B, BTCUSDT or BTC/USDT"
    match = _SYMBOL.fullmatch(_ascii(raw, allowed).upper())
    if match is None:
        raise BadValue(allowed)
    symbol = _PAIR_SEPARATOR.sub("", match[2].removesuffix(".P"))
    return Ticker(symbol=symbol, exchange=_without_delay(match[1]) if match[1] else None)


def read_exchange(raw: object) -> str:
    """Read an exchange's name; TradingView's mark for delayed data (`NYMEX_DL`) is dropped."""
    allowed = "an exchange such as NASDAQ"
    name = _ascii(raw, allowed).upper()
    if not _EXCHANGE.fullmatch(name):
        raise BadValue(allowed)
    return _without_delay(name)


def read_timeframe(raw: object) -> str:
    """Read a timeframe into the form of `core.timeframe`."""
    try:
        return timeframe.canonical(read_text(raw, timeframe.ALLOWED))
    except BadValue:
        raise
    except ValueError as error:
        raise BadValue(str(error)) from None


def read_time(raw: object) -> datetime:
    """Read a moment: ISO 8601 with its zone, or epoch seconds or milliseconds; returned in UTC."""
    allowed = "a time such as 2026-01-31T14:30:00Z (with its zone), or epoch seconds or milliseconds"
    text = read_text(raw, allowed)
    moment = _epoch_time(text) or _iso_time(text)
    if moment is None or not 2000 <= moment.year < 2100:
        raise BadValue(allowed)
    return moment


def read_name(raw: object) -> str:
    """Read a bot's name or id."""
    return _short_text(raw, 100)


def read_identifier(raw: object) -> str | None:
    """Read a sender's id; an empty one is none, because TradingView fills an unnamed order with nothing."""
    return None if raw == "" else _short_text(raw, 200)


def folded(name: str) -> str:
    """Return the spelling under which field names are compared: `stopLoss`, `stop_loss` → `stoploss`."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def placeholder_in(raw: object) -> str | None:
    """Return the first `{{placeholder}}` left inside a value, or None."""
    if isinstance(raw, dict):
        raw = list(raw.values())
    if isinstance(raw, list):
        return next(filter(None, map(placeholder_in, raw)), None)
    match = _PLACEHOLDER.search(raw) if isinstance(raw, str) else None
    return match[0] if match else None


def read_text(raw: object, allowed: str) -> str:
    """Read a text or a number as text, without surrounding white space; an empty one is refused."""
    placeholder = placeholder_in(raw)
    if placeholder is not None:
        raise BadValue(_unfilled(placeholder))
    if not isinstance(raw, str) or not raw.strip():
        raise BadValue(allowed)
    return raw.strip()


def read_number(raw: object, allowed: str) -> Decimal:
    """Read a number, quoted or not, of a size that money can have.

    At most 20 digits on either side of the point; an exponent only of two digits (a script's `1e-05`).
    """
    text = read_text(raw, allowed)
    if len(text) > 48 or not _NUMBER.fullmatch(text):
        raise BadValue(allowed)
    number = Decimal(text)
    if abs(number) > LARGEST or (number and abs(number) < 1 / LARGEST):
        raise BadValue(f"{allowed}, from {1 / LARGEST:f} to {LARGEST:f}")
    return Decimal(f"{number:f}")


def one_of(raw: object, words: Mapping[str, _Word], allowed: str | None = None) -> _Word:
    """Read one word of a closed set, whatever its case."""
    allowed = allowed or ", ".join(words)
    word = read_text(raw, allowed).lower()
    if isinstance(raw, NumberText) or word not in words:
        raise BadValue(allowed)
    return words[word]


def _ascii(raw: object, allowed: str) -> str:
    text = read_text(raw, allowed)
    # Upper-casing could turn a foreign letter into a valid symbol; a bare number is no symbol.
    if not text.isascii() or isinstance(raw, NumberText):
        raise BadValue(allowed)
    return text


def _short_text(raw: object, longest: int) -> str:
    allowed = f"a text of 1 to {longest} printable characters"
    text = read_text(raw, allowed)
    if len(text) > longest or not text.isprintable():
        raise BadValue(allowed)
    return text


def _without_delay(exchange: str) -> str:
    return exchange.removesuffix("_DLY").removesuffix("_DL") or exchange


def _epoch_time(text: str) -> datetime | None:
    match = _EPOCH.fullmatch(text)
    if match is None:
        return None
    if match[3]:
        return _EPOCH_START + timedelta(milliseconds=int(match[3]))
    return _EPOCH_START + timedelta(seconds=int(match[1]), microseconds=int((match[2] or "0").ljust(6, "0")))


def _iso_time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        # Without its zone a time could be hours off, and the signal's age would be wrong by as much.
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _unfilled(placeholder: str) -> str:
    if placeholder.startswith("{{strategy."):
        return (
            f"a value: TradingView left {placeholder} unfilled, so this alert is not a strategy alert. "
            "Create the alert on the strategy itself, or write the value into the message"
        )
    return f"a value: TradingView left {placeholder} unfilled, because it does not know it in this alert"
