"""A model file: what is in it, what is refused, and what its scores say."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from core.pips import Direction, market_of
from core.reversal import RULES, Score
from core.tracked_trade import contradiction
from reversal import model as models
from reversal import rules, samples, training
from reversal.features import NAMES, NEEDED
from reversal.labels import STOP_ATR
from reversal.model import Model, ModelRefused
from reversal.samples import Family
from reversal.sources.base import Origin
from reversal.training import Made
from tests.unit.price_series import KEYS, bar, real

REPLAY = Origin(name="replay", is_replay=True)
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def made() -> Made:
    return training.train(training.recordings())


@pytest.fixture(scope="module")
def scores(made: Made) -> list[Score]:
    """Give the scores of many places of the recordings, as a live scan would have them."""
    found = []
    for end in range(NEEDED, 1400, 40):
        histories = {key: real(number, 0, end) for number, key in enumerate(KEYS)}
        found += made.model.score(histories, dict.fromkeys(histories, REPLAY))
    return found


def test_a_file_gives_the_model_that_wrote_it(made: Made) -> None:
    again = Model.load(made.row.file)
    assert again.content() == made.row.file
    histories = {key: real(number) for number, key in enumerate(KEYS)}
    origins = dict.fromkeys(histories, REPLAY)
    assert again.score(histories, origins) == made.model.score(histories, origins)


def test_a_file_is_plain_numbers_and_text(made: Made) -> None:
    """Loading one must not run what somebody put into a database's row."""
    assert isinstance(json.loads(made.row.file), dict)
    assert len(made.row.file) < 50_000


def put(*path: str | int, value: object) -> Change:
    def change(found: Any) -> None:
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = value

    return change


def swap_features(found: dict[str, Any]) -> None:
    names = found["features"]
    names[0], names[1] = names[1], names[0]


def rename_feature(found: dict[str, Any]) -> None:
    found["features"][3] = "sma_200"


def drop_scaler(found: dict[str, Any]) -> None:
    del found["families"]["daily"]["scaler"]


REFUSED = {
    "other labels": (put("labels", value={"none": 0, "long": 2, "short": 1}), "labels"),
    "names in another order": (swap_features, "another order"),
    "other names": (rename_feature, "sma_200"),
    "another scaler": (put("families", "daily", "scaler", "mean", 0, value=0.5), "scaler"),
    "no scaler": (drop_scaler, "scaler"),
    "other levels": (put("levels", "stop_atr", value=3.0), "levels"),
    "another format": (put("format", value="2"), "format"),
    "a weight too few": (put("families", "daily", "turn", "weights", value=[0.0]), "numbers"),
    "a weight that is no number": (put("families", "daily", "turn", "weights", 0, value="1"), "number"),
    "no families": (put("families", value={}), "no bars"),
    "an unknown family": (put("families", "weekly", value={}), "weekly"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_d7_6_7_8_a_file_that_does_not_fit_is_refused(name: str, made: Made) -> None:
    """AIFX loaded label maps, features and scalers that did not belong together, and predicted all the same."""
    change, words = REFUSED[name]
    found = json.loads(made.row.file)
    change(found)
    with pytest.raises(ModelRefused, match=words):
        Model.load(json.dumps(found).encode())


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04K\x01.", b"[]", b"{}", b"null", b'{"format": NaN}', b"\xff\xfe"]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelRefused):
        Model.load(content)


def test_d7_6_the_label_map_says_what_the_labels_mean() -> None:
    """AIFX's labeller, trainer and inference had three ideas of which number is a long."""
    assert models.labels.LABEL_MAP == {"none": 0, "long": 1, "short": 2}
    sample = samples.samples_of(*KEYS[2], real(2, 0, 900))
    assert (sample.label[sample.long.won] == 1).all()
    assert (sample.label[sample.short.won] == 2).all()


def test_d7_6_what_is_learned_as_rising_is_sold_and_bought_that_way_round() -> None:
    """A market whose longs alone win must make the second stage say long, whatever the numbers are called."""
    sample = samples.samples_of(*KEYS[2], real(2, 0, 2500))
    rises = sample.rows.of("weekday_sine") > 0
    told = replace(
        sample,
        label=np.where(rises, 1, 2),
        side=np.where(np.arange(len(rises)) % 2 == 0, 1, -1),
    )
    split = training.split(told, np.inf)
    # Stage 1 needs bars that begin nothing as well
    told.label[::3] = 0
    said = training.Fitted([split]).predict(told.rows.values, np.ones_like(told.side))
    assert said.rises[rises].mean() > 0.7
    assert said.rises[~rises].mean() < 0.3
    assert said.confidence[rises].mean() > said.confidence[~rises].mean()


def test_d7_5_every_direction_is_one_of_ours_and_has_its_levels(scores: list[Score]) -> None:
    """AIFX's long and short became hold on the way, or lost stop and target."""
    directed = [score for score in scores if score.direction]
    assert {score.direction for score in directed} <= set(Direction)
    assert len(directed) > 5
    for score in scores:
        assert (score.direction is None) is (score.stop is None) is (score.target is None)
    for score in directed:
        assert contradiction(score.direction, score.entry, score.stop, score.target) is None


@pytest.mark.parametrize("side", [2, -2, 7])
def test_d7_5_an_unknown_side_is_an_error(side: int) -> None:
    with pytest.raises(ValueError, match="no side"):
        models.direction_of(side)


def test_the_target_is_twice_as_far_as_the_stop(scores: list[Score]) -> None:
    for score in scores:
        if score.direction:
            assert score.target - score.entry == 2 * (score.entry - score.stop)
            atr = (
                Decimal(score.factors[f"ATR(14), {market_of(score.pair).unit}"]) * market_of(score.pair).step
            )
            assert abs(score.entry - score.stop) == pytest.approx(
                atr * Decimal(STOP_ATR), rel=Decimal("0.02")
            )


def test_a_score_says_all_that_is_stored_of_it(made: Made, scores: list[Score]) -> None:
    for score in scores:
        assert score.version == made.model.version
        assert (score.source, score.is_replay, score.edge_shown) == ("replay", True, False)
        assert 0 < score.confidence < 1
        assert 0 < score.stage1_prob < 1
        assert 0 < score.stage2_prob < 1
        assert "out of sample" in score.factors
        assert all(
            isinstance(value, str) and value and "nan" not in value.lower()
            for value in score.factors.values()
        )


def test_the_confidence_is_both_stages_and_a_signal_pays_for_its_costs(scores: list[Score]) -> None:
    """Not 0.4 of the one and 0.6 of the other: what rises with their product alone."""
    for score in scores:
        worth = Decimal(score.factors["worth its costs above"])
        assert (score.direction is not None) is (score.confidence > worth) or score.confidence == worth
    some = [score for score in scores if score.pair == "EUR/USD" and score.direction]
    products = [
        score.stage1_prob
        * (score.stage2_prob if score.direction is Direction.LONG else 1 - score.stage2_prob)
        for score in some
    ]
    order = sorted(range(len(some)), key=lambda place: products[place])
    confidences = [some[place].confidence for place in order]
    assert all(later >= earlier - Decimal("0.0005") for earlier, later in pairwise(confidences))


def test_a_signal_turns_the_last_move_around(made: Made, scores: list[Score]) -> None:
    for score in scores:
        if score.direction:
            assert float(score.factors["move of 12 bars, ATR"]) * score.direction.sign < 0


def test_a_pair_that_was_never_measured_shows_no_edge_and_says_so(made: Made) -> None:
    (score,) = made.model.score({("GBP/JPY", "1 Hour"): real(0)}, {("GBP/JPY", "1 Hour"): REPLAY})
    assert not score.edge_shown
    assert "never measured" in score.factors["out of sample"]


def test_histories_that_cannot_be_scored_have_no_score(made: Made) -> None:
    still = [bar(number, 5, 5, 5, 5) for number in range(NEEDED)]
    histories = {("EUR/USD", "1 Hour"): real(0, 0, NEEDED - 1), ("GBP/USD", "1 Hour"): still}
    origins = dict.fromkeys(histories, REPLAY)
    assert made.model.score(histories, origins) == rules.score(histories, origins, made.model) == []
    assert made.model.score({}, {}) == []


def test_a_family_that_was_never_learned_has_no_score(made: Made) -> None:
    only_daily = replace(made.model, families={Family.DAILY: made.model.families[Family.DAILY]})
    histories = {key: real(number) for number, key in enumerate(KEYS)}
    found = only_daily.score(histories, dict.fromkeys(histories, REPLAY))
    assert {score.timeframe for score in found} == {"1 Day"}
    assert Model.load(only_daily.content()).content() == only_daily.content()


def test_scores_of_a_batch_are_those_of_each_alone(made: Made) -> None:
    histories = {key: real(number, 0, 700) for number, key in enumerate(KEYS)}
    batch = made.model.score(histories, dict.fromkeys(histories, REPLAY))
    alone = [one for key, bars in histories.items() for one in made.model.score({key: bars}, {key: REPLAY})]
    assert sorted(batch, key=lambda score: score.pair) == sorted(alone, key=lambda score: score.pair)


def test_a_collapse_is_noticed(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    """AIFX's model once gave 0.957650 for every bar, and 99.47 % hold was reported as healthy."""
    flat = models.Calibration(slope=0.0, intercept=0.0)
    families = {family: replace(each, confidence=flat) for family, each in made.model.families.items()}
    histories = {(f"PAIR{number}", "1 Day"): real(1, number, 400) for number in range(models.SUSPICIOUS)}
    origins = dict.fromkeys(histories, REPLAY)
    assert made.model.score(histories, origins)
    assert not caplog.records
    replace(made.model, families=families).score(histories, origins)
    assert "collapsed" in caplog.text


@pytest.mark.parametrize(
    ("close", "atr", "expected"),
    [
        ("0.08123", 0.002, ("0.07823", "0.08723")),
        ("150.25", 0.5, ("149.500", "151.750")),
        ("1.10000", 0.0, (None, None)),
        ("0.00001", 5.0, (None, None)),
    ],
)
def test_levels_have_the_decimals_of_the_price(
    close: str, atr: float, expected: tuple[str | None, ...]
) -> None:
    market = market_of("USD/JPY" if close.startswith("150") else "DOGE/USD")
    found = models.levels(market, Decimal(close), atr, Direction.LONG)
    assert found == tuple(None if each is None else Decimal(each) for each in expected)


def test_the_rule_buys_what_is_oversold_and_sells_what_is_overbought(made: Made) -> None:
    bars = real(0)
    sample = samples.samples_of(*KEYS[0], bars)
    seen: set[Direction | None] = set()
    for end in range(NEEDED, len(bars), 61):
        (score,) = rules.score({KEYS[0]: bars[:end]}, {KEYS[0]: REPLAY}, made.model)
        rsi = float(sample.rows.of("rsi_14")[end - NEEDED])
        expected = Direction.LONG if rsi < 30 else Direction.SHORT if rsi > 70 else None
        assert score.direction is expected
        assert (score.version, score.stage1_prob, score.stage2_prob) == (RULES, None, None)
        seen.add(expected)
    assert seen == {None, *Direction}


def test_the_rules_confidence_is_how_often_it_was_right(made: Made) -> None:
    record: Mapping[str, Any] = made.model.record["EUR/USD 1 Hour"]
    found = []
    for end in range(NEEDED, 1200, 29):
        found += rules.score({KEYS[0]: real(0, 0, end)}, {KEYS[0]: REPLAY}, made.model)
    directed = {score.confidence for score in found if score.direction}
    assert directed == {Decimal(record["strategies"]["rsi_rule"]["hit_rate"]).quantize(Decimal("0.0001"))}
    assert {score.confidence for score in found if not score.direction} == {Decimal(0)}
    assert "R each" in found[0].factors["out of sample"]
    assert found[0].edge_shown is record["rule_edge_shown"]


def test_training_again_gives_the_same_file(made: Made) -> None:
    again = training.train(training.recordings())
    assert (again.row.file_hash, again.row.version) == (made.row.file_hash, made.row.version)


def test_other_bars_make_another_version(made: Made) -> None:
    series = training.recordings()
    series[0] = replace(series[0], learned=series[0].learned[1:])
    assert training.train(series).row.version != made.row.version


def test_too_little_is_refused_in_words() -> None:
    (euro, *_) = training.recordings()
    with pytest.raises(training.TooLittle, match="at least"):
        training.train([replace(euro, learned=euro.learned[:400], held_out=())])


def test_the_default_learned_nothing_of_what_is_played(made: Made) -> None:
    for one in training.recordings():
        until = made.model.families[samples.family_of(one.timeframe)].until
        assert until <= one.held_out[0].closed_at
        assert made.model.record[samples.key_of(one.pair, one.timeframe)]["kind"] == "held out"
        first = datetime.fromisoformat(made.model.record[samples.key_of(one.pair, one.timeframe)]["from"])
        assert first >= one.held_out[0].closed_at
    assert made.row.trained_until < datetime(2017, 8, 8, tzinfo=UTC)


def test_changing_what_is_held_out_changes_nothing_that_was_learned(made: Made) -> None:
    series = [replace(one, held_out=one.held_out[:300]) for one in training.recordings()]
    again = training.train(series)
    assert again.model.families.keys() == made.model.families.keys()
    for family, each in again.model.families.items():
        assert np.array_equal(each.turn.weights, made.model.families[family].turn.weights)
        assert each.confidence == made.model.families[family].confidence


def test_names_are_told_apart() -> None:
    assert len(set(NAMES)) == len(NAMES) > 30
