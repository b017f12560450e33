"""Rows of what is to be told; written in the transaction of what caused them, sent later."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from psycopg2.extras import Json

from database.pool import Row, Transaction
from database.prepared import prepared


class NotificationKind(StrEnum):
    BOT_FILLED = "BOT_FILLED"
    BOT_REJECTED = "BOT_REJECTED"
    SIGNAL_REFUSED = "SIGNAL_REFUSED"
    RISK_LIMIT_HIT = "RISK_LIMIT_HIT"
    PROTECTION_MISSING = "PROTECTION_MISSING"
    KILL_SWITCH = "KILL_SWITCH"
    CONNECTION_BROKEN = "CONNECTION_BROKEN"
    MISSED_ALERT = "MISSED_ALERT"
    ACCOUNT_MISMATCH = "ACCOUNT_MISMATCH"
    EXIT_FAILED = "EXIT_FAILED"
    EXTERNAL_CLOSE = "EXTERNAL_CLOSE"


def notify(transaction: Transaction, user_id: int | None, kind: NotificationKind, **content: Any) -> None:
    """Write down one thing to tell a user (None: whoever runs the server)."""
    plain = {name: str(value) if isinstance(value, Decimal) else value for name, value in content.items()}
    transaction.execute(
        prepared(
            "INSERT INTO notifications (user_id, kind, content) VALUES (%s, %s, %s)", "bigint, text, jsonb"
        ),
        (user_id, kind, Json(plain)),
    )


def notifications_of(transaction: Transaction, user_id: int, limit: int = 100) -> list[Row]:
    """Return a user's newest notifications."""
    return transaction.all(
        "SELECT * FROM notifications WHERE user_id = %s ORDER BY id DESC LIMIT %s", (user_id, limit)
    )
