"""How much to trade: from the bot's or the signal's wish to a quantity the broker takes (trading.md §3)."""

from dataclasses import dataclass, replace
from decimal import Decimal

from core.bot import Bot, Connection, SizeMode
from core.instrument import Instrument, Quote
from core.money import ZERO
from core.order import OrderType, Side
from core.plan import Code, Refusal
from core.signal import HUNDRED, QuantityMode, Signal
from core.wording import grouped, money, number

# A market order may fill above its quote; what Alpaca sets aside for one is never more than this.
MARKET_RESERVE = Decimal("1.04")

_MODES = {
    SizeMode.NOTIONAL: QuantityMode.NOTIONAL,
    SizeMode.UNITS: QuantityMode.UNITS,
    SizeMode.RISK_PERCENT: QuantityMode.RISK_PERCENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRequest:
    """Everything the size of an entry depends on. Money is in the connection's currency.

    `price` comes from `entry_price`, `stop_price` from `core.protection`. `buying_power` is what
    is left after the reservations of entries that the broker does not count yet.
    `leverage` is how much of the position's value each unit of margin carries, 1 where nothing is lent.
    """

    bot: Bot
    connection: Connection
    instrument: Instrument
    side: Side
    price: Decimal
    equity: Decimal
    buying_power: Decimal
    order_type: OrderType = OrderType.MARKET
    stop_price: Decimal | None = None
    signal: Signal | None = None
    leverage: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size and how it came about, all quantities rounded by the instrument.

    `asked` is by the mode alone before rounding, `wanted` the same rounded, `allowed` what the
    maxima leave of it, `quantity` what the buying power leaves of that: the size to trade.
    `caps` has a sentence for each thing that reduced it, `reserve` the money to set aside.
    The size may be too small to trade; `core.checks` says which of the steps made it so.
    """

    request: SizeRequest
    asked: Decimal
    wanted: Decimal
    allowed: Decimal
    quantity: Decimal
    caps: tuple[str, ...] = ()

    @property
    def reserve(self) -> Decimal:
        request = self.request
        return reserve_of(request) * self.quantity


def entry_price(quote: Quote, side: Side, limit_price: Decimal | None = None) -> Decimal:
    """Return the price to size an entry by: the ask to buy, the bid to sell, a limit if that is better."""
    market = quote.ask if side is Side.BUY else quote.bid
    if limit_price is None:
        return market
    return min(market, limit_price) if side is Side.BUY else max(market, limit_price)


def reserve_per_unit(side: Side, order_type: OrderType, price: Decimal) -> Decimal:
    """Return the money that one unit of an entry ties up.

    A limit buy pays at most its price. A market buy reserves 1.04 times its price (trading.md §4);
    so does every short, which Alpaca values at 3 % above the ask at least.
    """
    is_limit_buy = side is Side.BUY and order_type is OrderType.LIMIT
    return price if is_limit_buy else price * MARKET_RESERVE


def reserve_of(request: SizeRequest) -> Decimal:
    """Return the money that one unit of this entry ties up: its price, or its margin where it is leveraged."""
    return reserve_per_unit(request.side, request.order_type, request.price) / request.leverage


def proposed_size(request: SizeRequest) -> Size | Refusal:
    """Return the size of an entry after every cap, or why it cannot be told.

    Refused with STOP_REQUIRED where the loss at the stop decides and there is no stop, and with
    QUANTITY_REQUIRED for a share of a position, which says nothing about a new one.
    """
    mode, amount = _wish(request)
    asked = _units(request, mode, amount)
    if isinstance(asked, Refusal):
        return asked
    wanted = _rounded(request, asked)
    size = Size(request=request, asked=asked, wanted=wanted, allowed=wanted, quantity=wanted)
    size = _cap_by_maxima(size)
    return _cap_by_buying_power(replace(size, quantity=size.allowed))


def is_tradable(instrument: Instrument, quantity: Decimal, price: Decimal) -> bool:
    """Tell whether the broker takes an order of this size at this price."""
    if quantity <= 0 or quantity < instrument.minimum_quantity:
        return False
    return quantity * price >= instrument.minimum_notional


def exit_quantity(
    holding: Decimal, instrument: Instrument, price: Decimal, wanted: Decimal | None = None
) -> Decimal | Refusal:
    """Return how much to trade to leave `wanted` units, or all, of a signed holding.

    Rounded down, so never more than is held. The whole holding when what would stay is too small
    to be sold later; refused with SIZE_TOO_SMALL when the part itself is too small. A minimum
    amount of money never stops the exit of the whole: the broker has the last word on it.
    """
    short = holding < 0
    whole = instrument.round_quantity(abs(holding), short=short)
    part = whole if wanted is None else min(whole, instrument.round_quantity(wanted, short=short))
    if whole > 0 and part == whole:
        return whole
    if not is_tradable(instrument, part, price):
        return _too_small_to_exit(instrument, part, price)
    return part if is_tradable(instrument, whole - part, price) else whole


def split_at_zero(account_quantity: Decimal, side: Side, quantity: Decimal) -> tuple[Decimal, ...]:
    """Return the parts of an order, two when it would carry the account through zero, else one.

    Brokers refuse to cross zero in one order; the second part goes when the first has filled.
    """
    to_zero = -account_quantity * side.sign
    if ZERO < to_zero < quantity:
        return (to_zero, quantity - to_zero)
    return (quantity,)


def minimum_in_words(instrument: Instrument) -> str:
    """Say the least the broker takes, with the numbers."""
    least = f"at least {number(max(instrument.minimum_quantity, instrument.quantity_step))}"
    if instrument.minimum_notional:
        least += f" and {money(instrument.minimum_notional, instrument.quote_asset)}"
    return f"{instrument.symbol} trades {least}, in steps of {number(instrument.quantity_step)}"


def _wish(request: SizeRequest) -> tuple[QuantityMode, Decimal]:
    signal = request.signal
    if request.bot.use_signal_quantity and signal is not None and signal.quantity is not None:
        return signal.quantity_mode, signal.quantity
    return _MODES[request.bot.size_mode], request.bot.position_size


def _units(request: SizeRequest, mode: QuantityMode, amount: Decimal) -> Decimal | Refusal:
    match mode:
        case QuantityMode.UNITS:
            return amount
        case QuantityMode.NOTIONAL:
            return amount / request.price
        case QuantityMode.PERCENT_OF_EQUITY:
            return request.equity * amount / HUNDRED / request.price
        case QuantityMode.RISK_AMOUNT:
            return _units_at_risk(request, amount)
        case QuantityMode.RISK_PERCENT:
            return _units_at_risk(request, request.equity * amount / HUNDRED)
        case QuantityMode.PERCENT_OF_POSITION:
            sentence = (
                "The signal's quantity is a share of a position, but there is no position to take it of."
            )
            return Refusal(code=Code.QUANTITY_REQUIRED, sentence=sentence)


def _units_at_risk(request: SizeRequest, loss: Decimal) -> Decimal | Refusal:
    stop = request.stop_price
    distance = ZERO if stop is None else (request.price - stop) * request.side.sign
    if stop is None or distance <= 0:
        return _stop_required(request)
    return loss / distance


def _stop_required(request: SizeRequest) -> Refusal:
    why = "neither the signal nor the bot gives one."
    if request.stop_price is not None:
        why = f"a stop at {grouped(request.stop_price)} loses nothing from {grouped(request.price)}."
    sentence = f"The size is the loss at the stop, so a stop is needed: {why}"
    return Refusal(code=Code.STOP_REQUIRED, sentence=sentence)


def _rounded(request: SizeRequest, quantity: Decimal) -> Decimal:
    instrument = request.instrument
    # Where bots may hold against each other, a fraction could end up as a fraction short.
    whole = request.connection.allow_netting and instrument.shortable
    return instrument.round_quantity(quantity, short=whole or request.side is Side.SELL)


def _cap_by_maxima(size: Size) -> Size:
    request = size.request
    maxima = (
        ("the bot's maximum", request.bot.max_position_size),
        ("the connection's maximum", request.connection.max_position_size),
    )
    for name, most in maxima:
        if most is None or size.allowed * request.price <= most:
            continue
        allowed = _rounded(request, most / request.price)
        size = replace(
            size, allowed=allowed, caps=(*size.caps, _reduced(size.allowed, allowed, name, request, most))
        )
    return size


def _cap_by_buying_power(size: Size) -> Size:
    request = size.request
    per_unit = reserve_of(request)
    power = max(request.buying_power, ZERO)
    if size.quantity * per_unit <= power:
        return size
    quantity = _rounded(request, power / per_unit)
    name = "the buying power left"
    return replace(
        size, quantity=quantity, caps=(*size.caps, _reduced(size.quantity, quantity, name, request, power))
    )


def _reduced(before: Decimal, after: Decimal, name: str, request: SizeRequest, limit: Decimal) -> str:
    amount = money(limit, request.instrument.quote_asset)
    return f"Reduced from {number(before)} to {number(after)} by {name} of {amount}."


def _too_small_to_exit(instrument: Instrument, part: Decimal, price: Decimal) -> Refusal:
    sentence = f"The part to close is {number(part)} at {grouped(price)}; {minimum_in_words(instrument)}."
    return Refusal(code=Code.SIZE_TOO_SMALL, sentence=sentence)
