"""Trades followed to stop, target or time: what each bar does to them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.bar import Bar
from core.pips import Direction, market_of
from core.tracked_trade import (
    CloseReason,
    Levels,
    Result,
    bad_lots,
    contradiction,
    follow,
    percentage,
    result_of,
)

START = datetime(2026, 11, 20, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STOP, TARGET, TIME = CloseReason.STOP, CloseReason.TARGET, CloseReason.TIME


def levels(direction="long", expires_at=None, entered_at=START):
    """EUR/USD from the source description: 1.0854, 54 pips to the stop, 108 to the target."""
    long = direction == "long"
    return Levels(
        market=market_of("EUR/USD"),
        direction=Direction(direction),
        entry=Decimal("1.0854"),
        stop=Decimal("1.0800" if long else "1.0908"),
        target=Decimal("1.0962" if long else "1.0746"),
        entered_at=entered_at,
        expires_at=expires_at,
    )


def bar(prices, number=0):
    first, high, low, last = (Decimal(price) for price in prices.split())
    opened = START + number * MINUTE
    return Bar(opened_at=opened, closed_at=opened + MINUTE, open=first, high=high, low=low, close=last)


@pytest.mark.parametrize(
    ("direction", "prices", "price", "reason"),
    [
        ("long", "1.0850 1.0961 1.0801 1.0900", None, None),
        ("long", "1.0850 1.0962 1.0801 1.0900", "1.0962", TARGET),
        ("long", "1.0850 1.0961 1.0800 1.0900", "1.0800", STOP),
        ("long", "1.0850 1.0990 1.0790 1.0980", "1.0800", STOP),
        ("long", "1.0770 1.0990 1.0760 1.0980", "1.0770", STOP),
        ("long", "1.0990 1.0999 1.0700 1.0750", "1.0990", TARGET),
        ("short", "1.0850 1.0907 1.0747 1.0800", None, None),
        ("short", "1.0850 1.0907 1.0746 1.0800", "1.0746", TARGET),
        ("short", "1.0850 1.0908 1.0747 1.0800", "1.0908", STOP),
        ("short", "1.0850 1.0910 1.0740 1.0800", "1.0908", STOP),
        ("short", "1.0950 1.0960 1.0700 1.0750", "1.0950", STOP),
        ("short", "1.0700 1.0990 1.0690 1.0980", "1.0700", TARGET),
    ],
)
def test_a_bar_ends_a_trade_where_it_touches_first_and_both_is_the_stop(direction, prices, price, reason):
    ending = follow(levels(direction), [bar(prices)])
    assert (ending and ending.price, ending and ending.reason) == (price and Decimal(price), reason)


@pytest.mark.parametrize(
    ("direction", "close", "price", "reason"),
    [
        ("long", "1.0990", "1.0962", TARGET),
        ("long", "1.0790", "1.0790", STOP),
        ("short", "1.0700", "1.0746", TARGET),
        ("short", "1.0920", "1.0920", STOP),
    ],
)
def test_a_close_beyond_the_target_in_the_bar_of_the_entry_passed_it(direction, close, price, reason):
    """A target is an order that rests there; a stop sells at what it finds."""
    ending = follow(levels(direction, entered_at=START + MINUTE / 2), [bar(f"1.0850 1.0999 1.0600 {close}")])
    assert (ending.price, ending.reason) == (Decimal(price), reason)


def test_of_the_bar_it_was_opened_in_only_the_close_counts():
    inside = levels(entered_at=START + MINUTE / 2)
    before = "1.0850 1.0999 1.0700 1.0860"
    assert follow(inside, [bar(before)]) is None
    ending = follow(inside, [bar("1.0850 1.0999 1.0700 1.0790")])
    assert (ending.price, ending.reason) == (Decimal("1.0790"), STOP)


def test_the_first_of_several_bars_ends_it():
    quiet, hit, later = (
        "1.0850 1.0860 1.0840 1.0850",
        "1.0850 1.0970 1.0850 1.0960",
        "1.0700 1.0700 1.0700 1.0700",
    )
    ending = follow(levels(), [bar(quiet), bar(hit, 1), bar(later, 2)])
    assert (ending.reason, ending.at) == (TARGET, START + 2 * MINUTE)


def test_time_ends_it_at_a_price_that_was_there():
    quiet = "1.0850 1.0860 1.0840 1.0855"
    over = follow(levels(expires_at=START + MINUTE), [bar(quiet), bar("1.0700 1.0700 1.0700 1.0700", 1)])
    assert (over.price, over.reason) == (Decimal("1.0855"), TIME)
    long_over = follow(levels(expires_at=START - MINUTE), [bar("1.0700 1.0700 1.0700 1.0700")])
    assert (long_over.price, long_over.reason) == (Decimal("1.0700"), TIME)
    stopped = follow(levels(expires_at=START + MINUTE), [bar("1.0850 1.0860 1.0790 1.0855")])
    assert stopped.reason is STOP


@pytest.mark.parametrize(
    ("steps", "result"),
    [("1", "win"), ("0.9", "breakeven"), ("0", "breakeven"), ("-0.9", "breakeven"), ("-1", "loss")],
)
def test_less_than_a_pip_is_neither_won_nor_lost(steps, result):
    assert result_of(Decimal(steps), Decimal("0.01")) is Result(result)


@pytest.mark.parametrize(
    ("steps", "percent", "result"),
    [("0.8", "5", "win"), ("-0.8", "-5", "loss"), ("0", "0.05", "win"), ("0.8", "0.04", "breakeven")],
)
def test_what_costs_less_than_a_few_points_is_won_or_lost_by_its_share(steps, percent, result):
    """Of a coin at 0.15 a twentieth is less than one point."""
    assert result_of(Decimal(steps), Decimal(percent)) is Result(result)


def test_the_percentage_has_the_direction_of_the_trade():
    assert percentage(levels(), Decimal("1.0962")) == Decimal("1.00")
    assert percentage(levels("short"), Decimal("1.0962")) == Decimal("-1.00")


@pytest.mark.parametrize(
    ("direction", "entry", "stop", "target", "words"),
    [
        ("long", "1.1", "1.0", "1.2", None),
        ("short", "1.1", "1.2", "1.0", None),
        ("long", "1.1", "1.1", "1.2", "stop loss of a LONG stands below"),
        ("long", "1.1", "1.0", "1.1", "take profit of a LONG stands above"),
        ("short", "1.1", "1.0", "1.2", "take profit of a SHORT stands below"),
        ("short", "1.1", "1.05", "1.0", "stop loss of a SHORT stands above"),
        ("long", "0", "-1", "1.2", "above 0"),
    ],
)
def test_levels_that_contradict_their_direction_are_told(direction, entry, stop, target, words):
    said = contradiction(Direction(direction), Decimal(entry), Decimal(stop), Decimal(target))
    assert said == words if words is None else words in said


@pytest.mark.parametrize(
    ("lots", "good"), [("0.01", True), ("100", True), ("0.009", False), ("100.01", False)]
)
def test_lots_have_bounds(lots, good):
    assert (bad_lots(Decimal(lots)) is None) == good
