"""What a simulated broker refuses, and in which order it looks."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from brokers.simulator.books import Books, PositionIntent, SimulatedOrder, SimulatedType, TimeInForce
from brokers.simulator.refusals import OrderConflict, duplicate, forbidden, malformed, plain, unprocessable
from brokers.simulator.rules import Rules
from brokers.simulator.valuation import Balances, order_cost
from core.instrument import AssetClass, Instrument, Quote
from core.money import ZERO
from core.order import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One order before it is accepted, with everything a check may look at.

    `balances` values the account when asked, since most checks do not need it.
    """

    order: SimulatedOrder
    books: Books
    rules: Rules
    instrument: Instrument
    quote: Quote
    market_open: bool
    balances: Callable[[], Balances]

    @property
    def held(self) -> Decimal:
        return self.books.holding(self.order.symbol).quantity

    @property
    def is_stock(self) -> bool:
        return self.order.asset_class is AssetClass.STOCK

    @property
    def is_whole(self) -> bool:
        return self.order.notional is None and self.order.quantity == self.order.quantity.to_integral_value()

    @property
    def is_exit(self) -> bool:
        return self.held * self.order.side.sign < 0


def check_all(case: Case) -> None:
    """Raise `OrderRejected` or `OrderConflict` with the first reason against the order."""
    for check in CHECKS:
        check(case)


def _unique_id(case: Case) -> None:
    known = case.order.client_order_id
    used = known in case.books.used_client_order_ids or case.books.by_client_order_id(known)
    if case.rules.check_unique_ids and used:
        raise duplicate()


def _tradable(case: Case) -> None:
    if case.rules.trading_blocked:
        raise forbidden("new orders are rejected by user request")
    if not case.instrument.tradable:
        raise unprocessable(f'asset "{case.order.symbol}" is not tradable')


def _time_in_force(case: Case) -> None:
    if not case.is_stock and case.order.time_in_force is TimeInForce.DAY:
        raise unprocessable("invalid crypto time_in_force")
    if not case.is_stock and case.order.order_type is SimulatedType.STOP:
        raise unprocessable("invalid order type for crypto order")


def _prices(case: Case) -> None:
    order, rules = case.order, case.rules
    if not rules.check_prices:
        return
    for name, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is None:
            continue
        if price <= 0:
            raise unprocessable(f"{name} must be > 0")
        if price % case.instrument.tick(price):
            reason = "sub-penny increment does not fulfill minimum pricing criteria"
            raise unprocessable(f"invalid {name} {plain(price)}. {reason}")
    _stop_side(case)


def _stop_side(case: Case) -> None:
    stop = case.order.stop_price
    if stop is None:
        return
    if case.order.side is Side.SELL and stop >= case.quote.bid:
        price = plain(case.quote.bid)
        raise unprocessable("stop price must be less than current price", market_price=price)
    if case.order.side is Side.BUY and stop <= case.quote.ask:
        price = plain(case.quote.ask)
        raise unprocessable("stop price must be greater than current price", market_price=price)


def _fractions(case: Case) -> None:
    order, step = case.order, case.instrument.quantity_step
    if not case.rules.check_fractions:
        return
    if order.quantity % step:
        if case.is_stock and step == 1:
            raise unprocessable(f'asset "{order.symbol}" is not fractionable')
        raise malformed(f"qty must be a multiple of {plain(step)}")
    if case.is_stock and not case.is_whole and order.time_in_force is not TimeInForce.DAY:
        raise unprocessable("fractional orders must be DAY orders")


def _minimum(case: Case) -> None:
    order, least = case.order, case.instrument.minimum_notional
    if not case.rules.check_minimum or (case.is_exit and not case.rules.minimum_for_exits):
        return
    price = order.limit_price or order.stop_price
    if price is None:
        price = case.quote.ask if order.side is Side.BUY else case.quote.bid
    if order.notional is not None and order.notional < least:
        raise unprocessable(f"notional amount must be >= {least:.2f}")
    if order.notional is None and order.quantity * price < least:
        raise forbidden(f"cost basis must be >= minimal amount of order {plain(least)}")
    if order.quantity < case.instrument.minimum_quantity:
        raise forbidden(f"minimum order size is {plain(case.instrument.minimum_quantity)}")


def _session(case: Case) -> None:
    if not case.market_open and not case.rules.queue_outside_session:
        raise unprocessable("market is closed")


def _wash_trade(case: Case) -> None:
    if not case.rules.check_wash_trades:
        return
    for other in case.books.open_orders(case.order.symbol):
        if other.side is case.order.side:
            continue
        reason = _crossing(case.order, other)
        if reason is not None:
            raise OrderConflict(
                "potential wash trade detected. use complex orders",
                blocking_order_id=other.id,
                details={"existing_order_id": other.id, "reject_reason": reason},
            )
        if case.held == 0:
            buys = case.order.side is Side.BUY
            words = "long buy while a short sell" if buys else "short sell while a long buy"
            raise OrderConflict(f"cannot open a {words} order is open", blocking_order_id=other.id)


def _crossing(order: SimulatedOrder, other: SimulatedOrder) -> str | None:
    if other.limit_price is None:
        return "opposite side market/stop order exists"
    if order.limit_price is not None:
        gap = order.limit_price - other.limit_price
        if gap * order.side.sign < 0:
            return None
    return "opposite side limit order exists"


def _position_intent(case: Case) -> None:
    """Refuse what the holding does not bear out; one still to be closed will have gone in a moment."""
    specified = case.order.position_intent
    inferred = PositionIntent.CLOSE if case.is_exit else PositionIntent.OPEN
    if not case.rules.check_position_intent or specified in (None, inferred):
        return
    side = case.order.side.lower()
    words = f"inferred: {side}_to_{inferred}, specified: {side}_to_{specified}"
    message = f"position intent mismatch, {words}"
    if inferred is PositionIntent.CLOSE:
        raise OrderConflict(message, blocking_order_id=None, code=42210000, status=422)
    raise unprocessable(message)


def _available_quantity(case: Case) -> None:
    """Refuse what would cross zero for good, and name the blocking order where shares are held."""
    order, existing = case.order, abs(case.held)
    sells_crypto = not case.is_stock and order.side is Side.SELL
    if not case.rules.check_available_quantity or not (case.is_exit or sells_crypto):
        return
    holders = [o for o in case.books.open_orders(order.symbol) if o.side is order.side]
    held_for_orders = sum((o.remaining for o in holders), ZERO)
    available = max(existing - held_for_orders, ZERO)
    if order.quantity <= available:
        return
    what = "qty available for order" if case.is_stock else f"balance for {case.instrument.base_asset}"
    message = f"insufficient {what} (requested: {plain(order.quantity)}, available: {plain(available)})"
    details: dict[str, str | list[str]] = {
        "symbol": order.symbol,
        "available": plain(available),
        "existing_qty": plain(existing),
        "held_for_orders": plain(held_for_orders),
    }
    if holders:
        details["related_orders"] = [o.id for o in holders]
    if holders and order.quantity <= existing:
        raise OrderConflict(message, blocking_order_id=holders[0].id, details=details)
    raise forbidden(message, **details)


def _shorting(case: Case) -> None:
    opens_short = case.order.side is Side.SELL and case.held <= 0 and case.is_stock
    if not case.rules.check_shorting or not opens_short:
        return
    if not case.rules.shorting_enabled or case.balances().equity < case.rules.minimum_short_equity:
        raise forbidden("account is not allowed to short")
    if not case.is_whole:
        raise unprocessable("fractional orders cannot be sold short")
    if not case.instrument.shortable:
        raise unprocessable(f'asset "{case.order.symbol}" cannot be sold short')


def _buying_power(case: Case) -> None:
    if not case.rules.check_buying_power:
        return
    cost = order_cost(case.books, case.order, case.quote, case.rules)
    if cost <= 0:
        return
    if case.is_stock:
        power = case.balances().buying_power
        if cost > power:
            raise forbidden("insufficient buying power", buying_power=plain(power), cost_basis=plain(cost))
        return
    available = case.balances().non_marginable_buying_power
    if cost > available:
        raise forbidden(
            f"insufficient balance for {case.instrument.quote_asset} "
            f"(requested: {plain(cost)}, available: {plain(available)})",
            symbol=case.instrument.quote_asset,
        )


CHECKS: tuple[Callable[[Case], None], ...] = (
    _unique_id,
    _tradable,
    _time_in_force,
    _prices,
    _fractions,
    _minimum,
    _session,
    _wash_trade,
    _position_intent,
    _available_quantity,
    _shorting,
    _buying_power,
)
