"""The way of a notification to its channels: routed, put into a message, sent, and how that ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extras import Json

from database.pool import Row, Session, Transaction
from database.prepared import prepared

ROUTING_LOCK = 7_300_001
CHANNEL_LOCKS = 7_300_002
ROUTED_AT_ONCE = 500
LOOKED_AT_ONCE = 200
MERGE_WINDOW = timedelta(minutes=15)
KEPT = timedelta(days=30)
# Longer than sending once can take: until then nobody sends again what its sender has not booked
UNDER_WAY_FOR = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A message as it was rendered: `id` is its first delivery, `attempts` counts the one under way.

    `address_sealed` is the address as it was when the attempt began; an operator's channel has none.
    """

    id: int
    channel_id: int
    user_id: int | None
    transport: str
    content: dict[str, Any]
    attempts: int
    created_at: datetime
    address_sealed: bytes | None = field(repr=False)
    sealed_with: str | None


def is_anything_to_do(transaction: Transaction, now: datetime) -> bool:
    """Tell whether anything is new or waits to be sent: asked several times a second, and cheap."""
    return bool(transaction.value(_ANYTHING, {"now": now}))


_ANYTHING = prepared(
    """
    SELECT EXISTS (SELECT FROM notifications WHERE routed_at IS NULL)
        OR EXISTS (SELECT FROM alert_deliveries WHERE state = 'WAITING' AND not_before <= %(now)s)
    """,
    now="timestamptz",
)


def route(
    transaction: Transaction, defaults: Mapping[str, str], published: Sequence[str], now: datetime
) -> int:
    """Decide which channels get the notifications that are new, and return how many there were.

    A user's news goes to every channel the user has, and to the operator's where the user has none; news
    without a user goes to the operator. `defaults` is how each kind is delivered unless the user decided
    otherwise; `published` kinds also go to the operator's MQTT channel. One process routes at a time, so
    that a channel's deliveries are numbered in the order of the notifications.
    """
    if not transaction.value("SELECT pg_try_advisory_xact_lock(%s)", (ROUTING_LOCK,)):
        return 0
    values = {
        "now": now,
        "limit": ROUTED_AT_ONCE,
        "window": MERGE_WINDOW,
        "kinds": list(defaults),
        "deliveries": list(defaults.values()),
        "published": list(published),
    }
    return len(transaction.all(_ROUTE, values))


_ROUTE = """
    WITH fresh AS (
        UPDATE notifications SET routed_at = %(now)s
         WHERE id IN (SELECT id FROM notifications WHERE routed_at IS NULL ORDER BY id LIMIT %(limit)s)
        RETURNING id, user_id, kind),
    usual AS (SELECT * FROM unnest(%(kinds)s::text[], %(deliveries)s::text[]) AS usual (kind, delivery)),
    wanted AS (
        SELECT fresh.*, coalesce(wish.delivery, usual.delivery, 'ON') AS delivery
          FROM fresh
          LEFT JOIN usual ON usual.kind = fresh.kind
          LEFT JOIN user_alert_settings AS wish ON wish.user_id = fresh.user_id AND wish.kind = fresh.kind),
    own AS (
        SELECT channels.* FROM alert_channels AS channels
         WHERE channels.user_id IN (SELECT user_id FROM wanted) AND channels.address_sealed IS NOT NULL),
    operators AS (SELECT * FROM alert_channels WHERE user_id IS NULL AND is_active),
    going AS (
        SELECT wanted.id, wanted.kind, own.id AS channel_id, wanted.delivery = 'MERGED' AS together,
               CASE WHEN NOT own.is_active THEN 'The channel was switched off by then.' END AS error
          FROM wanted JOIN own ON own.user_id = wanted.user_id
         WHERE wanted.delivery <> 'OFF'
        UNION ALL
        SELECT wanted.id, wanted.kind, operators.id,
               wanted.delivery = 'MERGED' AND operators.transport <> 'MQTT', NULL
          FROM wanted JOIN operators ON CASE
               WHEN operators.transport = 'MQTT' THEN wanted.kind = ANY(%(published)s)
               WHEN wanted.delivery = 'OFF' THEN false
               ELSE wanted.user_id IS NULL OR wanted.user_id NOT IN (SELECT user_id FROM own) END),
    sent AS (
        INSERT INTO alert_deliveries (notification_id, channel_id, kind, together, state, error, not_before,
                                      created_at)
        SELECT going.id, going.channel_id, going.kind, together,
               CASE WHEN error IS NULL THEN 'WAITING' ELSE 'FAILED' END, error,
               greatest(%(now)s, CASE WHEN together THEN (
                   SELECT CASE last.state WHEN 'SENT' THEN last.sent_at + %(window)s
                                          WHEN 'WAITING' THEN last.not_before END
                     FROM alert_deliveries AS last
                    WHERE last.channel_id = going.channel_id AND last.kind = going.kind
                    ORDER BY last.id DESC LIMIT 1) END), %(now)s
          FROM going ORDER BY going.id, going.channel_id)
    SELECT id FROM fresh
"""


def channels_due(
    transaction: Transaction,
    transports: Sequence[str],
    operators: Sequence[bytes],
    now: datetime,
    *,
    only: int | None = None,
) -> list[int]:
    """Return the channels of these transports, or `only` this one, that something can be sent to now.

    Of the operator's channels those count whose address has a hash among `operators`.
    """
    rows = transaction.all(
        """
        SELECT channels.id FROM alert_channels AS channels
         WHERE channels.is_active AND channels.transport = ANY(%(transports)s)
           AND (%(only)s::bigint IS NULL OR channels.id = %(only)s)
           AND (channels.user_id IS NOT NULL OR channels.address_hash = ANY(%(operators)s::bytea[]))
           AND coalesce(channels.quiet_until, '-infinity') <= %(now)s
           AND NOT EXISTS (SELECT FROM alert_pauses AS pause
                            WHERE pause.transport = channels.transport AND pause.until > %(now)s)
           AND EXISTS (SELECT FROM alert_deliveries AS waiting
                        WHERE waiting.channel_id = channels.id AND waiting.state = 'WAITING'
                          AND waiting.not_before <= %(now)s)
         ORDER BY channels.id
        """,
        {"transports": list(transports), "operators": list(operators), "now": now, "only": only},
    )
    return [row["id"] for row in rows]


def tests_waiting(transaction: Transaction, user_id: int) -> int:
    """Return how many test alerts of a user were not sent yet."""
    return int(
        transaction.value(
            """
            SELECT count(*) FROM notifications AS told
             WHERE told.user_id = %s AND told.kind = 'TEST_ALERT' AND (told.routed_at IS NULL OR EXISTS (
                   SELECT FROM alert_deliveries AS each
                    WHERE each.notification_id = told.id AND each.state = 'WAITING'))
            """,
            (user_id,),
        )
    )


def of_notification(transaction: Transaction, user_id: int, notification_id: int) -> list[Row]:
    """Return how a user's notification stands with each of its channels."""
    return transaction.all(
        """
        SELECT channels.transport, channels.shown, each.state, each.error, each.sent_at, carrier.attempts,
               carrier.next_attempt_at
          FROM alert_deliveries AS each
          JOIN alert_channels AS channels ON channels.id = each.channel_id
          JOIN alert_deliveries AS carrier ON carrier.id = coalesce(each.merged_into, each.id)
          JOIN notifications AS told ON told.id = each.notification_id
         WHERE told.user_id = %s AND told.id = %s AND channels.transport <> 'MQTT' ORDER BY channels.transport
        """,
        (user_id, notification_id),
    )


def claim(session: Session, channel_id: int) -> bool:
    """Take a channel for this session alone, if it is free; the end of the session's connection frees it."""
    with session.transaction() as transaction:
        return bool(transaction.value("SELECT pg_try_advisory_lock(%s, %s)", (CHANNEL_LOCKS, channel_id)))


def leave(session: Session, channel_id: int) -> None:
    """Give a claimed channel back."""
    with session.transaction() as transaction:
        transaction.value("SELECT pg_advisory_unlock(%s, %s)", (CHANNEL_LOCKS, channel_id))


def under_way(transaction: Transaction, channel_id: int) -> int | None:
    """Return the delivery whose message was rendered for a channel and did not arrive yet."""
    found = transaction.value(
        """
        SELECT id FROM alert_deliveries
         WHERE channel_id = %s AND state = 'WAITING' AND content IS NOT NULL ORDER BY id LIMIT 1
        """,
        (channel_id,),
    )
    return None if found is None else int(found)


def transport_of(transaction: Transaction, channel_id: int) -> str:
    """Return the transport of a channel."""
    return str(transaction.value("SELECT transport FROM alert_channels WHERE id = %s", (channel_id,)))


def waiting(transaction: Transaction, channel_id: int, now: datetime) -> list[Row]:
    """Return what may be sent to a channel now, oldest first, with the notifications' words.

    Those with an `error` were part of a message that failed, see `part_company`.
    """
    return transaction.all(
        """
        SELECT deliveries.id, deliveries.kind, deliveries.together, deliveries.error, told.content,
               told.created_at
          FROM alert_deliveries AS deliveries JOIN notifications AS told ON told.id = deliveries.notification_id
         WHERE deliveries.channel_id = %s AND deliveries.state = 'WAITING' AND deliveries.not_before <= %s
         ORDER BY deliveries.id LIMIT %s
        """,
        (channel_id, now, LOOKED_AT_ONCE),
    )


def put_together(transaction: Transaction, ids: Sequence[int], content: Mapping[str, Any]) -> int:
    """Let one rendered message carry these deliveries; return the first, which stands for it."""
    first, *others = ids
    transaction.execute("UPDATE alert_deliveries SET content = %s WHERE id = %s", (Json(content), first))
    if others:
        transaction.execute(
            "UPDATE alert_deliveries SET merged_into = %s WHERE id = ANY(%s)", (first, list(others))
        )
    return first


def next_attempt(transaction: Transaction, delivery_id: int, now: datetime) -> Parcel | None:
    """Count an attempt before it is made and return what to send; None where it is not due."""
    row = transaction.maybe(
        """
        UPDATE alert_deliveries AS first SET attempts = attempts + 1, next_attempt_at = %(now)s + %(under_way)s
          FROM alert_channels AS channels
         WHERE first.id = %(id)s AND channels.id = first.channel_id AND first.state = 'WAITING'
           AND coalesce(first.next_attempt_at, '-infinity') <= %(now)s
        RETURNING first.id, first.channel_id, first.content, first.attempts, first.created_at,
                  channels.transport, channels.user_id, channels.address_sealed, channels.sealed_with
        """,
        {"id": delivery_id, "now": now, "under_way": UNDER_WAY_FOR},
    )
    return None if row is None else Parcel(**row)


def part_company(transaction: Transaction, ids: Sequence[int], error: str) -> None:
    """Let each of these be sent alone from now on: one of them may have spoilt the message of all."""
    transaction.execute(
        """
        UPDATE alert_deliveries SET content = NULL, merged_into = NULL, next_attempt_at = NULL, error = %s
         WHERE id = ANY(%s) AND state = 'WAITING'
        """,
        (error, list(ids)),
    )


def carried_by(transaction: Transaction, parcel: Parcel) -> list[int]:
    """Return every delivery that waits for the end of a message."""
    rows = transaction.all(
        "SELECT id FROM alert_deliveries WHERE state = 'WAITING' AND (id = %s OR merged_into = %s) ORDER BY id",
        (parcel.id, parcel.id),
    )
    return [row["id"] for row in rows]


def note_unsayable(transaction: Transaction, delivery_id: int, error: str) -> None:
    """Book an alert that no message can be made of as never to be sent."""
    transaction.execute(
        "UPDATE alert_deliveries SET state = 'FAILED', error = %s WHERE id = %s AND state = 'WAITING'",
        (error, delivery_id),
    )


def note_sent(
    transaction: Transaction,
    parcel: Parcel,
    message_id: str | None,
    now: datetime,
    quiet_until: datetime | None,
) -> None:
    """Book a message, and everything it carried, as taken by the service."""
    _end(transaction, parcel, "SENT", message_id=message_id, sent_at=now)
    transaction.execute(
        "UPDATE alert_channels SET last_sent_at = %s, quiet_until = %s WHERE id = %s",
        (now, quiet_until, parcel.channel_id),
    )


def note_failed(transaction: Transaction, parcel: Parcel, error: str) -> None:
    """Book a message, and everything it carried, as never to be sent."""
    _end(transaction, parcel, "FAILED", error=error)


def note_later(transaction: Transaction, parcel: Parcel, error: str, at: datetime) -> None:
    """Keep a message for another attempt; nothing overtakes it meanwhile."""
    transaction.execute(
        "UPDATE alert_deliveries SET error = %s, next_attempt_at = %s WHERE id = %s AND state = 'WAITING'",
        (error, at, parcel.id),
    )
    transaction.execute("UPDATE alert_channels SET quiet_until = %s WHERE id = %s", (at, parcel.channel_id))


def withdraw(transaction: Transaction, user_id: int, watched_bot_id: int) -> None:
    """Send nothing more about a bot that its user stopped watching."""
    values = {"user": user_id, "bot": str(watched_bot_id)}
    transaction.execute(
        """
        UPDATE notifications SET routed_at = now()
         WHERE routed_at IS NULL AND user_id = %(user)s AND content->>'watched_bot_id' = %(bot)s;
        UPDATE alert_deliveries AS waiting SET state = 'FAILED', error = 'Its bot is watched no longer.'
          FROM notifications AS told
         WHERE told.id = waiting.notification_id AND told.user_id = %(user)s
           AND told.content->>'watched_bot_id' = %(bot)s
           AND waiting.state = 'WAITING' AND waiting.content IS NULL AND waiting.merged_into IS NULL
        """,
        values,
    )


def clear_up(transaction: Transaction, now: datetime) -> None:
    """End what nobody came to send within a day, and let go of messages sent long ago."""
    transaction.execute(
        """
        UPDATE alert_deliveries SET state = 'FAILED', error = 'Nobody could send it within a day.'
         WHERE state = 'WAITING' AND content IS NULL AND merged_into IS NULL AND not_before < %(now)s - %(day)s;
        UPDATE alert_deliveries SET content = NULL
         WHERE content IS NOT NULL AND state <> 'WAITING' AND created_at < %(now)s - %(kept)s
        """,
        {"now": now, "day": timedelta(days=1), "kept": KEPT},
    )


def pause_everywhere(transaction: Transaction, transport: str, until: datetime) -> None:
    """Let nobody send by a transport before a moment."""
    transaction.execute(
        """
        INSERT INTO alert_pauses (transport, until) VALUES (%s, %s)
        ON CONFLICT (transport) DO UPDATE SET until = greatest(alert_pauses.until, excluded.until)
        """,
        (transport, until),
    )


def _end(
    transaction: Transaction,
    parcel: Parcel,
    state: str,
    *,
    error: str | None = None,
    message_id: str | None = None,
    sent_at: datetime | None = None,
) -> None:
    transaction.execute(
        """
        UPDATE alert_deliveries SET state = %s, error = %s, message_id = %s, sent_at = %s
         WHERE state = 'WAITING' AND (id = %s OR merged_into = %s)
        """,
        (state, error, message_id, sent_at, parcel.id, parcel.id),
    )
