"""What a model reads: nothing of the future, nothing from before its window, the same live as in training."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reversal import features
from reversal.features import NAMES, NEEDED, Floats, prices_of, rows, stacked
from tests.unit.price_series import HOUR, KEYS, bar, quiet, real, scaled

SPOTS = {name: NAMES.index(name) for name in NAMES}
each_recording = pytest.mark.parametrize("number", range(len(KEYS)), ids=[" ".join(key) for key in KEYS])


def same_figures(some: Floats, others: Floats) -> None:
    """Hold figures to each other but for how sums of another length are rounded."""
    np.testing.assert_allclose(some, others, rtol=0, atol=1e-9)


@each_recording
def test_bars_that_come_later_change_no_row(number: int) -> None:
    bars = real(number, 0, 1000)
    whole = rows(prices_of(bars))
    for count in (NEEDED, NEEDED + 1, 400, 999):
        early = rows(prices_of(bars[:count]))
        same_figures(early.values, whole.values[: count - NEEDED + 1])
        same_figures(early.atr, whole.atr[: count - NEEDED + 1])


@settings(max_examples=25, deadline=None)
@given(
    moves=st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=60),
    highs=st.lists(st.floats(0, 0.3), min_size=60, max_size=60),
)
def test_whatever_comes_later_changes_no_row(moves: list[float], highs: list[float]) -> None:
    past = real(1, 200, 300)
    close, future = float(past[-1].close), []
    for number, (move, above) in enumerate(zip(moves, highs, strict=False)):
        first, close = close, close * (1 + move)
        made = bar(0, first, max(first, close) * (1 + above), min(first, close) * (1 - above), close)
        opened = past[-1].closed_at + timedelta(days=number)
        future.append(
            replace(made, opened_at=opened, closed_at=opened + timedelta(days=1), volume=Decimal(5))
        )
    before, after = (rows(prices_of(bars)).values for bars in (past, past + future))
    same_figures(before, after[: len(before)])


@each_recording
def test_a_live_row_is_the_training_row_of_the_same_bar(number: int) -> None:
    bars = real(number, 0, 1500)
    whole = rows(prices_of(bars))
    ends = range(NEEDED, len(bars) + 1, 137)
    live = rows(stacked([bars[:end] for end in ends]))
    assert live.values.shape == (len(ends), 1, len(NAMES))
    np.testing.assert_allclose(live.values[:, 0], whole.values[[end - NEEDED for end in ends]], atol=1e-9)
    np.testing.assert_allclose(live.atr[:, 0], whole.atr[[end - NEEDED for end in ends]], rtol=1e-12)


def test_rows_do_not_depend_on_where_long_histories_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = prices_of(real(0, 0, 800))
    whole = rows(prices)
    monkeypatch.setattr(features, "AT_ONCE", 100)
    parts = rows(prices)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-9)
    assert len(parts.atr) == 800 - NEEDED + 1


def test_d7_8_a_history_that_is_too_short_has_no_row() -> None:
    """AIFX filled a 200-bar average over 100 bars with zeros; here nothing is filled."""
    short = rows(prices_of(real(0, 0, NEEDED - 1)))
    assert short.values.shape == (0, len(NAMES))
    assert len(short.usable) == 0


def test_a_market_that_stood_still_has_no_usable_row() -> None:
    still = rows(prices_of([bar(number, 5, 5, 5, 5) for number in range(NEEDED)]))
    assert not still.usable.any()


@each_recording
def test_every_row_of_the_recordings_is_usable(number: int) -> None:
    assert rows(prices_of(real(number))).usable.all()


def test_a_yen_pair_reads_like_any_other() -> None:
    bars = real(0, 0, 300)
    mine, yen = (rows(prices_of(each)) for each in (bars, scaled(bars, Decimal(100))))
    np.testing.assert_allclose(mine.values, yen.values, atol=1e-9)


def test_figures_worked_out_by_hand() -> None:
    last = rows(prices_of(quiet())).values[0]
    # True range: two closes half a point apart, and a quarter beyond each
    assert rows(prices_of(quiet())).atr[0] == pytest.approx(1.0)
    assert last[SPOTS["rsi_14"]] == pytest.approx(50.0)
    assert last[SPOTS["return_1"]] == pytest.approx(-0.5)
    assert last[SPOTS["return_2"]] == pytest.approx(0.0)
    assert last[SPOTS["body"]] == pytest.approx(-0.5)
    assert last[SPOTS["upper_wick"]] == last[SPOTS["lower_wick"]] == pytest.approx(0.25)
    assert last[SPOTS["bar_range"]] == pytest.approx(1.0)
    assert last[SPOTS["range_position_20"]] == pytest.approx(0.25)
    assert last[SPOTS["bollinger_position"]] == pytest.approx(-0.5)
    assert last[SPOTS["above_mean_50"]] == pytest.approx(-0.25)
    assert last[SPOTS["volatility"]] == pytest.approx(1.0)
    assert (last[SPOTS["volume"]], last[SPOTS["volume_is_real"]]) == (0.0, 0.0)


def test_a_market_that_only_rises_has_an_rsi_of_100_and_stands_at_its_high() -> None:
    rising = [bar(number, 100 + number, 101 + number, 100 + number, 101 + number) for number in range(NEEDED)]
    last = rows(prices_of(rising))
    assert last.of("rsi_14")[0] == pytest.approx(100.0)
    assert last.of("range_position_55")[0] == pytest.approx(1.0)
    assert last.of("below_high_20")[0] == pytest.approx(0.0)
    assert last.of("since_high_20")[0] == pytest.approx(0.0)
    assert last.of("since_low_20")[0] == pytest.approx(1.0)
    assert last.of("macd")[0] > 0


def test_session_and_weekday_are_those_of_the_close() -> None:
    # The last bar closes on Friday 2025-01-10 at 24:00, which is Saturday
    bars = quiet()
    moved = [
        replace(each, opened_at=each.opened_at + 15 * HOUR, closed_at=each.closed_at + 15 * HOUR)
        for each in bars
    ]
    last = rows(prices_of(moved))
    assert moved[-1].closed_at.hour == 15
    assert last.of("london")[0] == last.of("new_york")[0] == last.of("is_intraday")[0] == 1
    asia = rows(prices_of([replace(each, closed_at=each.closed_at - 12 * HOUR) for each in moved]))
    assert asia.of("london")[0] == asia.of("new_york")[0] == 0
    assert last.of("weekday_sine")[0] != 0


def test_volume_counts_only_where_it_is_real() -> None:
    bars = real(0, 0, NEEDED)
    with_volume = rows(prices_of(bars))
    without = rows(prices_of([*bars[:-1], replace(bars[-1], volume=None)]))
    assert with_volume.of("volume_is_real")[0] == 1
    assert without.of("volume_is_real")[0] == without.of("volume")[0] == 0
    assert without.usable.all()
