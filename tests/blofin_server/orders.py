"""What an account of the local BloFin holds: orders, protection, trigger orders, positions, fills."""

from dataclasses import dataclass, field
from decimal import Decimal

ZERO = Decimal(0)
OPEN_STATES = ("live", "partially_filled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """A stop and a target; an order price of -1 means by market."""

    tp_trigger: Decimal | None = None
    tp_price: Decimal | None = None
    sl_trigger: Decimal | None = None
    sl_price: Decimal | None = None

    def __bool__(self) -> bool:
        return self.tp_trigger is not None or self.sl_trigger is not None


@dataclass(slots=True, kw_only=True)
class Order:
    """One order; `size` and `filled` in contracts, `value` the sum of price times size."""

    id: str
    client_id: str
    inst_id: str
    margin_mode: str
    position_side: str
    side: str
    kind: str
    price: Decimal | None
    size: Decimal
    reduce_only: bool
    leverage: int
    created: int
    updated: int
    exits: Exits = field(default_factory=Exits)
    category: str = "normal"
    broker_id: str = ""
    algo_id: str = ""
    algo_client_id: str = ""
    state: str = "live"
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    pnl: Decimal = ZERO
    cancel_source: str = "not_canceled"
    cancel_reason: str | None = None
    rested: bool = False
    protection_id: str = ""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def remaining(self) -> Decimal:
        return self.size - self.filled

    @property
    def average(self) -> Decimal:
        return self.value / self.filled if self.filled else ZERO

    @property
    def position_key(self) -> tuple[str, str, str]:
        return (self.inst_id, self.margin_mode, self.position_side)

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1


@dataclass(slots=True, kw_only=True)
class Protection:
    """A TP/SL order; `size` is None where it means the whole position."""

    id: str
    client_id: str
    inst_id: str
    margin_mode: str
    position_side: str
    side: str
    size: Decimal | None
    reduce_only: bool
    leverage: int
    created: int
    exits: Exits
    broker_id: str = ""
    state: str = "live"
    actual_size: Decimal | None = None
    actual_side: str | None = None

    @property
    def position_key(self) -> tuple[str, str, str]:
        return (self.inst_id, self.margin_mode, self.position_side)


@dataclass(slots=True, kw_only=True)
class TriggerOrder:
    """An algo order: an ordinary order that is sent once the last price comes to `trigger`."""

    id: str
    client_id: str
    inst_id: str
    margin_mode: str
    position_side: str
    side: str
    size: Decimal | None
    reduce_only: bool
    leverage: int
    created: int
    trigger: Decimal
    upward: bool
    price: Decimal
    exits: Exits = field(default_factory=Exits)
    broker_id: str = ""
    state: str = "live"
    actual_size: Decimal | None = None

    @property
    def position_key(self) -> tuple[str, str, str]:
        return (self.inst_id, self.margin_mode, self.position_side)


@dataclass(slots=True, kw_only=True)
class Position:
    """A holding; `size` is negative for a short in every mode, `margin` only counts where isolated."""

    id: str
    inst_id: str
    margin_mode: str
    side: str
    leverage: int
    created: int
    updated: int
    size: Decimal = ZERO
    average: Decimal = ZERO
    margin: Decimal = ZERO
    realized: Decimal = ZERO

    @property
    def is_cross(self) -> bool:
        return self.margin_mode == "cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution."""

    id: str
    order_id: str
    inst_id: str
    position_side: str
    side: str
    price: Decimal
    size: Decimal
    pnl: Decimal
    fee: Decimal
    at: int
    broker_id: str
