"""A bot, the connection it trades through, and the states a user reads."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import StrEnum

from core.order import MarginMode
from core.signal import PositionSide


class TradingState(StrEnum):
    """The kill switch. REDUCING lets only exits through, HALTED sends nothing at all."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class ConnectionStatus(StrEnum):
    """Whether a connection can trade: NEW before its first check, PROBLEM takes no entries."""

    NEW = "NEW"
    OK = "OK"
    PROBLEM = "PROBLEM"


class BotStatus(StrEnum):
    READY = "READY"
    ORDER_SUBMITTED = "ORDER SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    ERROR = "ERROR"
    RISK_LIMIT_HIT = "RISK LIMIT HIT"
    DISABLED = "DISABLED"


class SizeMode(StrEnum):
    """How `position_size` is read: money per trade, units, or percent of equity lost at the stop."""

    NOTIONAL = "notional"
    UNITS = "units"
    RISK_PERCENT = "risk_percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """One user's rule: connection + symbol + timeframe + source, with size, limits and protection.

    Money is in the connection's currency. `own_exit` is the side that was held when a stop,
    a target or a limit of ours closed the position and the strategy has not been heard since.
    `leverage` counts where the broker lends; a signal may ask for its own up to `max_leverage`.
    `target_shares` are percents of the first filled quantity, for each target in turn; empty shares
    them equally. The stop goes to the entry after target `break_even_after`.
    """

    id: int
    user_id: int
    connection_id: int
    lane_id: int
    name: str
    symbol: str
    timeframe: str | None
    source: str
    size_mode: SizeMode
    position_size: Decimal
    max_position_size: Decimal | None
    risk_limit_percent: Decimal | None
    daily_loss_limit: Decimal | None
    stop_loss_percent: Decimal | None
    take_profit_percent: Decimal | None
    allow_short: bool
    use_signal_quantity: bool
    is_active: bool
    trading_state: TradingState
    status: BotStatus
    max_signal_age_seconds: int
    max_price_deviation_percent: Decimal | None
    cooldown_minutes: int
    window_start: time | None
    window_end: time | None
    window_zone: str
    own_exit: PositionSide | None
    leverage: int | None = None
    max_leverage: int | None = None
    margin_mode: MarginMode = MarginMode.ISOLATED
    entry_valid_minutes: int | None = None
    target_shares: tuple[Decimal, ...] = ()
    break_even_after: int | None = None
    trailing_stop_percent: Decimal | None = None
    trailing_activation_percent: Decimal | None = None
    time_limit_minutes: int | None = None

    @property
    def follows_strategy(self) -> bool:
        """Tell whether its signals come from a strategy with a position of its own.

        People's messages do not, nor do scores: each of theirs stands alone.
        """
        return not self.source.startswith(("discord", "reversal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One user's account at one broker, without its credentials."""

    id: int
    user_id: int
    broker: str
    mode: str
    label: str
    status: ConnectionStatus
    last_error: str | None
    has_credentials: bool
    trading_state: TradingState
    allow_netting: bool
    max_open_positions: int | None
    max_position_size: Decimal | None
