"""Read single fields of a payload that strangers wrote: a figure, a text, a time, or a word on why not."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, TypeVar

LARGEST = Decimal(10) ** 18
SMALLEST_STEP = Decimal("1e-18")
WIDE = Context(prec=80)
LONGEST_TEXT = 500
SHOWN = 40
Value = TypeVar("Value")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FIGURE = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
# Milliseconds, microseconds and nanoseconds since 1970 are told apart by their size.
_PER_SECOND = ((Decimal(10) ** 11, 1), (Decimal(10) ** 14, 10**3), (Decimal(10) ** 17, 10**6))


class Unreadable(Exception):
    """Say why a payload or a field of it cannot be read."""


def parse(payload: bytes) -> dict[str, Any]:
    """Return the JSON object of a payload; raise `Unreadable` with the reason."""
    if not payload.strip():
        raise Unreadable("the message is empty")
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: byte {error.start} is 0x{payload[error.start]:02x}") from None
    try:
        found = json.loads(text, parse_float=_figure, parse_int=_figure, parse_constant=_NotAFigure)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"not JSON: {clean(str(error))}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{_named(found)} where an object is expected")
    return found


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that PostgreSQL can keep and a line can show, cut where it is too long."""
    kept = _UNPRINTABLE.sub("�", text[: longest + 1])
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class _NotAFigure:
    """Stand for NaN, Infinity and figures beyond all measure, until it is known which field they are in."""

    text: str


@dataclass(slots=True)
class Fields:
    """The fields of one payload; what cannot be read is named in `problems` and counts as not there.

    Each method takes the names a field may have, the first that is there wins. A dot goes one object
    deeper. Null counts as not there.
    """

    values: Mapping[str, Any]
    problems: list[str] = field(default_factory=list)

    def figure(self, *names: str) -> Decimal | None:
        """Return a finite number of at most 18 decimals."""
        return self._first(names, read_figure)

    def percent(self, *names: str) -> Decimal | None:
        """Return a percentage as a fraction."""
        found = self._first(names, read_figure)
        return None if found is None else plain(found / 100)

    def whole(self, *names: str) -> int | None:
        """Return a number without its decimals."""
        found = self._first(names, read_figure)
        return None if found is None else int(found)

    def count(self, *names: str) -> int | None:
        """Return a whole number, of a list its length."""
        return self._first(
            names, lambda value: len(value) if isinstance(value, list) else int(read_figure(value))
        )

    def text(self, *names: str) -> str | None:
        """Return a text, an empty one as not there; a number is as good."""
        return self._first(names, read_text) or None

    def time(self, *names: str) -> datetime | None:
        """Return a moment, given as seconds or milliseconds since 1970 or in ISO 8601 (UTC where it says no zone)."""
        return self._first(names, read_time)

    def _first(self, names: tuple[str, ...], read: Callable[[Any], Value]) -> Value | None:
        for name in names:
            value = self._at(name)
            if value is None:
                continue
            try:
                return read(value)
            except Unreadable as error:
                self.problems.append(f"{name}: {error}")
        return None

    def _at(self, name: str) -> Any:
        found: Any = self.values
        for step in name.split("."):
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return found


def read_figure(value: Any) -> Decimal:
    """Return a finite number; raise `Unreadable`."""
    if isinstance(value, str) and _FIGURE.fullmatch(value.strip()):
        value = Decimal(value.strip())
    if not isinstance(value, Decimal):
        raise Unreadable(f"{_named(value)} is not a number")
    if abs(value) > LARGEST:
        raise Unreadable("the number is too large")
    return plain(value)


def plain(value: Decimal) -> Decimal:
    """Return a number with 18 decimals at most and no exponent above zero."""
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        return value.quantize(Decimal(1), context=WIDE)
    return (
        value
        if isinstance(exponent, int) and exponent >= -18
        else value.quantize(SMALLEST_STEP, context=WIDE)
    )


def read_text(value: Any) -> str:
    """Return a text that can be kept; raise `Unreadable`."""
    if isinstance(value, Decimal):
        return clean(str(value))
    if not isinstance(value, str):
        raise Unreadable(f"{_named(value)} is not a text")
    return clean(value.strip())


def read_time(value: Any) -> datetime:
    """Return an aware moment from 1970 on; raise `Unreadable`."""
    if isinstance(value, str) and not _FIGURE.fullmatch(value.strip()):
        return _iso(value)
    number = read_figure(value)
    per_second = next((each for limit, each in _PER_SECOND if number < limit), 10**9)
    try:
        found = EPOCH + timedelta(microseconds=int(number * 1_000_000 / per_second))
    except OverflowError:
        raise Unreadable("the time is beyond all years") from None
    if number < 0:
        raise Unreadable("the time lies before 1970")
    return found


def _iso(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value.strip())
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{_named(value)} is not a time") from None


def _figure(text: str) -> Decimal | _NotAFigure:
    # Not everything that JSON calls a number is one that anybody could mean
    if len(text) > 400:
        return _NotAFigure(text[:SHOWN])
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NotAFigure(text[:SHOWN])


def _named(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _NotAFigure():
            return value.text
        case str():
            return json.dumps(clean(value, SHOWN), ensure_ascii=False)
        case Decimal():
            return f"the number {clean(str(value), SHOWN)}"
        case list():
            return "a list"
    return "an object"
