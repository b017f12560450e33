"""Which day a moment belongs to, and what a bot has made on it so far (trading.md §4)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.instrument import AssetClass
from core.money import ZERO


def day_zone(asset_class: AssetClass) -> tzinfo:
    """Return the zone whose midnight ends the day: New York for stocks, UTC for crypto."""
    return ZoneInfo("America/New_York") if asset_class is AssetClass.STOCK else UTC


def trading_day(now: datetime, asset_class: AssetClass) -> date:
    """Return the day that an aware `now` belongs to."""
    if now.tzinfo is None:
        raise ValueError("a time must carry its zone")
    return now.astimezone(day_zone(asset_class)).date()


def day_start(day: date, asset_class: AssetClass) -> datetime:
    """Return the first moment of a day, in UTC."""
    return datetime.combine(day, time(), tzinfo=day_zone(asset_class)).astimezone(UTC)


def day_end(day: date, asset_class: AssetClass) -> datetime:
    """Return the first moment of the day after, in UTC: 23 to 25 hours later in New York."""
    return day_start(day + timedelta(days=1), asset_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """What a bot has made today, in the quote currency.

    `realized` is what today's fills booked, `unrealized` the open profit now, `start_unrealized`
    the open profit at the stored mark of the day's start (zero when nothing was held then).
    """

    realized: Decimal = ZERO
    unrealized: Decimal = ZERO
    start_unrealized: Decimal = ZERO

    @property
    def profit(self) -> Decimal:
        """Return realized today + unrealized now − unrealized at the day's start."""
        return self.realized + self.unrealized - self.start_unrealized

    @property
    def loss(self) -> Decimal:
        """Return today's loss as a positive amount, zero on a day that stands in profit."""
        return max(-self.profit, ZERO)
