"""Trades whose stop or target was moved: each bar by the levels of its time, and what is not known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bar import Bar
from core.pips import Direction, market_of
from core.tracked_trade import CloseReason, Levels
from core.trade_walk import Moved, moved, walk

HOUR = timedelta(hours=1)
TEN = datetime(2026, 11, 20, 10, tzinfo=UTC)
STOP, TARGET = CloseReason.STOP, CloseReason.TARGET


def levels(stop="1.0850", target="1.0962", direction=Direction.LONG):
    return Levels(
        market=market_of("EUR/USD"),
        direction=direction,
        entry=Decimal("1.0854"),
        stop=Decimal(stop),
        target=Decimal(target),
        entered_at=TEN - 5 * HOUR,
    )


def bar(prices, opened_at=TEN):
    first, high, low, last = (Decimal(price) for price in prices.split())
    return Bar(opened_at=opened_at, closed_at=opened_at + HOUR, open=first, high=high, low=low, close=last)


def at_half_past(stop="1.0800", target="1.0962"):
    """Return a move at half past ten, from these levels."""
    return Moved(since=TEN + HOUR / 2, stop=Decimal(stop), target=Decimal(target))


@pytest.mark.parametrize(
    ("prices", "ended"),
    [
        # Below the new stop, above the old one: it may have been before the move
        ("1.0900 1.0910 1.0820 1.0900", None),
        # Below both: a stop for certain, at the price that is worse
        ("1.0900 1.0910 1.0790 1.0900", ("1.0800", STOP)),
        # The close was after the move
        ("1.0900 1.0910 1.0820 1.0840", ("1.0840", STOP)),
        # The bar began beyond the old stop
        ("1.0795 1.0910 1.0790 1.0900", ("1.0795", STOP)),
        ("1.0900 1.0970 1.0890 1.0900", ("1.0962", TARGET)),
    ],
)
def test_of_the_bar_of_a_move_only_what_is_certain_counts(prices, ended):
    ending = walk(levels(), at_half_past(), [bar(prices)])
    assert (ending and (ending.price, ending.reason)) == (ended and (Decimal(ended[0]), ended[1]))


def test_a_target_that_both_places_of_it_saw_gives_the_nearer_price():
    ending = walk(levels(target="1.1000"), at_half_past(), [bar("1.0900 1.1010 1.0890 1.0900")])
    assert (ending.price, ending.reason) == (Decimal("1.0962"), TARGET)
    assert walk(levels(target="1.1000"), at_half_past(), [bar("1.0900 1.0970 1.0890 1.0900")]) is None


def test_bars_before_a_move_are_judged_by_what_the_levels_were():
    before, after = (
        bar("1.0900 1.0910 1.0820 1.0900", TEN - HOUR),
        bar("1.0900 1.0910 1.0845 1.0900", TEN + HOUR),
    )
    assert walk(levels(), at_half_past(), [before]) is None
    assert walk(levels(), at_half_past(), [before, after]).price == Decimal("1.0850")
    lost = bar("1.0900 1.0910 1.0799 1.0900", TEN - HOUR)
    assert walk(levels(), at_half_past(), [lost]).price == Decimal("1.0800")


def test_a_move_at_the_seam_of_two_bars_divides_them():
    below_new, between = (
        "1.0900 1.0910 1.0820 1.0840",
        Moved(since=TEN, stop=Decimal("1.0800"), target=Decimal("1.0962")),
    )
    assert walk(levels(), between, [bar(below_new, TEN - HOUR)]) is None
    ending = walk(levels(), between, [bar(below_new, TEN)])
    assert (ending.price, ending.reason) == (Decimal("1.0850"), STOP)


def test_a_look_up_to_a_move_needs_no_levels_from_before_it():
    before = Moved(since=TEN, stop=Decimal("1.0700"), target=Decimal("1.1200"))
    found = moved(levels(), before, TEN, TEN + HOUR)
    assert (found.stop, found.target) == (levels().stop, levels().target)
    kept = moved(levels(), before, TEN - HOUR, TEN + HOUR)
    assert (kept.stop, kept.target) == (before.stop, before.target)


def test_time_over_before_the_bar_of_a_move_ends_it_at_its_opening():
    over = replace(levels(), expires_at=TEN)
    ending = walk(over, at_half_past(), [bar("1.0900 1.0910 1.0790 1.0900")])
    assert (ending.price, ending.reason) == (Decimal("1.0900"), CloseReason.TIME)


def test_time_over_within_the_bar_of_a_move_ends_it_at_its_close():
    over = replace(levels(), expires_at=TEN + HOUR)
    ending = walk(over, at_half_past(), [bar("1.0900 1.0910 1.0820 1.0890")])
    assert (ending.price, ending.reason) == (Decimal("1.0890"), CloseReason.TIME)


def test_of_several_moves_between_two_looks_the_widest_levels_are_certain():
    looked = TEN - HOUR
    first = moved(levels(stop="1.0800"), None, looked, TEN)
    assert (first.stop, first.target) == (Decimal("1.0800"), Decimal("1.0962"))
    second = moved(levels(stop="1.0820"), first, looked, TEN + HOUR / 2)
    assert (second.since, second.stop) == (TEN + HOUR / 2, Decimal("1.0800"))
    later = moved(levels(stop="1.0850"), second, TEN + HOUR, TEN + 2 * HOUR)
    assert later.stop == Decimal("1.0850")


cents = st.integers(-300, 300)


@given(
    st.lists(st.tuples(cents, cents, cents, cents), min_size=1, max_size=6),
    st.integers(-280, -1), st.integers(1, 280), st.integers(-280, -1), st.integers(1, 280), st.integers(0, 360),
)  # fmt: skip
def test_a_long_and_its_mirror_image_end_in_the_same_bar_for_the_same_reason(
    rows, stop, target, old_stop, old_target, minute
):
    """Mirror every price at the entry: what a long sees, a short sees upside down."""
    middle = Decimal(1000)

    def side(sign, direction):
        shape = replace(
            levels(direction=direction),
            entry=middle,
            stop=middle + sign * stop,
            target=middle + sign * target,
        )
        before = Moved(
            since=TEN + timedelta(minutes=minute),
            stop=middle + sign * old_stop,
            target=middle + sign * old_target,
        )
        bars = []
        for number, row in enumerate(rows):
            first, last = middle + sign * row[0], middle + sign * row[1]
            every = (first, last, middle + sign * row[2], middle + sign * row[3])
            opened = TEN + number * HOUR
            bars.append(
                Bar(
                    opened_at=opened,
                    closed_at=opened + HOUR,
                    open=first,
                    close=last,
                    high=max(every),
                    low=min(every),
                )
            )
        return walk(shape, before, bars)

    long, short = side(1, Direction.LONG), side(-1, Direction.SHORT)
    assert (long is None) == (short is None)
    if long is not None:
        assert (long.reason, long.at, long.price - middle) == (short.reason, short.at, middle - short.price)
