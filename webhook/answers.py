"""What the webhook server answers, as types: `/openapi.json` is made of them, and tests hold the server to them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Digits = Annotated[
    str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="a number, exact, in plain digits")
]
Moment = Annotated[datetime, Field(description="ISO 8601 with its zone")]
Json = dict[str, Any]


class Answer(BaseModel):
    """Hold these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Error(BaseModel):
    """Why a request was refused, or what failed. Beside these may stand what helps to mend it."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="one sentence for people")
    code: str = Field(description="the same for programs")


class Outcome(Answer):
    """What became of a signal."""

    state: Literal["EXECUTED", "SKIPPED", "REFUSED", "FAILED"]
    code: str | None
    sentence: str | None


class Accepted(Answer):
    """Stored, and sure to be decided; it may still be refused or give way to a newer one."""

    status: Literal["accepted"]
    signal_id: UUID
    outcome: Outcome | None = Field(None, description="only with `wait`, where there is one by then")


class Duplicate(Answer):
    """A copy of a signal that came before, with the first one's id."""

    status: Literal["duplicate"]
    signal_id: UUID
    outcome: Outcome | None = None


class Explanation(Answer):
    """How a message is read: the signal in words, the field each part came from, and what nobody knows."""

    status: Literal["test"]
    signal: Json
    understood: dict[str, str]
    ignored: list[str]


class Tested(Explanation):
    """A test: stored, and never traded."""

    signal_id: UUID
    code: Literal["TEST_SIGNAL"]
    message: str


class ChannelSignal(Answer):
    """What one registration of a channel made of a message."""

    user: int
    channel_registration: int
    status: Literal["accepted", "duplicate", "test", "refused", "not_stored"]
    signal_id: UUID | None
    code: str | None
    message: str | None


class ChannelSignals(Answer):
    """What the registrations of a channel made of a message; `status` is the first that any of them has."""

    status: Literal["accepted", "duplicate", "test", "refused", "not_stored"]
    signals: list[ChannelSignal]


class Step(Answer):
    """A moment on a signal's way."""

    at: Moment
    what: str


class TraceFill(Answer):
    """What of an order traded."""

    order_id: int
    side: Literal["BUY", "SELL"]
    quantity: Digits
    price: Digits
    fee: Digits
    fee_asset: str | None
    realized_pnl: Digits
    position_after: Digits
    source: str
    filled_at: Moment
    booked_at: Moment


class TraceOrder(Answer):
    """An order as it was sent, with what the broker said."""

    id: int
    leg_id: int
    part: int
    attempt: int
    client_order_id: str
    broker_order_id: str | None
    symbol: str
    side: Literal["BUY", "SELL"]
    quantity: Digits
    order_type: str
    limit_price: Digits | None
    state: str
    filled_quantity: Digits
    average_price: Digits | None
    fee: Digits
    fee_asset: str | None
    broker_code: str | None
    broker_message: str | None
    sends: int
    not_found_count: int
    created_at: Moment
    sent_at: Moment | None
    acknowledged_at: Moment | None
    in_doubt_since: Moment | None
    cancel_asked_at: Moment | None
    finished_at: Moment | None
    fills: list[TraceFill]


class TraceTrade(Answer):
    """What the trade history shows of a leg."""

    leg_id: int
    action: Literal["BUY", "SELL", "CLOSE"]
    status: str
    order_id: str | None
    filled_qty: Digits
    filled_price: Digits | None
    expected_price: Digits | None
    slippage: Digits | None
    realized_pnl: Digits | None
    fees: Digits
    reason: str | None
    message: str | None


class TraceLeg(Answer):
    """One step of a plan."""

    id: int
    number: int
    purpose: Literal["OPEN", "CLOSE"]
    side: Literal["BUY", "SELL"]
    quantity: Digits | None
    parts: list[Digits]
    order_type: str
    limit_price: Digits | None
    stop_price: Digits | None
    target_price: Digits | None
    state: str
    code: str | None
    sentence: str | None
    wake_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    trade: TraceTrade | None
    orders: list[TraceOrder]


class TracePlan(Answer):
    """The decision about a signal."""

    id: int
    position_before: Digits
    code: str | None
    sentence: str | None
    created_at: Moment
    finished_at: Moment | None
    legs: list[TraceLeg]


class TraceNotification(Answer):
    """What was told about a signal."""

    id: int
    kind: str
    content: Json
    created_at: Moment
    attempts: int
    sent_at: Moment | None
    error: str | None


class Trace(Answer):
    """Everything that came of a signal."""

    signal_id: UUID
    source: str
    state: str
    code: str | None
    sentence: str | None
    bot_config_id: int | None
    bot: str | None
    lane_symbol: str | None
    number: int | None
    sender_id: str | None
    understood: Json | None
    duplicates: int
    sent_at: Moment | None
    received_at: Moment
    stored_at: Moment
    decided_at: Moment | None
    finished_at: Moment | None
    wake_at: Moment | None
    body: str
    steps: list[Step]
    plan: TracePlan | None
    notifications: list[TraceNotification]


class AccountPosition(Answer):
    """A holding of an account, as its broker last said."""

    connection_id: int
    connection: str
    broker: str
    mode: str
    symbol: str
    quantity: Digits
    average_price: Digits
    current_price: Digits
    unrealized: Digits
    leverage: Digits | None
    margin_mode: str | None
    margin: Digits | None
    liquidation_price: Digits | None
    taken_at: Moment
    age_seconds: float


class AccountAnswer(Answer):
    """A connected account, as its broker last said; figures are null before it said any."""

    connection_id: int
    connection: str
    broker: str
    mode: str
    status: str
    last_error: str | None
    trading_state: str
    equity: Digits | None
    cash: Digits | None
    buying_power: Digits | None
    currency: str | None
    taken_at: Moment | None
    age_seconds: float | None
    positions: list[AccountPosition]


class BotPosition(Answer):
    """What a bot holds."""

    bot_id: int
    bot: str
    connection_id: int
    connection: str
    broker: str
    mode: str
    symbol: str
    timeframe: str | None
    side: Literal["LONG", "SHORT"]
    quantity: Digits
    average_price: Digits
    current_price: Digits | None
    priced_at: Moment | None
    unrealized: Digits | None
    opened_at: Moment | None
    stop_price: Digits | None
    target_price: Digits | None
    held_by: Literal["ENGINE", "BROKER"] | None


class Positions(Answer):
    """A user's accounts and what the bots hold in them."""

    user_id: int
    accounts: list[AccountAnswer]
    bots: list[BotPosition]
    total_positions: int


class BotAnswer(Answer):
    """A bot with its settings and what it does."""

    id: int
    name: str
    symbol: str
    timeframe: str | None
    source: str
    connection_id: int
    connection: str
    broker: str
    mode: str
    is_active: bool
    order_status: str
    trading_state: str
    size_mode: str
    position_size: Digits
    max_position_size: Digits | None
    risk_limit_percent: Digits | None
    daily_loss_limit: Digits | None
    allow_short: bool
    quantity: Digits
    average_price: Digits
    opened_at: Moment | None
    total_pnl: Digits
    total_trades: int
    created_at: Moment


class Bots(Answer):
    """A user's bots that are not archived."""

    user_id: int
    bots: list[BotAnswer]
    total_bots: int
    active_bots: int


class Latencies(Answer):
    """How long signals of the last day took, in milliseconds: the median and what 99 in 100 did not exceed."""

    signals: int
    stored_p50_p99: list[float] | None
    decided_p50_p99: list[float] | list[None] | None
    finished_p50_p99: list[float] | list[None] | None


class Stats(Answer):
    """Counts since the beginning, for the users that the key may see."""

    signals: dict[str, int]
    not_traded: dict[str, int]
    duplicates: int
    trades: dict[str, int]
    latency_ms: Latencies


class Part(Answer):
    """How a part of DashTrade stands."""

    alive: int | None = Field(None, description="processes heard in the last 15 seconds")
    silent_seconds: float | None = None
    status: Literal["off"] | None = Field(None, description="it is not set up")
    connected: bool | None = None
    latency_ms: int | None = None
    lacking: int | None = Field(None, description="how many things `manage.py doctor` names")


class Queue(Answer):
    """What waits."""

    signals: int
    oldest_signal_seconds: float
    plans: int
    oldest_plan_seconds: float


class Health(Answer):
    """Whether alerts are stored and carried out."""

    status: Literal["ok", "degraded", "down"]
    database: Literal["ok", "unreachable"]
    parts: dict[str, Part] | None = None
    queue: Queue | None = None
    version: str
