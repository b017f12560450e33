"""Signals and trade updates on their way to Discord: claimed before they are sent, booked after.

A row waits while `next_attempt_at` is set. Whoever claims it pushes that on by `LEASE`, so that a row whose
sender died is sent again only then, under the same nonce. Updates of one user go together, in their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from database.pool import Row, Transaction

# Longer than sending once can take
LEASE = timedelta(seconds=60)
MOST_TOGETHER = 200
TOO_OLD = "It had expired before it could be sent."
TOO_OLD_TRIED = "It expired while it was being sent; whether it arrived is not known."
ANSWERED = "It was answered before it was sent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """To whom a message goes.

    `discord_id` is None where no account is linked, `channel_id` where they chose no channel, or one that is off.
    """

    user_id: int
    discord_id: int | None
    channel_id: int | None
    is_active: bool
    wants_notifications: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message to be: either a signal, or updates of trades in their order.

    `attempts` counts the one that the claim begins. `nonce` stays the same however often it is tried.
    """

    recipient: Recipient
    signal: Row | None
    updates: tuple[Row, ...]
    attempts: int

    @property
    def ids(self) -> list[int]:
        """Return the rows that the message carries."""
        return [self.signal["id"]] if self.signal else [row["id"] for row in self.updates]

    @property
    def signal_ids(self) -> list[UUID]:
        """Return the engine's signals that opened the trades of the updates."""
        return list(dict.fromkeys(row["signal_uuid"] for row in self.updates if row["signal_uuid"]))

    @property
    def nonce(self) -> str:
        """Return what Discord tells copies of the message by."""
        return f"{'signal' if self.signal else 'update'}-{self.ids[0]}"

    @property
    def created_at(self) -> datetime:
        """Return since when the oldest of it waits."""
        oldest: datetime = (self.signal or self.updates[0])["created_at"]
        return oldest


def users_due(transaction: Transaction, now: datetime, busy: Sequence[int], limit: int = 50) -> list[int]:
    """Return users for whom something is due, longest waiting first, without those that are `busy`.

    What expired before it could be sent is booked so first: a late signal must not look new. Updates that
    wait behind one that was tried are not due: nothing could be claimed, and others would be kept waiting.
    """
    _end_expired(transaction, now)
    rows = transaction.all(
        """
        WITH due AS (
            SELECT user_id, min(next_attempt_at) AS since FROM signal_notifications
             WHERE next_attempt_at <= %(now)s GROUP BY user_id
            UNION ALL
            SELECT trades.user_id, min(updates.next_attempt_at)
              FROM trade_updates AS updates JOIN user_trades AS trades ON trades.id = updates.trade_id
             WHERE updates.next_attempt_at IS NOT NULL GROUP BY trades.user_id
            HAVING min(updates.next_attempt_at) <= %(now)s
               AND NOT bool_or(updates.attempts > 0 AND updates.next_attempt_at > %(now)s))
        SELECT user_id FROM due WHERE user_id <> ALL(%(busy)s::bigint[])
         GROUP BY user_id ORDER BY min(since), user_id LIMIT %(limit)s
        """,
        {"now": now, "busy": list(busy), "limit": limit},
    )
    return [row["user_id"] for row in rows]


def waiting(transaction: Transaction) -> Row:
    """Return how many signals and updates wait to be sent (`count`), and since when the `oldest` does."""
    return transaction.one(
        """
        SELECT count(*), min(created_at) AS oldest
          FROM (SELECT created_at FROM signal_notifications WHERE next_attempt_at IS NOT NULL
                 UNION ALL SELECT created_at FROM trade_updates WHERE next_attempt_at IS NOT NULL) AS waiting
        """
    )


def next_parcel(transaction: Transaction, user_id: int, now: datetime) -> Parcel | None:
    """Claim what a user is to be sent next: a signal before updates; None where nothing is due."""
    recipient = _recipient(transaction, user_id)
    signal = _claim_signal(transaction, user_id, now)
    if signal is not None:
        return Parcel(recipient=recipient, signal=signal, updates=(), attempts=signal["attempts"])
    updates = _claim_updates(transaction, user_id, now)
    if not updates:
        return None
    return Parcel(recipient=recipient, signal=None, updates=tuple(updates), attempts=updates[0]["attempts"])


def note_sent(
    transaction: Transaction,
    parcel: Parcel,
    channel_id: int,
    message_id: int,
    now: datetime,
    remark: str | None = None,
) -> None:
    """Book that Discord took a message; `remark` says why it is not where the user wants it."""
    if parcel.signal is not None:
        note_seen(transaction, parcel.signal["id"], channel_id, message_id, now, remark)
        return
    transaction.execute(
        """
        UPDATE trade_updates SET discord_notified = true, discord_channel_id = %s, discord_message_id = %s,
               next_attempt_at = NULL, last_error = %s
         WHERE id = ANY(%s) AND NOT discord_notified
        """,
        (channel_id, message_id, remark, parcel.ids),
    )


def note_seen(
    transaction: Transaction,
    notification_id: int,
    channel_id: int,
    message_id: int,
    now: datetime,
    remark: str | None = None,
) -> None:
    """Book that a signal's message is there, once: Discord said so, or somebody pressed a button below it."""
    transaction.execute(
        """
        UPDATE signal_notifications SET sent_at = %(now)s, discord_channel_id = %(channel)s,
               discord_message_id = %(message)s, next_attempt_at = NULL, last_error = %(remark)s,
               failed_at = NULL
         WHERE id = %(id)s AND sent_at IS NULL
        """,
        {"id": notification_id, "now": now, "channel": channel_id, "message": message_id, "remark": remark},
    )


def note_later(transaction: Transaction, parcel: Parcel, error: str, at: datetime) -> None:
    """Keep a message for another attempt; later updates of the user wait behind it."""
    _end(transaction, parcel, "last_error = %(error)s, next_attempt_at = %(at)s", error=error, at=at)


def note_failed(transaction: Transaction, parcel: Parcel, error: str, now: datetime) -> None:
    """Book a message as never to be sent, and why; the dashboard shows it."""
    change = "last_error = %(error)s, next_attempt_at = NULL, failed_at = %(now)s"
    _end(transaction, parcel, change, error=error, now=now)


def notification(transaction: Transaction, notification_id: int) -> Row | None:
    """Return a signal as it was sent, with what was answered.

    Beside its own columns: `discord_user_id` of the account now linked to the one it was sent to, and of the
    trade that was opened `trade_entry` and `trade_lots`.
    """
    return transaction.maybe(
        """
        SELECT told.*, settings.discord_user_id, trades.entry_price AS trade_entry, trades.lot_size AS trade_lots
          FROM signal_notifications AS told
          JOIN users ON users.id = told.user_id AND users.is_active
          LEFT JOIN user_discord_settings AS settings ON settings.user_id = told.user_id
          LEFT JOIN user_trades AS trades ON trades.id = told.trade_id
         WHERE told.id = %s
        """,
        (notification_id,),
    )


def _end_expired(transaction: Transaction, now: datetime) -> None:
    transaction.execute(
        """
        UPDATE signal_notifications
           SET next_attempt_at = NULL,
               failed_at = CASE WHEN acknowledged THEN failed_at ELSE %(now)s END,
               last_error = CASE WHEN acknowledged THEN %(answered)s
                                 WHEN attempts > 0 THEN %(tried)s ELSE %(old)s END
         WHERE next_attempt_at <= %(now)s AND (expires_at <= %(now)s OR acknowledged)
        """,
        {"now": now, "answered": ANSWERED, "tried": TOO_OLD_TRIED, "old": TOO_OLD},
    )


def _recipient(transaction: Transaction, user_id: int) -> Recipient:
    row = transaction.one(
        """
        SELECT users.id AS user_id, settings.discord_user_id AS discord_id,
               CASE WHEN notification_channel_off_at IS NULL THEN notification_channel_id END AS channel_id,
               users.is_active,
               coalesce(settings.notifications_enabled, true) AS wants_notifications
          FROM users LEFT JOIN user_discord_settings AS settings ON settings.user_id = users.id
         WHERE users.id = %s
        """,
        (user_id,),
    )
    return Recipient(**row)


def _claim_signal(transaction: Transaction, user_id: int, now: datetime) -> Row | None:
    return transaction.maybe(
        """
        UPDATE signal_notifications SET attempts = attempts + 1, next_attempt_at = %(now)s + %(lease)s
         WHERE id = (SELECT id FROM signal_notifications
                      WHERE user_id = %(user)s AND next_attempt_at <= %(now)s AND expires_at > %(now)s
                        AND NOT acknowledged
                      ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING *
        """,
        {"user": user_id, "now": now, "lease": LEASE},
    )


def _claim_updates(transaction: Transaction, user_id: int, now: datetime) -> list[Row]:
    # Two that claim at once wait for each other at these rows, and the second sees the first one's lease
    waiting = transaction.all(
        """
        SELECT updates.id, updates.attempts, updates.next_attempt_at
          FROM trade_updates AS updates JOIN user_trades AS trades ON trades.id = updates.trade_id
         WHERE trades.user_id = %s AND updates.next_attempt_at IS NOT NULL
         ORDER BY updates.id FOR UPDATE OF updates
        """,
        (user_id,),
    )
    chosen = _together(waiting, now)
    if not chosen:
        return []
    transaction.execute(
        "UPDATE trade_updates SET attempts = attempts + 1, next_attempt_at = %s WHERE id = ANY(%s)",
        (now + LEASE, chosen),
    )
    return transaction.all(
        """
        SELECT updates.*, trades.pair, trades.direction, trades.account_currency, trades.signal_uuid
          FROM trade_updates AS updates JOIN user_trades AS trades ON trades.id = updates.trade_id
         WHERE updates.id = ANY(%s) ORDER BY updates.id
        """,
        (chosen,),
    )


def _together(waiting: Sequence[Row], now: datetime) -> list[int]:
    """Return the updates that one message carries.

    What was claimed together once stays together, under the nonce it had, and holds later ones back.
    """
    tried = [row for row in waiting if row["attempts"]]
    if tried:
        at = tried[0]["next_attempt_at"]
        return [row["id"] for row in tried if row["next_attempt_at"] == at] if at <= now else []
    return [row["id"] for row in waiting if row["next_attempt_at"] <= now][:MOST_TOGETHER]


def _end(transaction: Transaction, parcel: Parcel, change: str, **values: Any) -> None:
    table = "signal_notifications" if parcel.signal is not None else "trade_updates"
    transaction.execute(
        f"UPDATE {table} SET {change} WHERE id = ANY(%(ids)s) AND next_attempt_at IS NOT NULL",
        {**values, "ids": parcel.ids},
    )
