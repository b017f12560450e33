"""Follow a trade that somebody opened elsewhere, bar by bar, to its stop, its target or its time; pure.

What the bars cannot tell counts against the trade: where one bar touches both stop and target, the stop was
first (reversal.md, "Tracked trades").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.bar import Bar
from core.pips import LARGEST_LOT, SMALLEST_LOT, Direction, Market

# Less than both, in pips or points and in percent of the entry: a point is much of a coin that costs cents
BREAK_EVEN, BREAK_EVEN_PERCENT = Decimal(1), Decimal("0.05")


class CloseReason(StrEnum):
    """Why a trade ended."""

    TARGET = "tp_hit"
    STOP = "sl_hit"
    BY_HAND = "manual_close"
    TIME = "timeout"


class Result(StrEnum):
    """How a trade ended; what hardly moved is neither won nor lost."""

    WIN = "win"
    LOSS = "loss"
    BREAKEVEN = "breakeven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where and when a trade was opened and where it ends; `expires_at` None is never.

    Of a bar that opened before `entered_at` only the close is known to belong to the trade's own time.
    """

    market: Market
    direction: Direction
    entry: Decimal
    stop: Decimal
    target: Decimal
    entered_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """At what price and why a trade ended, in the bar that closed at `at`."""

    price: Decimal
    reason: CloseReason
    at: datetime


def follow(levels: Levels, bars: Iterable[Bar]) -> Ending | None:
    """Return where the trade ends in bars in their order, or None where it is open after them."""
    for bar in bars:
        ending = _ending_in(levels, bar)
        if ending is not None:
            return ending
    return None


def result_of(steps: Decimal, percent: Decimal) -> Result:
    """Return whether so many pips or points, and percent of the entry, are a win, a loss or neither."""
    if abs(steps) < BREAK_EVEN and abs(percent) < BREAK_EVEN_PERCENT:
        return Result.BREAKEVEN
    return Result.WIN if (steps or percent) > 0 else Result.LOSS


def percentage(levels: Levels, price: Decimal) -> Decimal:
    """Return how far the price went for the trade, in percent of its entry."""
    return ((price - levels.entry) * levels.direction.sign / levels.entry * 100).quantize(Decimal("0.01"))


def contradiction(direction: Direction, entry: Decimal, stop: Decimal, target: Decimal) -> str | None:
    """Return what is wrong with the levels of a new trade, or None."""
    if min(entry, stop, target) <= 0:
        return "Entry, stop loss and take profit are prices above 0."
    side = direction.value.upper()
    below, above = (
        ("stop loss", "take profit") if direction is Direction.LONG else ("take profit", "stop loss")
    )
    lower, upper = (stop, target) if direction is Direction.LONG else (target, stop)
    if lower >= entry:
        return f"The {below} of a {side} stands below its entry: {lower} is not below {entry}."
    if upper <= entry:
        return f"The {above} of a {side} stands above its entry: {upper} is not above {entry}."
    return None


def bad_lots(lots: Decimal) -> str | None:
    """Return what is wrong with a size in lots, or None."""
    if SMALLEST_LOT <= lots <= LARGEST_LOT:
        return None
    return f"Lots go from {SMALLEST_LOT} to {LARGEST_LOT}; {lots} is outside."


def _ending_in(levels: Levels, bar: Bar) -> Ending | None:
    if levels.expires_at is not None and bar.opened_at >= levels.expires_at:
        return Ending(price=bar.open, reason=CloseReason.TIME, at=bar.opened_at)
    worst, best = (bar.low, bar.high) if levels.direction is Direction.LONG else (bar.high, bar.low)
    is_inside = bar.opened_at < levels.entered_at
    first, worst, best = (bar.close,) * 3 if is_inside else (bar.open, worst, best)
    # In this order: a price that is beyond a level when the bar begins was never at the level itself. One that
    # came there since the entry passed the target on its way
    looks = (
        (_is_lost(levels, first), first, CloseReason.STOP),
        (_is_won(levels, first), levels.target if is_inside else first, CloseReason.TARGET),
        (_is_lost(levels, worst), levels.stop, CloseReason.STOP),
        (_is_won(levels, best), levels.target, CloseReason.TARGET),
    )
    for ended, price, reason in looks:
        if ended:
            return Ending(price=price, reason=reason, at=bar.closed_at)
    if levels.expires_at is not None and bar.closed_at >= levels.expires_at:
        return Ending(price=bar.close, reason=CloseReason.TIME, at=bar.closed_at)
    return None


def _is_lost(levels: Levels, price: Decimal) -> bool:
    return (levels.stop - price) * levels.direction.sign >= 0


def _is_won(levels: Levels, price: Decimal) -> bool:
    return (price - levels.target) * levels.direction.sign >= 0
