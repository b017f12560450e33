"""Longer bars are made of whole shorter ones, or not at all."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bar import Bar, length, opening
from core.pips import MarketKind
from reversal.building import build, can_build

FOREX, STOCK, CRYPTO = MarketKind.FOREX, MarketKind.STOCK, MarketKind.CRYPTO
# A Monday
START = datetime(2026, 7, 6, tzinfo=UTC)


def bar(opened_at: datetime, timeframe: str = "1 Hour", volume: int | None = 5) -> Bar:
    number = int((opened_at - START) / length(timeframe))
    middle = Decimal(100 + number % 7)
    return Bar(
        opened_at=opened_at,
        closed_at=opened_at + length(timeframe),
        open=middle,
        high=middle + 1 + number % 3,
        low=middle - 1 - number % 5,
        close=middle + (number % 2),
        volume=None if volume is None else Decimal(volume),
    )


def hours(*numbers: int) -> list[Bar]:
    return [bar(START + timedelta(hours=number)) for number in numbers]


def days(*numbers: int) -> list[Bar]:
    return [bar(START + timedelta(days=number), "1 Day") for number in numbers]


def built(kind: MarketKind, timeframe: str, shorter: str, bars: list[Bar]) -> list[str]:
    return [f"{each.opened_at:%m-%d %H:%M}" for each in build(kind, timeframe, shorter, bars)]


@pytest.mark.parametrize(
    ("timeframe", "shorter", "possible"),
    [
        ("4 Hour", "1 Hour", True),
        ("1 Week", "1 Day", True),
        ("1 Hour", "1 Hour", False),
        ("1 Hour", "4 Hour", False),
        ("45 Min", "30 Min", False),
        ("1 Month", "1 Week", False),
    ],
)
def test_what_can_be_built(timeframe: str, shorter: str, possible: bool) -> None:
    assert can_build(timeframe, shorter) is possible


def test_a_longer_bar_opens_with_its_first_and_closes_with_its_last() -> None:
    parts = hours(0, 1, 2, 3)
    (whole,) = build(CRYPTO, "4 Hour", "1 Hour", parts)
    assert (whole.opened_at, whole.closed_at) == (START, START + timedelta(hours=4))
    assert (whole.open, whole.close, whole.volume) == (parts[0].open, parts[3].close, 20)
    assert (whole.high, whole.low) == (max(each.high for each in parts), min(each.low for each in parts))


def test_a_volume_is_only_told_where_all_are_known() -> None:
    parts = [*hours(0, 1, 2), bar(START + timedelta(hours=3), volume=None)]
    (whole,) = build(CRYPTO, "4 Hour", "1 Hour", parts)
    assert whole.volume is None


@pytest.mark.parametrize("lacking", range(4))
def test_without_one_of_its_parts_there_is_none(lacking: int) -> None:
    there = [number for number in range(12) if number != 4 + lacking]
    assert built(FOREX, "4 Hour", "1 Hour", hours(*there)) == ["07-06 00:00", "07-06 08:00"]


def test_the_forming_one_is_not_built() -> None:
    assert built(FOREX, "4 Hour", "1 Hour", hours(0, 1, 2)) == []


def test_the_weekend_cuts_a_bar_which_is_whole_all_the_same() -> None:
    # Friday's last hour in summer opens at 20:00, Sunday's first at 21:00
    friday, sunday = 4 * 24 + 20, 6 * 24 + 21
    assert built(FOREX, "4 Hour", "1 Hour", hours(friday)) == ["07-10 20:00"]
    assert built(FOREX, "4 Hour", "1 Hour", hours(friday, sunday, sunday + 1)) == ["07-10 20:00"]
    assert built(FOREX, "4 Hour", "1 Hour", hours(friday, sunday, sunday + 1, sunday + 2)) == [
        "07-10 20:00",
        "07-12 20:00",
    ]


def test_a_week_of_stocks_with_a_holiday_is_built_when_the_next_one_has_begun() -> None:
    assert built(STOCK, "1 Week", "1 Day", days(0, 1, 2, 3, 4)) == ["07-06 00:00"]
    assert built(STOCK, "1 Week", "1 Day", days(0, 1, 2, 3)) == []
    assert built(STOCK, "1 Week", "1 Day", days(0, 1, 2, 3, 7)) == ["07-06 00:00"]
    assert built(STOCK, "1 Week", "1 Day", days(0, 3, 4, 7)) == []


@given(
    st.sets(st.integers(0, 24 * 15)),
    st.sampled_from(MarketKind),
    st.sampled_from(("4 Hour", "1 Day", "1 Week")),
)
def test_what_comes_later_never_changes_a_bar_that_was_built(
    numbers: set[int], kind: MarketKind, timeframe: str
) -> None:
    """Bars that come in order: each look builds what the last look built, and perhaps more."""
    bars = hours(*sorted(numbers))
    before: list[Bar] = []
    for count in range(0, len(bars) + 1, 23):
        now_built = list(build(kind, timeframe, "1 Hour", bars[:count]))
        assert now_built[: len(before)] == before
        before = now_built
    assert all(each.opened_at == opening(each.opened_at, timeframe) for each in before)
