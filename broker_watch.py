"""Watching the brokers: streams, polls, risk, reconcile; one lease per connection, any number of processes."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import psycopg2

import log
from bot_database import Database, Session, bots, health, kill_switch, lanes, ledger, orders, risk
from bot_engine import Desk, desk_for
from brokers.base import OrderStream
from core.errors import BrokerError, Rejected
from core.order import Order
from database import paper
from engine.counting import keep_counts
from engine.monitor import watch_risk
from engine.reconcile import note_status, reconcile
from notifier import CHANNELS_AT_ONCE as ALERTS_AT_ONCE
from notifier import notifier_for
from settings import Settings, load

TICK_SECONDS = 0.25
CLAIM_SECONDS = 2.0
# Of what is free a quarter at a time, so that others get theirs, and a thousand are taken within half a minute
CLAIMED_SHARE = 4
FEWEST_CLAIMS = 8
ADVANCE_SECONDS = 1.0
STREAM_RETRY_SECONDS = 60.0
HURRY_SECONDS = 5.0
LEAVE_SECONDS = 4.0
THREADS = 8

logger = logging.getLogger("broker_watch")


@dataclass(slots=True, kw_only=True)
class Duty:
    """Something done for one connection again and again, by one thread at a time."""

    work: Callable[[], float]
    due: float = 0.0
    running: "Future[None] | None" = None

    @property
    def is_running(self) -> bool:
        return self.running is not None and not self.running.done()

    def is_due(self) -> bool:
        return time.monotonic() >= self.due and not self.is_running


@dataclass(slots=True, kw_only=True)
class Watch:
    """One connection in this process's care."""

    connection_id: int
    broker: str
    sealed: bytes | None
    duties: dict[str, Duty] = field(default_factory=dict)
    stream: OrderStream | None = None
    streaming: "Future[None] | None" = None


class BrokerWatch:
    """Hold the leases of as many connections as come to this process and do their duties.

    A lease is an advisory lock on one database connection of this process: whatever ends the
    process, or that connection, frees every lease at once and another process goes on.
    """

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self._settings = settings
        self._desk = desk
        self._watches: dict[int, Watch] = {}
        self._brokers = 1
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="watch")
        self._loop = asyncio.new_event_loop()
        self._stopping = threading.Event()
        self._notifier = notifier_for(settings, desk.database, desk.now)
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until `stop`; a database that goes away is waited for."""
        streams = threading.Thread(target=self._loop.run_forever, name="streams", daemon=True)
        streams.start()
        # Here as well as in the worker: that the worker died must be told by another
        alerts = threading.Thread(target=self._notifier.run, args=(self._stopping,), name="alerts")
        alerts.start()
        while not self._stopping.is_set():
            try:
                self._hold_leases()
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                logger.warning("the leases are gone and taken again", exc_info=error)
                self._stopping.wait(1.0)
            except Exception as error:
                logger.exception("the watch let go of its leases and takes them again")
                self._record("broker watch", error)
                self._stopping.wait(1.0)
            finally:
                self._release()
        asyncio.run_coroutine_threadsafe(_streams_ended(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        streams.join()
        alerts.join()
        self._loop.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        keep_counts(self._desk)
        with contextlib.suppress(psycopg2.Error), self._desk.database.transaction() as transaction:
            health.fall_silent(transaction, "broker watch", self._name)

    def _hold_leases(self) -> None:
        with ExitStack() as stack:
            session = stack.enter_context(self._desk.database.session())
            claim_at = advance_at = 0.0
            while not self._stopping.is_set():
                if time.monotonic() >= claim_at:
                    self._claim(session)
                    keep_counts(self._desk)
                    claim_at = time.monotonic() + CLAIM_SECONDS
                if time.monotonic() >= advance_at:
                    self._move_on_what_rests(session)
                    advance_at = time.monotonic() + ADVANCE_SECONDS
                self._do_what_is_due()
                self._stopping.wait(TICK_SECONDS)

    def _claim(self, session: Session) -> None:
        """Take leases that nobody holds, a few at a time so that others get theirs; say that we live."""
        with session.transaction() as transaction:
            health.beat(transaction, "broker watch", self._name, self._desk.now())
            present = {connection.id: connection.broker for connection in bots.all_connections(transaction)}
            free = sorted(present.keys() - set(self._watches))
            at_most = max(FEWEST_CLAIMS, len(free) // CLAIMED_SHARE)
            claimed = lanes.claim_connections(transaction, free, at_most)
            sealed = lanes.sealed_of(transaction, [*claimed, *self._watches])
            kill_switch.finish_flattened(transaction)
            bots.archive_closed(transaction)
            unpriced = risk.unpriced_connections(transaction)
        self._brokers = len(set(present.values()))
        for connection_id, watch in list(self._watches.items()):
            if connection_id not in present:
                self._drop(watch)
            elif sealed[connection_id] != watch.sealed:
                watch.sealed = sealed[connection_id]
                self._restart_stream(watch)
        for watch in self._watches.values():
            if watch.connection_id in unpriced:
                watch.duties["risk"].due = 0.0
        for connection_id in claimed:
            self._watches[connection_id] = self._new_watch(
                connection_id, present[connection_id], sealed[connection_id]
            )

    def _new_watch(self, connection_id: int, broker: str, sealed: bytes | None) -> Watch:
        watch = Watch(connection_id=connection_id, broker=broker, sealed=sealed)
        # A position that nobody looks at is worse than books that are not compared
        watch.duties = {
            "risk": Duty(work=lambda: self._watch_risk(connection_id)),
            "reconcile": Duty(work=lambda: self._reconcile(connection_id)),
            "advance": Duty(work=lambda: self._advance(connection_id), due=math.inf),
        }
        self._restart_stream(watch)
        logger.info("watching connection %s", connection_id)
        return watch

    def _do_what_is_due(self) -> None:
        """Begin what has waited longest, of each broker no more at once than its share of the threads.

        What others leave free is lent, but for one thread for each broker that has none. So a broker that does
        not answer keeps nobody from looking at the positions at another, and a large one is not held up by those
        with few accounts.
        """
        watches = list(self._watches.values())
        under_way = Counter(
            watch.broker for watch in watches for duty in watch.duties.values() if duty.is_running
        )
        share = max(1, THREADS // max(1, self._brokers))
        due = [
            (duty.due, watch, name, duty)
            for watch in watches
            for name, duty in watch.duties.items()
            if duty.is_due()
        ]
        beyond: list[tuple[Watch, str, Duty]] = []
        for _, watch, name, duty in sorted(due, key=lambda each: each[0]):
            if under_way[watch.broker] < share:
                self._begin(watch, name, duty, under_way)
            else:
                beyond.append((watch, name, duty))
        for watch, name, duty in beyond:
            if under_way.total() + max(0, self._brokers - len(under_way)) < THREADS:
                self._begin(watch, name, duty, under_way)

    def _begin(self, watch: Watch, name: str, duty: Duty, under_way: Counter[str]) -> None:
        under_way[watch.broker] += 1
        duty.running = self._pool.submit(self._do, watch.connection_id, name, duty)

    def _do(self, connection_id: int, name: str, duty: Duty) -> None:
        pause = HURRY_SECONDS
        # Whoever hurries it from here on is heard after this run, which may have looked already
        duty.due = math.inf
        try:
            pause = duty.work()
        except BrokerError as error:
            logger.warning("%s of connection %s: %s", name, connection_id, error.message)
        except Exception as error:
            logger.exception("%s of connection %s failed", name, connection_id)
            self._record(f"{name} of connection {connection_id}", error)
        finally:
            duty.due = min(duty.due, time.monotonic() + pause)

    def _record(self, subject: str, error: Exception) -> None:
        with contextlib.suppress(psycopg2.Error), self._desk.database.transaction() as transaction:
            health.note_fault(transaction, subject, f"{type(error).__name__}: {error}", self._desk.now())

    def _reconcile(self, connection_id: int) -> float:
        with self._desk.database.session() as session:
            done = reconcile(self._desk, session, connection_id)
            with session.transaction() as transaction:
                unsure = lanes.has_unconfirmed_gap(transaction, connection_id)
        return HURRY_SECONDS if unsure or not done else float(self._settings.reconcile_interval_seconds)

    def _watch_risk(self, connection_id: int) -> float:
        with self._desk.database.session() as session:
            watch_risk(self._desk, session, connection_id)
        return float(self._settings.risk_interval_seconds)

    def _move_on_what_rests(self, session: Session) -> None:
        """Have the paper accounts that wait for a fill moved on: one question, however many accounts there are."""
        with session.transaction() as transaction:
            resting = paper.accounts_with_open_orders(transaction)
        for connection_id in resting & self._watches.keys():
            duty = self._watches[connection_id].duties["advance"]
            duty.due = min(duty.due, time.monotonic())

    def _advance(self, connection_id: int) -> float:
        """Let a broker that lives in our own process move its resting orders on."""
        broker = self._desk.broker(connection_id)
        advance: Callable[[datetime], tuple[Order, ...]] | None = getattr(broker, "advance", None)
        if advance is None:
            return math.inf
        for order in advance(self._desk.now()):
            self._book(order, "poll")
        return math.inf

    def _restart_stream(self, watch: Watch) -> None:
        self._stop_stream(watch)
        try:
            watch.stream = self._desk.stream(watch.connection_id)
        except BrokerError as error:
            logger.warning("no stream for connection %s: %s", watch.connection_id, error.message)
            return
        if watch.stream is not None:
            watch.streaming = asyncio.run_coroutine_threadsafe(self._stream(watch, watch.stream), self._loop)

    async def _stream(self, watch: Watch, stream: OrderStream) -> None:
        """Book what the stream brings; refused credentials are told and tried again after a while."""
        while watch.stream is stream:
            try:
                await stream.run(
                    lambda order: self._in_pool(partial(self._book, order, "stream")),
                    lambda: self._hurry(watch),
                )
                return
            except Rejected as error:
                logger.warning("the stream of connection %s: %s", watch.connection_id, error.message)
                self._in_pool(partial(self._note_problem, watch.connection_id, error.message))
            except Exception as error:
                logger.exception("the stream of connection %s failed", watch.connection_id)
                self._in_pool(partial(self._record, f"stream of {watch.connection_id}", error))
            await asyncio.sleep(STREAM_RETRY_SECONDS)

    def _in_pool(self, work: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):
            self._pool.submit(self._guarded, work)

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            logger.exception("news from a stream could not be booked; reconcile will bring it again")
            self._record("stream", error)

    def _note_problem(self, connection_id: int, words: str) -> None:
        with self._desk.database.session() as session:
            note_status(self._desk, session, connection_id, words)

    def _book(self, order: Order, source: str) -> None:
        with self._desk.database.transaction() as transaction:
            after = ledger.book_order(transaction, order, source=source, now=self._desk.now())
            signal = None if after is None else orders.event_of(transaction, after.id)
        if after is not None:
            filled = f"{order.filled_quantity} of {order.quantity} {order.symbol}"
            with log.about_signal(signal):
                logger.info(
                    "order %s is %s, filled %s (%s)", order.client_order_id, order.state, filled, source
                )
        self._desk.step("news booked")

    def _hurry(self, watch: Watch) -> None:
        """Reconcile now: a stream that was away may have missed anything."""
        if "reconcile" in watch.duties:
            watch.duties["reconcile"].due = 0.0

    def _stop_stream(self, watch: Watch) -> None:
        if watch.stream is not None:
            watch.stream.stop()
        watch.stream, watch.streaming = None, None

    def _drop(self, watch: Watch) -> None:
        self._stop_stream(watch)
        self._watches.pop(watch.connection_id, None)

    def _release(self) -> None:
        for watch in list(self._watches.values()):
            self._drop(watch)


async def _streams_ended() -> None:
    """Let streams that were asked to stop take their leave, and end what does not."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=LEAVE_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def main() -> None:
    """Watch this DashTrade's brokers until SIGTERM."""
    settings = load()
    log.logging_setup("broker watch", settings)
    size = 2 * THREADS + ALERTS_AT_ONCE + 5
    database = Database(settings.database, size=size, application_name="dashtrade broker watch")
    watch = BrokerWatch(settings, desk_for(settings, database))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.stop())
    watch.run()


if __name__ == "__main__":
    main()
