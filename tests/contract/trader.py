"""A trader at any broker: what it trades, in which world, and in few words what it does."""

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import pytest

from brokers.base import Broker
from core.money import ZERO
from core.order import Order, OrderIntent, OrderState, OrderType, Side

D = Decimal
START = D(100_000)
AAPL_BID, AAPL_ASK = D("199.95"), D("200.05")
BTC_BID, BTC_ASK = D("59990"), D("60010")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a broker trades, so that one suite can trade it.

    `bid` and `ask` are the first prices of `symbol`, `below` a limit well under them on a tick, `off_tick` one
    between two ticks, `step` the smallest size, `size` what a test usually trades, `too_much` what nobody can
    pay, `leverage` what an order's value is divided by to get what it ties up. `taken_code` is the broker's code
    for an id that is used, `fee_rate` what a taker pays.
    """

    symbol: str
    spellings: tuple[str, ...]
    bid: Decimal
    ask: Decimal
    other: tuple[str, Decimal, Decimal]
    size: Decimal
    below: Decimal
    off_tick: Decimal
    too_much: Decimal
    currency: str
    taken_code: str
    leverage: int = 1
    step: Decimal = ZERO
    fee_rate: Decimal = ZERO
    unknown: tuple[str, ...] = ("NOSUCHTHING", "EUR/XYZ")

    @property
    def spread(self) -> Decimal:
        return self.ask - self.bid


STOCKS = Terms(
    symbol="AAPL",
    spellings=("AAPL", "aapl"),
    bid=AAPL_BID,
    ask=AAPL_ASK,
    other=("BTC/USD", BTC_BID, BTC_ASK),
    size=D(10),
    below=D("190.00"),
    off_tick=D("190.123"),
    too_much=D(1_000_000),
    currency="USD",
    taken_code="40010001",
)


class Harness(Protocol):
    """The broker under test and the world around it.

    `settle` returns when everything that can fill at the present prices has filled and the
    broker knows of it. The market is open at first; closing and opening it may move the clock on.
    """

    @property
    def broker(self) -> Broker: ...
    def settle(self) -> None: ...
    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None: ...
    def open_market(self) -> None: ...
    def close_market(self) -> None: ...


def new_id() -> str:
    """Return a client order id as the engine makes them: 32 letters and digits."""
    return uuid.uuid4().hex


class Trader:
    """Say what a test does in a trader's words; every order is found again after it settled."""

    def __init__(self, harness: Harness, terms: Terms = STOCKS) -> None:
        self.harness = harness
        self.broker = harness.broker
        self.terms = terms

    def submit(
        self,
        side: Side,
        symbol: str,
        quantity: Decimal | str | int,
        *,
        closes: bool = False,
        limit: Decimal | None = None,
        stop: Decimal | None = None,
        client_order_id: str | None = None,
        **more: Any,
    ) -> Order:
        """Submit an order and return the broker's first answer."""
        kind = (
            OrderType.LIMIT if limit is not None else OrderType.STOP if stop is not None else OrderType.MARKET
        )
        intent = OrderIntent(
            client_order_id=client_order_id or new_id(),
            symbol=symbol,
            side=side,
            quantity=D(quantity),
            order_type=kind,
            limit_price=limit,
            stop_price=stop,
            closes_account_position=closes,
            **more,
        )
        return self.broker.submit(intent)

    def buy(self, **more: Any) -> Order:
        """Submit a buy of the usual thing and size."""
        return self.submit(Side.BUY, self.terms.symbol, self.terms.size, **more)

    def settled(self, order: Order) -> Order:
        """Let everything settle and return the order as it then is."""
        self.harness.settle()
        found = self.broker.find_order(order.client_order_id)
        assert found is not None
        return found

    def trade(
        self, side: Side, symbol: str, quantity: Decimal | str | int, *, closes: bool = False, **more: Any
    ) -> Order:
        """Trade at the market and return the filled order."""
        order = self.settled(self.submit(side, symbol, quantity, closes=closes, **more))
        assert order.state is OrderState.FILLED
        return order


@pytest.fixture
def trader(harness: Harness, request: pytest.FixtureRequest) -> Trader:
    terms: Terms = getattr(request.cls, "terms", STOCKS)
    harness.set_price(terms.symbol, terms.bid, terms.ask)
    harness.set_price(*terms.other)
    return Trader(harness, terms)
