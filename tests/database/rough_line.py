"""Trouble between us and the broker, and a process that dies at a chosen moment.

`RoughLine` is the network, not the broker: what it lets through reaches the real paper broker, and
what it does to an answer happens after the broker has done its work.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import pytest

from bot_database import Database, Row, Session, Transaction, kill_switch, lanes
from bot_engine import run_lane
from core.errors import BrokerError, Conflict, Rejected, Unavailable, Unknown
from core.signal import Action, Signal
from database.kill_switch import Scope, Wanted
from engine.monitor import watch_risk
from engine.reconcile import reconcile
from tests.database.trading_floor import TradingFloor


class Trouble(StrEnum):
    """What becomes of one call."""

    NONE = "none"
    UNREACHED = "unreached"
    LOST_BEFORE = "lost before"
    LOST_AFTER = "lost after"
    REFUSED = "refused"
    HELD = "held"


class ProcessDied(BaseException):
    """Stand for SIGKILL: no handler of ours may catch it."""


@dataclass(slots=True)
class Fuse:
    """Count the moments between two effects and end the process at the `limit`-th."""

    limit: int = 0
    at_limit: Callable[[], object] | None = None
    moments: list[str] = field(default_factory=list)

    def burn(self, name: str) -> None:
        """Note that a moment has come; at the chosen one do `at_limit`, or raise `ProcessDied`."""
        if self.limit and len(self.moments) == self.limit and self.at_limit is None:
            return  # the dead do nothing more than let go of their lock
        self.moments.append(name)
        if len(self.moments) == self.limit:
            if self.at_limit is None:
                raise ProcessDied(name)
            self.at_limit()


class FusedSession(Session):
    """Burn the fuse after every commit."""

    def __init__(self, session: Session, fuse: Fuse) -> None:
        super().__init__(session._connection)
        self._fuse = fuse

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            yield transaction
        self._fuse.burn("committed")


class FusedDatabase(Database):
    """Lend sessions that burn the fuse after every commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        super().__init__(database.url)
        self._fuse = fuse

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as session:
            yield FusedSession(session, self._fuse)


class RoughLine:
    """Pass every call on to `broker`, except where trouble was ordered for it."""

    def __init__(self, broker, clock, fuse: Fuse | None = None) -> None:
        self._broker = broker
        self._clock = clock
        self._fuse = fuse or Fuse()
        self._ordered: dict[str, deque] = {}
        self.always: dict[str, Trouble] = {}
        self.calls: list[tuple[str, datetime]] = []
        self.submitted = []

    def order(self, call: str, *troubles) -> None:
        """Give the next calls of this name these troubles, in turn.

        A trouble may also be the error to raise instead of calling, or a function that changes the
        broker's answer.
        """
        self._ordered.setdefault(call, deque()).extend(troubles)

    def seconds_of(self, call: str) -> list[float]:
        """Return when a call was made, in seconds since the first of them."""
        times = [at for name, at in self.calls if name == call]
        return [(at - times[0]).total_seconds() for at in times]

    def forget(self) -> None:
        """Take back the trouble that has not come yet."""
        self._ordered.clear()
        self.always.clear()

    def ids(self) -> list[str]:
        """Return the id of every order handed over, again for each time."""
        return [intent.client_order_id for intent in self.submitted]

    def forget_the_past(self) -> None:
        """Count calls from here on."""
        self.submitted.clear()
        self.calls.clear()

    def submit(self, intent):
        """Hand an order over, or lose it."""
        self.submitted.append(intent)
        known = self._through("submit", intent)
        self._fuse.burn("submitted")
        return known

    def __getattr__(self, name: str):
        found = getattr(self._broker, name)
        if not callable(found):
            return found
        return lambda *arguments: self._through(name, *arguments)

    def _through(self, name: str, *arguments):
        self.calls.append((name, self._clock()))
        waiting = self._ordered.get(name)
        trouble = waiting.popleft() if waiting else self.always.get(name, Trouble.NONE)
        if isinstance(trouble, BrokerError):
            raise trouble
        if trouble in ERRORS_BEFORE:
            raise ERRORS_BEFORE[trouble]()
        answer = getattr(self._broker, name)(*arguments)
        if trouble is Trouble.LOST_AFTER:
            raise Unknown("504 Gateway Time-out", status=504)
        return trouble(answer) if callable(trouble) else answer


ERRORS_BEFORE = {
    Trouble.UNREACHED: lambda: Unavailable("connection refused"),
    Trouble.LOST_BEFORE: lambda: Unknown("read timed out"),
    Trouble.REFUSED: lambda: Rejected("not today", code="40310000", status=403),
    Trouble.HELD: lambda: Conflict("insufficient qty available for order", code="40310000", status=403),
}


def signal(symbol: str, action: str, **fields) -> Signal:
    """Make a signal."""
    return Signal(action=Action(action), symbol=symbol, **fields)


class RoughFloor(TradingFloor):
    """A trading floor whose line to the broker can be troubled and whose process can die."""

    def __init__(self, database: Database, **options) -> None:
        super().__init__(database, **options)
        self.market.pin("AAPL", Decimal("200"), Decimal("200.10"))
        self.line = RoughLine(self.paper, lambda: self.now)
        self.broker = self.line

    def close(self) -> None:
        """Give the connections back."""
        self.paper_database.close()

    def bought(self, symbol: str = "AAPL", action: str = "BUY", **limits) -> int:
        """Make a bot that holds something."""
        bot = self.bot(symbol, **limits)
        assert self.send(bot, action)["state"] == "EXECUTED"
        return bot

    def outcome(self, bot_id: int) -> tuple[str, str]:
        """Return state and code of a bot's newest signal."""
        sql = "SELECT state, code FROM signals WHERE bot_config_id = %s ORDER BY number DESC LIMIT 1"
        return tuple(self.one(sql, (bot_id,)).values())

    def held(self, bot_id: int) -> Decimal:
        """Return what a bot holds, signed."""
        return self.bot_row(bot_id)["quantity"]

    def told(self, bot_id: int) -> list[str]:
        """Return the kinds of what the user was told about a bot."""
        sql = "SELECT kind FROM notifications WHERE content->>'bot' = %s ORDER BY id"
        return [row["kind"] for row in self.all(sql, (self.bot_row(bot_id)["name"],))]

    def booked(self, bot_id: int) -> list[tuple[Decimal, str]]:
        """Return quantity and source of every fill of a bot."""
        sql = "SELECT quantity, source FROM fills WHERE bot_config_id = %s ORDER BY id"
        return [tuple(row.values()) for row in self.all(sql, (bot_id,))]

    def events(self, bot_id: int) -> list[Row]:
        """Return a bot's risk events."""
        return self.all("SELECT * FROM bot_risk_events WHERE bot_config_id = %s ORDER BY id", (bot_id,))

    def reconcile(self) -> bool:
        """Reconcile the connection once."""
        with self.database.session() as session:
            return reconcile(self.desk, session, self.connection_id)

    def watch_risk(self) -> None:
        """Let the monitor look once."""
        with self.database.session() as session:
            watch_risk(self.desk, session, self.connection_id)

    def switch(self, wanted: Wanted, scope: Scope = Scope.SERVER, scope_id: int | None = None) -> None:
        """Set a kill switch."""
        with self.database.transaction() as transaction:
            kill_switch.set_switch(transaction, scope, scope_id, wanted, actor="test")

    def until_death(
        self, bot_id: int, limit: int = 0, at_limit: Callable[[], object] | None = None
    ) -> list[str]:
        """Work a bot's lane as a process that dies at its `limit`-th moment; return the moments it lived.

        With 0 it lives on; with `at_limit` that happens at the moment, and it lives on.
        """
        fuse = Fuse(limit, at_limit)
        database = FusedDatabase(self.database, fuse)
        line = RoughLine(self.line, lambda: self.now, fuse)
        desk = replace(self.desk, database=database, broker=lambda _id: line, step=fuse.burn)
        with suppress(ProcessDied):
            run_lane(desk, self.bot_row(bot_id)["lane_id"])
        database.close()
        return fuse.moments

    def settle(self, *, seconds: float = 600, step: float = 1.0) -> float:
        """Work every lane that has work, letting time pass, until nothing is under way.

        Return how many seconds that took; raise AssertionError where something is still under way
        after `seconds`.
        """
        began = self.now
        while (self.now - began).total_seconds() <= seconds:
            with self.database.transaction() as transaction:
                due = lanes.lanes_with_work(transaction, self.now)
            for bell in due:
                run_lane(self.desk, bell.lane_id)
            if not self.under_way():
                return (self.now - began).total_seconds()
            self.pass_time(step)
        raise AssertionError(f"still under way: {self.under_way()}")

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the broker goes on with what rests there, and nobody tells us."""
        self.now += timedelta(seconds=seconds)
        self.paper.advance()

    def under_way(self) -> list[Row]:
        """Return what is not at its end."""
        return self.all(
            """
            SELECT 'signal' AS what, id, state, sentence FROM signals WHERE finished_at IS NULL
            UNION ALL SELECT 'leg', legs.id, legs.state, legs.sentence FROM legs JOIN plans ON plans.id = plan_id
                       WHERE plans.finished_at IS NULL
            UNION ALL SELECT 'order', id, state, broker_message FROM orders WHERE finished_at IS NULL
            UNION ALL SELECT 'event', id, state, action_taken FROM bot_risk_events
                       WHERE state IN ('OPEN', 'PLANNED')
            """
        )

    def sent(self, bot_id: int) -> list[Row]:
        """Return the bot's orders as they were planned."""
        return self.all(
            """
            SELECT legs.number AS leg, part, attempt, orders.side, orders.quantity, orders.state,
                   orders.filled_quantity, orders.client_order_id
              FROM orders JOIN legs ON legs.id = leg_id WHERE bot_config_id = %s ORDER BY orders.id
            """,
            (bot_id,),
        )

    def at_broker(self, symbol: str) -> list[Row]:
        """Return the orders that the paper broker ever took for a symbol."""
        return self.all(
            """
            SELECT client_order_id, side, quantity, state, filled_quantity FROM paper_orders
             WHERE connection_id = %s AND symbol = %s ORDER BY number
            """,
            (self.connection_id, symbol),
        )

    def assert_books_agree(self, symbol: str) -> None:
        """Hold our books against the broker's: orders, what filled of them, and the holding."""
        ours = self.all("SELECT * FROM orders WHERE symbol = %s AND broker_order_id IS NOT NULL", (symbol,))
        theirs = self.at_broker(symbol)
        assert {row["client_order_id"] for row in theirs} == {row["client_order_id"] for row in ours}
        for row in ours:
            (same,) = (each for each in theirs if each["client_order_id"] == row["client_order_id"])
            assert (same["side"], same["quantity"]) == (row["side"], row["quantity"])
            assert (same["state"], same["filled_quantity"]) == (row["state"], row["filled_quantity"])
        held = self.one(
            "SELECT coalesce(sum(quantity), 0) AS held FROM user_bot_configs WHERE symbol = %s", (symbol,)
        )
        assert self.paper.position(symbol).quantity == held["held"]


@pytest.fixture
def rough_floor(database: Database) -> Iterator[RoughFloor]:
    """Give a trading floor on a database of its own; AAPL stands at 200 to 200.10."""
    floor = RoughFloor(database)
    yield floor
    floor.close()
