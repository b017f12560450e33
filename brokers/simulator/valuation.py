"""What a simulated account is worth and what it may still spend."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from brokers.simulator.books import Books, SimulatedOrder, SimulatedType
from brokers.simulator.rules import Rules
from core.instrument import AssetClass, Quote
from core.money import ZERO
from core.order import Side

Prices = Callable[[str], Quote]
Classes = Callable[[str], AssetClass]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """An account's money, in its currency; short_value is negative.

    `buying_power` is for stocks, `non_marginable_buying_power` for crypto.
    """

    cash: Decimal
    equity: Decimal
    long_value: Decimal
    short_value: Decimal
    initial_margin: Decimal
    reserved: Decimal
    buying_power: Decimal
    non_marginable_buying_power: Decimal


def mark_price(quantity: Decimal, quote: Quote) -> Decimal:
    """Return the price at which a holding is valued: what closing it would bring now."""
    return quote.bid if quantity >= 0 else quote.ask


def opening_quantity(books: Books, order: SimulatedOrder) -> Decimal:
    """Return how much of an order's remainder opens or adds to a holding."""
    held = books.holding(order.symbol).quantity * order.side.sign
    return order.remaining if held >= 0 else max(ZERO, order.remaining + held)


def reserve_price(order: SimulatedOrder, quote: Quote, rules: Rules) -> Decimal:
    """Return the price at which a broker counts an order against buying power.

    Market buys count at a collar above the ask, since they become limit orders there; shorts
    at the higher of their limit and a collar above the ask.
    """
    if order.side is Side.SELL:
        collar = quote.ask * rules.short_collar
        return max(order.limit_price, collar) if order.limit_price is not None else collar
    if order.limit_price is not None:
        return order.limit_price
    base = order.stop_price if order.order_type is SimulatedType.STOP and order.stop_price else quote.ask
    if order.asset_class is AssetClass.CRYPTO:
        return base
    high = base >= rules.collar_boundary
    return base * (rules.market_buy_collar_high if high else rules.market_buy_collar_low)


def order_cost(books: Books, order: SimulatedOrder, quote: Quote, rules: Rules) -> Decimal:
    """Return the value that an order may open, in the quote currency."""
    return opening_quantity(books, order) * reserve_price(order, quote, rules)


def balances(books: Books, rules: Rules, prices: Prices, asset_class: Classes) -> Balances:
    """Value the account at these prices.

    Equity is cash and holdings at what closing them would bring. Stocks need 1 / multiplier of their
    value as margin, crypto all of it; open orders reserve the same for what they would open.
    """
    values = [
        (asset_class(h.symbol), h.quantity * mark_price(h.quantity, prices(h.symbol)))
        for h in books.holdings.values()
        if h.quantity
    ]
    equity = books.cash + sum((value for _, value in values), ZERO)
    margin = _margin(values, rules)
    resting = [
        (order.asset_class, order_cost(books, order, prices(order.symbol), rules))
        for order in books.open_orders()
    ]
    reserved = _margin(resting, rules)
    free = equity - margin - reserved
    short_value = sum((value for _, value in values if value < 0), ZERO)
    # Proceeds of shorts are collateral, not money to spend.
    spendable = books.cash + short_value - sum((cost for _, cost in resting), ZERO)
    return Balances(
        cash=books.cash,
        equity=equity,
        long_value=sum((value for _, value in values if value > 0), ZERO),
        short_value=short_value,
        initial_margin=margin,
        reserved=reserved,
        buying_power=max(free, ZERO) * rules.multiplier,
        non_marginable_buying_power=max(min(free, spendable), ZERO),
    )


def _margin(values: Iterable[tuple[AssetClass, Decimal]], rules: Rules) -> Decimal:
    return sum(
        (abs(value) / (rules.multiplier if kind is AssetClass.STOCK else 1) for kind, value in values), ZERO
    )
