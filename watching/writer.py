"""Write messages down with everything that follows from them, a batch in one transaction."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import psycopg2

from database import health, watched, watched_trades
from database.notifications import notify
from database.pool import Session, Transaction
from database.watched import EventRow, Identified, WatchedBot
from watching import effects
from watching.inbox import Message
from watching.messages import Event, Kind, bad, understand
from watching.repeats import is_repeat, may_repeat
from watching.trades import ABOUT_TRADES, TradeBook

logger = logging.getLogger("mqtt_listener")

# The database is away or too busy: the batch is fine and is tried again.
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message, the bot it is of, and what it says."""

    message: Message
    bot_id: int
    event: Event

    @property
    def key(self) -> Identified:
        return self.bot_id, self.event.identity


class Writer:
    """Store batches of messages, each message once.

    A batch is committed with its rows, the state of the bots, trades, balances and notifications, or
    not at all. It may be written again after a commit whose answer did not come.
    """

    def __init__(self, heartbeat_timeout: timedelta, published_prefix: str | None = None) -> None:
        self._timeout = heartbeat_timeout
        self._published_prefix = published_prefix

    def store(
        self, session: Session, prefixes: Mapping[str, int], messages: Sequence[Message], *, is_retry: bool
    ) -> None:
        """Commit a batch; raise one of `AWAY` where the database is gone, and nothing else.

        Messages below no watched prefix are left out, and what we publish ourselves. A message that
        cannot be stored is stored as a bad one, and does not keep the others waiting.
        """
        batch = [each for message in messages if (each := self._received(message, prefixes)) is not None]
        if not batch:
            return
        try:
            with session.transaction() as transaction:
                self._write(transaction, batch, is_retry=is_retry)
        except AWAY:
            raise
        except Exception as error:
            logger.warning("a batch of %s is stored one by one: %s", len(batch), error)
            for received in batch:
                self._store_one(session, received, is_retry=is_retry)

    def _received(self, message: Message, prefixes: Mapping[str, int]) -> Received | None:
        ours = self._published_prefix
        return None if ours and message.topic.startswith(ours) else _received(message, prefixes)

    def _store_one(self, session: Session, received: Received, *, is_retry: bool) -> None:
        try:
            with session.transaction() as transaction:
                self._write(transaction, [received], is_retry=is_retry)
        except AWAY:
            raise
        except Exception as error:
            logger.exception("a message cannot be stored as what it says")
            self._store_bad(session, received, f"{type(error).__name__}: {error}", is_retry=is_retry)

    def _store_bad(self, session: Session, received: Received, reason: str, *, is_retry: bool) -> None:
        message = received.message
        event = bad(
            message.topic, message.payload, message.received_at, reason, is_retained=message.is_retained
        )
        try:
            with session.transaction() as transaction:
                self._write(transaction, [replace(received, event=event)], is_retry=is_retry)
        except AWAY:
            raise
        except Exception as error:
            logger.exception("a message cannot be stored at all")
            with session.transaction() as transaction:
                words = f"a message cannot be stored: {type(error).__name__}"
                health.note_fault(transaction, "mqtt listener", words, message.received_at)

    def _write(self, transaction: Transaction, batch: Sequence[Received], *, is_retry: bool) -> None:
        bots = watched.lock_bots(transaction, {received.bot_id for received in batch})
        batch = [received for received in batch if received.bot_id in bots]
        candidates = _once(_without_repeats(transaction, batch, is_retry=is_retry))
        rows = [_row(received) for received in candidates]
        stored = watched.insert_events(transaction, rows) if rows else {}
        new = {id(each): stored[each.key] for each in candidates if each.key in stored}
        self._effect(transaction, bots, batch, new)

    def _effect(
        self,
        transaction: Transaction,
        bots: dict[int, WatchedBot],
        batch: Sequence[Received],
        new: Mapping[int, bool],
    ) -> None:
        before = dict(bots)
        first = [each for each in batch if id(each) in new and not new[id(each)]]
        trades = _trades(transaction, first)
        balances = []
        for received in batch:
            bot, event = bots[received.bot_id], received.event
            self._tell(transaction, bot, event, is_new=id(received) in new)
            if id(received) in new and not new[id(received)]:
                balances.append(effects.balance_of(bot, event))
                trades.book(bot.id, event)
            bots[bot.id] = effects.after(bot, event, self._timeout, is_new=id(received) in new)
        watched_trades.save_trades(transaction, trades.changed)
        watched.insert_balances(transaction, [balance for balance in balances if balance is not None])
        watched.update_bots(transaction, [bot for id, bot in bots.items() if bot != before[id]])

    def _tell(self, transaction: Transaction, bot: WatchedBot, event: Event, *, is_new: bool) -> None:
        alerts = (effects.back_of(bot, event), effects.alert_of(bot, event) if is_new else None)
        for kind, content in filter(None, alerts):
            notify(transaction, bot.user_id, kind, **content)


def _received(message: Message, prefixes: Mapping[str, int]) -> Received | None:
    mine = [prefix for prefix in prefixes if message.topic.startswith(prefix)]
    if not mine:
        return None
    prefix = max(mine, key=len)
    return Received(message=message, bot_id=prefixes[prefix], event=_understood(message, prefix))


def _understood(message: Message, prefix: str) -> Event:
    topic, payload, at, is_retained = (
        message.topic, message.payload, message.received_at, message.is_retained,
    )  # fmt: skip
    try:
        return understand(topic, prefix, payload, at, is_retained=is_retained)
    except Exception as error:
        logger.exception("a message could not be understood")
        return bad(topic, payload, at, f"{type(error).__name__}: {error}", is_retained=is_retained)


def _without_repeats(
    transaction: Transaction, batch: Sequence[Received], *, is_retry: bool
) -> list[Received]:
    doubtful = [
        each for each in batch if may_repeat(each.event, each.message.connected_at, again=each.message.again)
    ]
    rows = [_row(each) for each in doubtful]
    connected_at = [each.message.connected_at for each in doubtful]
    again = [each.message.again for each in doubtful]
    known = watched.known(transaction, rows, connected_at, again) if doubtful else set()
    arrived = watched.stored_arrivals(transaction, [_row(each) for each in batch]) if is_retry else set()
    earlier: dict[Identified, list[Event]] = defaultdict(list)
    kept = []
    for each in batch:
        is_known = (*each.key, each.event.is_retained) in known
        if (*each.key, each.event.received_at) in arrived:
            continue
        if each.event.is_unique or not is_repeat(
            each.event,
            each.message.connected_at,
            is_stored=is_known,
            earlier=earlier[each.key],
            again=each.message.again,
        ):
            kept.append(each)
        earlier[each.key].append(each.event)
    return kept


def _once(batch: Sequence[Received]) -> list[Received]:
    """Return each unique message once, as it came live where it did."""
    first: dict[Identified, Received] = {}
    for each in batch:
        known = first.get(each.key)
        if each.event.is_unique and (known is None or known.event.is_retained > each.event.is_retained):
            first[each.key] = each
    return [each for each in batch if not each.event.is_unique or first[each.key] is each]


def _row(received: Received) -> EventRow:
    event = received.event
    return EventRow(
        watched_bot_id=received.bot_id,
        topic=event.topic,
        kind=event.kind,
        payload=event.payload,
        payload_bytes=event.payload_bytes,
        understood=None
        if event.kind in (Kind.UNKNOWN, Kind.BAD)
        else json.dumps(effects.stored(event.understood)),
        problem=event.problem,
        is_retained=event.is_retained,
        sent_at=event.sent_at,
        received_at=event.received_at,
        identity=event.identity,
        is_unique=event.is_unique,
    )


def _trades(transaction: Transaction, new: Sequence[Received]) -> TradeBook:
    about = [each for each in new if each.event.kind in ABOUT_TRADES]
    if not about:
        return TradeBook()
    named = [(each.bot_id, each.event.understood.get("trade_id")) for each in about]
    return TradeBook(
        watched_trades.trades_around(
            transaction,
            [(each.bot_id, each.event.understood["market"]) for each in about],
            [
                (each.bot_id, each.event.understood["market"])
                for each in about
                if each.event.kind is Kind.POSITION_CLOSED
            ],
            [(bot_id, trade_id) for bot_id, trade_id in named if trade_id is not None],
        )
    )
