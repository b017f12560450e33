"""Figures that are sums and intervals, and walks through time in which nothing of the future is known."""

from dataclasses import replace

import numpy as np
import pytest

from reversal import baselines, measures, training, walk_forward
from reversal.baselines import Strategy
from reversal.fitting import CHOSEN, HOW, SHIPPABLE, Fitted, Recipe, TooLittle, calibration, split
from reversal.labels import TIME_LIMIT
from reversal.measures import Trades
from reversal.samples import EMBARGO, Samples, samples_of
from reversal.walk_forward import FOLDS, Judged
from tests.unit.price_series import KEYS, real


@pytest.fixture(scope="module")
def euro() -> Samples:
    return samples_of(*KEYS[0], real(0, 0, 2600))


@pytest.fixture(scope="module")
def judged(euro: Samples) -> Judged:
    return walk_forward.walk([euro], euro)


def trades(*rewards: float) -> Trades:
    places = np.arange(len(rewards))
    values = np.array(rewards, dtype=np.float64)
    return Trades(at=places, end=places + 1, reward=values, won=values > 0)


def test_figures_worked_out_by_hand() -> None:
    found = measures.figures(trades(2, -1, -1, 2, -1), 5)
    assert (found.trades, found.hit_rate, found.total) == (5, 0.4, 1.0)
    assert found.expectancy == pytest.approx(0.2)
    assert found.profit_factor == pytest.approx(4 / 3)
    assert found.drawdown == pytest.approx(2.0)


def test_d7_15_a_profit_factor_without_losses_is_unknown_and_never_999_99() -> None:
    """AIFX averaged 999.99 into its reports."""
    assert measures.figures(trades(2, 2), 2).profit_factor is None
    assert measures.figures(trades(), 10).plain() == {
        "trades": 0, "not_opened": 0, "hit_rate": None, "expectancy": None, "low": None, "high": None,
        "profit_factor": None, "drawdown": 0.0, "total": 0.0,
    }  # fmt: skip


def test_d7_15_a_profit_factor_is_a_quotient_of_sums() -> None:
    """The mean of two months' factors, 2 and 0.5, says 1.25 of a trade that lost."""
    both = np.array([2.0, -1.0, 4.0, -8.0])
    assert measures.profit_factor(both) == pytest.approx(6 / 9)


def test_a_drawdown_is_booked_as_trades_end() -> None:
    places = np.arange(3)
    late = Trades(at=places, end=np.array([9, 3, 4]), reward=np.array([5.0, -1.0, -1.0]), won=places < 1)
    assert measures.drawdown(late) == pytest.approx(2.0)
    early = replace(late, end=np.array([1, 3, 4]))
    assert measures.drawdown(early) == pytest.approx(2.0)
    assert measures.drawdown(replace(late, reward=np.array([1.0, 1.0, 1.0]))) == 0.0


def test_a_curve_adds_up_trades_as_they_end_and_ends_with_their_total() -> None:
    trades = Trades(
        at=np.array([0, 1, 2]),
        end=np.array([3, 1, 9]),
        reward=np.array([2.0, -1.0, 0.5]),
        won=np.array([True, False, True]),
    )
    decided = np.array([0.0, 60.0, 120.0, 180.0])
    assert measures.equity(trades, decided) == [(60.0, -1.0), (180.0, 1.0), (180.0, 1.5)]


def test_a_long_curve_keeps_its_ends_and_grows_no_further(judged: Judged) -> None:
    curves = walk_forward.equity(judged)
    assert set(curves) == {Strategy.MODEL, Strategy.RULE, Strategy.STAGE_ONE}
    strategies = walk_forward.report(judged)["strategies"]
    for name, curve in curves.items():
        assert 0 < len(curve) <= measures.POINTS
        assert curve == sorted(curve, key=lambda point: point[0])
        assert curve[-1][1] == pytest.approx(strategies[name]["total"], abs=1e-3)


def test_a_model_that_never_trades_has_an_empty_curve(judged: Judged) -> None:
    nothing = replace(judged, confidence=np.zeros_like(judged.confidence))
    assert walk_forward.equity(nothing)[Strategy.MODEL] == []


def test_an_interval_covers_what_is_true() -> None:
    """Of many series without any edge about one in twenty says that there is one, on either side."""
    random = np.random.default_rng(7)
    outside = 0
    for _ in range(200):
        rewards = random.choice([2.0, -1.0], size=1500, p=[1 / 3, 2 / 3])
        low, high = measures.interval(trades(*rewards), rewards, 1500)
        outside += not low <= 0 <= high
    assert 2 <= outside <= 30


def test_an_interval_knows_that_neighbours_tell_the_same_story() -> None:
    random = np.random.default_rng(3)
    alone = random.choice([2.0, -1.0], size=960, p=[1 / 3, 2 / 3])
    together = np.repeat(random.choice([2.0, -1.0], size=20, p=[1 / 3, 2 / 3]), 48)
    (low, high), (lower, higher) = (measures.interval(trades(*each), each, 960) for each in (alone, together))
    assert higher - lower > 3 * (high - low)


def test_brier_and_reliability_by_hand() -> None:
    said, true = np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, False, True, False])
    found = measures.brier(said, true)
    assert found == {"score": 0.19, "of_the_base_rate": 0.1875, "rows": 4}
    parts = measures.reliability(np.repeat([0.1, 0.9], 50), np.repeat([False, True], 50))
    assert [part["said"] for part in parts] == [0.1] * 5 + [0.9] * 5
    assert [part["came_true"] for part in parts] == [0.0] * 5 + [1.0] * 5


def test_a_constant_output_is_a_collapse() -> None:
    assert measures.has_collapsed(np.full(100, 0.957650))
    assert not measures.has_collapsed(np.linspace(0.2, 0.4, 100))


def test_d7_16_nothing_learned_reaches_into_what_it_is_judged_by(euro: Samples) -> None:
    """AIFX's overlapping windows leaked across its samples."""
    at = 2000
    until = float(euro.decided[at])
    parts = split(euro, until)
    assert parts.fit.max() + TIME_LIMIT + EMBARGO <= parts.calibrate.min()
    assert parts.calibrate.max() + TIME_LIMIT + EMBARGO <= at
    assert len(parts.fit) > len(parts.calibrate) > 300


def test_d7_16_a_fold_is_predicted_the_same_whatever_came_after_it(judged: Judged) -> None:
    """Cut the series where a fold ends: what the fold said must stay, or it knew the future."""
    first = np.array_split(judged.rows, FOLDS)[0]
    end = first[-1] + TIME_LIMIT + 1
    short = samples_of(*KEYS[0], real(0, 0, 119 + end))
    again = walk_forward.walk([short], short, folds=1, since=float(judged.samples.decided[first[0]]))
    assert again.rows.tolist() == first.tolist()
    np.testing.assert_allclose(again.confidence, judged.confidence[: len(first)], atol=1e-7)


def test_a_walk_judges_every_later_row_once(euro: Samples, judged: Judged) -> None:
    known = np.flatnonzero(euro.known)
    assert judged.rows.tolist() == known[int(len(known) * walk_forward.FIRST) :].tolist()
    assert (judged.folds, judged.skipped) == (FOLDS, 0)


def test_what_could_not_be_fitted_is_counted_and_not_judged(euro: Samples) -> None:
    early = walk_forward.walk([euro], euro, since=float(euro.decided[200]))
    report = walk_forward.report(early)
    assert report["folds_skipped"] > 0
    assert report["folds"] + report["folds_skipped"] == FOLDS
    assert report["rows"] == len(early.rows) < int(euro.known.sum()) - 200


def test_random_answers_show_no_edge_and_perfect_ones_do(euro: Samples, judged: Judged) -> None:
    """The report must be able to find an edge where there is one."""
    won = euro.wins(euro.side)[judged.rows]
    sure = replace(judged, confidence=np.where(won, 0.9, 0.1))
    found = walk_forward.report(sure)
    assert found["edge_shown"]
    assert found["strategies"][Strategy.MODEL]["hit_rate"] == 1.0
    assert found["strategies"][Strategy.MODEL]["low"] > 1.0
    assert found["excess"]["low"] > 0
    random = np.random.default_rng(1).uniform(0.1, 0.6, len(judged.rows))
    assert not walk_forward.report(replace(judged, confidence=random))["edge_shown"]


def test_a_market_that_rises_gives_no_edge_to_whoever_only_buys() -> None:
    """Longs earn something here, whenever they are bought: that is the market's and not a model's."""
    sample = samples_of(*KEYS[2], real(2, 2500))
    rows = np.flatnonzero(sample.known)
    always = replace(sample, side=np.ones_like(sample.side))
    sure = Judged(
        samples=always, rows=rows, turns=np.ones(len(rows)), confidence=np.full(len(rows), 0.9),
        thresholds=np.zeros(len(rows)), kind="held out", folds=1,
    )  # fmt: skip
    found = walk_forward.report(sure)
    assert found["strategies"][Strategy.MODEL]["low"] > 0
    assert found["excess"]["expectancy"] == pytest.approx(0.0, abs=1e-4)
    assert not found["edge_shown"]


def test_few_trades_show_nothing(euro: Samples, judged: Judged) -> None:
    won = np.flatnonzero(euro.wins(euro.side)[judged.rows])[: measures.FEWEST_TRADES - 1]
    confidence = np.full(len(judged.rows), 0.1)
    confidence[won] = 0.9
    found = walk_forward.report(replace(judged, confidence=confidence))
    assert found["strategies"][Strategy.MODEL]["low"] > 0
    assert not found["edge_shown"]


def test_a_model_that_never_trades_has_a_report(judged: Judged) -> None:
    found = walk_forward.report(replace(judged, confidence=np.full(len(judged.rows), 0.01)))
    assert (
        found["strategies"][Strategy.MODEL]["trades"] == found["strategies"][Strategy.RANDOM]["trades"] == 0
    )
    assert not found["edge_shown"]
    assert found["collapsed"]


def test_d6_every_report_stands_beside_its_baselines_and_has_no_accuracy(judged: Judged) -> None:
    """99.1 % accuracy was that of never trading: it is no figure here."""
    found = walk_forward.report(judged)
    assert list(found["strategies"]) == [strategy.value for strategy in Strategy]
    assert "accuracy" not in str(found)
    assert found["strategies"][Strategy.NEVER]["trades"] == 0
    model, random = (found["strategies"][each] for each in (Strategy.MODEL, Strategy.RANDOM))
    assert model["trades"] + model["not_opened"] == random["trades"] > 0
    assert found["brier"]["rows"] <= found["rows"]


def test_d7_15_costs_are_in_every_trade(euro: Samples, judged: Judged) -> None:
    side = np.ones_like(euro.side)
    found, _ = baselines.trades_of(euro, side, judged.rows)
    entry = euro.prices.open[judged.rows[found.at] + 120]
    free = (euro.long.price[judged.rows[found.at]] - entry) / (1.5 * euro.rows.atr[judged.rows[found.at]])
    np.testing.assert_allclose(free - found.reward, euro.cost[judged.rows[found.at]])
    assert (euro.cost[judged.rows] > 0).all()


def test_random_entries_lose_what_they_cost(euro: Samples, judged: Judged) -> None:
    found = baselines.random_figures(euro, judged.rows, 400, 400, any_side=True)
    means = baselines.mean_rewards(euro, judged.rows)
    assert found["expectancy"] == pytest.approx((means[1] + means[-1]) / 2, abs=0.02)
    assert found == baselines.random_figures(euro, judged.rows, 400, 400, any_side=True)


def test_a_calibration_says_what_comes_true() -> None:
    random = np.random.default_rng(5)
    true = random.uniform(0.1, 0.7, 4000)
    happened = random.random(4000) < true
    boastful = 1 / (1 + np.exp(-3 * np.log(true / (1 - true))))
    said = calibration(boastful, happened).of(boastful)
    assert np.abs(said - true).mean() < 0.03


def test_a_calibration_of_what_says_the_opposite_is_the_base_rate() -> None:
    random = np.random.default_rng(5)
    true = random.uniform(0.1, 0.7, 4000)
    happened = random.random(4000) < true
    found = calibration(1 - true, happened)
    assert found.slope == 0
    np.testing.assert_allclose(found.of(true), happened.mean(), atol=1e-6)


def test_a_slope_must_be_earned(euro: Samples) -> None:
    random = np.random.default_rng(9)
    said, happened = random.uniform(0.2, 0.5, 200), random.random(200) < 0.3
    loose, held = calibration(said, happened), calibration(said, happened, weight=0.1, penalty=0.1)
    assert held.slope <= loose.slope


@pytest.mark.parametrize("recipe", Recipe)
def test_every_recipe_predicts_and_only_the_ones_that_fit_a_file_ship(recipe: Recipe, euro: Samples) -> None:
    fitted = Fitted([split(euro, float(euro.decided[1800]), recipe)], recipe)
    said = fitted.predict(euro.rows.values[:50], euro.side[:50])
    assert ((said.confidence > 0) & (said.confidence < 1)).all()
    if recipe in SHIPPABLE:
        again = fitted.trained().predict(euro.rows.values[:50], euro.side[:50])
        np.testing.assert_allclose(again.confidence, said.confidence, atol=1e-6)
    assert (recipe in SHIPPABLE) is (HOW[recipe].weights is not None)
    assert CHOSEN in SHIPPABLE


def test_too_little_is_said_in_numbers(euro: Samples) -> None:
    with pytest.raises(TooLittle, match=r"There are \d+ bars to fit on"):
        Fitted([split(euro, float(euro.decided[300]))])


def test_a_challenger_is_judged_on_bars_that_the_champion_never_learned(euro: Samples) -> None:
    series = training.recordings()
    old = training.train([replace(series[0], learned=series[0].learned[:3000], held_out=())])
    new = training.train(series[:1], champion=old.model)
    (duel,) = new.row.metrics["against"]["series"].values()
    assert new.row.metrics["against"]["version"] == old.model.version
    assert duel["rows"] == new.model.record["EUR/USD 1 Hour"]["rows"]
    assert duel["challenger"]["trades"] == new.model.record["EUR/USD 1 Hour"]["strategies"]["model"]["trades"]
    assert duel["champion"] != duel["challenger"]
    back = training.train(
        [replace(series[0], learned=series[0].learned[:3000], held_out=())], champion=new.model
    )
    assert back.row.metrics["against"]["series"] == {}


def test_a_series_that_another_one_learned_beyond_is_walked_and_not_held_out() -> None:
    """Bars of 2018 in the same family would let a fixed model know what the bars of 2013 became."""
    series = training.recordings()[1:]
    series[1] = replace(series[1], learned=[*series[1].learned, *series[1].held_out], held_out=())
    made = training.train(series)
    assert made.model.record["SP500 1 Day"]["kind"] == "walk-forward"
    assert made.model.record["SP500 1 Day"]["from"] >= "2013-01-07"
