"""Fit the two stages and their calibrations; the only module that needs scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from reversal.features import Floats
from reversal.labels import TIME_LIMIT, Label
from reversal.model import Calibration, Prediction, Stage, Trained, log_odds, product, scaled_by, worth
from reversal.samples import Integers, Samples, Switches

FEWEST_ROWS, FEWEST_OF_A_KIND = 400, 20
# Digits kept of each number, so that the last ones of a processor's sums do not make another file
PRECISION = 10
# The quickest where there are far more rows than features
SOLVER = "newton-cholesky"
NO_PENALTY = 1e6
# Log odds that differ by less are all the same
SAME = 1e-6


class TooLittle(Exception):
    """There is too little to learn from; the message says what there is and what is needed."""


class Recipe(StrEnum):
    """What was tried. `TREES` is measured, never shipped: a file would need all its trees."""

    WEAK = "logistic regression, weak penalty"
    MIDDLE = "logistic regression, middle penalty"
    STRONG = "logistic regression, strong penalty"
    FREE = "logistic regression, weak penalty, calibrated freely on the last quarter"
    TREES = "gradient-boosted trees"


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a recipe fits: the larger `weights` and `calibration`, the less is held back.

    `fitted` is the earlier share of what is learned from that the stages are fitted on; the later one calibrates.
    """

    weights: float | None
    calibration: float
    fitted: float


HOW = {
    Recipe.WEAK: How(weights=0.1, calibration=0.1, fitted=0.6),
    Recipe.MIDDLE: How(weights=0.01, calibration=0.1, fitted=0.6),
    Recipe.STRONG: How(weights=0.001, calibration=0.1, fitted=0.6),
    Recipe.FREE: How(weights=0.1, calibration=NO_PENALTY, fitted=0.75),
    Recipe.TREES: How(weights=None, calibration=0.1, fitted=0.6),
}
# Chosen by the Brier score of a walk-forward of the parts that are never played (docs/model-card.md, "Tried")
CHOSEN = Recipe.WEAK
SHIPPABLE = tuple(recipe for recipe, how in HOW.items() if how.weights is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Rows to fit on and later rows to calibrate on; no label of the first reaches into the second."""

    samples: Samples
    fit: Integers
    calibrate: Integers


def split(samples: Samples, until: float, recipe: Recipe = CHOSEN) -> Split:
    """Return what may be learned for a decision at `until` (seconds since 1970): labels and embargo are over."""
    learned = np.flatnonzero(samples.known & (samples.free <= until))
    calibrate = learned[int(len(learned) * HOW[recipe].fitted) :]
    if not len(calibrate):
        return Split(samples=samples, fit=learned, calibrate=calibrate)
    fit = learned[samples.free[learned] <= samples.decided[calibrate[0]]]
    return Split(samples=samples, fit=fit, calibrate=calibrate)


class Fitted:
    """One family fitted by any recipe: predicts, and where it is a regression gives the numbers of the file.

    `threshold` is what stage 1 must say to trade as often, on the rows of the calibration, as the model does.
    `until` is when the last bar closed that a learned label looked at; in seconds.
    """

    def __init__(self, splits: Sequence[Split], recipe: Recipe = CHOSEN) -> None:
        """Fit on parts of one family; raise TooLittle."""
        # Threads that wait for each other by spinning cost more on a busy machine than such sums gain by them
        with threadpool_limits(limits=1):
            self._fit(splits, recipe)

    def _fit(self, splits: Sequence[Split], recipe: Recipe) -> None:
        values, label = (_joined(splits, "fit", name) for name in ("values", "label"))
        _require(label, "to fit on", HOW[recipe].fitted)
        self._how = HOW[recipe]
        self._mean, self._scale = _scaler(values)
        scaled, turned = scaled_by(values, self._mean, self._scale), label != Label.NONE
        self._estimators = [
            _estimator(self._how).fit(scaled, turned),
            _estimator(self._how).fit(scaled[turned], label[turned] == Label.LONG),
        ]
        self.until = max(float(_last(split)) for split in splits)
        self._calibrate(splits)

    def predict(self, values: Floats, side: Integers) -> Prediction:
        """Return what it says of rows and the sides they propose."""
        turns, rises = self._stages(values)
        confidence = self._confidence.of(product(turns, rises, side))
        return Prediction(turns=turns, rises=rises, confidence=confidence, side=side)

    def trained(self) -> Trained:
        """Return the numbers of the file."""
        turn, rise = (
            Stage(
                weights=_kept(each.coef_[0]),
                intercept=float(_kept(each.intercept_)[0]),
                calibration=calibration,
            )
            for each, calibration in zip(self._estimators, self._calibrations, strict=True)
        )
        return Trained(
            mean=self._mean, scale=self._scale, turn=turn, rise=rise, confidence=self._confidence,
            until=datetime.fromtimestamp(self.until, UTC),
        )  # fmt: skip

    def _calibrate(self, splits: Sequence[Split]) -> None:
        values, label, side = (_joined(splits, "calibrate", name) for name in ("values", "label", "side"))
        _require(label, "to calibrate on", 1 - self._how.fitted)
        weight = 1 / float(np.mean(_joined(splits, "calibrate", "held_bars")))
        turned = label != Label.NONE
        self._calibrations = [Calibration(slope=1.0, intercept=0.0)] * 2
        turns, rises = self._stages(values)
        self._calibrations = [
            self._line(turns, turned, weight),
            self._line(rises[turned], label[turned] == Label.LONG, weight),
        ]
        turns, rises = self._stages(values)
        proposes = side != 0
        won = label == np.where(side > 0, Label.LONG, Label.SHORT)
        said = product(turns, rises, side)
        self._confidence = self._line(said[proposes], won[proposes], weight)
        traded = worth(self._confidence.of(said), _joined(splits, "calibrate", "cost")) & proposes
        self.threshold = float(np.quantile(turns[proposes], 1 - traded[proposes].mean()))

    def _line(self, said: Floats, came_true: Switches, weight: float) -> Calibration:
        return calibration(said, came_true, weight=weight, penalty=self._how.calibration)

    def _stages(self, values: Floats) -> tuple[Floats, Floats]:
        scaled = scaled_by(values, self._mean, self._scale)
        turns, rises = (
            calibration.of(each.predict_proba(scaled)[:, 1])
            for each, calibration in zip(self._estimators, self._calibrations, strict=True)
        )
        return turns, rises


def calibration(
    said: Floats, came_true: Switches, *, weight: float = 1.0, penalty: float = NO_PENALTY
) -> Calibration:
    """Return the line on the log odds that fits what came true; a flat one where more said was less true.

    Each row counts `weight`, since trades that overlap tell the same story; a line must earn its slope against
    the `penalty` (the smaller, the harder). A flat one says the base rate of every row: nothing was learned.
    """
    odds = log_odds(said)
    spread = float(odds.std())
    if spread > SAME:
        line = LogisticRegression(C=penalty, solver=SOLVER, max_iter=200)
        line.fit(
            ((odds - odds.mean()) / spread)[:, None], came_true, sample_weight=np.full(len(odds), weight)
        )
        slope = float(line.coef_[0, 0]) / spread
        if slope > 0:
            return _line(slope, float(line.intercept_[0]) - slope * float(odds.mean()))
    return _line(0.0, float(log_odds(np.array([came_true.mean()]))[0]))


def _line(slope: float, intercept: float) -> Calibration:
    kept = _kept(np.array([slope, intercept]))
    return Calibration(slope=float(kept[0]), intercept=float(kept[1]))


def _estimator(how: How) -> Any:
    if how.weights is None:
        return HistGradientBoostingClassifier(
            max_depth=3, learning_rate=0.03, max_iter=150, min_samples_leaf=100, l2_regularization=10.0,
            early_stopping=False, random_state=0,
        )  # fmt: skip
    return LogisticRegression(C=how.weights, solver=SOLVER, max_iter=200)


def _joined(splits: Sequence[Split], part: str, name: str) -> Any:
    def column(each: Split) -> Any:
        rows = getattr(each, part)
        return (each.samples.rows.values if name == "values" else getattr(each.samples, name))[rows]

    return np.concatenate([column(each) for each in splits]) if splits else np.zeros(0)


def _require(label: Integers, purpose: str, share: float) -> None:
    none, longs, shorts = (int((label == kind).sum()) for kind in Label)
    needed = int(FEWEST_ROWS * share)
    if len(label) < needed or min(none, longs, shorts) < FEWEST_OF_A_KIND:
        raise TooLittle(
            f"There are {len(label)} bars {purpose} ({longs} that begin a long, {shorts} a short):"
            f" at least {needed} bars and {FEWEST_OF_A_KIND} of each kind are needed."
        )


def _scaler(values: Floats) -> tuple[Floats, Floats]:
    spread = values.std(axis=0)
    return _kept(values.mean(axis=0)), _kept(np.where(spread > 1e-9, spread, 1.0))


def _last(split: Split) -> float:
    """Return when the last bar closed that a label in it looked at, in seconds."""
    rows = np.concatenate([split.fit, split.calibrate])
    if not len(rows):
        return 0.0
    decided = split.samples.decided
    return float(decided[min(int(rows.max()) + TIME_LIMIT, len(decided) - 1)])


def _kept(values: Floats) -> Floats:
    return np.array([float(f"{value:.{PRECISION}g}") for value in values], dtype=np.float64)
