"""What a user's token may read: `GET /user/<id>/positions` and `GET /user/<id>/bots`."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify

from database import bots, reports, risk
from database.pool import Row
from webhook.access import check_owner
from webhook.services import services

_BOT_FIELDS = (
    *("id", "name", "symbol", "timeframe", "source", "connection_id", "connection", "broker", "mode"),
    *("is_active", "order_status", "trading_state", "size_mode", "position_size", "max_position_size"),
    *("risk_limit_percent", "daily_loss_limit", "allow_short", "quantity", "average_price", "opened_at"),
    *("total_pnl", "total_trades", "created_at"),
)


def positions(user_id: int) -> Response:
    """Return what the brokers last said of each account, how old that is, and what each bot holds."""
    with services().transaction() as transaction:
        check_owner(transaction, user_id)
        accounts = risk.accounts_of(transaction, user_id)
        held = risk.positions_of(transaction, user_id)
        of_bots = reports.bot_positions_of(transaction, user_id)
    now = datetime.now(UTC)
    return jsonify(
        {
            "user_id": user_id,
            "accounts": [_account(row, held, now) for row in accounts],
            "bots": of_bots,
            "total_positions": len(held),
        }
    )


def bots_with_status(user_id: int) -> Response:
    """Return a user's bots that are not archived, with their settings and what they are doing."""
    with services().transaction() as transaction:
        check_owner(transaction, user_id)
        rows = bots.bots_of(transaction, user_id)
    return jsonify(
        {
            "user_id": user_id,
            "bots": [{name: row[name] for name in _BOT_FIELDS} for row in rows],
            "total_bots": len(rows),
            "active_bots": sum(row["is_active"] for row in rows),
        }
    )


def _account(account: Row, held: list[Row], now: datetime) -> dict[str, Any]:
    mine = [row for row in held if row["connection_id"] == account["connection_id"]]
    return _aged(account, now) | {"positions": [_aged(row, now) for row in mine]}


def _aged(row: Row, now: datetime) -> dict[str, Any]:
    taken_at = row["taken_at"]
    return row | {"age_seconds": None if taken_at is None else round((now - taken_at).total_seconds(), 1)}
