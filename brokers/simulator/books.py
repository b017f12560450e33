"""The books of one simulated account: what was asked, what rests, what traded, what is held."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.instrument import AssetClass, Instrument
from core.money import ZERO
from core.order import Order, OrderIntent, OrderState, OrderType, Side


class SimulatedType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"

    @property
    def has_limit(self) -> bool:
        return self in (SimulatedType.LIMIT, SimulatedType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        return self in (SimulatedType.STOP, SimulatedType.STOP_LIMIT)


class TimeInForce(StrEnum):
    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"


class PositionIntent(StrEnum):
    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """One order as a client asks for it: wider than `OrderIntent`, as a broker's interface is.

    Exactly one of `quantity` and `notional` (money in the quote currency) is given. A
    `position_intent` that the account's holding does not bear out gets the order refused.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal | None = None
    notional: Decimal | None = None
    order_type: SimulatedType = SimulatedType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    position_intent: PositionIntent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOrder:
    """One accepted order with all that the simulator knows of it.

    `active_from` is the opening it waits for, `expires_at` the close at which it ends (None:
    never). `triggered` says that a stop has been touched. `fee` is an amount of `fee_asset`.
    `filled_at` is the time of the last execution, `ended_at` that of any end but FILLED.
    """

    id: str
    client_order_id: str
    symbol: str
    asset_class: AssetClass
    side: Side
    quantity: Decimal
    notional: Decimal | None = None
    order_type: SimulatedType
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce
    position_intent: PositionIntent | None = None
    state: OrderState = OrderState.SUBMITTED
    filled_quantity: Decimal = ZERO
    average_price: Decimal | None = None
    fee: Decimal = ZERO
    fee_asset: str
    triggered: bool = False
    message: str | None = None
    submitted_at: datetime
    updated_at: datetime
    active_from: datetime
    expires_at: datetime | None = None
    filled_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled_quantity

    @property
    def is_open(self) -> bool:
        return not self.state.is_final

    def as_order(self) -> Order:
        """Return the order as the broker protocol shows it; a stop-limit order shows as a stop."""
        shown = OrderType.STOP if self.order_type.has_stop else OrderType(self.order_type.value)
        return Order(
            broker_order_id=self.id,
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.side,
            quantity=self.quantity,
            order_type=shown,
            state=self.state,
            filled_quantity=self.filled_quantity,
            average_price=self.average_price,
            fee=self.fee,
            fee_asset=self.fee_asset if self.fee else None,
            message=self.message,
            submitted_at=self.submitted_at,
            updated_at=self.updated_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One piece of an order that traded.

    `cumulative_quantity` is the order's filled quantity after it, and with the order's id its
    key; `position_quantity` is the account's signed holding after it. `fee` is an amount of
    `fee_asset`: the instrument's base asset where `fee_in_base`, else its quote currency.
    """

    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    fee_in_base: bool
    cumulative_quantity: Decimal
    position_quantity: Decimal
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the account holds in a symbol: `quantity` is signed, `average_price` that of its entries.

    `realized` is what closing trades brought since the account began, net of all fees.
    """

    symbol: str
    quantity: Decimal = ZERO
    average_price: Decimal = ZERO
    realized: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Books:
    """All that is remembered of one account; records are frozen and replaced, never edited.

    `account` names the account: order ids are made from it. `used_client_order_ids` holds
    ids that may not be used again although their orders are not in `orders`: whoever keeps
    the books elsewhere need not load every old order.
    """

    account: str
    cash: Decimal
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, SimulatedOrder] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    used_client_order_ids: set[str] = field(default_factory=set)

    def holding(self, symbol: str) -> Holding:
        """Return the holding of a symbol, an empty one where nothing is held."""
        return self.holdings.get(symbol) or Holding(symbol=symbol)

    def open_orders(self, symbol: str | None = None) -> list[SimulatedOrder]:
        """Return the orders that are not final, oldest first."""
        found = [o for o in self.orders.values() if o.is_open and symbol in (None, o.symbol)]
        return sorted(found, key=lambda order: order.submitted_at)

    def by_client_order_id(self, client_order_id: str) -> SimulatedOrder | None:
        """Return the order with this id of the client's, or None."""
        return next((o for o in self.orders.values() if o.client_order_id == client_order_id), None)


INTENDED = {True: PositionIntent.CLOSE, False: PositionIntent.OPEN, None: None}


def request_from_intent(intent: OrderIntent, instrument: Instrument) -> OrderRequest:
    """Read an intent as a request.

    Stock orders are good for the day and say what they do where that is known, crypto orders are good until
    cancelled and do not: as with Alpaca.
    """
    stock = instrument.asset_class is AssetClass.STOCK
    intended = INTENDED[intent.closes_account_position]
    return OrderRequest(
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        order_type=SimulatedType(intent.order_type.value),
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        time_in_force=TimeInForce.DAY if stock else TimeInForce.GTC,
        position_intent=intended if stock else None,
    )
