"""Judge a recipe by walking forward through time, or a finished model by bars that it never learned from.

Each fold is fitted only on rows whose labels, and an embargo after them, were over before the fold's first bar
closed, of every series that is learned together; the fold's rows are then predicted once. Nothing of a fold is
chosen by looking at it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from reversal import baselines, measures
from reversal.baselines import Strategy
from reversal.features import Floats
from reversal.fitting import CHOSEN, Fitted, Recipe, TooLittle, split
from reversal.measures import FEWEST_TRADES, Trades
from reversal.model import Prediction, worth
from reversal.samples import Family, Integers, Samples

FOLDS = 8
# A walk begins where so much of a series is past
FIRST = 0.4
WALK_FORWARD, HELD_OUT = "walk-forward", "held out"

Step = Callable[[str], None]


class Predictor(Protocol):
    """What says something of rows: a fitted family, or one read from a file."""

    def predict(self, values: Floats, side: Integers) -> Prediction:
        """Return what it says of rows and the sides they propose."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Rows of a series that were predicted out of sample: `rows` which, the rest one value for each of them.

    `thresholds` is what stage 1 alone had to say. `folds` were fitted, `skipped` had too little before them.
    """

    samples: Samples
    rows: Integers
    turns: Floats
    confidence: Floats
    thresholds: Floats
    kind: str
    folds: int
    skipped: int = 0


def silent(_: str) -> None:
    """Take note of a step, and say nothing."""


def walk(
    together: Sequence[Samples],
    of: Samples,
    *,
    recipe: Recipe = CHOSEN,
    folds: int = FOLDS,
    since: float | None = None,
    on_step: Step = silent,
    fits: dict[tuple[Family, float], Fitted | None] | None = None,
) -> Judged:
    """Return one series predicted fold by fold, each fitted on all series of `together` of its family.

    `since` is when the first fold begins, in seconds; without it, after `FIRST` of the rows. `fits` keeps what
    was fitted for a time, for a series that has the same.
    """
    kept = {} if fits is None else fits
    rows = np.flatnonzero(of.known)
    start = int(len(rows) * FIRST) if since is None else int(np.searchsorted(of.decided[rows], since))
    parts = [part for part in np.array_split(rows[start:], folds) if len(part)]
    found, skipped = [], 0
    for part in parts:
        fitted = _fitted(together, of.family, float(of.decided[part[0]]), recipe, kept)
        on_step(of.key)
        if fitted is None:
            skipped += 1
        else:
            found.append((part, fitted.predict(of.rows.values[part], of.side[part]), fitted.threshold))
    return _judged(of, found, WALK_FORWARD, skipped)


def hold_out(predictor: Predictor, of: Samples, rows: Integers, threshold: float = np.inf) -> Judged:
    """Return rows of a series predicted by something that never learned from them."""
    return _judged(
        of, [(rows, predictor.predict(of.rows.values[rows], of.side[rows]), threshold)], HELD_OUT, 0
    )


def report(judged: Judged) -> dict[str, Any]:
    """Return the record of a series: the model beside its baselines, and how far its probabilities hold.

    An edge is shown where at least `FEWEST_TRADES` trades have an expectancy whose interval lies above 0, and
    above what the market gave every trade of their sides in that time: a market that rose gives every long
    something.
    """
    samples, rows = judged.samples, judged.rows
    side, rule, alone = _sides(judged)
    proposes = samples.side[rows] != 0
    won, confidence = samples.wins(samples.side)[rows][proposes], judged.confidence[proposes]
    return {
        "kind": judged.kind,
        "folds": judged.folds,
        "folds_skipped": judged.skipped,
        "from": _time(samples.decided[rows[0]]) if len(rows) else None,
        "until": _time(samples.decided[rows[-1]]) if len(rows) else None,
        "rows": len(rows),
        "brier": measures.brier(confidence, won) if len(won) else None,
        "reliability": measures.reliability(confidence, won),
        "collapsed": measures.has_collapsed(confidence),
        "confidence": _spread(confidence),
        "strategies": _strategies(samples, rows, side, rule, alone),
        "excess": _excess(samples, rows, side)[0],
        "edge_shown": _shows_edge(samples, rows, side),
        "rule_edge_shown": _shows_edge(samples, rows, rule),
    }


def equity(judged: Judged) -> dict[str, list[tuple[str, float]]]:
    """Return the sum of results over time, in R, of the model, the plain rule and stage 1 alone."""
    samples, rows = judged.samples, judged.rows
    found = {}
    for name, side in zip((Strategy.MODEL, Strategy.RULE, Strategy.STAGE_ONE), _sides(judged), strict=True):
        trades, _ = baselines.trades_of(samples, side, rows)
        found[name.value] = [
            (_time(at), total) for at, total in measures.equity(trades, samples.decided[rows])
        ]
    return found


def model_figures(judged: Judged) -> dict[str, Any]:
    """Return the figures of the model's own trades alone."""
    return _figures(judged.samples, judged.rows, _sides(judged)[0])


def _sides(judged: Judged) -> tuple[Integers, Integers, Integers]:
    """Return which way the model, the plain rule and stage 1 alone trade at each row of the series."""
    samples, rows = judged.samples, judged.rows
    side, alone = np.zeros_like(samples.side), np.zeros_like(samples.side)
    side[rows] = np.where(worth(judged.confidence, samples.cost[rows]), samples.side[rows], 0)
    alone[rows] = np.where(judged.turns >= judged.thresholds, samples.side[rows], 0)
    return side, baselines.rsi_rule(samples), alone


def _fitted(
    together: Sequence[Samples],
    family: Family,
    until: float,
    recipe: Recipe,
    kept: dict[tuple[Family, float], Fitted | None],
) -> Fitted | None:
    if (family, until) not in kept:
        splits = [
            part
            for each in together
            if each.family is family and len((part := split(each, until, recipe)).fit)
        ]
        try:
            kept[family, until] = Fitted(splits, recipe)
        except TooLittle:
            kept[family, until] = None
    return kept[family, until]


def _judged(
    of: Samples, found: Sequence[tuple[Integers, Prediction, float]], kind: str, skipped: int
) -> Judged:
    def joined(parts: Sequence[Floats]) -> Floats:
        return np.concatenate([np.zeros(0), *parts])

    return Judged(
        samples=of,
        rows=np.concatenate([np.zeros(0, dtype=np.int64), *(rows for rows, _, _ in found)]),
        turns=joined([said.turns for _, said, _ in found]),
        confidence=joined([said.confidence for _, said, _ in found]),
        thresholds=joined([np.full(len(rows), threshold) for rows, _, threshold in found]),
        kind=kind,
        folds=len(found),
        skipped=skipped,
    )


def _strategies(
    samples: Samples, rows: Integers, side: Integers, rule: Integers, alone: Integers
) -> Mapping[str, dict[str, Any]]:
    longs, shorts = (int((side[rows] == each).sum()) for each in (1, -1))
    sides = {Strategy.NEVER: baselines.never(samples), Strategy.RULE: rule, Strategy.STAGE_ONE: alone}
    found = {Strategy.MODEL: _figures(samples, rows, side) | {"longs": longs, "shorts": shorts}}
    found |= {name: _figures(samples, rows, each) for name, each in sides.items()}
    found |= {
        name: baselines.random_figures(samples, rows, longs, shorts, any_side=name is Strategy.RANDOM)
        for name in (Strategy.RANDOM, Strategy.SAME_SIDES)
    }
    return {name.value: found[name] for name in Strategy}


def _figures(samples: Samples, rows: Integers, side: Integers) -> dict[str, Any]:
    trades, not_opened = baselines.trades_of(samples, side, rows)
    return measures.figures(trades, len(rows), not_opened=not_opened).plain()


def _excess(samples: Samples, rows: Integers, side: Integers) -> tuple[dict[str, float | None], Trades]:
    """Return how much more the trades brought than every trade of their sides did."""
    trades, _ = baselines.trades_of(samples, side, rows)
    if not trades.count:
        return {"expectancy": None, "low": None, "high": None}, trades
    means = baselines.mean_rewards(samples, rows)
    usual = np.where(side[rows][trades.at] > 0, means[1], means[-1])
    low, high = measures.interval(trades, trades.reward - usual, len(rows))
    figures = {"expectancy": float((trades.reward - usual).mean()), "low": low, "high": high}
    return {
        name: None if each is None else round(each, measures.DIGITS) for name, each in figures.items()
    }, trades


def _shows_edge(samples: Samples, rows: Integers, side: Integers) -> bool:
    excess, trades = _excess(samples, rows, side)
    low, _ = measures.interval(trades, trades.reward, len(rows))
    lows = (low, excess["low"])
    return trades.count >= FEWEST_TRADES and all(each is not None and each > 0 for each in lows)


def _spread(confidence: Floats) -> dict[str, float] | None:
    if not len(confidence):
        return None
    return {
        name: round(float(each), measures.DIGITS)
        for name, each in zip(
            ("lowest", "median", "highest"), np.quantile(confidence, [0, 0.5, 1]), strict=True
        )
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).isoformat()
