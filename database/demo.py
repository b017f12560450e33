"""The demo's history: it happens in a minute, and is dated as if it had happened in its time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from database import alert_channels, audit
from database.pool import Transaction
from encryption import Vault

MADE = "demo made"

# Columns that the database itself dates; all others get their time from the engine's clock.
_DATED = {
    "signals": ("stored_at", "finished_at"),
    "orders": ("created_at",),
    "bot_trades": ("created_at", "updated_at"),
    "fills": ("booked_at",),
    "bot_risk_events": ("created_at", "finished_at"),
    "notifications": ("created_at",),
}


def date_back(transaction: Transaction, user_id: int, *, since: datetime, by: timedelta) -> None:
    """Date a user's rows that the database dated `since` (real time) back by as much as the clock is."""
    values = {"user": user_id, "since": since, "by": by}
    transaction.execute(";".join(_date_back(table, columns) for table, columns in _DATED.items()), values)
    transaction.execute(
        """
        UPDATE protections SET created_at = protections.created_at - %(by)s
          FROM user_bot_configs AS bots
         WHERE bots.id = protections.bot_config_id AND bots.user_id = %(user)s
           AND protections.created_at >= %(since)s
        """,
        values,
    )


def _date_back(table: str, columns: tuple[str, ...]) -> str:
    changes = ", ".join(
        f"{name} = CASE WHEN {name} >= %(since)s THEN {name} - %(by)s ELSE {name} END" for name in columns
    )
    new = " OR ".join(f"{name} >= %(since)s" for name in columns)
    return f"UPDATE {table} SET {changes} WHERE user_id = %(user)s AND ({new})"


def note_watching(transaction: Transaction, user_id: int, now: datetime) -> None:
    """Say that the user's protections were looked at just now: the demo's clock jumps, a real one does not."""
    transaction.execute(
        """
        UPDATE protections SET checked_at = %s FROM user_bot_configs AS bots
         WHERE bots.id = protections.bot_config_id AND bots.user_id = %s
        """,
        (now, user_id),
    )


def begin(transaction: Transaction, user_id: int, connection_id: int, at: datetime) -> None:
    """Date the demo's account, connection and bots to the day that its history begins with."""
    values = {"user": user_id, "connection": connection_id, "at": at}
    transaction.execute("UPDATE users SET created_at = %(at)s WHERE id = %(user)s", values)
    transaction.execute(
        """
        UPDATE user_api_keys SET created_at = %(at)s, status = 'OK', last_checked_at = now()
         WHERE id = %(connection)s
        """,
        values,
    )
    transaction.execute("UPDATE user_bot_configs SET created_at = %(at)s WHERE user_id = %(user)s", values)


def lanes_of_channel(transaction: Transaction, registration: int) -> list[int]:
    """Return the lanes of a signal channel's bots."""
    rows = transaction.all(
        "SELECT DISTINCT lane_id FROM user_bot_configs WHERE signal_channel_id = %s ORDER BY lane_id",
        (registration,),
    )
    return [row["lane_id"] for row in rows]


def note_told(transaction: Transaction, registration: int) -> None:
    """Take a demo's messages as answered, so that no bot answers in a channel that is nowhere."""
    sql = "UPDATE channel_messages SET answered_at = seen_at WHERE signal_channel_id = %s AND answered_at IS NULL"
    transaction.execute(sql, (registration,))


def is_made(transaction: Transaction, user_id: int) -> bool:
    """Tell whether the demo of a user was made to its end."""
    sql = "SELECT 1 FROM audit_log WHERE user_id = %s AND action = %s LIMIT 1"
    return transaction.value(sql, (user_id, MADE)) is not None


def note_made(transaction: Transaction, user_id: int, actor: str, signals: int) -> None:
    """Note that a demo was made to its end."""
    subject = f"user {user_id}"
    audit.record(
        transaction, actor=actor, action=MADE, subject=subject, user_id=user_id, after={"signals": signals}
    )


def forget(transaction: Transaction, user_id: int) -> None:
    """Take a demo away with everything that is its."""
    transaction.execute("DELETE FROM users WHERE id = %s", (user_id,))


def count_signals(transaction: Transaction, user_id: int) -> int:
    """Return how many signals a user has had."""
    return int(transaction.value("SELECT count(*) FROM signals WHERE user_id = %s", (user_id,)))


def newest_notification(transaction: Transaction, user_id: int) -> int:
    """Return the number of a user's newest notification, 0 before there is one."""
    sql = "SELECT coalesce(max(id), 0) FROM notifications WHERE user_id = %s"
    return int(transaction.value(sql, (user_id,)))


def date_notifications(transaction: Transaction, user_id: int, *, after: int, at: datetime) -> None:
    """Date what a user was told since a notification to when it happened."""
    sql = "UPDATE notifications SET created_at = %s WHERE user_id = %s AND id > %s"
    transaction.execute(sql, (at, user_id, after))


def deliver_nothing(transaction: Transaction, vault: Vault, user_id: int, because: str) -> int:
    """Give a demo an address that nothing is sent to, so that its news reach nobody else's either."""
    channel_id = alert_channels.keep_channel(
        transaction, vault, user_id, "DISCORD", "none: a demo", "discord.com/api/webhooks/1234…"
    )
    alert_channels.switch_off(transaction, channel_id, because, datetime.now(UTC))
    return channel_id


def note_deliveries(
    transaction: Transaction, user_id: int, channel_id: int, defaults: Mapping[str, str]
) -> None:
    """Note a demo's news as if the demo's channel had taken each at once, but for those off by default."""
    transaction.execute(
        """
        WITH told AS (UPDATE notifications SET routed_at = created_at WHERE user_id = %(user)s
                      RETURNING id, kind, created_at)
        INSERT INTO alert_deliveries (notification_id, channel_id, kind, state, not_before, together, attempts,
                                      sent_at, created_at)
        SELECT told.id, %(channel)s, told.kind, 'SENT', told.created_at, usual.delivery = 'MERGED', 1,
               told.created_at + interval '400 ms', told.created_at
          FROM told JOIN unnest(%(kinds)s::text[], %(deliveries)s::text[]) AS usual (kind, delivery)
                      ON usual.kind = told.kind AND usual.delivery <> 'OFF'
         ORDER BY told.id
        -- A notifier that runs meanwhile has failed some of them, since nothing is sent to the demo's channel.
        ON CONFLICT (notification_id, channel_id) DO UPDATE
           SET state = 'SENT', error = NULL, not_before = excluded.not_before, sent_at = excluded.sent_at,
               attempts = 1, created_at = excluded.created_at
        """,
        {
            "user": user_id,
            "channel": channel_id,
            "kinds": list(defaults),
            "deliveries": list(defaults.values()),
        },
    )
    transaction.execute("UPDATE alert_channels SET last_sent_at = now() WHERE id = %s", (channel_id,))
