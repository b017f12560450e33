"""What was wanted (`OrderIntent`), what is known (`Order`), what traded (`Fill`): three types, never one."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.money import ZERO


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class MarginMode(StrEnum):
    """What stands for a leveraged position: its own margin only, or the whole account."""

    ISOLATED = "isolated"
    CROSS = "cross"


class OrderState(StrEnum):
    """The life of an order: NEW → SUBMITTED → PARTIALLY_FILLED → FILLED, or another end.

    NEW: our row stands, the broker has not answered. IN_DOUBT: it may or may not have
    arrived and is being looked up. NOT_RECEIVED: it certainly never arrived.
    """

    NEW = "NEW"
    IN_DOUBT = "IN_DOUBT"
    SUBMITTED = "SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    NOT_RECEIVED = "NOT_RECEIVED"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset(
    {
        OrderState.FILLED,
        OrderState.REJECTED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.NOT_RECEIVED,
    }
)
OPEN = frozenset(OrderState) - FINAL
AT_BROKER = frozenset({OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """One order as we ask for it. Prices and quantity are already rounded by the instrument.

    `closes_account_position` tells a broker that can be told (reduce-only, position intent) whether
    this order only reduces what the whole account holds; None says nothing about it. `reduce_only`
    says that it is an exit which may never open anything. `leverage` and `margin_mode` belong to
    entries at brokers that lend. `stop_loss` and `take_profit` are prices that the broker is to watch
    for what this entry fills, at brokers that hold protection.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    closes_account_position: bool | None = None
    reduce_only: bool = False
    leverage: int | None = None
    margin_mode: MarginMode | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise ValueError(f"quantity must be above zero, got {self.quantity}")
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError("limit_price belongs to limit orders and only to them")
        if (self.order_type is OrderType.STOP) != (self.stop_price is not None):
            raise ValueError("stop_price belongs to stop orders and only to them")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as the broker knows it.

    `filled_quantity`, `average_price` and `fee` are cumulative over the order. `fee` is an
    amount of `fee_asset`: the quote currency, or the base asset where the broker takes its
    fee from what was bought. `message` is the broker's words about a bad end.
    """

    broker_order_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    state: OrderState
    filled_quantity: Decimal = ZERO
    average_price: Decimal | None = None
    fee: Decimal = ZERO
    fee_asset: str | None = None
    message: str | None = None
    submitted_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A piece of an order that traded. `quantity` is positive; `fee` is an amount of `fee_asset`."""

    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime
    fee: Decimal = ZERO
    fee_in_base: bool = False
