"""What a trade would have come to: the rule by which tracked trades are followed, costs and nothing later."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.bar import Bar
from core.pips import Direction, market_of
from core.tracked_trade import CloseReason, Ending, Levels, follow
from reversal import labels
from reversal.features import NEEDED, prices_of, rows
from reversal.labels import STOP_ATR, TIME_LIMIT, Label, Outcomes, outcomes
from reversal.model import levels
from reversal.samples import samples_of
from tests.unit.price_series import HOUR, KEYS, bar, quiet, real, scaled

STOCK = market_of("AAPL")
# The last close of `quiet` is 100 and its ATR 1: stop and target of a long, then of a short
STOP, TARGET, SHORT_STOP, SHORT_TARGET = 98.5, 103.0, 101.5, 97.0
COST = 100 * labels.SHARES[STOCK.kind]


def after(*bars: tuple[float, float, float, float]) -> list[Bar]:
    """Return the quiet bars, these, and enough that do not move for every trade to end."""
    given = [bar(NEEDED + number, *each) for number, each in enumerate(bars)]
    rest = range(NEEDED + len(bars), NEEDED + TIME_LIMIT + 1)
    close = bars[-1][-1]
    return [*quiet(), *given, *(bar(number, close, close, close, close) for number in rest)]


def ended(bars: list[Bar], direction: Direction = Direction.LONG) -> Outcomes:
    prices = prices_of(bars)
    return outcomes(prices, rows(prices), STOCK, direction)


CASES = {
    "the target": ((100, 103.2, 99.5, 102), True, TARGET),
    "the stop": ((100, 100.5, 98.4, 99), False, STOP),
    "both in one bar is the stop": ((100, 104, 98, 103), False, STOP),
    "exactly at the target": ((100, 103, 99, 101), True, TARGET),
    "exactly at the stop": ((100, 101, 98.5, 101), False, STOP),
}


@pytest.mark.parametrize("name", CASES)
def test_a_long_that_ends_in_its_first_bar(name: str) -> None:
    candle, won, price = CASES[name]
    found = ended(after(candle))
    assert bool(found.won[0]) is won
    assert found.price[0] == pytest.approx(price)
    assert found.bars[0] == 1
    assert found.reward[0] == pytest.approx((price - 100 - COST) / 1.5)


@pytest.mark.parametrize(("gap", "won"), [(97.0, False), (105.0, True)])
def test_a_gap_closes_at_the_first_price_beyond(gap: float, won: bool) -> None:
    found = ended(after((100, 100.4, 99.6, 100), (gap, gap + 0.2, gap - 0.2, gap)))
    assert (bool(found.won[0]), found.bars[0]) == (won, 2)
    assert found.price[0] == pytest.approx(gap)


@pytest.mark.parametrize("first", [98.4, 98.5, 103.0, 110.0])
def test_an_open_that_is_beyond_a_level_already_opens_no_trade(first: float) -> None:
    found = ended(after((first, first + 0.1, first - 0.1, first)))
    assert not found.opened[0]
    assert not found.won[0]
    assert np.isnan(found.reward[0])


def test_a_short_is_the_mirror() -> None:
    found = ended(after((100, 100.5, 96.9, 98)), Direction.SHORT)
    assert found.won[0]
    assert found.price[0] == pytest.approx(SHORT_TARGET)
    assert found.reward[0] == pytest.approx((3 - COST) / 1.5)
    lost = ended(after((100, 101.5, 99, 100)), Direction.SHORT)
    assert (bool(lost.won[0]), lost.price[0]) == (False, pytest.approx(SHORT_STOP))


def test_a_trade_that_reaches_nothing_is_closed_at_its_time_limit() -> None:
    found = ended(after((100, 101, 99, 100.75)))
    assert found.bars[0] == TIME_LIMIT
    assert found.price[0] == pytest.approx(100.75)
    assert not found.won[0]


def test_the_entry_is_the_next_open_and_the_levels_stay_where_they_were_announced() -> None:
    found = ended(after((101, 103.5, 100.5, 103)))
    assert found.price[0] == pytest.approx(TARGET)
    assert found.reward[0] == pytest.approx((TARGET - 101 - COST) / 1.5)


def test_the_levels_of_a_label_are_those_of_a_score() -> None:
    stop, target = levels(STOCK, Decimal("100.0"), 1.0, Direction.LONG)
    assert (stop, target) == (Decimal("98.50"), Decimal("103.00"))
    assert float(stop), float(target) == (STOP, TARGET)
    assert levels(STOCK, Decimal("100.0"), 1.0, Direction.SHORT) == (Decimal("101.50"), Decimal("97.00"))


@pytest.mark.parametrize("number", range(len(KEYS)), ids=[" ".join(key) for key in KEYS])
@pytest.mark.parametrize("direction", Direction)
def test_real_bars_end_as_the_monitor_would_end_them(number: int, direction: Direction) -> None:
    """Two rules that must agree: this one works all bars out at once, the other follows one trade."""
    bars = real(number, 0, 900)
    sample = samples_of(*KEYS[number], bars)
    found = sample.long if direction is Direction.LONG else sample.short
    for row in range(0, len(sample.decided) - TIME_LIMIT, 7):
        at = row + NEEDED - 1
        if found.opened[row]:
            ending = followed(bars, at, float(sample.rows.atr[row]), KEYS[number][0], direction)
            assert float(ending.price) == pytest.approx(found.price[row])
            assert bool(found.won[row]) is (ending.reason is CloseReason.TARGET)
            assert ending.at == bars[at + int(found.bars[row])].closed_at


def followed(bars: list[Bar], at: int, atr: float, pair: str, direction: Direction) -> Ending:
    close, risk = bars[at].close, Decimal(STOP_ATR * atr)
    trade = Levels(
        market=market_of(pair),
        direction=direction,
        entry=bars[at + 1].open,
        stop=close - direction.sign * risk,
        target=close + direction.sign * risk * 2,
        entered_at=bars[at + 1].opened_at,
        expires_at=bars[at + TIME_LIMIT].closed_at,
    )
    ending = follow(trade, bars[at + 1 :])
    assert ending is not None
    return ending


@pytest.mark.parametrize("number", range(len(KEYS)), ids=[" ".join(key) for key in KEYS])
def test_bars_that_come_later_change_no_label_that_was_known(number: int) -> None:
    bars = real(number, 500, 900)
    whole = samples_of(*KEYS[number], bars)
    for count in (NEEDED + TIME_LIMIT, 300, 899):
        early = samples_of(*KEYS[number], bars[:count])
        known = np.flatnonzero(early.known)
        assert len(known) == count - NEEDED + 1 - TIME_LIMIT
        assert np.array_equal(early.label[known], whole.label[known])
        assert np.array_equal(early.side[known], whole.side[known])
        np.testing.assert_allclose(early.long.reward[known], whole.long.reward[known], atol=1e-9)


def test_what_is_not_over_is_not_known() -> None:
    bars = real(0, 0, NEEDED + TIME_LIMIT - 1)
    assert not samples_of(*KEYS[0], bars).known.any()
    assert samples_of(*KEYS[0], real(0, 0, NEEDED + TIME_LIMIT)).known.sum() == 1


@settings(max_examples=30, deadline=None)
@given(
    candles=st.lists(
        st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 3), st.floats(0, 3)),
        min_size=1,
        max_size=40,
    )
)
def test_never_do_both_trades_of_a_bar_reach_their_target(candles: list[tuple[float, ...]]) -> None:
    shapes = [
        (first, max(first, close) + above, min(first, close) - below, close)
        for first, close, above, below in ((100 + a, 100 + b, c, d) for a, b, c, d in candles)
    ]
    bars = after(*shapes)
    long, short = ended(bars), ended(bars, Direction.SHORT)
    assert not (long.won & short.won).any()
    assert set(labels.labels(long, short)) <= set(Label)


def test_d7_16_labels_know_no_size_of_a_pip() -> None:
    """AIFX counted x10000 for every pair, so that a yen pair's labels were wrong by a hundred."""
    bars = real(0, 0, 900)
    euro, yen = (
        samples_of("EUR/USD", "1 Hour", bars),
        samples_of("USD/JPY", "1 Hour", scaled(bars, Decimal(100))),
    )
    assert np.array_equal(euro.label, yen.label)
    np.testing.assert_allclose(euro.cost, yen.cost)
    np.testing.assert_allclose(euro.long.reward, yen.long.reward, atol=1e-9)


def test_d7_16_labels_follow_the_path_of_the_price() -> None:
    """AIFX took the best and the worst of a window, whichever came first."""
    stopped_first = after((100, 100.5, 98.4, 99), (99, 104, 98.9, 103.5))
    assert not ended(stopped_first).won[0]
    target_first = after((100, 103.1, 99.9, 103), (103, 103, 98, 98.5))
    assert ended(target_first).won[0]


def test_costs_are_a_currencys_pips_and_everything_elses_share() -> None:
    one = np.array([1.1])
    assert labels.cost(market_of("EUR/USD"), one)[0] == pytest.approx(0.00014)
    assert labels.cost(market_of("USD/JPY"), np.array([150.0]))[0] == pytest.approx(0.014)
    assert labels.cost(market_of("AAPL"), np.array([200.0]))[0] == pytest.approx(0.08)
    assert labels.cost(market_of("BTC/USD"), np.array([50_000.0]))[0] == pytest.approx(75.0)


def test_a_weekend_between_two_bars_is_only_a_gap() -> None:
    bars = after((100, 100.4, 99.6, 100), (97, 97.2, 96.8, 97))
    later = [
        replace(each, opened_at=each.opened_at + 49 * HOUR, closed_at=each.closed_at + 49 * HOUR)
        for each in bars
    ]
    moved = [*bars[: NEEDED + 1], *later[NEEDED + 1 :]]
    assert moved[NEEDED + 1].opened_at - moved[NEEDED].opened_at > timedelta(days=2)
    assert ended(moved).price[0] == pytest.approx(97)
