"""One bar of a pair's prices, and when bars open and close; pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from core import timeframe as timeframes

# A Monday, so that weeks begin on one
EPOCH = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Prices from `opened_at` to before `closed_at`, aware and UTC; `volume` None where there is no real one."""

    opened_at: datetime
    closed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None


@lru_cache(maxsize=1024)
def length(timeframe: str) -> timedelta:
    """Return how long a bar of a timeframe lasts."""
    return timedelta(seconds=timeframes.seconds(timeframe))


def opening(moment: datetime, timeframe: str) -> datetime:
    """Return when the bar that contains a moment opened; weeks begin on Monday, all in UTC."""
    return moment - (moment - EPOCH) % length(timeframe)


def last_closed(now: datetime, timeframe: str) -> datetime:
    """Return when the newest bar that is closed at `now` opened."""
    return opening(now, timeframe) - length(timeframe)
