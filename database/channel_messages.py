"""Messages in signal channels that were signals, or meant to be: what became of each, and who was told.

One row for each registration that a message was for, and one more for each edit or deletion of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from database.pool import Row, Transaction

# Discord's ids count milliseconds since 2015-01-01 (its reference, "Snowflakes").
DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
LONGEST_TEXT = 4000


class MessageState(StrEnum):
    """SENDING until the webhook server answered; STORED and REFUSED are its answers, FAILED that none came.

    LATE and BACKLOG were never sent: too old, or from a time when nobody listened. REFUSED may also be the
    parser's word, then without a signal. EDITED and DELETED are rows of their own.
    """

    SENDING = "SENDING"
    STORED = "STORED"
    REFUSED = "REFUSED"
    LATE = "LATE"
    BACKLOG = "BACKLOG"
    FAILED = "FAILED"
    EDITED = "EDITED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """A message as Discord brought it; `author` is the name that is shown."""

    message_id: int
    author_id: int
    author: str
    text: str
    posted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSoFar:
    """One leg of a signal as the trade history has it; money and prices in the connection's currency."""

    action: str
    side: str
    symbol: str
    status: str
    quantity: Decimal | None
    filled_quantity: Decimal
    filled_price: Decimal | None
    reason: str | None
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has become of a signal: it is over once `finished_at` is set.

    `code` and `sentence` say why it did not trade, or what to know of it; `bot` is None where none took it,
    and `symbol` then the one that was sent, if any.
    """

    state: str
    code: str | None
    sentence: str | None
    finished_at: datetime | None
    bot: str | None
    symbol: str | None
    trades: tuple[TradeSoFar, ...]


def note_sending(
    transaction: Transaction, registrations: Sequence[int], message: SeenMessage, now: datetime
) -> list[int]:
    """Note a message before it is sent; return the registrations whose answer is still to come.

    A message that was answered before, or was not to be sent, gives none: it is not sent again. One that was
    being sent when a process died is given again; the server tells copies by the message's id.
    """
    _insert(transaction, registrations, message, MessageState.SENDING, None, now)
    rows = transaction.all(
        """
        SELECT signal_channel_id FROM channel_messages
         WHERE signal_channel_id = ANY(%s) AND message_id = %s AND state = 'SENDING' ORDER BY 1
        """,
        (list(registrations), message.message_id),
    )
    return [row["signal_channel_id"] for row in rows]


def note_not_sent(
    transaction: Transaction,
    registrations: Sequence[int],
    message: SeenMessage,
    state: MessageState,
    sentence: str,
    now: datetime,
) -> list[int]:
    """Note a message that is not sent, and why; return the registrations to which it is new.

    It waits for being told, as the answered ones do; `note_told` keeps quiet about it.
    """
    return _insert(transaction, registrations, message, state, sentence, now)


def note_answer(
    transaction: Transaction,
    registration: int,
    message_id: int,
    state: MessageState,
    sentence: str | None = None,
    signal_uuid: UUID | None = None,
) -> None:
    """Note what the webhook server answered for a registration, or FAILED; what was answered before stays."""
    transaction.execute(
        """
        UPDATE channel_messages SET state = %s, sentence = %s, signal_uuid = coalesce(%s, signal_uuid)
         WHERE signal_channel_id = %s AND message_id = %s AND state = 'SENDING'
        """,
        (state, sentence, signal_uuid, registration, message_id),
    )


def unsent(transaction: Transaction) -> list[Row]:
    """Return the messages whose answer never came, oldest first: a process died before it.

    Columns: id, signal_channel_id, channel_id (Discord's), message_id, author_id, author, text, posted_at,
    seen_at.
    """
    return transaction.all(f"{_MESSAGES} WHERE messages.state = 'SENDING' ORDER BY messages.id")


def unanswered(transaction: Transaction, limit: int = 500) -> list[Row]:
    """Return the messages whose end is known but was not told in their channel yet, oldest first.

    So those that wait for long, however many, take nobody's turn. Beside the columns of `unsent`: state,
    sentence, signal_uuid, reply_id, and of the signal `signal_state`, `signal_code`, `signal_sentence` and
    `finished_at`.
    """
    return transaction.all(
        f"""{_MESSAGES} WHERE messages.answered_at IS NULL AND messages.state <> 'SENDING'
              AND (messages.state <> 'STORED' OR signals.finished_at IS NOT NULL OR signals.id IS NULL)
            ORDER BY messages.id LIMIT %s""",
        (limit,),
    )


def note_told(transaction: Transaction, row_id: int, now: datetime, reply_id: int | None = None) -> bool:
    """Note that the end of a message was told, or never will be; tell whether it was still open."""
    return (
        transaction.execute(
            """
            UPDATE channel_messages SET answered_at = %s, reply_id = coalesce(%s, reply_id)
             WHERE id = %s AND answered_at IS NULL
            """,
            (now, reply_id, row_id),
        )
        == 1
    )


def note_edit(transaction: Transaction, message_id: int, text: str, now: datetime) -> list[int]:
    """Note that a message was edited; return the registrations to which that is new.

    Nothing where it was no signal, or the text is what was seen last (Discord also tells of embeds as edits).
    """
    return _note_change(transaction, message_id, MessageState.EDITED, text, now)


def note_delete(transaction: Transaction, message_id: int, now: datetime) -> list[int]:
    """Note that a message was deleted, once; return the registrations to which that is new."""
    return _note_change(transaction, message_id, MessageState.DELETED, None, now)


def backlog_from(transaction: Transaction) -> dict[int, int]:
    """Return for each watched Discord channel the message id after which something may have been missed.

    The newest that is noted here, or the moment of the first registration, written as a message id.
    """
    rows = transaction.all(
        """
        SELECT channels.channel_id, min(channels.created_at) AS since, max(newest.message_id) AS newest
          FROM signal_channels AS channels
          LEFT JOIN LATERAL (SELECT max(message_id) AS message_id FROM channel_messages
                              WHERE signal_channel_id = channels.id) AS newest ON true
         WHERE channels.is_active AND channels.archived_at IS NULL GROUP BY channels.channel_id
        """
    )
    return {row["channel_id"]: row["newest"] or message_id_at(row["since"]) for row in rows}


def message_id_at(moment: datetime) -> int:
    """Return the smallest id that Discord gives at a moment."""
    return int((moment - DISCORD_EPOCH).total_seconds() * 1000) << 22


def outcome(transaction: Transaction, signal_uuid: UUID) -> Outcome | None:
    """Return what has become of a signal so far, None where there is no such signal."""
    row = transaction.maybe(
        """
        SELECT signals.id, signals.state, signals.code, signals.sentence, signals.finished_at,
               bots.name AS bot, coalesce(bots.symbol, signals.understood ->> 'symbol') AS symbol
          FROM signals LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
         WHERE signals.uuid = %s
        """,
        (signal_uuid,),
    )
    if row is None:
        return None
    trades = transaction.all(
        """
        SELECT trades.action, trades.side, trades.symbol, trades.status, trades.quantity,
               trades.filled_qty AS filled_quantity, trades.filled_price, trades.reason, trades.message
          FROM bot_trades AS trades JOIN signals ON signals.bot_config_id = trades.bot_config_id
           AND signals.id = trades.signal_id
         WHERE signals.id = %s ORDER BY trades.id
        """,
        (row.pop("id"),),
    )
    return Outcome(**row, trades=tuple(TradeSoFar(**trade) for trade in trades))


_MESSAGES = """
    SELECT messages.*, channels.channel_id, channels.user_id, signals.state AS signal_state,
           signals.code AS signal_code, signals.sentence AS signal_sentence, signals.finished_at
      FROM channel_messages AS messages
      JOIN signal_channels AS channels ON channels.id = messages.signal_channel_id
      LEFT JOIN signals ON signals.uuid = messages.signal_uuid
"""


def _insert(
    transaction: Transaction,
    registrations: Sequence[int],
    message: SeenMessage,
    state: MessageState,
    sentence: str | None,
    now: datetime,
) -> list[int]:
    rows = transaction.all(
        """
        INSERT INTO channel_messages (signal_channel_id, message_id, author_id, author, text, state, sentence,
                                      posted_at, seen_at)
        SELECT registration, %(message_id)s, %(author_id)s, %(author)s, %(text)s, %(state)s, %(sentence)s,
               %(posted_at)s, %(now)s
          FROM unnest(%(registrations)s::bigint[]) AS registration ORDER BY registration
        ON CONFLICT (signal_channel_id, message_id) WHERE state NOT IN ('EDITED', 'DELETED') DO NOTHING
        RETURNING signal_channel_id
        """,
        {
            "registrations": list(registrations),
            "message_id": message.message_id,
            "author_id": message.author_id,
            "author": _storable(message.author)[:200],
            "text": _storable(message.text)[:LONGEST_TEXT],
            "state": state,
            "sentence": sentence,
            "posted_at": message.posted_at,
            "now": now,
        },
    )
    return [row["signal_channel_id"] for row in rows]


def _note_change(
    transaction: Transaction, message_id: int, state: MessageState, text: str | None, now: datetime
) -> list[int]:
    # Discord may bring one change twice; the rows of the message itself are the lock.
    seen = transaction.all(
        """
        SELECT id FROM channel_messages WHERE message_id = %s AND state NOT IN ('EDITED', 'DELETED')
         ORDER BY id FOR NO KEY UPDATE
        """,
        (message_id,),
    )
    changed = transaction.all(
        """
        INSERT INTO channel_messages (signal_channel_id, message_id, author_id, author, text, state,
                                      sentence, signal_uuid, posted_at, seen_at)
        SELECT first.signal_channel_id, first.message_id, first.author_id, first.author,
               coalesce(%(text)s, last.text), %(state)s, first.sentence, first.signal_uuid, first.posted_at, %(now)s
          FROM channel_messages AS first
          CROSS JOIN LATERAL (SELECT text, state FROM channel_messages AS each
                               WHERE each.signal_channel_id = first.signal_channel_id
                                 AND each.message_id = first.message_id ORDER BY id DESC LIMIT 1) AS last
         WHERE first.id = ANY(%(seen)s) AND last.state <> 'DELETED'
           AND (%(text)s::text IS NULL OR last.text <> %(text)s)
        RETURNING signal_channel_id
        """,
        {
            "text": None if text is None else _storable(text)[:LONGEST_TEXT],
            "state": state,
            "seen": [row["id"] for row in seen],
            "now": now,
        },
    )
    return [row["signal_channel_id"] for row in changed]


def _storable(text: str) -> str:
    return text.replace("\0", "")
