"""A desk to trade at in tests of the simulator."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from brokers.simulator import (
    Books,
    OrderRequest,
    Rules,
    SimulatedOrder,
    SimulatedType,
    Simulator,
    TimeInForce,
)
from core.order import Side
from tests.contract.pinned_market import PinnedMarket

D = Decimal
FRIDAY = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SATURDAY = FRIDAY + timedelta(days=1)
MONDAY = FRIDAY + timedelta(days=3)


Act = Callable[["Desk"], object]


class Desk:
    """A simulator with pinned prices and a count of its orders."""

    def __init__(self, cash: str = "100000", **rules: Any) -> None:
        self.market = PinnedMarket()
        self.market.pin("AAPL", "199.95", "200.05")
        self.market.pin("BTC/USD", "59990", "60010")
        self.now = FRIDAY
        self.simulator = Simulator(Books(account="test", cash=D(cash)), self.market, Rules(**rules))

    @property
    def books(self) -> Books:
        return self.simulator.books

    def submit(self, side: Side, quantity: str | None, symbol: str = "AAPL", **more: Any) -> SimulatedOrder:
        crypto = "/" in symbol
        request = OrderRequest(
            client_order_id=more.pop("client_order_id", f"order{len(self.books.orders)}"),
            symbol=symbol,
            side=side,
            quantity=None if quantity is None else D(quantity),
            time_in_force=more.pop("time_in_force", TimeInForce.GTC if crypto else TimeInForce.DAY),
            **more,
        )
        return self.simulator.submit(request, self.now)

    def buy(self, quantity: str | None, symbol: str = "AAPL", **more: Any) -> SimulatedOrder:
        return self.submit(Side.BUY, quantity, symbol, **more)

    def sell(self, quantity: str | None, symbol: str = "AAPL", **more: Any) -> SimulatedOrder:
        return self.submit(Side.SELL, quantity, symbol, **more)

    def limit_buy(self, quantity: str, price: str, **more: Any) -> SimulatedOrder:
        return self.buy(quantity, order_type=SimulatedType.LIMIT, limit_price=D(price), **more)

    def limit_sell(self, quantity: str, price: str, **more: Any) -> SimulatedOrder:
        return self.sell(quantity, order_type=SimulatedType.LIMIT, limit_price=D(price), **more)

    def stop_sell(self, quantity: str, price: str) -> SimulatedOrder:
        return self.sell(quantity, order_type=SimulatedType.STOP, stop_price=D(price))

    def order(self, order: SimulatedOrder) -> SimulatedOrder:
        return self.books.orders[order.id]
