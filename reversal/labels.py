"""Say how a trade opened at a bar's close would have ended: what the model learns, and what it is judged by.

The levels are those a Score carries: from the last close, stop `STOP_ATR` ATR(14) away, target twice that. The
entry is the next open, which nobody knows at the decision; levels stay where they were announced. Where the
next open is already beyond one of them the trade is not opened. What follows is the rule of
`core.tracked_trade.follow`, worked out for all bars at once: a gap closes at the first price beyond, both
touched in one bar counts as the stop, and after `TIME_LIMIT` bars the trade is closed at the close. Costs are
prices: nothing here knows how large a pip is.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from core.pips import Direction, Market, MarketKind
from reversal.features import NEEDED, Floats, Prices, Rows

STOP_ATR = 1.5
REWARD_TO_RISK = 2.0
TIME_LIMIT = 48
# What a trade costs in all: the spread once, slippage when it is opened and when it is closed. In pips for
# currencies, as a share of the price for the rest; meant for a retail account, and rather too dear than too cheap.
SPREAD_PIPS, SLIPPAGE_PIPS = 1.0, 0.2
SHARES = {MarketKind.STOCK: 0.0004, MarketKind.CRYPTO: 0.0015}


class Label(IntEnum):
    """What a bar begins: which of the two trades reaches its target, if any. Never both."""

    NONE = 0
    LONG = 1
    SHORT = 2


# Travels inside each model file and is checked when it is loaded
LABEL_MAP = {label.name.lower(): int(label) for label in Label}
DIRECTION_LABELS = {Direction.LONG: Label.LONG, Direction.SHORT: Label.SHORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """How the trade of one direction ended, for each row: `opened` false has no trade.

    `price` is where it ended, `reward` its result in R (planned risk; costs taken off), `bars` how many bars it
    was held, `won` whether its target was reached first. NaN and false where it was not opened or where the
    bars end before it does.
    """

    opened: NDArray[np.bool_]
    known: NDArray[np.bool_]
    won: NDArray[np.bool_]
    price: Floats
    reward: Floats
    bars: NDArray[np.int64]


def cost(market: Market, price: Floats) -> Floats:
    """Return what one trade costs, in price."""
    if market.kind is MarketKind.FOREX:
        return np.full_like(price, (SPREAD_PIPS + 2 * SLIPPAGE_PIPS) * float(market.step))
    return price * SHARES[market.kind]


def outcomes(prices: Prices, rows: Rows, market: Market, direction: Direction) -> Outcomes:
    """Return how a trade opened after each row's bar ended; the last `TIME_LIMIT` rows are not known."""
    sign, decided = direction.sign, prices.close[NEEDED - 1 :]
    risk = STOP_ATR * rows.atr
    stop, target = decided - sign * risk, decided + sign * REWARD_TO_RISK * risk
    entry = np.append(prices.open[NEEDED:], np.nan)
    opened = (sign * (entry - stop) > 0) & (sign * (target - entry) > 0) & rows.usable
    ends = _ends(prices, sign, stop, target)
    known = rows.usable & (np.arange(len(decided)) + TIME_LIMIT < len(decided))
    price = np.where(known & opened, ends.price, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        reward = (sign * (price - entry) - cost(market, decided)) / risk
    return Outcomes(
        opened=opened, known=known, won=ends.won & opened & known, price=price, reward=reward, bars=ends.bars
    )


def labels(long: Outcomes, short: Outcomes) -> NDArray[np.int64]:
    """Return each row's `Label`."""
    return np.where(long.won, Label.LONG, np.where(short.won, Label.SHORT, Label.NONE)).astype(np.int64)


@dataclass(slots=True, kw_only=True)
class _Ends:
    price: Floats
    won: NDArray[np.bool_]
    bars: NDArray[np.int64]


def _ends(prices: Prices, sign: int, stop: Floats, target: Floats) -> _Ends:
    """Walk all trades forward at once, one bar each step."""
    count = len(stop)
    found = _Ends(price=np.full(count, np.nan), won=np.zeros(count, bool), bars=np.full(count, TIME_LIMIT))
    waiting = np.arange(count)
    for step in range(1, TIME_LIMIT + 1):
        waiting = waiting[waiting + step < count]
        bar = waiting + NEEDED - 1 + step
        first, close = prices.open[bar], prices.close[bar]
        worst, best = (prices.low, prices.high) if sign > 0 else (prices.high, prices.low)
        lost_first, won_first = sign * (stop[waiting] - first) >= 0, sign * (first - target[waiting]) >= 0
        lost, won = sign * (stop[waiting] - worst[bar]) >= 0, sign * (best[bar] - target[waiting]) >= 0
        conditions = [lost_first | won_first, lost, won]
        price = np.select(conditions, [first, stop[waiting], target[waiting]], close)
        ended = lost_first | won_first | lost | won | (step == TIME_LIMIT)
        at = waiting[ended]
        found.price[at], found.bars[at] = price[ended], step
        found.won[at] = (won_first | (won & ~lost & ~lost_first))[ended]
        waiting = waiting[~ended]
    return found
