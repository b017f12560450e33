"""Measure trades and probabilities by sums and intervals; accuracy on rare events is none of the measures."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reversal.features import Floats
from reversal.labels import TIME_LIMIT
from reversal.samples import Integers, Switches

RESAMPLES = 2000
CONFIDENCE = 0.95
# Trades of neighbouring bars overlap, so bars are drawn in runs of twice the longest trade
BLOCK = 2 * TIME_LIMIT
# Fewer trades than this show nothing, whatever their interval says
FEWEST_TRADES = 30
BINS = 10
DIGITS = 4
COLLAPSED = 1e-4
# As many as a curve on a page can show apart
POINTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """Trades of one series in the order of their bars: `at` which bar, `end` in which it ended, `reward` in R."""

    at: Integers
    end: Integers
    reward: Floats
    won: Switches

    @property
    def count(self) -> int:
        """Return how many trades there are."""
        return len(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What trades came to. `expectancy` is R a trade after costs, `low` and `high` its interval of 95 %.

    `profit_factor` is None where nothing was lost or nothing traded; `drawdown` is in R with every trade held
    at once that was open at once; `not_opened` were announced, and the next open was beyond a level.
    """

    trades: int
    not_opened: int
    hit_rate: float | None
    expectancy: float | None
    low: float | None
    high: float | None
    profit_factor: float | None
    drawdown: float
    total: float

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it, rounded to four digits."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def figures(trades: Trades, bars: int, *, not_opened: int = 0, seed: int = 0) -> Figures:
    """Return what trades within so many bars came to."""
    low, high = interval(trades, trades.reward, bars, seed=seed)
    return Figures(
        trades=trades.count,
        not_opened=not_opened,
        hit_rate=float(trades.won.mean()) if trades.count else None,
        expectancy=float(trades.reward.mean()) if trades.count else None,
        low=low,
        high=high,
        profit_factor=profit_factor(trades.reward),
        drawdown=drawdown(trades),
        total=float(trades.reward.sum()),
    )


def profit_factor(rewards: Floats) -> float | None:
    """Return what was won over what was lost, both summed; None where nothing was lost."""
    lost = -float(rewards[rewards < 0].sum())
    return float(rewards[rewards > 0].sum()) / lost if lost > 0 else None


def drawdown(trades: Trades) -> float:
    """Return the deepest fall of the sum of results from its highest, in R, booked as trades end."""
    total = np.cumsum(trades.reward[np.argsort(trades.end, kind="stable")])
    highest = np.maximum.accumulate(np.append(0.0, total))[1:]
    return float((highest - total).max(initial=0.0))


def equity(trades: Trades, decided: Floats) -> list[tuple[float, float]]:
    """Return the sum of results in R as trades end, at most `POINTS` times and the end among them.

    `decided` has the seconds of each bar that was judged; what ends after the last of them counts there.
    """
    order = np.argsort(trades.end, kind="stable")
    total = np.cumsum(trades.reward[order])
    ends = decided[np.minimum(trades.end[order], len(decided) - 1)]
    shown = np.unique(np.linspace(0, trades.count - 1, min(trades.count, POINTS)).round().astype(np.int64))
    return [(float(ends[at]), round(float(total[at]), DIGITS)) for at in shown]


def interval(
    trades: Trades, values: Floats, bars: int, *, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return the interval of 95 % of the mean of the trades' values, by a bootstrap of blocks of bars.

    Blocks are runs of `BLOCK` bars that wrap around the end; None where there are fewer than two trades.
    """
    if trades.count < 2:
        return None, None
    sums = _runs(np.bincount(trades.at, values, bars).astype(np.float64))
    counts = _runs(np.bincount(trades.at, minlength=bars).astype(np.float64))
    drawn = np.random.default_rng(seed).integers(0, bars, (RESAMPLES, -(-bars // BLOCK)))
    counted = counts[drawn].sum(axis=1)
    means = sums[drawn].sum(axis=1)[counted > 0] / counted[counted > 0]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def brier(confidence: Floats, won: Switches) -> dict[str, float]:
    """Return the mean squared error of probabilities, and that of always saying how often it happens."""
    return {
        "score": round(float(((confidence - won) ** 2).mean()), DIGITS + 1),
        "of_the_base_rate": round(float(((won.mean() - won) ** 2).mean()), DIGITS + 1),
        "rows": len(won),
    }


def reliability(confidence: Floats, won: Switches) -> list[dict[str, float]]:
    """Return the mean probability said beside how often it came true, in ten parts of equal size."""
    order = np.argsort(confidence, kind="stable")
    return [
        {
            "said": round(float(confidence[part].mean()), DIGITS),
            "came_true": round(float(won[part].mean()), DIGITS),
            "rows": len(part),
        }
        for part in np.array_split(order, BINS)
        if len(part)
    ]


def has_collapsed(confidence: Floats) -> bool:
    """Tell whether probabilities are all the same: a model that says nothing of any bar."""
    return len(confidence) > 1 and float(confidence.std()) < COLLAPSED


def _runs(values: Floats) -> Floats:
    """Return the sum of the run of `BLOCK` values from each place on, going on at the beginning."""
    length = min(BLOCK, len(values))
    total = np.cumsum(np.concatenate([[0.0], values, values[:length]]))
    return np.asarray(total[length : length + len(values)] - total[: len(values)], dtype=np.float64)


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value
