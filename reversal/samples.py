"""Put rows, what became of them and when that was known side by side, for one pair and timeframe."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from core.bar import Bar, length
from core.pips import Direction, market_of
from reversal import features, labels
from reversal.features import DAY, NEEDED, Floats, Prices, Rows
from reversal.labels import TIME_LIMIT, Outcomes

Integers = NDArray[np.int64]
Switches = NDArray[np.bool_]
# So many bars lie between the end of a label that is learned and the first bar that is judged
EMBARGO = 24
MOVE = "return_12"


class Family(StrEnum):
    """Which bars are learned from together: those within a day, and those of a day or longer."""

    INTRADAY = "intraday"
    DAILY = "daily"


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """All rows of one pair and timeframe, oldest first.

    `decided` is when each row's bar closed and `free` when its label and the embargo after it are over, in
    seconds since 1970; `side` is the trade it proposes: 1 long, -1 short, 0 none; `cost` in R.
    """

    pair: str
    timeframe: str
    prices: Prices
    rows: Rows
    decided: Floats
    free: Floats
    long: Outcomes
    short: Outcomes
    label: Integers
    side: Integers
    cost: Floats

    @property
    def key(self) -> str:
        """Return how figures of this pair and timeframe are named."""
        return key_of(self.pair, self.timeframe)

    @property
    def family(self) -> Family:
        """Return with which others it is learned from."""
        return family_of(self.timeframe)

    @property
    def known(self) -> Switches:
        """Return which rows can be learned from or judged: they have figures, and their trades have ended."""
        return self.rows.usable & self.long.known

    def rewards(self, side: Integers) -> Floats:
        """Return in R what the trades of these sides brought, NaN where there is none."""
        return np.select([side > 0, side < 0], [self.long.reward, self.short.reward], np.nan)

    def wins(self, side: Integers) -> Switches:
        """Return where the trade of the side reached its target."""
        return np.where(side > 0, self.long.won, self.short.won & (side < 0))

    @property
    def held_bars(self) -> Integers:
        """Return how many bars the trade was held that each row proposes."""
        return self.held(self.side)

    def held(self, side: Integers) -> Integers:
        """Return how many bars the trade of the side was held."""
        return np.where(side > 0, self.long.bars, self.short.bars)


def key_of(pair: str, timeframe: str) -> str:
    """Return how figures of a pair and timeframe are named."""
    return f"{pair} {timeframe}"


def family_of(timeframe: str) -> Family:
    """Return with which others a timeframe is learned from."""
    return Family.INTRADAY if length(timeframe).total_seconds() < DAY else Family.DAILY


def samples_of(pair: str, timeframe: str, bars: Sequence[Bar]) -> Samples:
    """Return the rows of an unbroken run of bars with what became of them."""
    market, prices = market_of(pair), features.prices_of(bars)
    rows = features.rows(prices)
    long, short = (labels.outcomes(prices, rows, market, side) for side in (Direction.LONG, Direction.SHORT))
    decided = prices.closed[NEEDED - 1 :]
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = labels.cost(market, prices.close[NEEDED - 1 :]) / (labels.STOP_ATR * rows.atr)
    return Samples(
        pair=pair, timeframe=timeframe, prices=prices, rows=rows, decided=decided, free=_free(decided),
        long=long, short=short, label=labels.labels(long, short), side=proposed(rows), cost=cost,
    )  # fmt: skip


def proposed(rows: Rows) -> Integers:
    """Return the side of a reversal at each row: against the way the price went in the last 12 bars."""
    move = rows.of(MOVE)
    return np.where(rows.usable, -np.sign(np.nan_to_num(move)), 0).astype(np.int64)


def _free(decided: Floats) -> Floats:
    later = np.arange(len(decided)) + TIME_LIMIT + EMBARGO
    return np.where(later < len(decided), decided[np.minimum(later, len(decided) - 1)], np.inf)
