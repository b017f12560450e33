"""What is wrong with bars is noted, and nothing of it is mended."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import Bar, length
from core.pips import MarketKind
from database.market_bars import FaultKind
from reversal.checking import Judged, Known, impossible, judge, unbroken
from reversal.market_hours import missing

FOREX, STOCK, CRYPTO = MarketKind.FOREX, MarketKind.STOCK, MarketKind.CRYPTO
# A Tuesday
START = datetime(2026, 7, 7, tzinfo=UTC)
LATER = START + timedelta(days=30)
HOUR = timedelta(hours=1)
NOTHING = Known(bars={})


def bar(number: float, timeframe: str = "1 Hour", **more: Any) -> Bar:
    opened_at = START + number * length(timeframe)
    prices = {
        "open": Decimal("1.10"),
        "high": Decimal("1.12"),
        "low": Decimal("1.09"),
        "close": Decimal("1.11"),
    }
    return Bar(**{"opened_at": opened_at, "closed_at": opened_at + length(timeframe), **prices, **more})


def judged(
    bars: Iterable[Bar], known: Known = NOTHING, now: datetime = LATER, kind: MarketKind = FOREX
) -> Judged:
    return judge(kind, "1 Hour", list(bars), known, now)


def known(*bars: Bar, asked_at: datetime | None = None) -> Known:
    return Known(bars={each.opened_at: each for each in bars}, asked_at=asked_at)


def kinds(result: Judged) -> list[FaultKind]:
    return [fault.kind for fault in result.faults]


def test_sound_bars_are_kept_in_order() -> None:
    bars = [bar(number) for number in range(5)]
    assert judged(reversed(bars)) == Judged(bars=tuple(bars), faults=())


def test_a_bar_that_is_not_closed_is_left_out_and_no_fault() -> None:
    result = judged([bar(0), bar(1)], now=START + HOUR)
    assert result == Judged(bars=(bar(0),), faults=())
    assert judged([bar(0)], now=START + HOUR - timedelta(microseconds=1)).bars == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"high": Decimal("1.08"), "low": Decimal("1.09")}, "The high 1.08 is below the low 1.09."),
        ({"open": Decimal("1.13")}, "The open 1.13 is not between low and high."),
        ({"close": Decimal("1.08")}, "The close 1.08 is not between low and high."),
        ({"close": Decimal("NaN")}, "The close is NaN."),
        ({"low": Decimal("sNaN")}, "The low is sNaN."),
        ({"high": Decimal("Infinity")}, "The high is Infinity."),
        ({"open": Decimal(0)}, "The open is 0."),
        ({"low": Decimal("-1.09")}, "The low is -1.09."),
        ({"high": Decimal("1e400")}, "The high is 1E+400."),
        ({"low": Decimal("1e-400")}, "The low is 1E-400."),
        ({"volume": Decimal(-1)}, "The volume is -1."),
        ({"volume": Decimal("NaN")}, "The volume is NaN."),
    ],
)
def test_an_impossible_bar_is_noted_and_not_kept(more: dict[str, Decimal], words: str) -> None:
    result = judged([bar(0), bar(1, **more), bar(2)])
    assert result.bars == (bar(0), bar(2))
    assert kinds(result) == [FaultKind.IMPOSSIBLE, FaultKind.MISSING]
    assert result.faults[0].words == words


def test_a_hole_in_the_markets_hours_is_noted_once_and_nothing_fills_it() -> None:
    result = judged([bar(0), bar(4)])
    assert result.bars == (bar(0), bar(4))
    (fault,) = result.faults
    assert (fault.kind, fault.opened_at) == (FaultKind.MISSING, START + HOUR)
    assert fault.words == "3 missing: 2026-07-07 01:00 UTC to 2026-07-07 03:00 UTC."


def test_a_hole_behind_what_is_stored_is_found() -> None:
    assert kinds(judged([bar(3)], known(bar(0)))) == [FaultKind.MISSING]


def test_a_weekend_is_no_hole_and_its_bars_are_noted() -> None:
    # Friday's last hour opens at 20:00, Sunday's first at 21:00
    friday, sunday = bar(3 * 24 + 20), bar(5 * 24 + 21)
    assert judged([friday, sunday]).faults == ()
    result = judged([friday, bar(4 * 24), sunday])
    assert result.bars == (friday, sunday)
    assert kinds(result) == [FaultKind.MARKET_CLOSED]
    assert judged([bar(4 * 24)], kind=CRYPTO).faults == ()


def test_a_bar_off_the_grid_is_noted_and_not_kept() -> None:
    result = judged([bar(0), bar(0.5), bar(1)])
    assert result.bars == (bar(0), bar(1))
    assert kinds(result) == [FaultKind.MISALIGNED]
    assert result.faults[0].words == "A bar of 1 Hour cannot open at 2026-07-07 00:30 UTC."


def test_a_bar_given_twice_is_kept_once() -> None:
    assert judged([bar(0), bar(0), bar(1), bar(1)]) == Judged(bars=(bar(0), bar(1)), faults=())


def test_a_stored_bar_given_again_is_neither_kept_nor_a_fault() -> None:
    """The older system sent the same signal every quarter of an hour for the same bar (D7 item 13)."""
    assert judged([bar(0)], known(bar(0))) == Judged(bars=(), faults=())


def test_a_bar_given_with_other_prices_stays_as_it_first_came() -> None:
    changed = bar(0, close=Decimal("1.105"), high=Decimal("1.13"))
    result = judged([changed], known(bar(0)))
    assert result.bars == ()
    assert kinds(result) == [FaultKind.CHANGED]
    assert result.faults[0].words == (
        "Given again with other prices: high 1.12 → 1.13, close 1.11 → 1.105. The first ones stay."
    )
    assert judged([bar(0), changed]).bars == (bar(0),)


def test_a_volume_that_is_completed_later_is_no_change() -> None:
    before, after = bar(0, volume=Decimal(10)), bar(0, volume=Decimal(12))
    assert judged([after], known(before)) == Judged(bars=(), faults=())


@pytest.mark.parametrize(("minutes", "late"), [(15, False), (16, True)])
def test_a_bar_that_was_not_there_when_it_was_asked_for_is_late(minutes: int, late: bool) -> None:
    asked_at = START + HOUR + timedelta(minutes=minutes)
    result = judged([bar(0)], known(asked_at=asked_at))
    assert result.bars == (bar(0),)
    assert kinds(result) == ([FaultKind.LATE] if late else [])


def test_a_bar_that_nobody_asked_for_in_time_is_not_late() -> None:
    assert judged([bar(9)], known(bar(8), asked_at=START + 9 * HOUR)).faults == ()


def test_a_price_of_mixed_types_never_gets_in() -> None:
    """The older system showed NaN % (D7 item 13): what is no number stops here."""
    for field in ("open", "high", "low", "close", "volume"):
        assert impossible(bar(0, **{field: Decimal("NaN")})) is not None
    assert impossible(bar(0, volume=None)) is None
    assert impossible(bar(0)) is None


def test_the_usable_run_ends_at_the_newest_hole() -> None:
    bars = [bar(number) for number in (0, 1, 2, 5, 6, 7)]
    assert unbroken(FOREX, "1 Hour", bars) == bars[3:]
    assert unbroken(FOREX, "1 Hour", bars[3:]) == bars[3:]
    assert unbroken(FOREX, "1 Hour", []) == []


prices = st.decimals("0.0001", "1000000", places=5)
anything = st.one_of(prices, st.decimals(allow_nan=True, allow_infinity=True))


@st.composite
def any_bars(draw: st.DrawFn) -> list[Bar]:
    numbers = draw(st.lists(st.integers(0, 200).map(lambda each: each / 4), max_size=25))
    fields = st.fixed_dictionaries(dict.fromkeys(("open", "high", "low", "close"), anything))
    return [bar(number, **draw(st.one_of(fields, st.just({})))) for number in numbers]


@settings(deadline=None)
@given(any_bars(), any_bars(), st.sampled_from(MarketKind), st.integers(0, 60))
def test_whatever_comes_what_is_kept_is_sound(
    given_bars: list[Bar], stored: list[Bar], kind: MarketKind, hours: int
) -> None:
    now = START + hours * HOUR
    before = judge(kind, "1 Hour", stored, NOTHING, now)
    result = judge(kind, "1 Hour", given_bars, known(*before.bars), now)
    opened = [each.opened_at for each in result.bars]
    assert opened == sorted(set(opened))
    assert not set(opened) & {each.opened_at for each in before.bars}
    assert all(any(each is one for one in given_bars) for each in result.bars)
    assert all(each.closed_at <= now and impossible(each) is None for each in result.bars)
    assert all(fault.opened_at < now for fault in result.faults)


@settings(deadline=None)
@given(st.sets(st.integers(0, 24 * 21), min_size=1, max_size=60), st.sampled_from(MarketKind))
def test_every_hole_is_noted_and_cuts_the_usable_run(numbers: set[int], kind: MarketKind) -> None:
    result = judge(kind, "1 Hour", [bar(number) for number in numbers], NOTHING, LATER)
    run = unbroken(kind, "1 Hour", result.bars)
    assert run == list(result.bars)[len(result.bars) - len(run) :]
    holes = [fault for fault in result.faults if fault.kind is FaultKind.MISSING]
    assert (len(run) < len(result.bars)) is bool(holes)
    assert all(
        not missing(kind, "1 Hour", one.closed_at, two.opened_at) for one, two in itertools.pairwise(run)
    )


@settings(deadline=None)
@given(any_bars())
def test_judging_twice_finds_nothing_new_to_keep(given_bars: list[Bar]) -> None:
    first = judge(CRYPTO, "1 Hour", given_bars, NOTHING, LATER)
    again = judge(CRYPTO, "1 Hour", given_bars, known(*first.bars), LATER)
    assert again.bars == ()
    assert {(fault.kind, fault.opened_at) for fault in again.faults} == {
        (fault.kind, fault.opened_at) for fault in first.faults
    }
    assert replace(again, bars=first.bars, faults=first.faults) == first
