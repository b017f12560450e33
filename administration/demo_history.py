"""Weeks of trading in a minute: the real inbox and the real engine, with a clock that moves through the past."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from administration.demo_alerts import BOTS, Alert, DemoBot, alerts
from bot_database import Database, Session, Transaction
from bot_engine import Desk, Timing, utc_now
from brokers.paper import PaperBroker
from brokers.simulated_market import SimulatedMarket
from database import bots, demo, lanes, ledger, risk
from engine.lane import work_lane
from engine.monitor import watch_risk
from intake import receive_alert

WATCH_EVERY = timedelta(hours=3)
LOOKS_AFTER_AN_ALERT = 8
ALERTS_TO_TRY = 10


class Clock:
    """A clock that is set to a moment of the past and ticks on from there."""

    def __init__(self) -> None:
        self.behind = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time that it shows."""
        return utc_now() - self.behind

    def set(self, at: datetime) -> None:
        """Let it show `at` now."""
        self.behind = utc_now() - at


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The demo's user, with what trades and watches for them by the clock of the past."""

    database: Database
    user_id: int
    connection_id: int
    clock: Clock
    paper: PaperBroker
    desk: Desk
    session: Session
    held: dict[int, Session]
    token_hash: bytes

    def alert(self, alert: Alert) -> None:
        """Let an alert come in at its time and do all that follows from it."""
        self.live(alert.at, partial(self._receive, alert.body))

    def live(self, at: datetime, happen: Callable[[], None]) -> None:
        """Let something happen at a time and do all that follows from it."""
        began = utc_now()
        self.clock.set(at)
        happen()
        for _ in range(LOOKS_AFTER_AN_ALERT):
            went_on = self._work()
            self._date_back(began)
            if not went_on:
                break
            began = utc_now()
            self.clock.set(self.clock() + timedelta(seconds=2))

    def watch(self, at: datetime) -> None:
        """Look at the positions, as the broker watch does all the time, and keep a point of the curve."""
        began = utc_now()
        self.clock.set(at)
        with self.session.transaction() as transaction:
            demo.note_watching(transaction, self.user_id, self.clock())
        for order in self.paper.advance(self.clock()):
            with self.session.transaction() as transaction:
                ledger.book_order(transaction, order, source="poll", now=self.clock())
        watch_risk(self.desk, self.session, self.connection_id)
        with self.session.transaction() as transaction:
            risk.store_account(transaction, self.connection_id, self.paper.account(), curve=True)
        self._work()
        self._date_back(began)

    def _receive(self, body: bytes) -> None:
        receive_alert(self.database, self.token_hash, body, "application/json", self.clock())

    def _work(self) -> bool:
        """Do what can be done in the lanes now; tell whether there was anything."""
        with self.session.transaction() as transaction:
            waiting = lanes.lanes_with_work(transaction, self.clock())
        ours = [bell.lane_id for bell in waiting if bell.lane_id in self.held]
        for lane_id in ours:
            work_lane(self.desk, self.held[lane_id], lane_id)
        return bool(ours)

    def _date_back(self, began: datetime) -> None:
        with self.session.transaction() as transaction:
            demo.date_back(transaction, self.user_id, since=began, by=self.clock.behind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens at a time of the past."""

    at: datetime
    happen: Callable[[], None]
    is_alert: bool


def live_through(
    past: Past, start: datetime, end: datetime, more: Iterable["Event"] = (), *, seconds: float
) -> Iterator[float]:
    """Go through the time from `start` to `end`, giving after each step how far it has come, 0 to 1.

    `more` happens beside the alerts of the demo's bots.

    Nobody should wait for a demo: a machine too slow to do it all in so many `seconds` leaves the first
    weeks out, so that the last ones are whole, and looks at positions less often.
    """
    began = time.monotonic()
    events = sorted((*_events(past, start, end), *more), key=lambda event: event.at)
    first, rest = _split(events, ALERTS_TO_TRY)
    for event in first:
        event.happen()
        yield (event.at - start) / (end - start)
    each = (time.monotonic() - began) / max(len(first), 1)
    rest = _newest(rest, int((seconds - each * len(first)) / each) if each else len(rest))
    alerts_left = sum(event.is_alert for event in rest)
    done = 0
    for event in rest:
        spent = (time.monotonic() - began) / seconds
        if spent >= 1:
            break
        if event.is_alert or spent <= done / alerts_left:
            event.happen()
        done += event.is_alert
        yield (event.at - start) / (end - start)
    past.watch(utc_now())
    yield 1.0


def _split(events: list[Event], count: int) -> tuple[list[Event], list[Event]]:
    """Return the first alerts, and everything after them."""
    first = [event for event in events if event.is_alert][:count]
    return first, [event for event in events if first and event.at > first[-1].at]


def _newest(events: list[Event], alerts_at_most: int) -> list[Event]:
    """Return what happens from so many alerts before the end on."""
    times = [event.at for event in events if event.is_alert]
    if alerts_at_most >= len(times):
        return events
    return [event for event in events if event.at >= times[len(times) - max(alerts_at_most, 1)]]


def _events(past: Past, start: datetime, end: datetime) -> list[Event]:
    came = [Event(at=each.at, happen=partial(past.alert, each), is_alert=True) for each in alerts(start, end)]
    looks = [start + WATCH_EVERY * number for number in range(int((end - start) / WATCH_EVERY))]
    events = [*came, *(Event(at=at, happen=partial(past.watch, at), is_alert=False) for at in looks)]
    return sorted(events, key=lambda event: event.at)


def open_past(
    stack: ExitStack,
    database: Database,
    paper_database: Database,
    user_id: int,
    token_hash: bytes,
    start: datetime,
) -> Past:
    """Make the demo's connection and bots, and keep them from the parts that run now until `stack` closes.

    The worker and the broker watch go by today's clock: they leave alone what another holds.
    """
    session = stack.enter_context(database.session())
    with session.transaction() as transaction:
        connection_id = bots.create_connection(
            transaction, user_id=user_id, broker="paper", mode="paper", label="Paper"
        )
        lanes.claim_connections(transaction, [connection_id], 1)
    clock = Clock()
    paper = PaperBroker(paper_database, connection_id, market=SimulatedMarket(), clock=clock)
    with session.transaction() as transaction:
        lane_ids = {_make_bot(transaction, user_id, connection_id, paper, bot) for bot in BOTS}
        demo.begin(transaction, user_id, connection_id, start)
    desk = Desk(database=database, broker=lambda _connection_id: paper, now=clock, timing=Timing())
    past = Past(
        database=database, user_id=user_id, connection_id=connection_id, clock=clock, paper=paper, desk=desk,
        session=session, held={}, token_hash=token_hash,
    )  # fmt: skip
    for lane_id in lane_ids:
        hold_lane(past, stack, lane_id)
    return past


def hold_lane(past: Past, stack: ExitStack, lane_id: int) -> None:
    """Keep a lane from the parts that run now, until `stack` closes."""
    mine = None if lane_id in past.held else stack.enter_context(lanes.hold_lane(past.database, lane_id))
    if mine is not None:
        past.held[lane_id] = mine


def _make_bot(
    transaction: Transaction, user_id: int, connection_id: int, paper: PaperBroker, bot: DemoBot
) -> int:
    limits: dict[str, Any] = dict(bot.limits)
    bot_id = bots.create_bot(
        transaction,
        user_id=user_id,
        connection_id=connection_id,
        instrument=paper.instrument(bot.symbol),
        timeframe=bot.timeframe,
        position_size=bot.size,
        allow_short=bot.shorts,
        **limits,
    )
    return int(bots.bot_row(transaction, bot_id)["lane_id"])


def midnight(now: datetime, weeks: int) -> datetime:
    """Return the beginning of the day that many weeks ago, in UTC."""
    return (now - timedelta(weeks=weeks)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
