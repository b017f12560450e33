"""Bars for the tests of the reversal model: recorded ones, and ones made of a few prices."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.bar import Bar
from reversal.features import NEEDED
from reversal.sources.replay import RECORDINGS, recorded

START = datetime(2025, 1, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYS = [(each.pair, each.timeframe) for each in RECORDINGS]


def real(number: int, first: int = 0, count: int | None = None) -> list[Bar]:
    """Return so many bars of a recording from one of them on."""
    bars = recorded(RECORDINGS[number])
    return list(bars[first : None if count is None else first + count])


def bar(number: int, first: float, high: float, low: float, close: float) -> Bar:
    """Return the hour's bar of a number."""
    prices = (Decimal(str(round(price, 6))) for price in (first, high, low, close))
    names = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    opened = START + number * HOUR
    return Bar(opened_at=opened, closed_at=opened + HOUR, volume=None, **names)


def quiet(last: float = 100.0, step: float = 0.5) -> list[Bar]:
    """Return the bars of one row: each two steps high, closes going up and down by a step, the last at `last`."""
    closes = [last + (step if (NEEDED - 1 - number) % 2 else 0.0) for number in range(NEEDED)]
    before = [closes[1], *closes[:-1]]
    return [
        bar(number, first, max(first, close) + step / 2, min(first, close) - step / 2, close)
        for number, (first, close) in enumerate(zip(before, closes, strict=True))
    ]


def scaled(bars: Sequence[Bar], factor: Decimal) -> list[Bar]:
    """Return bars of another price level."""
    return [
        replace(each, **{name: getattr(each, name) * factor for name in ("open", "high", "low", "close")})
        for each in bars
    ]
