"""Rows of what is to be told; written in the transaction of what caused them, sent later."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from psycopg2.extras import Json

from database.pool import Transaction
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
    PART_DOWN = "PART_DOWN"
    PART_BACK = "PART_BACK"
    MQTT_BROKER_DOWN = "MQTT_BROKER_DOWN"
    MQTT_BROKER_BACK = "MQTT_BROKER_BACK"
    DAILY_SUMMARY = "DAILY_SUMMARY"
    TEST_ALERT = "TEST_ALERT"
    WATCHED_STARTED = "WATCHED_STARTED"
    WATCHED_STOPPED = "WATCHED_STOPPED"
    WATCHED_ERROR = "WATCHED_ERROR"
    WATCHED_OFFLINE = "WATCHED_OFFLINE"
    WATCHED_BACK = "WATCHED_BACK"
    WATCHED_POSITION_OPENED = "WATCHED_POSITION_OPENED"
    WATCHED_TRADE_COMPLETED = "WATCHED_TRADE_COMPLETED"
    WATCHED_BALANCE_CHANGED = "WATCHED_BALANCE_CHANGED"


def notify(transaction: Transaction, user_id: int | None, kind: NotificationKind, **content: Any) -> int:
    """Write down one thing to tell a user (None: whoever runs the server); return its number."""
    plain = {name: str(value) if isinstance(value, Decimal) else value for name, value in content.items()}
    return int(transaction.value(_NOTIFY, (user_id, kind, Json(plain))))


_NOTIFY = prepared(
    "INSERT INTO notifications (user_id, kind, content) VALUES (%s, %s, %s) RETURNING id",
    "bigint, text, jsonb",
)
