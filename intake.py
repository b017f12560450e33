"""Take a message in: read it, find its bot, tell copies, store it. Store, then answer.

The webhook server, the API and the dashboard's test all come through here. What `take` returns was
committed; if it raises, nothing was stored and the sender should send again.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import psycopg2

from core.matching import Candidate, choose
from core.plan import Code, Refusal
from core.signal import Signal
from database import inbox, replays
from database.inbox import Arrival, Sender
from database.notifications import NotificationKind, notify
from database.pool import Database, Transaction
from database.tokens import note_token_use
from log import about_signal
from signals import tradingview
from signals.problems import InvalidJson, InvalidSignal
from signals.service import ServiceFields, with_service_fields
from signals.tradingview import Understood

TRADINGVIEW = "tradingview"
MOST_BOTS_NAMED = 50

logger = logging.getLogger(__name__)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Status(StrEnum):
    """What became of a message: only an ACCEPTED one can trade."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    TEST = "test"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A message that no bot could follow, whoever sent it; `signal` is there where only parts contradict."""

    refusal: Refusal
    details: Mapping[str, Any] = field(default_factory=dict)
    signal: Signal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the sender is told: `signal_id` is the stored signal's, for a duplicate the first one's."""

    status: Status
    signal_id: UUID
    refusal: Refusal | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    copy_of: int | None = None


def read(
    body: bytes, content_type: str | None, beside: ServiceFields | None = None
) -> Understood | Unreadable:
    """Read a body; whatever is wrong with it is in what comes back, nothing is raised.

    `beside` are the fields that a service sent beside the signal's own, with what is wrong of them.
    """
    also_wrong = beside.problems if beside else ()
    try:
        understood = tradingview.understand(body, content_type)
    except InvalidJson as error:
        return _unreadable(Code.INVALID_JSON, error.message, {"hint": error.hint})
    except InvalidSignal as error:
        return unreadable(InvalidSignal((*also_wrong, *error.problems)))
    if also_wrong:
        return unreadable(InvalidSignal(also_wrong))
    if beside is not None:
        understood = replace(understood, signal=with_service_fields(understood.signal, beside))
    sentence = understood.signal.contradiction
    if sentence is None:
        return understood
    refusal = Refusal(code=Code.CONTRADICTORY_SIGNAL, sentence=sentence)
    return Unreadable(refusal=refusal, signal=understood.signal, details=tradingview.explain(understood))


def unreadable(error: InvalidSignal) -> Unreadable:
    """Return the reading of a message whose fields are wrong: each with what came and what is allowed."""
    fields = [{"name": each.name, "got": each.got, "allowed": each.allowed} for each in error.problems]
    return _unreadable(Code.INVALID_SIGNAL, str(error), {"fields": fields})


def receive_alert(
    database: Database, token_hash: bytes, body: bytes, content_type: str | None, now: datetime
) -> Receipt | None:
    """Take in what came with a webhook token, in one transaction; None where the token is not valid.

    Raises psycopg2.Error where nothing could be stored.
    """
    reading = read(body, content_type)
    arrival = Arrival(body=body, received_at=now)
    symbol = reading.signal.symbol_key if reading.signal else None
    with database.transaction() as transaction:
        sender, bots = inbox.sender_and_bots(transaction, token_hash, symbol, source=TRADINGVIEW, now=now)
        if sender is None:
            return None
        receipt = take(transaction, sender, arrival, reading, bots)
    note(database, sender, receipt, now)
    return receipt


def receive_from_service(
    database: Database, sender: Sender, arrival: Arrival, reading: Understood | Unreadable
) -> Receipt:
    """Take in what a service sent, as `receive_alert` does."""
    with database.transaction() as transaction:
        bots = inbox.bots_open_to(transaction, sender, reading.signal.symbol_key) if reading.signal else []
        receipt = take(transaction, sender, arrival, reading, bots)
    note(database, sender, receipt, arrival.received_at)
    return receipt


def receive_replay(
    transaction: Transaction,
    sender: Sender,
    arrival: Arrival,
    signal: Signal,
    bot: Candidate,
    *,
    original: int,
) -> UUID:
    """Store a signal again for a bot on paper, as a new one that says which it repeats; the caller commits."""
    stored = inbox.store(transaction, sender, arrival, signal, bot)
    replays.mark(transaction, sender.user_id, stored.uuid, original)
    return stored.uuid


def take(
    transaction: Transaction,
    sender: Sender,
    arrival: Arrival,
    reading: Understood | Unreadable,
    candidates: Sequence[Candidate],
) -> Receipt:
    """Store a message as a signal for its bot, as a copy of one, or as refused; the caller commits."""
    if isinstance(reading, Unreadable):
        return refuse(transaction, sender, arrival, reading.signal, reading.refusal, reading.details)
    signal = reading.signal
    bot = choose(signal, candidates)
    if isinstance(bot, Refusal):
        details = _bots_there_are(transaction, sender, signal) if bot.code is Code.NO_BOT else {}
        return refuse(transaction, sender, arrival, signal, bot, details)
    if signal.test:
        return refuse(transaction, sender, arrival, signal, _only_a_test(bot), tradingview.explain(reading))
    stored = inbox.store(transaction, sender, arrival, signal, bot)
    if stored.is_copy:
        return Receipt(status=Status.DUPLICATE, signal_id=stored.uuid, copy_of=stored.id)
    return Receipt(status=Status.ACCEPTED, signal_id=stored.uuid)


def note(database: Database, sender: Sender, receipt: Receipt, now: datetime) -> None:
    """Write into the log what came, and note a copy and the use of a token, after the commit of these."""
    with about_signal(receipt.signal_id):
        reason = f": {receipt.refusal.code}: {receipt.refusal.sentence}" if receipt.refusal else ""
        logger.info("%s from %s of user %s%s", receipt.status, sender.source, sender.user_id, reason)
        # The message is stored and has its answer; a figure about it may get lost.
        if receipt.copy_of is not None or sender.stale:
            _note(database, sender, receipt, now)


def _note(database: Database, sender: Sender, receipt: Receipt, now: datetime) -> None:
    try:
        with database.transaction() as transaction:
            if receipt.copy_of is not None:
                inbox.count_copy(transaction, receipt.copy_of, now)
            if sender.stale and sender.token_id is not None:
                note_token_use(transaction, sender.token_id, now)
    except psycopg2.Error:
        logger.exception("a copy or the use of a token was not noted")


def _unreadable(code: Code, sentence: str, details: Mapping[str, Any]) -> Unreadable:
    # The name of a field may hold what PostgreSQL cannot store.
    return Unreadable(refusal=Refusal(code=code, sentence=_UNSTORABLE.sub("�", sentence)), details=details)


def refuse(
    transaction: Transaction,
    sender: Sender,
    arrival: Arrival,
    signal: Signal | None,
    refusal: Refusal,
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Receipt:
    """Store a message as refused, or as a test, and tell its user of a refusal; the caller commits."""
    uuid = inbox.store_refusal(transaction, sender, arrival, signal, refusal)
    status = Status.TEST if refusal.code is Code.TEST_SIGNAL else Status.REFUSED
    if status is Status.REFUSED:
        _tell_refused(transaction, sender, signal, refusal, uuid)
    return Receipt(status=status, signal_id=uuid, refusal=refusal, details=details)


def _tell_refused(
    transaction: Transaction, sender: Sender, signal: Signal | None, refusal: Refusal, uuid: UUID
) -> None:
    """Tell of a message that no bot was given: a wrong template would be silent else, alert for alert."""
    known = {"symbol": signal.symbol} if signal else {}
    notify(
        transaction, sender.user_id, NotificationKind.SIGNAL_REFUSED,
        event=str(uuid), source=sender.source, code=refusal.code, sentence=refusal.sentence, **known,
    )  # fmt: skip


def _only_a_test(bot: Candidate) -> Refusal:
    sentence = f"This is a test: bot {bot.name} would have taken it. Nothing was traded."
    return Refusal(code=Code.TEST_SIGNAL, sentence=sentence)


def _bots_there_are(transaction: Transaction, sender: Sender, signal: Signal) -> dict[str, Any]:
    wanted = {"symbol": signal.symbol, "timeframe": signal.timeframe, "bot": signal.bot}
    bots = inbox.bots_open_to(transaction, sender)
    return {
        "looked_for": {name: value for name, value in wanted.items() if value is not None},
        "bots": [_named(bot) for bot in bots[:MOST_BOTS_NAMED]],
        "total_bots": len(bots),
    }


def _named(bot: Candidate) -> dict[str, Any]:
    return {
        "id": bot.id,
        "name": bot.name,
        "symbol": bot.symbol,
        "timeframe": bot.timeframe,
        "connection": bot.connection,
    }
