"""Send what happened to whom it concerns: route, compose, send, and keep how it ended.

A notification is a row, written in the transaction of what caused it. From there on a `Notifier`, in any
number of processes, brings it to its channels. What a channel is sent keeps its order: an advisory
lock gives it to one sender, and a message that must be tried again holds the later ones back.

A message is rendered and its attempt counted before it is sent, so it is sent at least once; a second
time only where the first answer never came. One that cannot be rendered, or that its service refuses, is
failed alone: what was to travel with it goes without it.
"""

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg2

from alerts import kinds, occasions
from alerts.merging import Waiting, compose
from alerts.transport import ChannelGone, Delivered, Message, Outcome, Refused, Transport, TryLater
from alerts.wording import alert_for
from database import alert_channels, alert_deliveries, health
from database.alert_deliveries import UNDER_WAY_FOR, Parcel
from database.pool import Database, Row, Session, Transaction
from encryption import Vault, WrongKey
from settings import Settings

LOOK_SECONDS = 0.25
PARTS_SECONDS = 5.0
DAY_SECONDS = 60.0
CLEAR_UP_SECONDS = 3600.0
CHANNELS_AT_ONCE = 6
MESSAGES_IN_A_TURN = 50
# So that those who answer slowly leave the senders to the others
TURN = timedelta(seconds=5)
BOOK_AGAIN_SECONDS = 1.0
GIVE_UP_AFTER = timedelta(hours=24)
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0
LONGEST_OBEYED_SECONDS = 6 * 3600.0

logger = logging.getLogger("notifier")


@dataclass(slots=True, kw_only=True)
class Chore:
    """Something done in a transaction every so many seconds, next at `due`."""

    work: Callable[[Transaction, datetime], None]
    every: float
    due: float


class Notifier:
    """Bring notifications to their channels, by the transports this process has.

    `operators` are the addresses that are settings, by transport; without a `vault` they are the only
    ones that can be read. `now` gives aware UTC times.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault | None,
        transports: Mapping[str, Transport],
        *,
        operators: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._transports = transports
        self._operators = operators
        self._now = now
        self._stopping = threading.Event()
        self._hashes = [_hash(address) for address in operators.values()]
        self._pool = ThreadPoolExecutor(CHANNELS_AT_ONCE, thread_name_prefix="alerts")
        self._busy: dict[int, Future[None]] = {}
        began = time.monotonic()
        self._chores = [
            Chore(work=occasions.PartsWatch(now()).look, every=PARTS_SECONDS, due=began),
            Chore(work=occasions.sum_up_the_day, every=DAY_SECONDS, due=began),
            Chore(work=alert_deliveries.clear_up, every=CLEAR_UP_SECONDS, due=began),
        ]

    def run(self, stopping: threading.Event) -> None:
        """Send until told to stop; a database that goes away is waited for."""
        self._stopping = stopping
        prepared = False
        while not stopping.is_set():
            try:
                if not prepared:
                    self.prepare()
                    prepared = True
                self.do_chores()
                self.turn()
            except psycopg2.Error as error:
                logger.warning("a turn of the alerts failed and the next follows", exc_info=error)
            except Exception as error:
                logger.exception("a turn failed and the next follows")
                self._record("notifier", error)
            stopping.wait(LOOK_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def prepare(self) -> None:
        """Keep the rows of the operator's channels in step with the settings."""
        with self._database.transaction() as transaction:
            for name, transport in self._transports.items():
                address = self._operators.get(name)
                if address is None:
                    alert_channels.retire_operators_channel(transaction, name)
                else:
                    shown = transport.shown(address)
                    alert_channels.keep_operators_channel(transaction, name, shown, _hash(address))

    def do_chores(self) -> None:
        """Look for news that no event brings, each kind as often as it needs."""
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                chore.due = time.monotonic() + chore.every
                with self._database.transaction() as transaction:
                    chore.work(transaction, self._now())

    def turn(self) -> None:
        """Route what is new and let every channel that is due be served by a thread."""
        self._busy = {id: future for id, future in self._busy.items() if not future.done()}
        with self._database.session() as session, session.autocommit() as transaction:
            if not alert_deliveries.is_anything_to_do(transaction, self._now()):
                return
        with self._database.transaction() as transaction:
            alert_deliveries.route(transaction, kinds.defaults(), kinds.published(), self._now())
        with self._database.transaction() as transaction:
            due = self._due(transaction)
        for channel_id in due:
            if channel_id not in self._busy:
                self._busy[channel_id] = self._pool.submit(self._serve_safely, channel_id)

    def _due(self, transaction: Transaction, only: int | None = None) -> list[int]:
        """Return what this process may serve: an operator's channel only with the very address it has."""
        names = list(self._transports)
        return alert_deliveries.channels_due(transaction, names, self._hashes, self._now(), only=only)

    def settle(self) -> None:
        """Wait until every channel that was due has been served."""
        for future in list(self._busy.values()):
            future.result()

    def _serve_safely(self, channel_id: int) -> None:
        try:
            self._serve(channel_id)
        except psycopg2.Error as error:
            logger.warning("channel %s is tried again", channel_id, exc_info=error)
        except Exception as error:
            logger.exception("channel %s failed and is tried again", channel_id)
            self._record(f"alert channel {channel_id}", error)

    def _serve(self, channel_id: int) -> None:
        with self._database.session() as session:
            if not alert_deliveries.claim(session, channel_id):
                return
            until = self._now() + TURN
            try:
                for _ in range(MESSAGES_IN_A_TURN):
                    if not self._send_next(session, channel_id):
                        return
                    if self._stopping.is_set() or self._now() >= until:
                        return
            finally:
                if not session.is_broken:
                    alert_deliveries.leave(session, channel_id)

    def _send_next(self, session: Session, channel_id: int) -> bool:
        """Send one message; tell whether the channel may be sent the next at once."""
        with session.transaction() as transaction:
            parcel = self._next_parcel(transaction, channel_id)
        if parcel is None:
            return False
        outcome = self._sent(parcel)
        try:
            with session.transaction() as transaction:
                return self._book(transaction, parcel, outcome)
        except psycopg2.Error:
            if isinstance(outcome, Delivered):
                self._book_again(parcel, outcome)
            raise

    def _book_again(self, parcel: Parcel, outcome: Delivered) -> None:
        """Keep trying to book what arrived, for as long as nobody else may send it again."""
        for _ in range(int(UNDER_WAY_FOR.total_seconds() / BOOK_AGAIN_SECONDS)):
            try:
                with self._database.transaction() as transaction:
                    self._book(transaction, parcel, outcome)
                return
            except psycopg2.Error:
                if self._stopping.wait(BOOK_AGAIN_SECONDS):
                    return

    def _next_parcel(self, transaction: Transaction, channel_id: int) -> Parcel | None:
        if not self._due(transaction, channel_id):
            return None
        now = self._now()
        first = alert_deliveries.under_way(transaction, channel_id)
        if first is None:
            rows = alert_deliveries.waiting(transaction, channel_id, now)
            # None where a sender that lost its lock has booked since what made the channel due
            first = self._composed(transaction, channel_id, _in_company(rows)) if rows else None
        return None if first is None else alert_deliveries.next_attempt(transaction, first, now)

    def _composed(self, transaction: Transaction, channel_id: int, rows: list[Row]) -> int | None:
        """Put these into a message; where that fails, into one each, and what fails alone is given up."""
        try:
            carried, content = self._rendered(transaction, channel_id, rows)
        except psycopg2.Error:
            raise
        except Exception as error:
            logger.exception("no message could be made for channel %s", channel_id)
            words = f"No message could be made of it: {type(error).__name__}"
            health.note_fault(transaction, f"alert channel {channel_id}", f"{words}: {error}", self._now())
            if len(rows) > 1:
                alert_deliveries.part_company(transaction, [row["id"] for row in rows], words)
            else:
                alert_deliveries.note_unsayable(transaction, rows[0]["id"], words)
            return None
        return alert_deliveries.put_together(transaction, carried, content)

    def _rendered(
        self, transaction: Transaction, channel_id: int, rows: list[Row]
    ) -> tuple[list[int], Message]:
        transport = self._transports[alert_deliveries.transport_of(transaction, channel_id)]
        told = [
            Waiting(alert=alert_for(row["kind"], row["content"], row["created_at"]), together=row["together"])
            for row in rows
        ]
        message = compose(told, most=transport.most, merges=transport.merges)
        return [row["id"] for row in rows[: message.taken]], transport.render(message.alerts)

    def _sent(self, parcel: Parcel) -> Outcome:
        try:
            address = self._address(parcel)
        except WrongKey as error:
            return TryLater(reason=str(error))
        if address is None:
            return ChannelGone(reason="Its address was taken away.")
        return self._transports[parcel.transport].send(address, parcel.content, str(parcel.id))

    def _address(self, parcel: Parcel) -> str | None:
        if parcel.user_id is None:
            return self._operators.get(parcel.transport)
        if self._vault is None or parcel.address_sealed is None:
            return None
        return self._vault.open(parcel.address_sealed, parcel.sealed_with)

    def _book(self, transaction: Transaction, parcel: Parcel, outcome: Outcome) -> bool:
        now = self._now()
        if isinstance(outcome, TryLater | ChannelGone) and not alert_channels.has_address(
            transaction, parcel.channel_id, parcel.address_sealed
        ):
            outcome = TryLater(reason="The address was replaced meanwhile.", seconds=0.0)
        match outcome:
            case Delivered(message_id=message_id, pause=pause):
                quiet_until = now + timedelta(seconds=pause) if pause else None
                alert_deliveries.note_sent(transaction, parcel, message_id, now, quiet_until)
                return not pause
            case TryLater() if now - parcel.created_at > GIVE_UP_AFTER:
                reason = f"Given up after {parcel.attempts} attempts in 24 hours; at last: {outcome.reason}"
                alert_deliveries.note_failed(transaction, parcel, reason)
                return True
            case TryLater(reason=reason, seconds=seconds, everywhere=everywhere):
                at = now + timedelta(seconds=pause_of(parcel.attempts, seconds))
                alert_deliveries.note_later(transaction, parcel, reason, at)
                if everywhere:
                    alert_deliveries.pause_everywhere(transaction, parcel.transport, at)
            case Refused(reason=reason):
                carried = alert_deliveries.carried_by(transaction, parcel)
                if len(carried) > 1:
                    alert_deliveries.part_company(transaction, carried, reason)
                else:
                    alert_deliveries.note_failed(transaction, parcel, reason)
                return True
            case ChannelGone(reason=reason):
                logger.warning("channel %s is switched off: %s", parcel.channel_id, reason)
                alert_channels.switch_off(transaction, parcel.channel_id, reason, now)
        return False

    def _record(self, subject: str, error: Exception) -> None:
        try:
            with self._database.transaction() as transaction:
                health.note_fault(transaction, subject, f"{type(error).__name__}: {error}", self._now())
        except psycopg2.Error:
            logger.warning("the failure of %s could not be recorded", subject)


def notifier_for(settings: Settings, database: Database, now: Callable[[], datetime]) -> Notifier:
    """Return the sender of everything that goes over HTTP; any process with the keys may run it."""
    # The listener's notifier sends over MQTT alone, and its process stays small
    from alerts.registry import transports_for

    discord = settings.discord_webhook_url
    return Notifier(
        database,
        Vault(settings.encryption_key),
        transports_for(settings),
        operators={"DISCORD": discord.get_secret_value()} if discord else {},
        now=now,
    )


def _hash(address: str) -> bytes:
    return hashlib.sha256(address.encode()).digest()


def _in_company(rows: list[Row]) -> list[Row]:
    """Return what may travel in one message: one alone that was in a message that failed, else all before it."""
    alone = next((place for place, row in enumerate(rows) if row["error"] is not None), len(rows))
    return rows[: max(alone, 1)]


def pause_of(attempts: int, asked: float | None) -> float:
    """Return the seconds before the next attempt: what was asked, else doubled each time, with a spread."""
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_OBEYED_SECONDS)
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311  not for secrets
