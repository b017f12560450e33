"""The kinds of values that commands take, each with an error that says what is allowed."""

import sys
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from administration.console import Problem
from core import timeframe

ANY_TIMEFRAME = "any"
EXAMPLE_ZONE = "America/New_York"


class Amount(click.ParamType[Decimal]):
    """A plain decimal number; above zero unless `signed`, below `under` where that is given."""

    name = "number"

    def __init__(self, *, signed: bool = False, under: int | None = None) -> None:
        self._signed = signed
        self._under = under

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return the number as it was typed, exactly."""
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or not (self._signed or number > 0) or self._is_too_large(number):
            self.fail(f"{value!r} is not allowed; allowed: {self._allowed()}", param, ctx)
        return number

    def _is_too_large(self, number: Decimal) -> bool:
        return self._under is not None and number >= self._under

    def _allowed(self) -> str:
        low = "a number such as -2.5 or 10" if self._signed else "a number above 0, such as 0.5 or 5000"
        return low if self._under is None else f"{low}, below {self._under}"


class Timeframe(click.ParamType[str]):
    """Any spelling of a timeframe, or `any`."""

    name = "timeframe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the one form of the timeframe, or `any`."""
        if str(value).lower() == ANY_TIMEFRAME:
            return ANY_TIMEFRAME
        try:
            return timeframe.canonical(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not allowed; allowed: {error}, or any", param, ctx)


class Window(click.ParamType[tuple[time, time]]):
    """Two times of day; the second may be before the first, then the window crosses midnight."""

    name = "HH:MM-HH:MM"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[time, time]:
        """Return the start and the end."""
        if isinstance(value, tuple):
            return value
        try:
            start, end = (time.fromisoformat(part.strip()) for part in str(value).split("-"))
        except ValueError:
            self.fail(f"{value!r} is not allowed; allowed: two times such as 09:30-16:00", param, ctx)
        if start == end or start.tzinfo or end.tzinfo:
            self.fail(f"{value!r} is not allowed; allowed: two different times, without zone", param, ctx)
        return start, end


class Zone(click.ParamType[str]):
    """A time zone of the tz database."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the zone's name."""
        try:
            return ZoneInfo(str(value)).key
        except (ValueError, OSError, ZoneInfoNotFoundError):
            self.fail(f"{value!r} is not allowed; allowed: a name such as {EXAMPLE_ZONE} or UTC", param, ctx)


def password(from_stdin: bool) -> str:
    """Read a new password: one line of standard input, or typed twice without showing it."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Problem("There is no terminal to type the password in; give it by --password-stdin")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
