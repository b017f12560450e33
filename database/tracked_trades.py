"""Trades that users follow: opened, changed and ended one at a time, each by its owner's id.

What the monitor does to many at once is in `database.trade_watch`, what people read of lists and figures in
`database.trade_history`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from database.pool import Row, Transaction

# What a trade is opened with, beside what is counted here.
NEW = (
    *("user_id", "pair", "timeframe", "direction", "entry_price", "entry_time", "lot_size", "stop_loss"),
    *("take_profit", "reward_to_risk", "notes", "account_currency", "source", "looked_until", "expires_at"),
    *("next_update_at", "connection_id", "bot_config_id", "signal_uuid", "request_key"),
    *("signal_notification_id", "created_at", "updated_at"),
)


def create(transaction: Transaction, columns: Mapping[str, Any]) -> int | None:
    """Store an open trade and return its id, or None where its request key was used before."""
    sql = f"""
        INSERT INTO user_trades ({", ".join(NEW)}) VALUES ({", ".join(f"%({name})s" for name in NEW)})
        ON CONFLICT (request_key) DO NOTHING RETURNING id
    """
    row = transaction.maybe(sql, {name: columns.get(name) for name in NEW})
    return None if row is None else int(row["id"])


def of_request(transaction: Transaction, user_id: int, request_key: str) -> int | None:
    """Return the trade that a request opened before, or None."""
    sql = "SELECT id FROM user_trades WHERE user_id = %s AND request_key = %s"
    row = transaction.maybe(sql, (user_id, request_key))
    return None if row is None else int(row["id"])


def trade(transaction: Transaction, user_id: int, trade_id: int, *, lock: bool = False) -> Row | None:
    """Return one of a user's trades, archived or not; None for one that is unknown or somebody else's.

    With `lock`, hold it: the monitor and whoever else changes it wait until the transaction ends.
    """
    end = " FOR NO KEY UPDATE" if lock else ""
    return transaction.maybe(
        f"SELECT * FROM user_trades WHERE id = %s AND user_id = %s{end}", (trade_id, user_id)
    )


def count_open(transaction: Transaction, user_id: int) -> int:
    """Return how many open trades a user has."""
    sql = "SELECT count(*) FROM user_trades WHERE user_id = %s AND status = 'open' AND archived_at IS NULL"
    return int(transaction.value(sql, (user_id,)))


def change(transaction: Transaction, user_id: int, trade_id: int, columns: Mapping[str, Any]) -> None:
    """Change columns of a user's open trade, which is locked."""
    assignments = ", ".join(f"{name} = %({name})s" for name in columns)
    transaction.execute(
        f"""
        UPDATE user_trades SET {assignments}
         WHERE id = %(id_)s AND user_id = %(user_)s AND status = 'open'
        """,
        {**columns, "id_": trade_id, "user_": user_id},
    )


def wishes(transaction: Transaction, user_id: int) -> Row:
    """Return what a user wants for their trades: account_currency, running_update_minutes,
    trade_limit_hours and whether they are told on Discord; the defaults where nothing was set."""
    return transaction.one(
        """
        SELECT coalesce(account_currency, 'USD') AS account_currency,
               coalesce(running_update_minutes, 60) AS running_update_minutes, trade_limit_hours,
               users.is_active AND discord_user_id IS NOT NULL AND notifications_enabled IS TRUE AS told
          FROM users LEFT JOIN user_discord_settings ON user_id = users.id WHERE users.id = %s
        """,
        (user_id,),
    )


def notification_to_answer(transaction: Transaction, user_id: int, notification_id: int) -> Row | None:
    """Return a user's notification and let nobody else answer it meanwhile; None where there is no such one."""
    return transaction.maybe(
        """
        SELECT id, pair, timeframe, signal_type, source, expires_at, acknowledged, answer, trade_id
          FROM signal_notifications WHERE id = %s AND user_id = %s FOR NO KEY UPDATE
        """,
        (notification_id, user_id),
    )


def note_answer(
    transaction: Transaction, notification_id: int, answer: str, trade_id: int | None, now: datetime
) -> None:
    """Note that a notification was answered by `opened` or `ignored`."""
    transaction.execute(
        """
        UPDATE signal_notifications SET acknowledged = true, acknowledged_at = %s, answer = %s, trade_id = %s
         WHERE id = %s AND NOT acknowledged
        """,
        (now, answer, trade_id, notification_id),
    )


def archive(transaction: Transaction, before: datetime, limit: int) -> int:
    """Take trades that ended before a time out of the hot indexes, at most so many; return how many."""
    return transaction.execute(
        """
        UPDATE user_trades SET archived_at = now() WHERE id IN (
            SELECT id FROM user_trades
             WHERE archived_at IS NULL AND status <> 'open' AND close_time < %(before)s
             ORDER BY close_time LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        """,
        {"before": before, "limit": limit},
    )
