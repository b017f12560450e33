"""What every step of the engine works with."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot_database import Database
from brokers.base import Broker, OrderStream
from core.errors import BrokerError, Rejected
from core.tallies import Tallies


def _no_stream(_connection_id: int) -> OrderStream | None:
    return None


def _no_step(_name: str) -> None:
    return None


class InTurn(Executor):
    """Do what is submitted at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BrokerError as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long to wait for what, in seconds.

    `send_window`: an order may be handed to the broker that long after its row was committed.
    `doubt` and `doubt_look_ups`: so many not-founds over so long mean that an order never arrived.
    `gap_confirmation`: a position that does not add up must be seen twice that far apart.
    `poll`: an order at the broker is asked for that often while it is young.
    """

    send_window: float = 10.0
    doubt: float = 30.0
    doubt_look_ups: int = 3
    gap_confirmation: float = 5.0
    poll: float = 2.0
    retry_limit: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The database, the brokers and the clock.

    `broker` opens the broker of a connection and raises `Rejected` where it has no usable
    credentials; `stream` opens its order updates where it has any. `step` is called between
    every two steps of an execution with the name of the one just done, so that a test can end
    the process there. `beside` asks a broker several things beside each other.
    `tallies` counts what brokers are asked.
    """

    database: Database
    broker: Callable[[int], Broker]
    now: Callable[[], datetime]
    stream: Callable[[int], OrderStream | None] = _no_stream
    timing: Timing = field(default_factory=Timing)
    step: Callable[[str], None] = _no_step
    beside: Executor = field(default_factory=InTurn)
    tallies: Tallies = field(default_factory=Tallies)

    def calls_per_minute(self, connection_id: int) -> int | None:
        """Return a connection's limit of calls; None where it has none or cannot be opened."""
        try:
            return self.broker(connection_id).capabilities.calls_per_minute
        except Rejected:
            return None

    def after(self, seconds: float) -> datetime:
        """Return the time so many seconds from now."""
        return self.now() + timedelta(seconds=seconds)
