"""Follow a trade whose stop or target its owner has moved: each bar by the levels of its own time; pure.

Of the bar in which they were moved nobody knows what came first. What touched the levels before and after
ends the trade for certain, at the price that is worse for it; else only the bar's close counts for the new
ones, as for a trade that was opened in it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from core.bar import Bar
from core.tracked_trade import CloseReason, Ending, Levels, follow


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """When stop and target were moved to what they are, and what they were before."""

    since: datetime
    stop: Decimal
    target: Decimal


def walk(levels: Levels, moved: Moved | None, bars: Iterable[Bar]) -> Ending | None:
    """Return where a trade ends in bars in their order, or None where it is open after them."""
    if moved is None:
        return follow(levels, bars)
    for bar in bars:
        ending = _ending_in(levels, moved, bar)
        if ending is not None:
            return ending
    return None


def moved(levels: Levels, before: Moved | None, looked_until: datetime, now: datetime) -> Moved:
    """Return what a move of stop or target made now leaves behind.

    Of several moves that no look came between, the levels furthest away: only what touched them is certain.
    """
    if before is None or before.since <= looked_until:
        return Moved(since=now, stop=levels.stop, target=levels.target)
    stop = _away(-levels.direction.sign, levels.stop, before.stop)
    target = _away(levels.direction.sign, levels.target, before.target)
    return Moved(since=now, stop=stop, target=target)


def _away(sign: int, one: Decimal, other: Decimal) -> Decimal:
    """Return the higher of two prices for a sign above 0, the lower for one below."""
    return max(one, other) if sign > 0 else min(one, other)


def _ending_in(levels: Levels, moved: Moved, bar: Bar) -> Ending | None:
    before = replace(levels, stop=moved.stop, target=moved.target)
    is_over = levels.expires_at is not None and bar.opened_at >= levels.expires_at
    if bar.opened_at >= moved.since or is_over:
        return follow(levels, [bar])
    if bar.closed_at <= moved.since:
        return follow(before, [bar])
    return (
        _at_its_opening(before, bar)
        or _for_certain(levels, before, bar)
        or follow(replace(levels, entered_at=max(levels.entered_at, moved.since)), [bar])
    )


def _at_its_opening(before: Levels, bar: Bar) -> Ending | None:
    if bar.opened_at < before.entered_at:
        return None
    only = replace(bar, high=bar.open, low=bar.open, close=bar.open)
    return follow(replace(before, expires_at=None), [only])


def _for_certain(levels: Levels, before: Levels, bar: Bar) -> Ending | None:
    sign = levels.direction.sign
    stop, far = _away(-sign, levels.stop, before.stop), _away(sign, levels.target, before.target)
    ending = follow(replace(levels, stop=stop, target=far, expires_at=None), [bar])
    if ending is not None and ending.reason is CloseReason.TARGET and ending.price == far:
        return replace(ending, price=_away(-sign, levels.target, before.target))
    return ending
