"""Where alerts go, and what each user wants of every kind of news."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from database.pool import Row, Transaction
from encryption import Vault


def keep_channel(
    transaction: Transaction, vault: Vault, user_id: int, transport: str, address: str, shown: str
) -> int:
    """Keep a user's address for a transport, in place of the one before; what waits goes to the new one.

    It goes at once: the pause before another attempt was that of the old address.
    """
    channel_id = int(
        transaction.value(
            """
            INSERT INTO alert_channels (user_id, transport, address_sealed, sealed_with, shown)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (coalesce(user_id, 0), transport) DO UPDATE
               SET address_sealed = excluded.address_sealed, sealed_with = excluded.sealed_with,
                   shown = excluded.shown, is_active = true, switched_off_because = NULL,
                   switched_off_at = NULL, quiet_until = NULL
            RETURNING id
            """,
            (user_id, transport, vault.seal(address), vault.key_id, shown),
        )
    )
    transaction.execute(
        """
        UPDATE alert_deliveries SET next_attempt_at = NULL
         WHERE channel_id = %s AND state = 'WAITING' AND next_attempt_at IS NOT NULL
        """,
        (channel_id,),
    )
    return channel_id


def has_any(transaction: Transaction, user_id: int) -> bool:
    """Tell whether a user has an address that alerts can be sent to."""
    sql = "SELECT EXISTS (SELECT FROM alert_channels WHERE user_id = %s AND is_active)"
    return bool(transaction.value(sql, (user_id,)))


def keep_operators_channel(transaction: Transaction, transport: str, shown: str, address_hash: bytes) -> None:
    """Keep the row of an address that is a setting; a changed setting switches the channel on again."""
    transaction.execute(
        """
        INSERT INTO alert_channels (transport, shown, address_hash) VALUES (%s, %s, %s)
        ON CONFLICT (coalesce(user_id, 0), transport) DO UPDATE
           SET shown = excluded.shown, address_hash = excluded.address_hash, is_active = true,
               switched_off_because = NULL, switched_off_at = NULL, quiet_until = NULL
         WHERE alert_channels.address_hash IS DISTINCT FROM excluded.address_hash
        """,
        (transport, shown, address_hash),
    )


def retire_operators_channel(transaction: Transaction, transport: str) -> None:
    """Send nothing more to an address that is no setting any longer."""
    channel_id = transaction.value(
        """
        UPDATE alert_channels SET is_active = false, address_hash = NULL, switched_off_because = NULL
         WHERE user_id IS NULL AND transport = %s AND address_hash IS NOT NULL RETURNING id
        """,
        (transport,),
    )
    if channel_id is not None:
        fail_waiting(transaction, channel_id, "The setting of its address was taken out.")


def remove_channel(transaction: Transaction, user_id: int, transport: str) -> bool:
    """Forget a user's address; what waited is not sent. Tell whether there was one."""
    channel_id = transaction.value(
        """
        UPDATE alert_channels SET address_sealed = NULL, sealed_with = NULL, is_active = false,
               switched_off_because = NULL, switched_off_at = NULL
         WHERE user_id = %s AND transport = %s AND address_sealed IS NOT NULL RETURNING id
        """,
        (user_id, transport),
    )
    if channel_id is not None:
        fail_waiting(transaction, channel_id, "The address was removed before this was sent.")
    return channel_id is not None


def switch_on(transaction: Transaction, user_id: int, transport: str) -> bool:
    """Try a user's channel again; tell whether there is one."""
    changed = transaction.execute(
        """
        UPDATE alert_channels SET is_active = true, switched_off_because = NULL, switched_off_at = NULL,
               quiet_until = NULL
         WHERE user_id = %s AND transport = %s AND address_sealed IS NOT NULL
        """,
        (user_id, transport),
    )
    return changed == 1


def switch_off(transaction: Transaction, channel_id: int, because: str, now: datetime) -> None:
    """Switch a channel off whose service takes nothing any more, and fail what waits for it."""
    transaction.execute(
        """
        UPDATE alert_channels SET is_active = false, switched_off_because = %s, switched_off_at = %s WHERE id = %s
        """,
        (because, now, channel_id),
    )
    fail_waiting(transaction, channel_id, because)


def fail_waiting(transaction: Transaction, channel_id: int, because: str) -> None:
    """End everything that waits for a channel as failed."""
    transaction.execute(
        "UPDATE alert_deliveries SET state = 'FAILED', error = %s WHERE channel_id = %s AND state = 'WAITING'",
        (because, channel_id),
    )


def has_address(transaction: Transaction, channel_id: int, address_sealed: bytes | None) -> bool:
    """Tell whether a channel's address is still the one it was; an operator's has None."""
    sql = "SELECT address_sealed IS NOT DISTINCT FROM %s FROM alert_channels WHERE id = %s FOR UPDATE"
    return bool(transaction.value(sql, (address_sealed, channel_id)))


def wishes_of(transaction: Transaction, user_id: int) -> dict[str, str]:
    """Return what a user decided about kinds of news: `ON`, `OFF` or `MERGED` by kind."""
    rows = transaction.all("SELECT kind, delivery FROM user_alert_settings WHERE user_id = %s", (user_id,))
    return {row["kind"]: row["delivery"] for row in rows}


def set_wishes(transaction: Transaction, user_id: int, wishes: dict[str, str]) -> None:
    """Keep what a user decided about kinds of news; those not named stay as they were."""
    for kind, delivery in wishes.items():
        transaction.execute(
            """
            INSERT INTO user_alert_settings (user_id, kind, delivery) VALUES (%s, %s, %s)
            ON CONFLICT (user_id, kind) DO UPDATE SET delivery = excluded.delivery
            """,
            (user_id, kind, delivery),
        )


def history_of(
    transaction: Transaction,
    user_id: int,
    *,
    kinds: Sequence[str] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[Row]:
    """Return a page of a user's notifications, newest first, each with what became of it by channel.

    `before` is the id of the last row of the page before. `deliveries` is a list of objects with
    `transport`, `state`, `attempts`, `error`, `sent_at` (ISO), `with_others`, `merged_at`
    (when those go that wait for others) and `next_attempt_at`; it is empty where nothing was to be sent.
    What waits behind a message that failed has that message's `error` and next attempt.
    """
    return transaction.all(
        """
        SELECT told.id, told.kind, told.content, told.created_at, told.routed_at,
               coalesce((
                   SELECT jsonb_agg(jsonb_build_object(
                              'transport', channels.transport, 'shown', channels.shown,
                              'mine', channels.user_id IS NOT NULL, 'state', each.state,
                              'attempts', carrier.attempts, 'sent_at', each.sent_at,
                              'error', coalesce(each.error, carrier.error, held_up.error),
                              'merged_at', CASE WHEN each.together THEN each.not_before END,
                              'next_attempt_at', held_up.until,
                              'with_others', each.merged_into IS NOT NULL) ORDER BY each.id)
                     FROM alert_deliveries AS each
                     JOIN alert_channels AS channels ON channels.id = each.channel_id
                     JOIN alert_deliveries AS carrier ON carrier.id = coalesce(each.merged_into, each.id)
                     LEFT JOIN LATERAL (
                         SELECT greatest(carrier.next_attempt_at, channels.quiet_until,
                                    (SELECT until FROM alert_pauses AS pause
                                      WHERE pause.transport = channels.transport)) AS until,
                                (SELECT error FROM alert_deliveries AS other
                                  WHERE other.channel_id = channels.id AND other.state = 'WAITING'
                                    AND other.error IS NOT NULL ORDER BY other.id LIMIT 1) AS error
                          WHERE each.state = 'WAITING') AS held_up ON true
                    WHERE each.notification_id = told.id AND channels.transport <> 'MQTT'), '[]') AS deliveries
          FROM notifications AS told
         WHERE told.user_id = %(user)s AND (%(before)s::bigint IS NULL OR told.id < %(before)s)
           AND (%(every)s OR told.kind = ANY(%(kinds)s))
         ORDER BY told.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "before": before, "every": not kinds, "kinds": list(kinds), "limit": limit},
    )


def sending_figures(transaction: Transaction, now: datetime) -> dict[str, Any]:
    """Return how sending stands on the whole server: what waits, since when, what failed in a day."""
    return transaction.one(
        """
        SELECT (SELECT count(*) FROM notifications WHERE routed_at IS NULL) AS unrouted,
               (SELECT count(*) FROM alert_deliveries
                 WHERE state = 'FAILED' AND created_at > %(now)s - interval '1 day') AS failed,
               count(*) AS waiting, min(created_at) FILTER (WHERE not_before <= %(now)s) AS oldest
          FROM alert_deliveries WHERE state = 'WAITING'
        """,
        {"now": now},
    )
