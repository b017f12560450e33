"""When markets trade, as far as it can be known: which bars must be there, which may be; pure.

Currencies trade from New York's Sunday 17:00 to Friday 17:00, stocks on weekdays from 9:30 to 16:00 there with
thinner trade around it, coins always. Stock exchanges' holidays are not known: a single weekday without a bar
passes for one. What trades on the days around Christmas and New Year, and on the afternoons before holidays,
may be there and need not be.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from core.bar import length, opening
from core.pips import MarketKind

NEW_YORK = ZoneInfo("America/New_York")
FOREX_TURN = clock_time(17)
STOCKS_OPEN, STOCKS_CLOSE, EARLY_CLOSE = clock_time(9, 30), clock_time(16), clock_time(13)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
INSTANT = timedelta(microseconds=1)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6
# Holes of more bars than this are holes, whatever lies in them.
MOST_LOOKED_AT = 20_000
HOLIDAYS_IN_A_ROW = 1


def may_be(kind: MarketKind, timeframe: str, opened_at: datetime) -> bool:
    """Tell whether a market may trade at some time of the bar that opens then."""
    lasts = length(timeframe)
    if kind is MarketKind.CRYPTO or lasts >= WEEK:
        return True
    if kind is MarketKind.STOCK:
        # a day's bar bears its date, whatever the hour in New York
        return (opened_at if lasts >= DAY else opened_at.astimezone(NEW_YORK)).weekday() < SATURDAY
    return _forex_trades(opened_at) or _forex_trades(opened_at + lasts - INSTANT)


def must_be(kind: MarketKind, timeframe: str, opened_at: datetime) -> bool:
    """Tell whether a market trades during all of the bar that opens then, holidays of stocks aside."""
    lasts = length(timeframe)
    if kind is MarketKind.CRYPTO or lasts >= WEEK:
        return True
    ends = opened_at + lasts - INSTANT
    if lasts >= DAY:
        return opened_at.weekday() < SATURDAY and not (kind is MarketKind.FOREX and _quiet(opened_at.date()))
    if kind is MarketKind.STOCK:
        return _stocks_trade(opened_at) and _stocks_trade(ends)
    return _forex_trades(opened_at) and _forex_trades(ends) and not _forex_quiet(opened_at, ends)


def openings(timeframe: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """Give when the bars open that open from `since` to before `until`."""
    lasts, moment = length(timeframe), opening(since, timeframe)
    moment += lasts if moment < since else timedelta(0)
    while moment < until:
        yield moment
        moment += lasts


def missing(kind: MarketKind, timeframe: str, since: datetime, until: datetime) -> list[datetime]:
    """Return which bars are missing where there is none that opened from `since` to before `until`.

    Of a hole of more than 20,000 bars only the first is looked at.
    """
    if until - since > MOST_LOOKED_AT * length(timeframe):
        return [since]
    expected = [each for each in openings(timeframe, since, until) if must_be(kind, timeframe, each)]
    if kind is not MarketKind.STOCK or length(timeframe) >= WEEK:
        return expected
    return [] if _are_holidays(timeframe, expected, since, until) else expected


def _are_holidays(timeframe: str, expected: list[datetime], since: datetime, until: datetime) -> bool:
    """Tell whether all that is expected lies on one weekday of which there is no bar at all."""
    is_daily = length(timeframe) >= DAY
    days = {(each if is_daily else each.astimezone(NEW_YORK)).date() for each in expected}
    if len(days) != HOLIDAYS_IN_A_ROW:
        return False
    if is_daily:
        return True
    (day,) = days
    first, last = (datetime.combine(day, at, NEW_YORK) for at in (STOCKS_OPEN, STOCKS_CLOSE))
    return since <= first and last <= until


def _forex_trades(moment: datetime) -> bool:
    local = moment.astimezone(NEW_YORK)
    if local.weekday() == FRIDAY:
        return local.time() < FOREX_TURN
    return local.weekday() < FRIDAY or (local.weekday() == SUNDAY and local.time() >= FOREX_TURN)


def _forex_quiet(opened_at: datetime, ends: datetime) -> bool:
    return any(_quiet(moment.astimezone(NEW_YORK).date()) for moment in (opened_at, ends))


def _quiet(day: date) -> bool:
    return (day.month, day.day) in {(12, 24), (12, 25), (12, 31), (1, 1)}


def _stocks_trade(moment: datetime) -> bool:
    local = moment.astimezone(NEW_YORK)
    closes = EARLY_CLOSE if _closes_early(local.date()) else STOCKS_CLOSE
    return local.weekday() < SATURDAY and STOCKS_OPEN <= local.time() < closes


def _closes_early(day: date) -> bool:
    after_thanksgiving = day.month == 11 and day.weekday() == FRIDAY and 23 <= day.day <= 29
    return after_thanksgiving or (day.month, day.day) in {(7, 3), (12, 24)}
