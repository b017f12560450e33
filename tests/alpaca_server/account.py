"""One account at the server: the simulator's books, and what Alpaca adds to them.

An order is accepted, routed ("new"), filled after a while in one piece or two, and every step
goes to the stream. Orders that have ended leave the books, so that thousands of them cost nothing.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from brokers.simulator import Books, Execution, OrderRejected, Rules, SimulatedOrder, Simulator, TimeInForce
from core.instrument import AssetClass, symbol_key
from core.order import OrderState, Side
from tests.alpaca_server import wire
from tests.alpaca_server.market import LocalMarket
from tests.alpaca_server.reading import read_request

Json = dict[str, Any]

START_CASH = Decimal(100_000)


@dataclass(slots=True, kw_only=True)
class Settings:
    """What all accounts share and tests may turn; delays are in seconds.

    `hold_fills` leaves orders resting until fills are ordered by hand. `requests_per_minute`
    of 0 sets no limit (Alpaca's is 200).
    """

    seed: str = "1"
    fill_delay: float = 0.0
    cancel_delay: float = 0.0
    hold_fills: bool = False
    partial_fill_share: Decimal = Decimal("0.1")
    full_fill_notional: Decimal | None = None
    requests_per_minute: int = 0
    binary_frames: bool = True
    mute_streams: bool = False


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class AlpacaAccount:
    """Carry one API key's account; `publish` sends a frame to its stream."""

    key: str
    secret: str
    market: LocalMarket
    settings: Settings
    publish: Callable[[Json], None]
    cash: Decimal = START_CASH
    flags: Json = field(default_factory=dict)
    created: datetime = field(default_factory=now_utc)
    simulator: Simulator = field(init=False)
    accepted: list[str] = field(default_factory=list)
    received_at: dict[str, float] = field(default_factory=dict)
    by_client_id: dict[str, str] = field(default_factory=dict)
    ended: dict[str, SimulatedOrder] = field(default_factory=dict)
    routed: set[str] = field(default_factory=set)
    cancelling: set[str] = field(default_factory=set)
    forced_status: dict[str, str] = field(default_factory=dict)
    activities: list[Json] = field(default_factory=list)
    unposted: list[Execution] = field(default_factory=list)
    updates: int = 0
    pending: int = 0

    def __post_init__(self) -> None:
        books = Books(account=self.key, cash=self.cash)
        self.simulator = Simulator(books, self.market, self._rules())

    def apply_settings(self) -> None:
        """Take over settings that the simulator's rules hold."""
        self.simulator.rules = self._rules()

    def submit(self, body: Json) -> Json:
        """Accept an order and start its life; raises the simulator's refusals."""
        request = read_request(body)
        order = self.simulator.submit(request, now_utc())
        self.accepted.append(order.id)
        self.received_at[order.id] = time.time()
        self.by_client_id[order.client_order_id] = order.id
        answer = self.json(order)
        self._later(0, self._route, order.id)
        return answer

    def cancel(self, order_id: str) -> None:
        """Start cancelling; raises 404 for an unknown order, 422 for one that has ended."""
        order = self.order(order_id)
        if not order.is_open:
            words = f'order is already in "{self.status(order)}" state'
            raise OrderRejected(words, code=42210000, status=422)
        self.cancelling.add(order_id)
        self._later(self.settings.cancel_delay, self._finish_cancel, order_id)

    def order(self, order_id: str) -> SimulatedOrder:
        """Return an order, open or ended; raises 404."""
        found = self.simulator.books.orders.get(order_id) or self.ended.get(order_id)
        if found is None:
            raise OrderRejected(f"order not found for {order_id}", code=40410000, status=404)
        return found

    def by_client_order_id(self, client_order_id: str) -> SimulatedOrder:
        """Return an order by the client's id; raises 404."""
        order_id = self.by_client_id.get(client_order_id)
        if order_id is None:
            raise OrderRejected(f"order not found for {client_order_id}", code=40410000, status=404)
        return self.order(order_id)

    def orders(self) -> list[SimulatedOrder]:
        """Return every order ever accepted, the oldest first."""
        return [self.order(order_id) for order_id in self.accepted]

    def open_orders(self) -> list[SimulatedOrder]:
        """Return the orders that are not final, the oldest first."""
        return self.simulator.books.open_orders()

    def json(self, order: SimulatedOrder) -> Json:
        """Return an order as the API shows it."""
        asset = self.market.assets[symbol_key(order.symbol)]
        return wire.order_json(order, asset, self.status(order))

    def status(self, order: SimulatedOrder) -> str:
        """Return Alpaca's word for where the order stands."""
        if order.id in self.forced_status:
            return self.forced_status[order.id]
        if not order.is_open:
            return wire.STATUSES[order.state]
        if order.id in self.cancelling:
            return "pending_cancel"
        if order.state is OrderState.PARTIALLY_FILLED:
            return "partially_filled"
        if order.id in self.routed:
            return "new"
        return "accepted" if order.asset_class is AssetClass.STOCK else "pending_new"

    def positions(self) -> list[Json]:
        """Return every holding that is not zero."""
        held = [holding for holding in self.simulator.books.holdings.values() if holding.quantity]
        return [self.position(holding.symbol) for holding in held]

    def position(self, symbol: str) -> Json:
        """Return one holding by any spelling; raises 404 when there is none."""
        asset = self.market.asset(symbol)
        holding = self.simulator.books.holding(asset.symbol) if asset else None
        if asset is None or holding is None or not holding.quantity:
            raise OrderRejected("position does not exist", code=40410000, status=404)
        quote = self.market.quote(asset.symbol, now_utc())
        return wire.position_json(holding, asset, quote, self.simulator.available_quantity(asset.symbol))

    def close_position(self, symbol: str, quantity: Decimal | None, percentage: Decimal | None) -> Json:
        """Close a holding or a part of it by a market order and return that order."""
        held = Decimal(self.position(symbol)["qty"])
        asset = self.market.instrument(symbol)
        wanted = abs(held) if percentage is None else asset.round_quantity(abs(held) * percentage / 100)
        return self.submit(
            {
                "symbol": asset.symbol,
                "qty": str(quantity or wanted),
                "side": "sell" if held > 0 else "buy",
                "type": "market",
                "time_in_force": "day" if asset.asset_class is AssetClass.STOCK else "gtc",
                "client_order_id": str(uuid4()),
            }
        )

    def account(self) -> Json:
        """Return the Account object."""
        return wire.account_json(self.key, self.simulator.balances(now_utc()), self.flags, self.created)

    def price_changed(self, symbol: str) -> None:
        """Work the orders in a symbol whose price has moved."""
        for order in self.simulator.books.open_orders(symbol):
            self._work(order.id)

    def market_opened(self) -> None:
        """Let the stock orders that waited for the open go."""
        now = now_utc()
        for order in self.open_orders():
            if order.active_from > now:
                close = self.market.clock(order.asset_class, now).next_close
                day = order.time_in_force is TimeInForce.DAY
                self.simulator.books.orders[order.id] = replace(
                    order, active_from=now, expires_at=close if day else None
                )
                self._route(order.id)

    def market_closed(self) -> None:
        """Expire the stock orders that were good for the day."""
        now = now_utc()
        for order in self.open_orders():
            if order.time_in_force is TimeInForce.DAY and order.active_from <= now:
                self._tell(self.simulator.expire(order.id, now))

    def fill_by_hand(self, order_id: str, quantity: Decimal | None, price: Decimal | None) -> None:
        """Fill an order or a piece of it now, whatever the market says."""
        order = self.order(order_id)
        now = now_utc()
        quote = self.market.quote(order.symbol, now)
        at = price or (quote.ask if order.side is Side.BUY else quote.bid)
        self.routed.add(order_id)
        self.simulator.fill(order_id, quantity or order.remaining, at, now)
        self._tell_execution()

    def end_by_hand(self, order_id: str, how: str, message: str) -> None:
        """Reject, expire or cancel an open order on the broker's own account."""
        now = now_utc()
        if how == "reject":
            self._tell(self.simulator.reject(order_id, message, now))
        elif how == "expire":
            self._tell(self.simulator.expire(order_id, now))
        elif how == "cancel":
            self._tell(self.simulator.cancel(order_id, now))
        else:
            raise ValueError(how)

    def hold(self, symbol: str, quantity: Decimal, price: Decimal | None) -> None:
        """Change a holding from outside; open orders in the symbol end as cancelled."""
        name = self.market.instrument(symbol).symbol
        open_before = self.simulator.books.open_orders(name)
        at = price or self.market.quote(name, now_utc()).bid
        self.simulator.set_holding(name, quantity, at, now_utc())
        for order in open_before:
            self._tell(self.order(order.id))

    def post_fees(self) -> int:
        """Post the fees of all executions so far as activities; return how many."""
        now = now_utc()
        posted = [
            wire.fee_json(execution, f"{now:%Y%m%d}000000000::{uuid4()}", now) for execution in self.unposted
        ]
        self.unposted.clear()
        self.activities.extend(posted)
        return len(posted)

    def _rules(self) -> Rules:
        return Rules(
            shorting_enabled=bool(self.flags.get("shorting_enabled", True)),
            trading_blocked=bool(self.flags.get("trading_blocked", False)),
            fill_on_submit=False,
            full_fill_notional=self.settings.full_fill_notional,
            partial_fill_share=self.settings.partial_fill_share,
            seed=self.settings.seed,
        )

    def _later(self, delay: float, step: Callable[[str], None], order_id: str) -> None:
        self.pending += 1
        loop = asyncio.get_running_loop()
        if delay > 0:
            loop.call_later(delay, self._step, step, order_id)
        else:
            loop.call_soon(self._step, step, order_id)

    def _step(self, step: Callable[[str], None], order_id: str) -> None:
        self.pending -= 1
        step(order_id)

    def _route(self, order_id: str) -> None:
        order = self.simulator.books.orders.get(order_id)
        if order is None or order.active_from > now_utc():
            return
        self.routed.add(order_id)
        self._publish("new", order, None)
        self._later(self.settings.fill_delay, self._work, order_id)

    def _work(self, order_id: str) -> None:
        order = self.simulator.books.orders.get(order_id)
        if order is None or self.settings.hold_fills or order_id not in self.routed:
            return
        if order.asset_class is AssetClass.STOCK and not self.market.is_open:
            return
        before = len(self.simulator.books.executions)
        after = self.simulator.work(order_id, now_utc())
        if len(self.simulator.books.executions) > before:
            self._tell_execution()
            if after.is_open:
                self._later(self.settings.fill_delay, self._work, order_id)
        if not after.is_open and after.state is not OrderState.FILLED:
            self._tell(after)

    def _finish_cancel(self, order_id: str) -> None:
        order = self.simulator.books.orders.get(order_id)
        self.cancelling.discard(order_id)
        if order is not None and order.is_open:
            self._tell(self.simulator.cancel(order_id, now_utc()))

    def _tell_execution(self) -> None:
        execution = self.simulator.books.executions[-1]
        order = self.order(execution.order_id)
        if execution.fee:
            self.unposted.append(execution)
        done = execution.cumulative_quantity == order.quantity
        if not order.is_open and not done:
            order = replace(order, state=OrderState.PARTIALLY_FILLED)
        self._publish("fill" if done else "partial_fill", order, execution)
        self._put_away(order)

    def _tell(self, order: SimulatedOrder) -> None:
        self._publish(wire.STATUSES[order.state], order, None)
        self._put_away(order)

    def _publish(self, event: str, order: SimulatedOrder, execution: Execution | None) -> None:
        self.updates += 1
        self.publish(wire.trade_update(event, self.json(order), execution, now_utc(), self.updates))

    def _put_away(self, order: SimulatedOrder) -> None:
        if not order.is_open:
            self.ended[order.id] = order
            self.simulator.books.orders.pop(order.id, None)
            self.cancelling.discard(order.id)
