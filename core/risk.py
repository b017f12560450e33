"""Whether an open position must be closed now (trading.md §7)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.bot import Bot
from core.instrument import Instrument, Quote
from core.money import ZERO
from core.position import Position
from core.protection import Protection
from core.signal import HUNDRED, PositionSide
from core.trading_day import DayFigures
from core.wording import grouped, moment, money, number, percent, seconds

MAXIMUM_PRICE_AGE = timedelta(seconds=60)


class RiskKind(StrEnum):
    RISK_LIMIT = "RISK_LIMIT"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    STOP = "STOP"
    TARGET = "TARGET"
    TIME_LIMIT = "TIME_LIMIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskTrigger:
    """A position that must be closed, and why.

    `threshold` and `actual` are a price for STOP and TARGET, percent of the cost basis for
    RISK_LIMIT, money lost today for DAILY_LOSS_LIMIT, the price for TIME_LIMIT. `price` is what the
    decision was made at. `target_number` is the furthest target reached, where there are several.
    """

    kind: RiskKind
    threshold: Decimal
    actual: Decimal
    price: Decimal
    sentence: str
    target_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceFault:
    """A price that nothing may be decided by; shown to the user, for the position is not watched now."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One open position with what stands to protect it.

    `price` is what it could be sold or bought back at now: see `exit_price`. `realized_today` and
    `day_start_unrealized` are the bot's day so far without this position's open profit.
    """

    bot: Bot
    position: Position
    protection: Protection
    instrument: Instrument
    price: Decimal
    price_at: datetime
    realized_today: Decimal = ZERO
    day_start_unrealized: Decimal = ZERO
    close_at: datetime | None = None

    @property
    def side(self) -> PositionSide:
        return self.position.tradable_side(self.instrument)


def exit_price(quote: Quote, side: PositionSide) -> Decimal:
    """Return what we could get: the bid for a long, the ask for a short."""
    return quote.bid if side is PositionSide.LONG else quote.ask


def assess(watched: Watched, now: datetime) -> RiskTrigger | PriceFault | None:
    """Return what makes this position an exit now, the gravest thing first, or None.

    The order is RISK_LIMIT (it disables the bot), DAILY_LOSS_LIMIT, STOP, TARGET, TIME_LIMIT; so a
    position that is through its stop and its target at once is taken for stopped. A threshold that is just
    reached counts. A price of zero or older than 60 s triggers nothing and is returned as a fault.
    """
    if watched.side is PositionSide.FLAT:
        return None
    fault = _fault(watched, now)
    if fault is not None:
        return fault
    return (
        _risk_limit(watched)
        or _daily_loss_limit(watched)
        or _stop(watched)
        or _target(watched)
        or _time_limit(watched, now)
    )


def loss_percent(position: Position, price: Decimal) -> Decimal:
    """Return the open loss in percent of the position's cost basis, negative for a profit."""
    basis = position.cost_basis
    return -position.unrealized(price) * HUNDRED / basis if basis else ZERO


def _fault(watched: Watched, now: datetime) -> PriceFault | None:
    symbol = watched.bot.symbol
    if watched.price <= 0:
        return PriceFault(
            sentence=f"The price of {symbol} is {number(watched.price)}; its risk is not watched."
        )
    age = now - watched.price_at
    if age <= MAXIMUM_PRICE_AGE:
        return None
    sentence = (
        f"The price of {symbol} is {seconds(age)} old, from {moment(watched.price_at)};"
        f" beyond {seconds(MAXIMUM_PRICE_AGE)} its risk is not watched."
    )
    return PriceFault(sentence=sentence)


def _risk_limit(watched: Watched) -> RiskTrigger | None:
    limit = watched.bot.risk_limit_percent
    lost = loss_percent(watched.position, watched.price)
    if limit is None or lost < limit:
        return None
    sentence = f"The position has lost {percent(lost)} of its cost; the bot's risk limit is {percent(limit)}."
    return _trigger(watched, RiskKind.RISK_LIMIT, limit, lost, sentence)


def _daily_loss_limit(watched: Watched) -> RiskTrigger | None:
    limit = watched.bot.daily_loss_limit
    day = DayFigures(
        realized=watched.realized_today,
        unrealized=watched.position.unrealized(watched.price),
        start_unrealized=watched.day_start_unrealized,
    )
    if limit is None or day.loss < limit:
        return None
    sentence = f"The bot has lost {money(day.loss)} today; its daily loss limit is {money(limit)}."
    return _trigger(watched, RiskKind.DAILY_LOSS_LIMIT, limit, day.loss, sentence)


def _stop(watched: Watched) -> RiskTrigger | None:
    stop = watched.protection.stop_price
    if stop is None or (watched.price - stop) * watched.side.sign > 0:
        return None
    sentence = f"The price of {grouped(watched.price)} has reached the stop at {grouped(stop)}."
    return _trigger(watched, RiskKind.STOP, stop, watched.price, sentence)


def _target(watched: Watched) -> RiskTrigger | None:
    target = watched.protection.target_price
    if target is None or (watched.price - target) * watched.side.sign < 0:
        return None
    reached = [
        each for each in watched.protection.targets if (watched.price - each.price) * watched.side.sign >= 0
    ]
    furthest = max(reached, key=lambda each: each.number, default=None)
    which = "the target" if furthest is None else f"target {furthest.number}"
    at = target if furthest is None else furthest.price
    sentence = f"The price of {grouped(watched.price)} has reached {which} at {grouped(at)}."
    found = _trigger(watched, RiskKind.TARGET, at, watched.price, sentence)
    return found if furthest is None else replace(found, target_number=furthest.number)


def _time_limit(watched: Watched, now: datetime) -> RiskTrigger | None:
    until = watched.close_at
    if until is None or now < until:
        return None
    sentence = f"The position's time was over at {moment(until)}."
    return _trigger(watched, RiskKind.TIME_LIMIT, watched.price, watched.price, sentence)


def _trigger(
    watched: Watched, kind: RiskKind, threshold: Decimal, actual: Decimal, sentence: str
) -> RiskTrigger:
    return RiskTrigger(kind=kind, threshold=threshold, actual=actual, price=watched.price, sentence=sentence)
