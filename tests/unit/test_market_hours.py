"""When markets trade: New York's week for currencies, weekdays for stocks, always for coins."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import length, opening
from core.pips import MarketKind
from reversal.market_hours import MOST_LOOKED_AT, NEW_YORK, may_be, missing, must_be, openings

FOREX, STOCK, CRYPTO = MarketKind.FOREX, MarketKind.STOCK, MarketKind.CRYPTO
TIMEFRAMES = ("1 Min", "15 Min", "1 Hour", "4 Hour", "1 Day", "1 Week")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("timeframe", "opened", "may", "must"),
    [
        # winter: New York's 17:00 is 22:00
        ("1 Hour", "2026-01-09 21:00", True, True),
        ("1 Hour", "2026-01-09 22:00", False, False),
        ("1 Hour", "2026-01-11 21:00", False, False),
        ("1 Hour", "2026-01-11 22:00", True, True),
        # summer: 21:00
        ("1 Hour", "2026-07-10 20:00", True, True),
        ("1 Hour", "2026-07-10 21:00", False, False),
        ("1 Hour", "2026-07-12 21:00", True, True),
        # the Sundays on which New York's clocks are set: on 8 March and 1 November 2026
        ("1 Hour", "2026-03-06 21:00", True, True),
        ("1 Hour", "2026-03-08 21:00", True, True),
        ("1 Hour", "2026-03-08 20:00", False, False),
        ("1 Hour", "2026-10-30 20:00", True, True),
        ("1 Hour", "2026-10-30 21:00", False, False),
        ("1 Hour", "2026-11-01 21:00", False, False),
        ("1 Hour", "2026-11-01 22:00", True, True),
        # Europe sets its clocks on other days, which is none of New York's concern
        ("1 Hour", "2026-03-29 20:00", False, False),
        ("1 Hour", "2026-03-29 21:00", True, True),
        # a bar that the weekend cuts may be there
        ("4 Hour", "2026-07-10 20:00", True, False),
        ("4 Hour", "2026-07-11 00:00", False, False),
        ("4 Hour", "2026-07-12 20:00", True, False),
        ("4 Hour", "2026-07-13 00:00", True, True),
        ("1 Day", "2026-07-10 00:00", True, True),
        ("1 Day", "2026-07-11 00:00", False, False),
        ("1 Day", "2026-07-12 00:00", True, False),
        ("1 Week", "2026-07-06 00:00", True, True),
        # around Christmas and New Year trade is thin, then none
        ("1 Hour", "2025-12-25 12:00", True, False),
        ("1 Hour", "2025-12-24 23:00", True, False),
        ("1 Hour", "2025-12-26 12:00", True, True),
        ("1 Day", "2026-01-01 00:00", True, False),
    ],
)
def test_currencies(timeframe: str, opened: str, may: bool, must: bool) -> None:
    assert may_be(FOREX, timeframe, utc(opened)) is may
    assert must_be(FOREX, timeframe, utc(opened)) is must


@pytest.mark.parametrize(
    ("timeframe", "opened", "may", "must"),
    [
        ("15 Min", "2026-07-10 13:15", True, False),
        ("15 Min", "2026-07-10 13:30", True, True),
        ("15 Min", "2026-07-10 19:45", True, True),
        ("15 Min", "2026-07-10 20:00", True, False),
        ("15 Min", "2026-01-09 13:30", True, False),
        ("15 Min", "2026-01-09 14:30", True, True),
        ("1 Hour", "2026-07-10 13:00", True, False),
        ("1 Hour", "2026-07-11 15:00", False, False),
        # late on a Friday in New York is Saturday in UTC
        ("1 Hour", "2026-07-11 00:00", True, False),
        ("1 Day", "2026-07-10 00:00", True, True),
        ("1 Day", "2026-07-11 00:00", False, False),
        # the day after Thanksgiving, when trade ends at 13:00
        ("1 Hour", "2026-11-27 17:00", True, True),
        ("1 Hour", "2026-11-27 19:00", True, False),
    ],
)
def test_stocks(timeframe: str, opened: str, may: bool, must: bool) -> None:
    assert may_be(STOCK, timeframe, utc(opened)) is may
    assert must_be(STOCK, timeframe, utc(opened)) is must


def test_coins_trade_always() -> None:
    assert all(
        must_be(CRYPTO, timeframe, opening(utc("2026-07-11 15:00"), timeframe)) for timeframe in TIMEFRAMES
    )


@pytest.mark.parametrize(
    ("kind", "timeframe", "since", "until", "count"),
    [
        (FOREX, "1 Hour", "2026-07-10 21:00", "2026-07-12 21:00", 0),
        (FOREX, "1 Hour", "2026-07-10 20:00", "2026-07-12 22:00", 2),
        (FOREX, "1 Hour", "2026-12-24 22:00", "2026-12-25 22:00", 0),
        (CRYPTO, "1 Hour", "2026-07-10 21:00", "2026-07-12 21:00", 48),
        # a weekday without a bar passes for a holiday; two do not
        (STOCK, "1 Day", "2026-07-11 00:00", "2026-07-14 00:00", 0),
        (STOCK, "1 Day", "2026-07-11 00:00", "2026-07-15 00:00", 2),
        (STOCK, "1 Hour", "2026-07-09 20:00", "2026-07-13 14:00", 0),
        (STOCK, "1 Hour", "2026-07-09 15:00", "2026-07-10 14:00", 5),
        # from a Thursday's noon over the whole Friday
        (STOCK, "1 Hour", "2026-07-09 16:00", "2026-07-13 14:00", 10),
        (STOCK, "1 Hour", "2026-07-10 16:00", "2026-07-10 17:00", 1),
    ],
)
def test_what_is_missing(kind: MarketKind, timeframe: str, since: str, until: str, count: int) -> None:
    assert len(missing(kind, timeframe, utc(since), utc(until))) == count


def test_an_endless_hole_is_a_hole_and_is_not_walked_through() -> None:
    since = utc("2020-01-01 00:00")
    until = since + (MOST_LOOKED_AT + 1) * length("1 Min")
    assert missing(STOCK, "1 Min", since, until) == [since]


moments = st.integers(0, 40 * 366 * 24 * 60).map(
    lambda minutes: utc("2000-01-01") + timedelta(minutes=minutes)
)


@settings(deadline=None)
@given(moments, st.sampled_from(TIMEFRAMES), st.sampled_from(MarketKind))
def test_what_must_be_may_be(moment: datetime, timeframe: str, kind: MarketKind) -> None:
    opened = opening(moment, timeframe)
    assert may_be(kind, timeframe, opened) or not must_be(kind, timeframe, opened)


@settings(deadline=None)
@given(moments)
def test_a_week_of_currencies_has_five_days_whatever_the_clocks_do(moment: datetime) -> None:
    """New York's clocks are set while the market is closed."""
    monday = opening(moment, "1 Week")
    hours = [
        each
        for each in openings("1 Hour", monday, monday + timedelta(weeks=1))
        if may_be(FOREX, "1 Hour", each)
    ]
    first = monday.astimezone(NEW_YORK).utcoffset()
    last = (monday + timedelta(days=6, hours=23)).astimezone(NEW_YORK).utcoffset()
    assert first is not None
    assert last is not None
    # the Friday closes by the clock it began with, the Sunday opens by the one that was set
    assert len(hours) == 120 + (last - first) // timedelta(hours=1)


@settings(deadline=None)
@given(moments, st.sampled_from(TIMEFRAMES), st.integers(0, 50))
def test_openings_are_on_the_grid_and_in_the_span(moment: datetime, timeframe: str, count: int) -> None:
    until = moment + count * length(timeframe)
    found = list(openings(timeframe, moment, until))
    assert len(found) == count
    assert all(each == opening(each, timeframe) and moment <= each < until for each in found)
