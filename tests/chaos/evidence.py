"""What is held against each other when a run is over, as plain values: ours and everybody else's."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.chaos.cover import Gap
from tests.chaos.senders import Answer
from tests.secret_search import Leak

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOrder:
    """An order as one side knows it; quantities in units of the symbol."""

    account: str
    id: str
    client_id: str
    symbol: str
    side: str
    quantity: Decimal
    filled: Decimal
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What of a symbol an account holds: by the broker, by the bots, and by the sum of the bots' fills."""

    account: str
    symbol: str
    broker: Decimal
    bots: Decimal
    fills: Decimal
    dust: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """How much an account's money has changed: by the broker, and by the ledger."""

    account: str
    broker: Decimal
    ledger: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of one notification to one channel; `arrived` is how often its message came there."""

    id: int
    place: str
    transport: str
    state: str
    error: str | None
    attempts: int
    is_carried: bool
    arrived: int


@dataclass(slots=True, kw_only=True)
class Evidence:
    """Everything that the invariants look at.

    `signals` are rows with `mark`, the alert's own name; `parts` are the orders of each leg's part in their
    order, with `planned`, `quantity` and `filled`. `extra_messages` counts by place what a service took and
    nobody booked. `excused` are the times in which trouble kept us from protecting, by broker.
    `metrics` and `counted_rows` are the same counts by figure and labels; `slips` are lines of the log that
    tell of an order and not of its signal.
    """

    named: set[int] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    signals: list[Row] = field(default_factory=list)
    plans: list[Row] = field(default_factory=list)
    under_way: list[Row] = field(default_factory=list)
    orders: list[KnownOrder] = field(default_factory=list)
    their_orders: list[KnownOrder] = field(default_factory=list)
    parts: list[Row] = field(default_factory=list)
    holdings: list[Holding] = field(default_factory=list)
    money: list[Money] = field(default_factory=list)
    notifications: list[Row] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    extra_messages: dict[str, int] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    excused: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    overloaded: list[tuple[float, float]] = field(default_factory=list)
    messages: dict[int, str] = field(default_factory=dict)
    watched_events: list[Row] = field(default_factory=list)
    posts: set[str] = field(default_factory=set)
    registrations: int = 0
    noted_posts: list[Row] = field(default_factory=list)
    suspicions: list[Row] = field(default_factory=list)
    faults: list[Row] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    counted_rows: dict[str, float] = field(default_factory=dict)
    slips: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
