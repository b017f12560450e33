"""What a source is asked for, and when it is left alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import length, opening
from core.pips import MarketKind
from reversal.feed_plan import DEEPEST, OVERLAP, Progress, Span, is_stale, may_ask, reach, spans
from reversal.market_hours import may_be, must_be, openings

FOREX, STOCK, CRYPTO = MarketKind.FOREX, MarketKind.STOCK, MarketKind.CRYPTO
# A Wednesday
NOW = datetime(2026, 7, 8, 12, 0, 30, tzinfo=UTC)
NOON = NOW.replace(second=0)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def plan(progress: Progress, now: datetime = NOW, kind: MarketKind = CRYPTO, depth: int = 600) -> list[Span]:
    return list(spans(kind, "1 Hour", progress, depth=depth, settled=now - timedelta(seconds=3), now=now))


def progress(**more: Any) -> Progress:
    return Progress(**{"fetched_from": NOON - 600 * HOUR, "fetched_until": NOON - HOUR, **more})


def test_the_first_time_asks_for_the_whole_depth() -> None:
    assert plan(Progress()) == [Span(since=NOON - 600 * HOUR, until=NOON)]


def test_afterwards_only_what_is_new_is_asked_for_and_a_little_of_what_is_known() -> None:
    assert plan(progress()) == [Span(since=NOON - (1 + OVERLAP) * HOUR, until=NOON)]
    assert plan(progress(fetched_until=NOON)) == []


def test_a_bar_is_asked_for_when_it_has_settled() -> None:
    assert plan(progress(), NOON + timedelta(seconds=2)) == []
    assert plan(progress(), NOON + timedelta(seconds=3)) != []


def test_a_greater_depth_asks_for_what_lies_before() -> None:
    assert plan(progress(fetched_until=NOON), depth=2400) == [
        Span(since=NOON - 2400 * HOUR, until=NOON - 600 * HOUR)
    ]
    assert plan(progress(fetched_until=NOON), depth=620) == []


def test_after_a_long_absence_the_series_begins_anew() -> None:
    gone = progress(fetched_until=NOON - (DEEPEST + 1) * HOUR, fetched_from=NOON - 9000 * HOUR)
    assert plan(gone) == [Span(since=NOON - 600 * HOUR, until=NOON)]


@pytest.mark.parametrize(
    ("failing", "since_asked", "asks"),
    [
        (0, 50, False),
        (0, 60, True),
        (5, 4 * 60, False),
        (5, 5 * 60, True),
        (600, 14 * 60, False),
        (600, 15 * 60, True),
    ],
)
def test_a_failing_source_is_asked_ever_more_rarely(failing: int, since_asked: int, asks: bool) -> None:
    asked_at = NOW - timedelta(seconds=since_asked)
    failed = progress(asked_at=asked_at, failed_since=asked_at - failing * MINUTE)
    assert bool(plan(failed)) is asks


@pytest.mark.parametrize(("asked", "asks"), [(-2, True), (2, True), (4, False), (27, False)])
def test_a_bar_that_was_not_there_is_asked_for_again_after_a_while(asked: int, asks: bool) -> None:
    before = progress(asked_at=NOON + timedelta(seconds=asked))
    assert bool(plan(before)) is asks
    assert bool(plan(before, NOW + 10 * MINUTE)) is True


def test_a_clock_that_was_ahead_keeps_nobody_from_asking() -> None:
    assert plan(progress(asked_at=NOW + 5 * HOUR)) != []
    assert plan(progress(asked_at=NOW + 5 * HOUR, failed_since=NOW + 4 * HOUR)) != []


def test_nothing_is_asked_for_while_the_market_is_closed() -> None:
    friday = datetime(2026, 7, 10, 21, tzinfo=UTC)
    closed = Progress(fetched_from=friday - 2000 * HOUR, fetched_until=friday)
    assert plan(closed, friday + 40 * HOUR, FOREX) == []
    assert plan(closed, friday + 49 * HOUR + MINUTE, FOREX) != []


@pytest.mark.parametrize(
    ("kind", "timeframe", "until", "now", "stale"),
    [
        (CRYPTO, "1 Hour", "2026-07-08 12:00", "2026-07-08 15:59", False),
        (CRYPTO, "1 Hour", "2026-07-08 12:00", "2026-07-08 16:01", True),
        (CRYPTO, "1 Min", "2026-07-08 12:00", "2026-07-08 12:15", False),
        (CRYPTO, "1 Min", "2026-07-08 12:00", "2026-07-08 12:17", True),
        # over a weekend, and over one with a holiday behind it
        (FOREX, "1 Hour", "2026-07-10 21:00", "2026-07-12 22:30", False),
        (STOCK, "1 Day", "2026-07-11 00:00", "2026-07-14 03:00", False),
        (STOCK, "1 Day", "2026-07-11 00:00", "2026-07-18 03:00", True),
    ],
)
def test_when_bars_are_stale(kind: MarketKind, timeframe: str, until: str, now: str, stale: bool) -> None:
    moments = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (until, now))
    assert is_stale(kind, timeframe, *moments) is stale


@settings(deadline=None)
@given(st.sampled_from(("15 Min", "1 Hour", "1 Day")), st.sampled_from(MarketKind), st.integers(0, 700))
def test_the_reach_holds_as_many_bars_as_were_wanted(timeframe: str, kind: MarketKind, days: int) -> None:
    end = opening(NOW + timedelta(days=days), timeframe)
    begin = end - reach(kind, timeframe, 600)
    expected = must_be if kind is STOCK and length(timeframe) < timedelta(days=1) else may_be
    assert sum(expected(kind, timeframe, each) for each in openings(timeframe, begin, end)) >= 600


@settings(deadline=None)
@given(st.integers(0, 600), st.integers(0, 600), st.booleans())
def test_who_waits_long_enough_may_ask(asked: int, waiting: int, failing: bool) -> None:
    asked_at = NOW - waiting * MINUTE
    been = progress(asked_at=asked_at, failed_since=asked_at - asked * MINUTE if failing else None)
    if may_ask("1 Hour", been, settled=NOW, now=NOW):
        assert may_ask("1 Hour", been, settled=NOW + HOUR, now=NOW + HOUR)
    assert may_ask("1 Hour", been, settled=NOW + HOUR, now=NOW + HOUR)
