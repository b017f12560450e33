"""Score closed bars with a trained model, which is numbers in JSON: loading one runs no code of its own.

Two stages, each calibrated on time that it was not fitted on: the probability that the bar starts a tradable
reversal (one of its two trades reaches its target), and that it is the long one. Only one of the two can reach
its target, so the product is the probability of the trade; a third calibration, held to the same later time,
corrects what the product gets wrong (docs/reversal-model.md).
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np

from core.bar import Bar
from core.pips import Direction, Market, market_of
from core.reversal import NEVER_MEASURED, RECORD, Score
from reversal import labels, samples
from reversal.features import NAMES, NEEDED, Floats, Rows, rows, stacked
from reversal.samples import Family, Integers, Switches
from reversal.sources.base import Origin

FORMAT = "dashtrade reversal model 1"
# A figure further out than this many deviations is taken for that many
FARTHEST = 5.0
# So many scores that are all the same say that a model has collapsed
SUSPICIOUS = 20
FOURTH = Decimal("0.0001")

log = logging.getLogger(__name__)


class ModelRefused(Exception):
    """The file is not a model that this version can score with; the message says what does not match."""


class ModelOutdated(ModelRefused):
    """The file is sound, and of a release whose features, labels or levels were others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Turn a probability into a calibrated one: a line on the scale of log odds."""

    slope: float
    intercept: float

    def of(self, probability: Floats) -> Floats:
        """Return calibrated probabilities."""
        return _logistic(self.slope * log_odds(probability) + self.intercept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One question: weights on the scaled features, and the calibration of the answer."""

    weights: Floats
    intercept: float
    calibration: Calibration

    def of(self, scaled: Floats) -> Floats:
        """Return calibrated probabilities."""
        return self.calibration.of(_logistic(scaled @ self.weights + self.intercept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a family says of rows: both stages, and the confidence in the trade of each row's `side`."""

    turns: Floats
    rises: Floats
    confidence: Floats
    side: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What was learned from one family of bars; `until` is when the last bar that it learned from closed."""

    mean: Floats
    scale: Floats
    turn: Stage
    rise: Stage
    confidence: Calibration
    until: datetime

    def predict(self, values: Floats, side: Integers) -> Prediction:
        """Return what it says of rows of features and the sides they propose."""
        scaled = scaled_by(values, self.mean, self.scale)
        turns, rises = self.turn.of(scaled), self.rise.of(scaled)
        return Prediction(
            turns=turns, rises=rises, side=side, confidence=self.confidence.of(product(turns, rises, side))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A trained model: one set of numbers for each family of bars, and its record out of sample.

    `record` has the figures of each pair and timeframe by the names that `samples.key_of` gives; they are what
    training measured, and travel in the file.
    """

    version: str
    families: Mapping[Family, Trained]
    record: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, content: bytes) -> "Model":
        """Return the model of a file; raise ModelRefused where anything in it is not as this version needs it."""
        try:
            found = json.loads(content)
            _check(found)
            return cls(
                version=str(found["version"]),
                families={Family(name): _trained(each) for name, each in found["families"].items()},
                record=found["record"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelRefused(
                f"The file is no model that can be read: {type(error).__name__}: {error}"
            ) from error

    def content(self) -> bytes:
        """Return the file: the same model gives the same bytes."""
        parts = {
            "format": FORMAT,
            "version": self.version,
            "labels": labels.LABEL_MAP,
            "levels": LEVELS,
            "features": list(NAMES),
            "families": {name: _plain(each) for name, each in self.families.items()},
            "record": self.record,
        }
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def score(
        self, histories: Mapping[tuple[str, str], Sequence[Bar]], origins: Mapping[tuple[str, str], Origin]
    ) -> list[Score]:
        """Return a score of the newest bar of each history that is long enough, all worked out at once.

        A history whose family was never learned has none either. `direction` is None where no trade is worth
        its costs. Bars are closed, unbroken and oldest first.
        """
        keys = [
            key
            for key, bars in histories.items()
            if len(bars) >= NEEDED and samples.family_of(key[1]) in self.families
        ]
        if not keys:
            return []
        newest = rows(stacked([histories[key] for key in keys]))
        found = [
            score
            for family in sorted(self.families)
            for score in self._scores(family, keys, newest, histories, origins)
        ]
        _warn_of_collapse([score.confidence for score in found])
        return found

    def shows_edge(self, pair: str, timeframe: str) -> bool:
        """Tell whether its trades of a pair and timeframe earned something out of sample."""
        return bool(self.record.get(samples.key_of(pair, timeframe), {}).get("edge_shown", False))

    def _scores(
        self,
        family: Family,
        keys: Sequence[tuple[str, str]],
        newest: Rows,
        histories: Mapping[tuple[str, str], Sequence[Bar]],
        origins: Mapping[tuple[str, str], Origin],
    ) -> list[Score]:
        mine = [
            place
            for place, key in enumerate(keys)
            if samples.family_of(key[1]) is family and newest.usable[place, 0]
        ]
        values, side = newest.values[mine, 0], samples.proposed(newest)[mine, 0]
        said = self.families[family].predict(values, side)
        return [
            self._score(
                keys[place], histories[keys[place]][-1], origins[keys[place]], said, at, newest, place
            )
            for at, place in enumerate(mine)
        ]

    def _score(
        self,
        key: tuple[str, str],
        bar: Bar,
        origin: Origin,
        said: Prediction,
        at: int,
        newest: Rows,
        place: int,
    ) -> Score:
        market, atr, side = market_of(key[0]), float(newest.atr[place, 0]), int(said.side[at])
        cost = labels.cost(market, np.array([float(bar.close)])) / (labels.STOP_ATR * atr)
        is_worth = bool(worth(said.confidence[at : at + 1], cost)[0])
        direction = direction_of(side) if is_worth else None
        stop, target = levels(market, bar.close, atr, direction)
        figures = factors(newest, place, market)
        figures["worth its costs above"] = f"{float(break_even(cost)[0]):.4f}"
        return Score(
            pair=key[0], timeframe=key[1], bar_opened_at=bar.opened_at, bar_closed_at=bar.closed_at,
            direction=None if stop is None else direction, confidence=_decimal(said.confidence[at]),
            stage1_prob=_decimal(said.turns[at]), stage2_prob=_decimal(said.rises[at]), version=self.version,
            entry=bar.close, stop=stop, target=target, source=origin.name, is_replay=origin.is_replay,
            edge_shown=self.shows_edge(*key), factors=figures | record_in_words(self.record, key),
        )  # fmt: skip


# What a label's trade was: a model of other levels must not announce these
LEVELS = {
    "stop_atr": labels.STOP_ATR,
    "reward_to_risk": labels.REWARD_TO_RISK,
    "time_limit_bars": labels.TIME_LIMIT,
}


def product(turns: Floats, rises: Floats, side: Integers) -> Floats:
    """Return the probability of both: a reversal, and the one of the side."""
    return turns * np.where(side > 0, rises, 1 - rises)


def scaled_by(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Return features as deviations from what is usual, the farthest cut off."""
    return np.clip((values - mean) / scale, -FARTHEST, FARTHEST)


def log_odds(probability: Floats) -> Floats:
    """Return the logarithm of the odds, finite also for 0 and 1."""
    held = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(held / (1 - held)), dtype=np.float64)


def break_even(cost: Floats) -> Floats:
    """Return the confidence from which a trade earns its cost in R, running out of time counted as lost."""
    return (1 + cost) / (1 + labels.REWARD_TO_RISK)


def worth(confidence: Floats, cost: Floats) -> Switches:
    """Tell which trades earn more than they cost."""
    return confidence > break_even(cost)


def direction_of(side: int) -> Direction | None:
    """Return the direction of a side: 1 long, -1 short, 0 none; raise ValueError for what is no side."""
    known = {1: Direction.LONG, -1: Direction.SHORT, 0: None}
    if side not in known:
        raise ValueError(f"{side} is no side: 1 is long, -1 short, 0 none")
    return known[side]


def levels(
    market: Market, close: Decimal, atr: float, direction: Direction | None
) -> tuple[Decimal | None, Decimal | None]:
    """Return stop and target from the last close, with the decimals of the market; None where they are no prices."""
    if direction is None:
        return None, None
    places = max(market.decimals, -int(close.as_tuple().exponent))
    unit = Decimal(1).scaleb(-places)
    risk = Decimal(labels.STOP_ATR * atr).quantize(unit, ROUND_HALF_EVEN)
    stop = close - direction.sign * risk
    target = close + direction.sign * risk * Decimal(labels.REWARD_TO_RISK)
    if risk <= 0 or min(stop, target) <= 0:
        return None, None
    return stop.quantize(unit), target.quantize(unit)


def factors(newest: Rows, place: int, market: Market) -> dict[str, str]:
    """Return the figures of a row that people look at, in words."""

    def value(name: str) -> float:
        return float(newest.of(name)[place, 0])

    return {
        "RSI(14)": f"{value('rsi_14'):.1f}",
        f"ATR(14), {market.unit}": f"{float(newest.atr[place, 0]) / float(market.step):.1f}",
        "move of 12 bars, ATR": f"{value('return_12') * 12**0.5:+.2f}",
        "place in the range of 20 bars": f"{value('range_position_20'):.0%}",
        "place in the Bollinger bands": f"{value('bollinger_position'):+.2f}",
        "MACD histogram, ATR": f"{value('macd_histogram'):+.3f}",
    }


def record_in_words(
    record: Mapping[str, Mapping[str, Any]], key: tuple[str, str], of: str = "model"
) -> dict[str, str]:
    """Return what Details say of the trades of a pair and timeframe out of sample, good or bad."""
    found = record.get(samples.key_of(*key))
    if found is None:
        return {RECORD: NEVER_MEASURED}
    figures = found["strategies"][of]
    if not figures["trades"]:
        return {RECORD: "no trades, so no edge shown"}
    return {
        RECORD: f"{figures['trades']} trades, {figures['expectancy']:+.3f} R each"
        f" (95 %: {figures['low']:+.3f} to {figures['high']:+.3f}), hit rate {figures['hit_rate']:.1%}"
    }


def scaler_hash(mean: Floats, scale: Floats) -> str:
    """Return the hash that ties a scaler to the features it was made for."""
    text = json.dumps([list(NAMES), mean.tolist(), scale.tolist()])
    return hashlib.sha256(text.encode()).hexdigest()


def _check(found: dict[str, Any]) -> None:
    expected = {
        "format": FORMAT,
        "labels": labels.LABEL_MAP,
        "levels": LEVELS,
        "features": list(NAMES),
    }
    for name, value in expected.items():
        if found.get(name) != value:
            raise ModelOutdated(
                f"The file's {name} are not this version's: {_difference(found.get(name), value)}"
            )
    if not found["families"]:
        raise ModelRefused("The file has learned from no bars at all.")


def _difference(there: object, wanted: object) -> str:
    if isinstance(there, list) and isinstance(wanted, list):
        if sorted(map(str, there)) == sorted(wanted):
            return "the same names in another order"
        return f"missing {sorted(set(wanted) - set(there))}, unknown {sorted(set(there) - set(wanted))}"
    return f"{there!r} instead of {wanted!r}"


def _trained(each: dict[str, Any]) -> Trained:
    mean, scale = _numbers(each["scaler"]["mean"]), _numbers(each["scaler"]["scale"])
    if each["scaler"]["hash"] != scaler_hash(mean, scale):
        raise ModelRefused("The file's scaler is not the one its features were scaled with.")
    if (scale <= 0).any():
        raise ModelRefused("The file's scaler divides by what is not above 0.")
    return Trained(
        mean=mean, scale=scale, turn=_stage(each["turn"]), rise=_stage(each["rise"]),
        confidence=_calibration(each["confidence"]), until=datetime.fromisoformat(each["until"]),
    )  # fmt: skip


def _stage(each: dict[str, Any]) -> Stage:
    return Stage(
        weights=_numbers(each["weights"]),
        intercept=_number(each["intercept"]),
        calibration=_calibration(each["calibration"]),
    )


def _calibration(each: dict[str, Any]) -> Calibration:
    return Calibration(slope=_number(each["slope"]), intercept=_number(each["intercept"]))


def _numbers(values: Sequence[float]) -> Floats:
    found = np.array([_number(value) for value in values], dtype=np.float64)
    if found.shape != (len(NAMES),):
        raise ModelRefused(f"The file has {len(found)} numbers where {len(NAMES)} features have one each.")
    return found


def _number(value: float) -> float:
    if not isinstance(value, float | int) or not np.isfinite(value):
        raise ModelRefused(f"The file has {value!r} where a number belongs.")
    return float(value)


def _plain(each: Trained) -> dict[str, Any]:
    return {
        "scaler": {
            "mean": each.mean.tolist(),
            "scale": each.scale.tolist(),
            "hash": scaler_hash(each.mean, each.scale),
        },
        "turn": _plain_stage(each.turn),
        "rise": _plain_stage(each.rise),
        "confidence": _plain_calibration(each.confidence),
        "until": each.until.isoformat(),
    }


def _plain_stage(stage: Stage) -> dict[str, Any]:
    return {
        "weights": stage.weights.tolist(),
        "intercept": stage.intercept,
        "calibration": _plain_calibration(stage.calibration),
    }


def _plain_calibration(calibration: Calibration) -> dict[str, float]:
    return {"slope": calibration.slope, "intercept": calibration.intercept}


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))), dtype=np.float64)


def _decimal(probability: float) -> Decimal:
    return Decimal(float(probability)).quantize(FOURTH, ROUND_HALF_EVEN)


def _warn_of_collapse(confidences: Sequence[Decimal]) -> None:
    if len(confidences) >= SUSPICIOUS and len(set(confidences)) == 1:
        log.warning("the model gives %s bars the same confidence: it has collapsed", len(confidences))
