"""Regular trading hours of the New York Stock Exchange, by rule for any year.

Source: the exchange's rule 7.2 and its published holiday calendars. Closings for one day only
(mourning, storms) cannot be known by rule and are not here.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.instrument import MarketClock

NEW_YORK = ZoneInfo("America/New_York")
OPENING = time(9, 30)
CLOSING = time(16, 0)
EARLY_CLOSING = time(13, 0)
DAY = timedelta(days=1)
MONDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 3, 4, 5, 6
FIRST_JUNETEENTH = 2022


def stock_clock(now: datetime) -> MarketClock:
    """Return whether the exchange is open, and its next opening and closing after `now`, in UTC."""
    day = now.astimezone(NEW_YORK).date()
    session = session_of(day)
    if session is not None and session[0] <= now < session[1]:
        return MarketClock(is_open=True, next_open=_next_session(day + DAY)[0], next_close=session[1])
    if session is None or now >= session[1]:
        session = _next_session(day + DAY)
    return MarketClock(is_open=False, next_open=session[0], next_close=session[1])


@lru_cache(maxsize=1024)
def session_of(day: date) -> tuple[datetime, datetime] | None:
    """Return the opening and closing of a day in UTC, or None where the exchange stays closed."""
    if day.weekday() >= SATURDAY or day in holidays(day.year):
        return None
    closing = EARLY_CLOSING if day in early_closings(day.year) else CLOSING
    return _utc(day, OPENING), _utc(day, closing)


@lru_cache(maxsize=64)
def holidays(year: int) -> frozenset[date]:
    """Return the days of a year on which the exchange stays closed although it is a weekday."""
    days = {
        _nth(year, 1, MONDAY, 3),
        _nth(year, 2, MONDAY, 3),
        easter(year) - 2 * DAY,
        _nth(year, 6, MONDAY, 1) - 7 * DAY,
        _observed(date(year, 7, 4)),
        _nth(year, 9, MONDAY, 1),
        _nth(year, 11, THURSDAY, 4),
        _observed(date(year, 12, 25)),
    }
    if year >= FIRST_JUNETEENTH:
        days.add(_observed(date(year, 6, 19)))
    new_year = date(year, 1, 1)
    # A New Year's Day on a Saturday is not made up for: the year before ends on a trading day.
    if new_year.weekday() != SATURDAY:
        days.add(_observed(new_year))
    return frozenset(days)


@lru_cache(maxsize=64)
def early_closings(year: int) -> frozenset[date]:
    """Return the days of a year on which the exchange closes at 13:00."""
    eves = {date(year, 7, 3), date(year, 12, 24)}
    return frozenset({_nth(year, 11, THURSDAY, 4) + DAY} | {eve for eve in eves if eve.weekday() <= THURSDAY})


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar, by the method of Meeus, Jones and Butcher."""
    golden = year % 19
    century, rest = divmod(year, 100)
    leaps, skipped = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leaps - correction + 15) % 30
    quads, years = divmod(rest, 4)
    weekday = (32 + 2 * skipped + 2 * quads - epact - years) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _next_session(day: date) -> tuple[datetime, datetime]:
    while (session := session_of(day)) is None:
        day += DAY
    return session


def _utc(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def _nth(year: int, month: int, weekday: int, number: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))


def _observed(day: date) -> date:
    return {SATURDAY: day - DAY, SUNDAY: day + DAY}.get(day.weekday(), day)
