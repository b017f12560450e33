"""When a resting order trades, at what price, how much of it, and what that does to the books."""

import hashlib
from dataclasses import replace
from decimal import Decimal

from brokers.simulator.books import Execution, Holding, SimulatedOrder
from brokers.simulator.rules import Rules
from core.instrument import AssetClass, Instrument, Quote
from core.money import ZERO, floor_to_step, nearest_step
from core.order import OrderState, Side

WHOLE = Decimal(1)


def is_triggered(order: SimulatedOrder, quote: Quote) -> bool:
    """Tell whether the stop of an order has been touched now or before; an order without one always is."""
    if order.triggered or order.stop_price is None:
        return True
    if order.side is Side.BUY:
        return quote.ask >= order.stop_price
    return quote.bid <= order.stop_price


def trade_price(order: SimulatedOrder, quote: Quote) -> Decimal | None:
    """Return the price at which a triggered order trades now, or None while its limit holds it back."""
    price = quote.ask if order.side is Side.BUY else quote.bid
    if order.limit_price is None or (order.limit_price - price) * order.side.sign >= 0:
        return price
    return None


def piece(order: SimulatedOrder, instrument: Instrument, price: Decimal, rules: Rules) -> Decimal:
    """Return how much of the order trades at once; the same order always breaks in the same places."""
    whole = order.quantity == order.quantity.to_integral_value()
    step = WHOLE if whole and order.asset_class is AssetClass.STOCK else instrument.quantity_step
    limit = rules.full_fill_notional
    if limit is not None and order.remaining * price > limit:
        return max(floor_to_step(limit / price, step), step)
    if order.filled_quantity == 0 and _share(rules.seed, order.id, "whether") < rules.partial_fill_share:
        part = Decimal("0.2") + Decimal("0.6") * _share(rules.seed, order.id, "where")
        return floor_to_step(order.remaining * part, step) or order.remaining
    return order.remaining


def fee_of(side: Side, instrument: Instrument, quantity: Decimal, price: Decimal, rules: Rules) -> Decimal:
    """Return the fee of a trade: in the base asset for crypto buys, in the quote currency else."""
    rate = rules.taker_fees.get(instrument.asset_class, ZERO)
    if takes_fee_in_base(side, instrument):
        return nearest_step(quantity * rate, instrument.quantity_step)
    return quantity * price * rate


def takes_fee_in_base(side: Side, instrument: Instrument) -> bool:
    """Tell whether the fee is taken from what was bought.

    Source: Alpaca's crypto fee page: the fee is charged on the side that is credited.
    """
    return instrument.asset_class is AssetClass.CRYPTO and side is Side.BUY


def after_trade(order: SimulatedOrder, execution: Execution) -> SimulatedOrder:
    """Return the order with one more execution on it."""
    filled = execution.cumulative_quantity
    paid = order.filled_quantity * (order.average_price or ZERO) + execution.quantity * execution.price
    done = filled == order.quantity
    return replace(
        order,
        filled_quantity=filled,
        average_price=paid / filled,
        fee=order.fee + execution.fee,
        state=OrderState.FILLED if done else OrderState.PARTIALLY_FILLED,
        filled_at=execution.at,
        updated_at=execution.at,
    )


def after_posting(holding: Holding, execution: Execution) -> Holding:
    """Return the holding with an execution posted, by the average-cost method.

    A fee in the base asset leaves the holding at its average price, a fee in the quote currency is
    part of the realized result: realized + unrealized is always the change of equity.
    """
    signed = execution.quantity * execution.side.sign
    before, after = holding.quantity, holding.quantity + signed
    realized, average = holding.realized, holding.average_price
    if before * signed < 0:
        closed = min(abs(before), abs(signed)) * (1 if before > 0 else -1)
        realized += closed * (execution.price - average)
        if after * signed > 0:
            average = execution.price
    else:
        average = (before * average + signed * execution.price) / after
    if execution.fee_in_base:
        realized -= execution.fee * average
        after -= execution.fee
    else:
        realized -= execution.fee
    return replace(holding, quantity=after, average_price=average if after else ZERO, realized=realized)


def _share(*parts: str) -> Decimal:
    digest = hashlib.blake2b("|".join(parts).encode(), digest_size=4).digest()
    return Decimal(int.from_bytes(digest)) / Decimal(2**32)
