"""The simulated broker itself: take, cancel, match and expire the orders of one account."""

import hashlib
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from brokers.simulator.books import (
    Books,
    Execution,
    OrderRequest,
    SimulatedOrder,
    TimeInForce,
    request_from_intent,
)
from brokers.simulator.checks import Case, check_all
from brokers.simulator.filling import (
    after_posting,
    after_trade,
    fee_of,
    is_triggered,
    piece,
    takes_fee_in_base,
    trade_price,
)
from brokers.simulator.refusals import OrderRejected, malformed
from brokers.simulator.rules import Rules, Venue
from brokers.simulator.valuation import Balances, balances
from core.errors import Rejected
from core.instrument import Instrument, Quote
from core.money import ZERO, floor_to_step
from core.order import OrderIntent, OrderState


class Simulator:
    """Work one account's `books` by `rules` against the prices of `venue`.

    No call waits, reads a clock or touches anything but the books; the same calls in the same
    order give the same books. Not safe across threads: whoever owns the books keeps a lock.
    """

    def __init__(self, books: Books, venue: Venue, rules: Rules | None = None) -> None:
        self.books = books
        self.venue = venue
        self.rules = rules or Rules()

    def submit(self, request: OrderRequest, now: datetime) -> SimulatedOrder:
        """Take an order, and trade it at once where it can be (see `Rules.fill_on_submit`).

        Raises `OrderRejected` or `OrderConflict`; the books are then as before.
        """
        instrument = self._instrument(request.symbol)
        order = self._draft(request, instrument, now)
        check_all(
            Case(
                order=order,
                books=self.books,
                rules=self.rules,
                instrument=instrument,
                quote=self._quote(instrument.symbol, now),
                market_open=order.active_from <= now,
                balances=lambda: self.balances(now),
            )
        )
        self._put(order)
        return self.work(order.id, now) if self.rules.fill_on_submit else order

    def submit_intent(self, intent: OrderIntent, now: datetime) -> SimulatedOrder:
        """Take one of our own intents; see `submit` and `request_from_intent`."""
        return self.submit(request_from_intent(intent, self._instrument(intent.symbol)), now)

    def cancel(self, order_id: str, now: datetime) -> SimulatedOrder:
        """Cancel an order; one that is final stays as it is. Raises `OrderRejected` for an unknown id."""
        order = self._order(order_id)
        return self._end(order, OrderState.CANCELED, now) if order.is_open else order

    def advance(self, now: datetime) -> tuple[SimulatedOrder, ...]:
        """Work every open order once, oldest first, and return those that changed."""
        before = self.books.open_orders()
        return tuple(after for order in before if (after := self.work(order.id, now)) != order)

    def work(self, order_id: str, now: datetime) -> SimulatedOrder:
        """Expire, trigger or trade one order as far as its price and time allow."""
        order = self._order(order_id)
        if not order.is_open or now < order.active_from:
            return order
        if order.expires_at is not None and now >= order.expires_at:
            return self._end(order, OrderState.EXPIRED, now)
        quote = self._quote(order.symbol, now)
        if is_triggered(order, quote):
            if order.stop_price is not None and not order.triggered:
                order = self._put(replace(order, triggered=True, updated_at=now))
            order = self._trade(order, quote, now)
        if order.is_open and order.time_in_force is TimeInForce.IOC:
            return self._end(order, OrderState.CANCELED, now)
        return order

    def fill(self, order_id: str, quantity: Decimal, price: Decimal, now: datetime) -> Execution:
        """Trade a piece of an order at a given price, whatever the market says."""
        order = self._order(order_id)
        if not order.is_open or not ZERO < quantity <= order.remaining:
            raise ValueError(f"{quantity} of order {order_id} cannot be filled")
        return self._post(order, quantity, price, now)

    def reject(self, order_id: str, message: str, now: datetime) -> SimulatedOrder:
        """End an accepted order as rejected, as a broker may do after it took it."""
        return self._end(replace(self._order(order_id), message=message), OrderState.REJECTED, now)

    def expire(self, order_id: str, now: datetime) -> SimulatedOrder:
        """End an open order as expired, whatever its time in force says."""
        return self._end(self._order(order_id), OrderState.EXPIRED, now)

    def set_holding(self, symbol: str, quantity: Decimal, price: Decimal, now: datetime) -> None:
        """Change a holding from outside at a price, as by a hand, a liquidation or a split.

        Open orders in the symbol are cancelled.
        """
        for order in self.books.open_orders(symbol):
            self._end(order, OrderState.CANCELED, now)
        holding = self.books.holding(symbol)
        change = quantity - holding.quantity
        self.books.cash -= change * price
        realized = holding.realized + holding.quantity * (price - holding.average_price)
        average = price if quantity else ZERO
        self.books.holdings[symbol] = replace(
            holding, quantity=quantity, average_price=average, realized=realized
        )

    def balances(self, now: datetime) -> Balances:
        """Value the account at the venue's prices of `now`."""
        return balances(
            self.books,
            self.rules,
            lambda symbol: self._quote(symbol, now),
            lambda symbol: self.venue.instrument(symbol).asset_class,
        )

    def available_quantity(self, symbol: str) -> Decimal:
        """Return how much of a holding no open order has a claim on (signed like the holding)."""
        quantity = self.books.holding(symbol).quantity
        claims = sum(
            (o.remaining for o in self.books.open_orders(symbol) if o.side.sign * quantity < 0), ZERO
        )
        free = max(abs(quantity) - claims, ZERO)
        return free if quantity >= 0 else -free

    def _instrument(self, symbol: str) -> Instrument:
        try:
            return self.venue.instrument(symbol)
        except Rejected as error:
            raise malformed(f'asset "{symbol}" not found') from error

    def _quote(self, symbol: str, now: datetime) -> Quote:
        return self.venue.quote(symbol, now)

    def _order(self, order_id: str) -> SimulatedOrder:
        order = self.books.orders.get(order_id)
        if order is None:
            raise OrderRejected(f"order not found for {order_id}", code=40410000, status=404)
        return order

    def _put(self, order: SimulatedOrder) -> SimulatedOrder:
        self.books.orders[order.id] = order
        self.books.used_client_order_ids.add(order.client_order_id)
        return order

    def _draft(self, request: OrderRequest, instrument: Instrument, now: datetime) -> SimulatedOrder:
        _check_shape(request)
        clock = self.venue.clock(instrument.asset_class, now)
        is_day = request.time_in_force is TimeInForce.DAY
        in_base = takes_fee_in_base(request.side, instrument)
        return SimulatedOrder(
            id=self._order_id(request.client_order_id),
            client_order_id=request.client_order_id,
            symbol=instrument.symbol,
            asset_class=instrument.asset_class,
            side=request.side,
            quantity=self._quantity(request, instrument, now),
            notional=request.notional,
            order_type=request.order_type,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            time_in_force=request.time_in_force,
            position_intent=request.position_intent,
            fee_asset=(instrument.base_asset or "") if in_base else instrument.quote_asset,
            submitted_at=now,
            updated_at=now,
            active_from=now if clock.is_open or clock.next_open is None else clock.next_open,
            expires_at=clock.next_close if is_day else None,
        )

    def _quantity(self, request: OrderRequest, instrument: Instrument, now: datetime) -> Decimal:
        if request.quantity is not None:
            return request.quantity
        assert request.notional is not None  # noqa: S101 - held by _check_shape
        price = request.limit_price or self._quote(instrument.symbol, now).ask
        return floor_to_step(request.notional / price, instrument.quantity_step)

    def _order_id(self, client_order_id: str) -> str:
        again = sum(o.client_order_id == client_order_id for o in self.books.orders.values())
        name = f"{self.books.account}|{client_order_id}|{again}"
        return str(UUID(bytes=hashlib.blake2b(name.encode(), digest_size=16).digest(), version=4))

    def _trade(self, order: SimulatedOrder, quote: Quote, now: datetime) -> SimulatedOrder:
        price = trade_price(order, quote)
        if price is None:
            return order
        instrument = self.venue.instrument(order.symbol)
        self._post(order, piece(order, instrument, price, self.rules), price, now)
        return self._order(order.id)

    def _post(self, order: SimulatedOrder, quantity: Decimal, price: Decimal, now: datetime) -> Execution:
        instrument = self.venue.instrument(order.symbol)
        fee = fee_of(order.side, instrument, quantity, price, self.rules)
        in_base = takes_fee_in_base(order.side, instrument)
        signed = quantity * order.side.sign
        held = self.books.holding(order.symbol)
        execution = Execution(
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_asset=order.fee_asset,
            fee_in_base=in_base,
            cumulative_quantity=order.filled_quantity + quantity,
            position_quantity=held.quantity + signed - (fee if in_base else ZERO),
            at=now,
        )
        self.books.holdings[order.symbol] = after_posting(held, execution)
        self.books.cash -= signed * price + (ZERO if in_base else fee)
        self.books.executions.append(execution)
        self._put(after_trade(order, execution))
        return execution

    def _end(self, order: SimulatedOrder, state: OrderState, now: datetime) -> SimulatedOrder:
        return self._put(replace(order, state=state, updated_at=now, ended_at=now))


def _check_shape(request: OrderRequest) -> None:
    if not 0 < len(request.client_order_id) <= 128:
        raise malformed("client_order_id must be no more than 128 characters")
    if request.quantity is None and request.notional is None:
        raise malformed("qty or notional is required")
    if request.quantity is not None and request.notional is not None:
        raise malformed("only one of qty or notional is accepted")
    if (request.quantity or request.notional or ZERO) <= 0:
        raise malformed("qty must be > 0" if request.quantity is not None else "notional must be > 0")
    kind = request.order_type
    _check_price(kind.has_limit, request.limit_price, "limit", kind.value)
    _check_price(kind.has_stop, request.stop_price, "stop", kind.value)


def _check_price(wanted: bool, price: Decimal | None, name: str, kind: str) -> None:
    if wanted and price is None:
        raise malformed(f"{kind.lower()} orders require {name} price")
    if not wanted and price is not None:
        raise malformed(f"{kind.lower()} orders require no {name} price")
