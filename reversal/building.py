"""Build longer bars from closed shorter ones; pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from core.bar import Bar, length, opening
from core.pips import MarketKind
from reversal.market_hours import may_be, missing, openings


def can_build(timeframe: str, shorter: str) -> bool:
    """Tell whether bars of a timeframe are made of whole shorter ones."""
    return length(timeframe) > length(shorter) and length(timeframe) % length(shorter) == length(shorter) * 0


def build(kind: MarketKind, timeframe: str, shorter: str, bars: Sequence[Bar]) -> Iterator[Bar]:
    """Give the longer bars of which every shorter one of the market's hours is among `bars`, oldest first.

    The first window may have begun before the first bar that is there: it is given only if it is whole.
    """
    if not bars:
        return
    newest = bars[-1].opened_at
    for start, each in groupby(bars, key=lambda bar: opening(bar.opened_at, timeframe)):
        window = list(each)
        if _is_whole(kind, shorter, window, start, start + length(timeframe), newest):
            yield _joined(window, start, start + length(timeframe))


def _is_whole(
    kind: MarketKind, shorter: str, window: Sequence[Bar], start: datetime, end: datetime, newest: datetime
) -> bool:
    there = {bar.opened_at for bar in window}
    if all(each in there for each in openings(shorter, start, end) if may_be(kind, shorter, each)):
        return True
    # What need not be there may still come, until a later bar has shown that it does not.
    edges = [start, *(edge for bar in window for edge in (bar.opened_at, bar.closed_at)), end]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return newest >= end and not any(missing(kind, shorter, since, until) for since, until in gaps)


def _joined(window: Sequence[Bar], start: datetime, end: datetime) -> Bar:
    volumes = [bar.volume for bar in window if bar.volume is not None]
    return Bar(
        opened_at=start,
        closed_at=end,
        open=window[0].open,
        high=max(bar.high for bar in window),
        low=min(bar.low for bar in window),
        close=window[-1].close,
        volume=sum(volumes[1:], volumes[0]) if len(volumes) == len(window) else None,
    )
