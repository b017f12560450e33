"""What a bot has achieved, from its booked fills: trades, days and the figures made of them.

A trade is one round trip, from flat to flat; its profit is all that was realized between, so it
holds the fees of both ends. A trade of exactly zero is neither won nor lost. A trade counts on
the day on which it ended, money and fees on the day of their fill.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from core.instrument import AssetClass
from core.money import ZERO
from core.signal import HUNDRED
from core.trading_day import day_end, trading_day


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """One booked fill, or a booked correction: see `core.position.Booking` for the fields."""

    at: datetime
    realized: Decimal
    fees: Decimal
    opened: bool
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One round trip; `closed_at` is None and `realized` is what is booked so far while it is open."""

    opened_at: datetime
    closed_at: datetime | None
    realized: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPerformance:
    """One day of one bot, as in `bot_performance`. Money is in the quote currency.

    `max_drawdown` is the deepest fall of the day's realized profit below its highest point of the
    day, which is at least zero: a positive amount. `largest_loss` is negative or zero.
    """

    day: date
    trades: int = 0
    wins: int = 0
    losses: int = 0
    pnl: Decimal = ZERO
    fees: Decimal = ZERO
    max_drawdown: Decimal = ZERO
    largest_win: Decimal = ZERO
    largest_loss: Decimal = ZERO
    exposure_seconds: int = 0


def day_performance(
    fills: Sequence[BookedFill], *, day: date, asset_class: AssetClass, now: datetime
) -> DayPerformance:
    """Work out one day of a bot.

    `fills` are in their order and reach back to a moment when the bot was flat, so that a trade
    opened on an earlier day is known whole. An open trade is exposed until `now`.
    """
    trades = tuple(round_trips(fills))
    ended = [
        trade.realized
        for trade in trades
        if trade.closed_at is not None and trading_day(trade.closed_at, asset_class) == day
    ]
    booked = [fill for fill in fills if trading_day(fill.at, asset_class) == day]
    return DayPerformance(
        day=day,
        trades=len(ended),
        wins=sum(profit > 0 for profit in ended),
        losses=sum(profit < 0 for profit in ended),
        pnl=sum((fill.realized for fill in booked), ZERO),
        fees=sum((fill.fees for fill in booked), ZERO),
        max_drawdown=max_drawdown(fill.realized for fill in booked),
        largest_win=max((profit for profit in ended if profit > 0), default=ZERO),
        largest_loss=min((profit for profit in ended if profit < 0), default=ZERO),
        exposure_seconds=sum(
            exposure_by_day(trade.opened_at, trade.closed_at or now, asset_class).get(day, 0)
            for trade in trades
        ),
    )


def round_trips(fills: Iterable[BookedFill]) -> Iterator[Trade]:
    """Group fills into trades, the open one last. A flip ends a trade and begins the next one."""
    opened_at: datetime | None = None
    realized = ZERO
    for fill in fills:
        if opened_at is not None:
            realized += fill.realized
        if fill.closed and opened_at is not None:
            yield Trade(opened_at=opened_at, closed_at=fill.at, realized=realized)
            opened_at, realized = None, ZERO
        if fill.opened:
            opened_at = fill.at
    if opened_at is not None:
        yield Trade(opened_at=opened_at, closed_at=None, realized=realized)


def exposure_by_day(opened_at: datetime, closed_at: datetime, asset_class: AssetClass) -> Mapping[date, int]:
    """Share the whole seconds between two moments out among the days they fall on."""
    seconds: dict[date, int] = {}
    moment = opened_at
    while moment < closed_at:
        day = trading_day(moment, asset_class)
        until = min(closed_at, day_end(day, asset_class))
        # Differences of whole seconds since the opening, so that the days add up to the whole.
        seconds[day] = _whole_seconds(opened_at, until) - _whole_seconds(opened_at, moment)
        moment = until
    return seconds


def max_drawdown(changes: Iterable[Decimal]) -> Decimal:
    """Return the deepest fall of a running sum below its highest point so far, starting from zero."""
    total = peak = deepest = ZERO
    for change in changes:
        total += change
        peak = max(peak, total)
        deepest = max(deepest, peak - total)
    return deepest


def profit_factor(profits: Iterable[Decimal]) -> Decimal | None:
    """Return what the won trades made for each unit that the lost ones cost; None without a loss."""
    known = tuple(profits)
    lost = -sum((profit for profit in known if profit < 0), ZERO)
    won = sum((profit for profit in known if profit > 0), ZERO)
    return won / lost if lost else None


def win_rate(wins: int, losses: int) -> Decimal | None:
    """Return the share of won trades, 0 to 100, among those won or lost; None without any."""
    decided = wins + losses
    return HUNDRED * wins / decided if decided else None


def _whole_seconds(start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(seconds=1)
