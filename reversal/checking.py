"""Judge the bars a source gave before any is stored: what is kept, and what was wrong; pure.

Nothing is mended and nothing is filled. A bar that is not closed is no fault and is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from core.bar import Bar, length, opening
from core.pips import MarketKind
from database.market_bars import BarFault, FaultKind
from reversal.market_hours import may_be, missing

HIGHEST_PRICE, LOWEST_PRICE = Decimal(10) ** 12, Decimal(10) ** -12
HIGHEST_VOLUME = Decimal(10) ** 18
LEAST_LATENESS = timedelta(minutes=2)
LATE_PART = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is to be stored, oldest first, and what is to be noted."""

    bars: tuple[Bar, ...]
    faults: tuple[BarFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was stored before: bars by their opening, and when the source last gave all it had.

    `asked_at` is None where nothing says so: at the first time, and after a failure.
    """

    bars: Mapping[datetime, Bar]
    asked_at: datetime | None = None


def judge(kind: MarketKind, timeframe: str, given: Sequence[Bar], known: Known, now: datetime) -> Judged:
    """Return what to store of what a source gave, and what was wrong with it."""
    kept: dict[datetime, Bar] = {}
    faults: list[BarFault] = []
    for bar in sorted(given, key=lambda bar: bar.opened_at):
        if bar.closed_at > now:
            continue
        before = kept.get(bar.opened_at) or known.bars.get(bar.opened_at)
        fault = _fault(kind, timeframe, bar) or (before and _change(before, bar))
        if fault:
            faults.append(fault)
        elif before is None:
            kept[bar.opened_at] = bar
            faults += _lateness(timeframe, bar, known.asked_at)
    faults += holes(kind, timeframe, sorted([*kept, *known.bars]))
    return Judged(bars=tuple(kept.values()), faults=tuple(faults))


def holes(kind: MarketKind, timeframe: str, opened: Sequence[datetime]) -> Iterator[BarFault]:
    """Give one fault for each hole in the market's hours between bars that opened then, in order."""
    lasts = length(timeframe)
    for before, after in pairwise(opened):
        if after - before == lasts:
            continue
        if lost := missing(kind, timeframe, before + lasts, after):
            until = f" to {_words(lost[-1])}" if len(lost) > 1 else ""
            words = f"{len(lost)} missing: {_words(lost[0])}{until}."
            yield BarFault(opened_at=lost[0], kind=FaultKind.MISSING, words=words)


def unbroken(kind: MarketKind, timeframe: str, bars: Sequence[Bar]) -> list[Bar]:
    """Return the newest bars before which none is missing, oldest first."""
    for number in range(len(bars) - 1, 0, -1):
        before, after = bars[number - 1].closed_at, bars[number].opened_at
        if before != after and missing(kind, timeframe, before, after):
            return list(bars[number:])
    return list(bars)


def impossible(bar: Bar) -> str | None:
    """Return what no market could have done in a bar, in words, or None."""
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    for name, price in prices.items():
        if not price.is_finite() or not LOWEST_PRICE <= price <= HIGHEST_PRICE:
            return f"The {name} is {_shown(price)}."
    if bar.high < bar.low:
        return f"The high {_shown(bar.high)} is below the low {_shown(bar.low)}."
    for name in ("open", "close"):
        if not bar.low <= prices[name] <= bar.high:
            return f"The {name} {_shown(prices[name])} is not between low and high."
    if bar.volume is not None and not (bar.volume.is_finite() and 0 <= bar.volume <= HIGHEST_VOLUME):
        return f"The volume is {_shown(bar.volume)}."
    return None


def _fault(kind: MarketKind, timeframe: str, bar: Bar) -> BarFault | None:
    if bar.opened_at != opening(bar.opened_at, timeframe):
        words = f"A bar of {timeframe} cannot open at {_words(bar.opened_at)}."
        return BarFault(opened_at=bar.opened_at, kind=FaultKind.MISALIGNED, words=words)
    if words_or_none := impossible(bar):
        return BarFault(opened_at=bar.opened_at, kind=FaultKind.IMPOSSIBLE, words=words_or_none)
    if not may_be(kind, timeframe, bar.opened_at):
        words = "The market is closed then."
        return BarFault(opened_at=bar.opened_at, kind=FaultKind.MARKET_CLOSED, words=words)
    return None


def _change(before: Bar, bar: Bar) -> BarFault | None:
    # volumes are completed by reports that come in for hours; prices are not
    names = ("open", "high", "low", "close")
    changes = [
        f"{name} {_shown(getattr(before, name))} → {_shown(getattr(bar, name))}"
        for name in names
        if getattr(before, name) != getattr(bar, name)
    ]
    if not changes:
        return None
    words = f"Given again with other prices: {', '.join(changes)}. The first ones stay."
    return BarFault(opened_at=bar.opened_at, kind=FaultKind.CHANGED, words=words)


def _lateness(timeframe: str, bar: Bar, asked_at: datetime | None) -> Iterator[BarFault]:
    allowed = max(length(timeframe) / LATE_PART, LEAST_LATENESS)
    if asked_at is not None and asked_at - bar.closed_at > allowed:
        words = (
            f"It was not there at {_words(asked_at)}, {_minutes(asked_at - bar.closed_at)} after its close."
        )
        yield BarFault(opened_at=bar.opened_at, kind=FaultKind.LATE, words=words)


def _minutes(time: timedelta) -> str:
    return f"{int(time.total_seconds() // 60)} minutes"


def _words(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _shown(number: Decimal) -> str:
    """Return a number as people write it, however odd; a long one is cut."""
    return (f"{number:f}" if number.is_finite() and abs(number.adjusted()) <= 20 else str(number))[:40]
