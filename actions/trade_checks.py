"""What a tracked trade may be when it is opened or changed; each no names its field and what is allowed."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from actions.refused import Refused
from core import timeframe as timeframes
from core.pips import Direction, Market, MarketKind, market_of
from core.tracked_trade import bad_lots, contradiction
from core.wording import grouped, moment, number

LONGEST_NOTES = 1000
LONGEST_KEY = 200
OLDEST_ENTRY = timedelta(days=7)
# Clocks of two machines differ by so much, and forms carry whole minutes.
CLOCK_SLACK = timedelta(minutes=1)
# How far an entry may be from the newest price, as a factor: a slip of the finger is further away.
FURTHEST = {MarketKind.FOREX: Decimal("1.1"), MarketKind.STOCK: Decimal(2), MarketKind.CRYPTO: Decimal(2)}
# Where the rate of two currencies lies, as long as no price of theirs is known.
LEAST_RATE, MOST_RATE = Decimal("0.0001"), Decimal(1000)
# How far stop and target may be from the entry.
WIDEST = {MarketKind.FOREX: Decimal("1.5"), MarketKind.STOCK: Decimal(10), MarketKind.CRYPTO: Decimal(10)}
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
LARGEST = Decimal(10) ** 12


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRequest:
    """A trade that a user has opened somewhere and wants followed.

    `request_key` names this wish for good: asked twice with it, one trade is opened. `notification_id` is the
    signal it answers. `entered_at` None is now. `timeframe` None: it came of no chart.
    """

    pair: str
    direction: Direction
    entry: Decimal
    lots: Decimal
    stop: Decimal
    target: Decimal
    request_key: str
    timeframe: str | None = None
    notes: str = ""
    notification_id: int | None = None
    entered_at: datetime | None = None


def number_of(text: str, field: str) -> Decimal:
    """Return the number that somebody typed, `1.0854`; raise `Refused` for anything else."""
    if _NUMBER.fullmatch(text.strip()) is None:
        words = f"{text.strip()[:40]!r} is no number; write it with a point and without thousands: 1.0854"
        raise Refused(words, field)
    return Decimal(text.strip())


def checked_market(pair: str) -> Market:
    """Return the market of a pair; raise `Refused` for what is none."""
    try:
        return market_of(pair)
    except ValueError as error:
        raise Refused(f"{error}.", "pair") from None


def checked_timeframe(timeframe: str | None) -> str | None:
    """Return the one form of a timeframe; raise `Refused` for what is none."""
    try:
        return None if timeframe is None else timeframes.canonical(timeframe)
    except ValueError as error:
        raise Refused(f"{timeframe!r} is no timeframe; allowed: {error}.", "timeframe") from None


def check(request: TradeRequest, market: Market, last: Decimal | None, now: datetime) -> None:
    """Raise `Refused` for the first thing that is wrong; `last` is the newest price where one is known."""
    for field in ("entry", "lots", "stop", "target"):
        check_number(getattr(request, field), field)
    _check_levels(request)
    _check_distances(request, market, last)
    _check_time(request.entered_at, now)
    if len(request.notes) > LONGEST_NOTES or "\x00" in request.notes:
        raise Refused(f"Notes are text of at most {LONGEST_NOTES} letters.", "notes")
    if not 0 < len(request.request_key) <= LONGEST_KEY:
        raise Refused(f"A request's key has 1 to {LONGEST_KEY} letters.", "request_key")


def check_moved(
    market: Market,
    direction: Direction,
    stop: Decimal,
    target: Decimal,
    *,
    price: Decimal | None,
    entry: Decimal,
) -> None:
    """Raise `Refused` where moved levels are not on their sides of the price now, None where it is unknown.

    The entry says nothing here: a stop at break-even or beyond locks in what was won.
    """
    for field, level in (("stop", stop), ("target", target)):
        check_number(level, field)
    if price is None and (target - stop) * direction.sign <= 0:
        raise Refused("The stop loss and the take profit stand on different sides of the price.", "stop")
    if price is not None and contradiction(direction, price, stop, target) is not None:
        stands = "below that, the take profit above"
        if direction is Direction.SHORT:
            stands = "above that, the take profit below"
        raise Refused(
            f"{market.pair} is at {market.shown(price)} now: the stop loss of a {direction.value.upper()} stands"
            f" {stands}.",
            "target" if _target_is_wrong(direction, target, price) else "stop",
        )
    _check_width(market, entry, stop, "stop")
    _check_width(market, entry, target, "target")


def check_closing(market: Market, entry: Decimal, last: Decimal | None, price: Decimal) -> None:
    """Raise `Refused` for a price at which nobody closed: one far from the newest, or from the entry without one."""
    check_number(price, "price")
    furthest, known = (WIDEST[market.kind], entry) if last is None else (FURTHEST[market.kind], last)
    if not known / furthest <= price <= known * furthest:
        allowed = f"{market.shown(known / furthest)} to {market.shown(known * furthest)}"
        raise Refused(f"{number(price)} is too far from {market.shown(known)}. Allowed: {allowed}.", "price")


def check_number(value: Decimal, field: str) -> None:
    """Raise `Refused` for what is no price or size."""
    if not value.is_finite() or not 0 < value < LARGEST:
        raise Refused(f"{field.capitalize()} is a number above 0; {value} is not.", field)


def _check_levels(request: TradeRequest) -> None:
    wrong = bad_lots(request.lots)
    if wrong is not None:
        raise Refused(wrong, "lots")
    wrong = contradiction(request.direction, request.entry, request.stop, request.target)
    if wrong is not None:
        field = "target" if _target_is_wrong(request.direction, request.target, request.entry) else "stop"
        raise Refused(wrong, field)


def _target_is_wrong(direction: Direction, target: Decimal, price: Decimal) -> bool:
    return (target - price) * direction.sign <= 0


def _check_distances(request: TradeRequest, market: Market, last: Decimal | None) -> None:
    furthest = FURTHEST[market.kind]
    if last is None and market.kind is MarketKind.FOREX and not LEAST_RATE <= request.entry <= MOST_RATE:
        raise Refused(
            f"No price of {market.pair} is known; an entry at {number(request.entry)} is a slip. Allowed:"
            f" {number(LEAST_RATE)} to {number(MOST_RATE)}.",
            "entry",
        )
    if last is not None and not last / furthest <= request.entry <= last * furthest:
        words = (
            f"{market.pair} is at {market.shown(last)} now; an entry at {number(request.entry)} is a slip."
        )
        raise Refused(
            f"{words} Allowed: {market.shown(last / furthest)} to {market.shown(last * furthest)}.", "entry"
        )
    _check_width(market, request.entry, request.stop, "stop")
    _check_width(market, request.entry, request.target, "target")


def _check_width(market: Market, entry: Decimal, level: Decimal, field: str) -> None:
    widest = WIDEST[market.kind]
    if not entry / widest <= level <= entry * widest:
        words = f"{grouped(level)} is too far from the entry at {market.shown(entry)}."
        raise Refused(
            f"{words} Allowed: {market.shown(entry / widest)} to {market.shown(entry * widest)}.", field
        )


def _check_time(entered_at: datetime | None, now: datetime) -> None:
    if entered_at is None:
        return
    if entered_at.tzinfo is None:
        raise Refused("The time of the entry needs its zone.", "entered_at")
    if not now - OLDEST_ENTRY <= entered_at <= now + CLOCK_SLACK:
        raise Refused(
            f"The entry was at {moment(entered_at)}; allowed: the last {OLDEST_ENTRY.days} days.",
            "entered_at",
        )
