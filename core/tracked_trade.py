"""Follow a trade that somebody opened elsewhere, bar by bar, to its stop, its target or its time; pure.

What the bars cannot tell counts against the trade: where one bar touches both stop and target, the stop was
first (reversal.md, "Tracked trades").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.pips import LARGEST_LOT, SMALLEST_LOT, Direction, Market

BREAK_EVEN = Decimal(1)


class CloseReason(StrEnum):
    """Why a trade ended."""

    TARGET = "tp_hit"
    STOP = "sl_hit"
    BY_HAND = "manual_close"
    TIME = "timeout"


class Result(StrEnum):
    """How a trade ended; less than a pip or point either way is neither won nor lost."""

    WIN = "win"
    LOSS = "loss"
    BREAKEVEN = "breakeven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Where a trade was opened and where it ends; `expires_at` None is never."""

    market: Market
    direction: Direction
    entry: Decimal
    stop: Decimal
    target: Decimal
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Prices of a span of time, open to close; one that the trade was opened in is `partial`.

    Of a partial span only the close is known to belong to the trade's own time.
    """

    opened_at: datetime
    closed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """At what price and why a trade ended, in the span that closed at `at`."""

    price: Decimal
    reason: CloseReason
    at: datetime


def follow(levels: Levels, spans: Iterable[Span]) -> Ending | None:
    """Return where the trade ends in spans of time in their order, or None where it is open after them."""
    for span in spans:
        ending = _ending_in(levels, span)
        if ending is not None:
            return ending
    return None


def result_of(steps: Decimal) -> Result:
    """Return whether so many pips or points are a win, a loss or neither."""
    if abs(steps) < BREAK_EVEN:
        return Result.BREAKEVEN
    return Result.WIN if steps > 0 else Result.LOSS


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


def _ending_in(levels: Levels, span: Span) -> Ending | None:
    if levels.expires_at is not None and span.opened_at >= levels.expires_at:
        return Ending(price=span.open, reason=CloseReason.TIME, at=span.opened_at)
    worst, best = (span.low, span.high) if levels.direction is Direction.LONG else (span.high, span.low)
    first, worst, best = (span.close,) * 3 if span.partial else (span.open, worst, best)
    # In this order: a price that is beyond a level when the span begins was never at the level itself
    looks = (
        (_is_lost(levels, first), first, CloseReason.STOP),
        (_is_won(levels, first), first, CloseReason.TARGET),
        (_is_lost(levels, worst), levels.stop, CloseReason.STOP),
        (_is_won(levels, best), levels.target, CloseReason.TARGET),
    )
    for ended, price, reason in looks:
        if ended:
            return Ending(price=price, reason=reason, at=span.closed_at)
    if levels.expires_at is not None and span.closed_at >= levels.expires_at:
        return Ending(price=span.close, reason=CloseReason.TIME, at=span.closed_at)
    return None


def _is_lost(levels: Levels, price: Decimal) -> bool:
    return (levels.stop - price) * levels.direction.sign >= 0


def _is_won(levels: Levels, price: Decimal) -> bool:
    return (price - levels.target) * levels.direction.sign >= 0
