"""The listener: hold the lease, keep the link, write what comes, notice who has fallen silent."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg2

from database import health, mqtt_status, watched
from database.notifications import NotificationKind, notify
from database.pool import Database, Session, Transaction
from settings import Settings
from watching.effects import absence, last_seen
from watching.heartbeats import Attention, is_away
from watching.inbox import Inbox, Message
from watching.link import Companion, Link, topmost
from watching.writer import AWAY, Writer

PART = "mqtt listener"
BATCH = 500
BATCH_BYTES = 2 * 1024 * 1024
IDLE_SECONDS = 0.25
BEAT_SECONDS = 2.0
LOOK_AT_TABLE_SECONDS = 3.0
PRUNE_SECONDS, PRUNE_AGAIN_SECONDS = 60.0, 1.0
TRY_AGAIN_SECONDS = 1.0
BACKLOG_WAIT = timedelta(minutes=10)
TELL_AFTER = timedelta(minutes=5)
DOWN = "No connection to the MQTT broker at {} for five minutes: {}. Watched bots are not heard meanwhile."
BACK = "The MQTT broker at {} is there again, and watched bots are heard."

logger = logging.getLogger("mqtt_listener")


def utc_now() -> datetime:
    """Return this moment."""
    return datetime.now(UTC)


class Listener:
    """Be the one process that listens under our name at the broker, or wait to become it.

    The lease is an advisory lock on the very database connection that writes: losing that
    connection ends the listening at once. A message is acknowledged after its commit. What is in
    hand when the database goes away is kept and written when it is back, unless another process was
    the listener meanwhile: that one was given it by the broker.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        now: Callable[[], datetime] = utc_now,
        companions: Sequence[Companion] = (),
    ) -> None:
        self._settings = settings
        self._database = database
        self._now = now
        self._timeout = timedelta(seconds=settings.heartbeat_timeout_seconds)
        self._inbox = Inbox()
        self.link = Link(settings, self._inbox, now, companions)
        self._writer = Writer(self._timeout, settings.mqtt_publish_prefix)
        self._attention = Attention()
        self._stopping = threading.Event()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._held: list[Message] = []
        self._is_retry = False
        self._is_away = False
        self._claim = 0
        self._caught_up = 0
        self._prefixes: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def run(self) -> None:
        """Listen until `stop`; whatever is away is waited for."""
        while not self._stopping.is_set():
            try:
                with self._database.session() as session:
                    if self._became_listener(session):
                        self._serve(session)
            except AWAY as error:
                self._say_away(error)
            except Exception as error:
                logger.exception("the listener begins anew")
                self._record(error)
            finally:
                self.link.close()
                self._attention = Attention()
            self._stopping.wait(TRY_AGAIN_SECONDS)

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("the broker is left and listened to again", exc_info=error)
        self._is_away = True

    def _became_listener(self, session: Session) -> bool:
        waits = False
        while not self._stopping.is_set():
            with session.transaction() as transaction:
                health.beat(transaction, PART, self._name, self._now())
                self._is_away = False
                if mqtt_status.claim(transaction):
                    return True
            if not waits:
                logger.info("another process is the listener; waiting to take over")
            waits = True
            self._stopping.wait(TRY_AGAIN_SECONDS)
        self._say_goodbye(session, was_listener=False)
        return False

    def _serve(self, session: Session) -> None:
        try:
            self._begin(session)
            while not self._stopping.is_set():
                self._write_some(session, IDLE_SECONDS)
                self._do_due(session)
            self._finish(session)
        except AWAY:
            raise
        except BaseException:
            # The connection goes back to the pool, and must not keep others from listening
            self._let_go(session)
            raise

    def _begin(self, session: Session) -> None:
        """Look whether anybody listened since we did, write what we hold if not, and connect."""
        with session.transaction() as transaction:
            before = mqtt_status.status(transaction).claims
            claim = mqtt_status.count_claim(transaction)
            mqtt_status.begin(transaction, self._now())
            watched.ensure_default(transaction, self._settings.mqtt_topic_prefix)
            self._prefixes = watched.watched_prefixes(transaction)
            client_id = mqtt_status.status(transaction).client_id
            subscribed = mqtt_status.subscribed(transaction)
            mqtt_status.subscribe(transaction, subscribed | topmost(self._prefixes))
        self._say_what_is_ours()
        if before != self._claim:
            self._forget_what_others_have()
        self._claim = claim
        while self._held or len(self._inbox):
            self._write_some(session, 0)
        self._due = {}
        self.link.open(client_id, self._prefixes, subscribed)

    def _say_what_is_ours(self) -> None:
        ours = self._settings.mqtt_publish_prefix
        for prefix in self._prefixes:
            if prefix.startswith(ours) or ours.startswith(prefix):
                logger.warning("of what comes below %s, what we publish below %s is left out", prefix, ours)

    def _forget_what_others_have(self) -> None:
        count = len(self._held) + self._inbox.clear()
        self._held = []
        if count:
            logger.info("%s messages were left to the process that listened meanwhile", count)

    def _write_some(self, session: Session, seconds: float) -> None:
        """Store a batch and acknowledge it; it is held until it is stored."""
        if not self._held:
            self._held = self._inbox.take(BATCH, BATCH_BYTES, seconds)
            self._is_retry = False
        if not self._held:
            self._caught_up = self.link.generation
            return
        try:
            self._writer.store(session, self._prefixes, self._held, is_retry=self._is_retry)
        except BaseException:
            self._is_retry = True
            raise
        self.link.acknowledge(self._held)
        self._held = []

    def _do_due(self, session: Session) -> None:
        self._attention.look(self._now(), time.monotonic(), can_hear=self._can_hear())
        duties: tuple[tuple[str, float, Callable[[Transaction], float | None]], ...] = (
            ("beat", BEAT_SECONDS, self._beat),
            ("bots", LOOK_AT_TABLE_SECONDS, self._look_at_table),
            ("heartbeats", self._settings.heartbeat_check_interval, self._look_for_silence),
            ("prune", PRUNE_SECONDS, self._prune),
        )
        for name, seconds, duty in duties:
            if time.monotonic() >= self._due.get(name, 0.0):
                with session.transaction() as transaction:
                    sooner = duty(transaction)
                self._due[name] = time.monotonic() + (sooner or seconds)

    def _can_hear(self) -> bool:
        """Tell whether a heartbeat that is sent now arrives now, and not behind what waited for us."""
        since = self.link.listening_since
        if since is None or self._inbox.is_full:
            return False
        return self._caught_up == self.link.generation or self._now() - since > BACKLOG_WAIT

    def _beat(self, transaction: Transaction) -> None:
        self.link.check()
        health.beat(transaction, PART, self._name, self._now())
        is_connected = self.link.is_listening
        status = mqtt_status.note(
            transaction,
            broker=self.link.address,
            is_connected=is_connected,
            words=self.link.words,
            now=self._now(),
        )
        if is_connected and status.told_at is not None:
            notify(transaction, None, NotificationKind.MQTT_BROKER_BACK, sentence=BACK.format(status.broker))
            mqtt_status.tell(transaction, None)
        elif not is_connected and status.told_at is None and self._is_long_away(status):
            words = DOWN.format(status.broker, status.words or "it does not answer")
            notify(transaction, None, NotificationKind.MQTT_BROKER_DOWN, sentence=words)
            mqtt_status.tell(transaction, self._now())

    def _is_long_away(self, status: mqtt_status.MqttStatus) -> bool:
        return status.changed_at is not None and self._now() - status.changed_at >= TELL_AFTER

    def _look_at_table(self, transaction: Transaction) -> None:
        watched.ensure_default(transaction, self._settings.mqtt_topic_prefix)
        self._prefixes = watched.watched_prefixes(transaction)
        self.link.watch(self._prefixes)
        mqtt_status.subscribe(transaction, self.link.subscribed)

    def _look_for_silence(self, transaction: Transaction) -> None:
        """Call bots away that were not heard, each once: the row says so from then on."""
        since, now = self._attention.since, self._inbox.oldest_arrival() or self._now()
        if since is None:
            return
        away = [bot for bot in watched.lock_online(transaction) if is_away(bot, since, self._timeout, now)]
        watched.put_offline(transaction, {bot.id: last_seen(bot) or now for bot in away})
        for bot in away:
            content = {"watched_bot": bot.name, "watched_bot_id": bot.id, **absence(bot, now)}
            notify(transaction, bot.user_id, NotificationKind.WATCHED_OFFLINE, **content)
            logger.warning("%s is offline", bot.name)

    def _prune(self, transaction: Transaction) -> float | None:
        """Delete some old messages; return when to come again where there are more, or too much to write first."""
        if len(self._inbox) >= BATCH:
            return PRUNE_AGAIN_SECONDS
        deleted = watched.prune(transaction, self._now())
        return PRUNE_AGAIN_SECONDS if deleted >= watched.PRUNED_AT_ONCE else None

    def _finish(self, session: Session) -> None:
        """Write what came by now, acknowledge it and leave."""
        for _ in range(len(self._inbox) // BATCH + 1):
            self._write_some(session, 0)
        self.link.say_goodbye()
        self.link.close()
        self._say_goodbye(session, was_listener=True)
        self._let_go(session)

    def _say_goodbye(self, session: Session, *, was_listener: bool) -> None:
        with session.transaction() as transaction:
            health.fall_silent(transaction, PART, self._name)
            if was_listener:
                mqtt_status.end(transaction, self._now())

    def _let_go(self, session: Session) -> None:
        self.link.close()
        with suppress(psycopg2.Error), session.transaction() as transaction:
            mqtt_status.release(transaction)

    def _record(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}"
        with suppress(psycopg2.Error), self._database.transaction() as transaction:
            health.note_fault(transaction, PART, words, self._now())
