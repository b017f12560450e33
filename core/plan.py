"""What was decided for one signal or risk event."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.order import OrderType, Side


class Code(StrEnum):
    """Why a signal did not trade, or what happened to it; stored for good and shown with a sentence."""

    EXECUTED = "EXECUTED"
    ALREADY_LONG = "ALREADY_LONG"
    ALREADY_SHORT = "ALREADY_SHORT"
    ALREADY_FLAT = "ALREADY_FLAT"
    ENTRY_PENDING = "ENTRY_PENDING"
    FLAT_BY_OWN_EXIT = "FLAT_BY_OWN_EXIT"
    SHORT_NOT_ALLOWED = "SHORT_NOT_ALLOWED"
    SUPERSEDED = "SUPERSEDED"
    CONTRADICTORY_SIGNAL = "CONTRADICTORY_SIGNAL"
    NO_BOT = "NO_BOT"
    AMBIGUOUS_BOT = "AMBIGUOUS_BOT"
    TEST_SIGNAL = "TEST_SIGNAL"
    INVALID_SIGNAL = "INVALID_SIGNAL"
    INVALID_JSON = "INVALID_JSON"
    KILL_SWITCH = "KILL_SWITCH"
    BOT_DISABLED = "BOT_DISABLED"
    NO_CREDENTIALS = "NO_CREDENTIALS"
    CONNECTION_PROBLEM = "CONNECTION_PROBLEM"
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    SYMBOL_NOT_TRADEABLE = "SYMBOL_NOT_TRADEABLE"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    SIGNAL_TOO_OLD = "SIGNAL_TOO_OLD"
    OUTSIDE_TRADING_WINDOW = "OUTSIDE_TRADING_WINDOW"
    MARKET_CLOSED = "MARKET_CLOSED"
    COOLDOWN = "COOLDOWN"
    OPPOSITE_POSITION = "OPPOSITE_POSITION"
    MAX_OPEN_POSITIONS = "MAX_OPEN_POSITIONS"
    MAX_POSITION_SIZE = "MAX_POSITION_SIZE"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    PRICE_MOVED = "PRICE_MOVED"
    SIZE_TOO_SMALL = "SIZE_TOO_SMALL"
    INSUFFICIENT_BUYING_POWER = "INSUFFICIENT_BUYING_POWER"
    STOP_REQUIRED = "STOP_REQUIRED"
    LEVERAGE_TOO_HIGH = "LEVERAGE_TOO_HIGH"
    LIQUIDATION_BEFORE_STOP = "LIQUIDATION_BEFORE_STOP"
    AUTHOR_NOT_ALLOWED = "AUTHOR_NOT_ALLOWED"
    FORMAT_NOT_ALLOWED = "FORMAT_NOT_ALLOWED"
    NO_CHANNEL = "NO_CHANNEL"
    ENTRY_EXPIRED = "ENTRY_EXPIRED"
    QUANTITY_REQUIRED = "QUANTITY_REQUIRED"
    BROKER_REJECTED = "BROKER_REJECTED"
    NOT_RECEIVED = "NOT_RECEIVED"
    NOT_FILLED = "NOT_FILLED"
    PARTLY_FILLED = "PARTLY_FILLED"
    EXTERNAL_CLOSE = "EXTERNAL_CLOSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A coded reason with a sentence the user can act on."""

    code: Code
    sentence: str


class LegPurpose(StrEnum):
    OPEN = "OPEN"
    CLOSE = "CLOSE"


class LegState(StrEnum):
    """PLANNED until its first order is committed, WORKING until its last order is final."""

    PLANNED = "PLANNED"
    WORKING = "WORKING"
    DONE = "DONE"
    SUPERSEDED = "SUPERSEDED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        return self not in {LegState.PLANNED, LegState.WORKING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One step of a plan. `quantity` is known for a close; an open leg is sized when its turn comes.

    `target_number` says which target a close is for, where it is not the last.
    """

    purpose: LegPurpose
    side: Side
    quantity: Decimal | None
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    target_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Carry out these legs in order; a plan without legs says why nothing is done.

    `missed_alert` is the sentence for the user where the sender's idea of the position before
    this signal shows that an alert was lost. `note` explains a shortened plan.
    `forgets_own_exit` says that the strategy and the bot agree again after our own exit.
    """

    legs: tuple[Leg, ...] = ()
    skip: Refusal | None = None
    missed_alert: str | None = None
    note: Refusal | None = None
    forgets_own_exit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Decide later: an order of this bot must come to its end first; cancel it if `cancel` says so."""

    cancel: bool
    sentence: str


Decision = Plan | Await
