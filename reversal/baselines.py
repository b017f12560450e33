"""Trade the same bars, stops, targets and costs without the model: what any figure of it stands beside."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

import numpy as np

from reversal import measures, rules
from reversal.features import Floats
from reversal.measures import Trades
from reversal.samples import Integers, Samples, Switches

DRAWS = 500


class Strategy(StrEnum):
    """Who decides in a report: the model first, then what it is measured against."""

    MODEL = "model"
    NEVER = "never_trade"
    RANDOM = "random_entries"
    SAME_SIDES = "same_sides_at_random_times"
    RULE = rules.RULE
    STAGE_ONE = "stage_1_alone"


def never(samples: Samples) -> Integers:
    """Return no trade at any row."""
    return np.zeros_like(samples.side)


def rsi_rule(samples: Samples) -> Integers:
    """Return the trades of the plain rule."""
    return rules.sides(samples.rows)


def stage_one_alone(samples: Samples, turns: Floats, threshold: float | Floats) -> Integers:
    """Return the proposed trade wherever stage 1 says at least so much, whatever stage 2 says."""
    return np.where(turns >= threshold, samples.side, 0)


def trades_of(samples: Samples, side: Integers, judged: Integers) -> tuple[Trades, int]:
    """Return the trades of the rows that are judged, by their place among them, and how many were not opened."""
    chosen = side[judged]
    rewards = samples.rewards(side)[judged]
    at = np.flatnonzero((chosen != 0) & np.isfinite(rewards))
    trades = Trades(
        at=at,
        end=at + samples.held(side)[judged][at],
        reward=rewards[at],
        won=samples.wins(side)[judged][at],
    )
    return trades, int(np.count_nonzero(chosen)) - len(at)


def random_figures(
    samples: Samples, judged: Integers, longs: int, shorts: int, *, any_side: bool, seed: int = 0
) -> dict[str, object]:
    """Return what as many trades at random rows bring: the mean of 500 draws, and where 95 % of them lie.

    The sides are drawn by a coin, or (`any_side` false) as many long and short as were asked for.
    """
    count = longs + shorts
    if not count:
        return measures.figures(_nothing(), len(judged)).plain()
    drawn = list(_draws(samples, judged, longs, shorts, any_side, seed))
    rewards, wins = (
        np.array(column) for column in zip(*((each.mean(), won.mean()) for each, won in drawn), strict=True)
    )
    falls = [measures.drawdown(_in_order(each)) for each, _ in drawn]
    low, high = np.quantile(rewards, [0.025, 0.975])
    together = np.concatenate([each for each, _ in drawn])
    return measures.Figures(
        trades=count, not_opened=0, hit_rate=float(wins.mean()), expectancy=float(rewards.mean()), low=float(low),
        high=float(high), profit_factor=measures.profit_factor(together), drawdown=float(np.mean(falls)),
        total=float(rewards.mean() * count),
    ).plain()  # fmt: skip


def mean_rewards(samples: Samples, judged: Integers) -> Mapping[int, float]:
    """Return what the mean trade of each side brought over all judged rows: what the market gave anyway."""
    return {
        side: float(np.nanmean(samples.rewards(np.full_like(samples.side, side))[judged])) for side in (1, -1)
    }


def _draws(
    samples: Samples, judged: Integers, longs: int, shorts: int, any_side: bool, seed: int
) -> Iterator[tuple[Floats, Switches]]:
    random = np.random.default_rng(seed)
    table = {side: np.full_like(samples.side, side) for side in (1, -1)}
    rewards = {side: samples.rewards(table[side])[judged] for side in (1, -1)}
    wins = {side: samples.wins(table[side])[judged] for side in (1, -1)}
    opened = np.flatnonzero(np.isfinite(rewards[1]) & np.isfinite(rewards[-1]))
    for _ in range(DRAWS):
        at = np.sort(random.choice(opened, min(longs + shorts, len(opened)), replace=False))
        is_long = random.random(len(at)) < 0.5 if any_side else random.permutation(len(at)) < longs
        yield np.where(is_long, rewards[1][at], rewards[-1][at]), np.where(is_long, wins[1][at], wins[-1][at])


def _in_order(rewards: Floats) -> Trades:
    places = np.arange(len(rewards))
    return Trades(at=places, end=places, reward=rewards, won=rewards > 0)


def _nothing() -> Trades:
    nothing = np.zeros(0, dtype=np.int64)
    return Trades(at=nothing, end=nothing, reward=np.zeros(0), won=np.zeros(0, dtype=bool))
