"""What people read: signals, trades, positions, orders of one user, each signal's whole trace.

Every query carries the user's id, so that nobody reads another's rows. Lists come newest first and
in pages: `before` is the id of the last row of the page before.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from database.pool import Row, Transaction

PAGE = 100


def signals_of(
    transaction: Transaction,
    user_id: int,
    *,
    limit: int = PAGE,
    before: int | None = None,
    bot_id: int | None = None,
) -> list[Row]:
    """Return a user's signals with what became of each; `signal_id` is what the sender was told."""
    return transaction.all(
        """
        SELECT signals.id, signals.uuid AS signal_id, signals.source, signals.state, signals.code,
               signals.sentence, signals.understood->>'action' AS action,
               coalesce(bots.symbol, signals.understood->>'symbol') AS symbol,
               coalesce(bots.timeframe, signals.understood->>'timeframe') AS timeframe,
               signals.bot_config_id AS bot_id, bots.name AS bot, signals.duplicates,
               signals.sent_at, signals.received_at, signals.decided_at, signals.finished_at
          FROM signals LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
         WHERE signals.user_id = %(user)s
           AND (%(before)s::bigint IS NULL OR signals.id < %(before)s)
           AND (%(bot)s::bigint IS NULL OR signals.bot_config_id = %(bot)s)
         ORDER BY signals.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "before": before, "bot": bot_id, "limit": limit},
    )


def trades_of(
    transaction: Transaction,
    user_id: int,
    *,
    limit: int | None = PAGE,
    before: int | None = None,
    bot_id: int | None = None,
) -> list[Row]:
    """Return a user's trades, one row per leg, refused and failed ones too; no limit gives all."""
    return transaction.all(
        """
        SELECT trades.id, trades.created_at, trades.bot_config_id AS bot_id, bots.name AS bot, trades.symbol,
               trades.timeframe, trades.action, trades.side, trades.status, trades.order_id, trades.quantity,
               trades.filled_qty, trades.filled_price, trades.expected_price, trades.slippage,
               trades.realized_pnl, trades.fees, trades.reason, trades.message, signals.uuid AS signal_id,
               trades.updated_at
          FROM bot_trades AS trades JOIN user_bot_configs AS bots ON bots.id = trades.bot_config_id
          LEFT JOIN signals ON signals.id = trades.signal_id
         WHERE trades.user_id = %(user)s
           AND (%(before)s::bigint IS NULL OR (trades.created_at, trades.id) <
                (SELECT last.created_at, last.id FROM bot_trades AS last WHERE last.id = %(before)s))
           AND (%(bot)s::bigint IS NULL OR trades.bot_config_id = %(bot)s)
         ORDER BY trades.created_at DESC, trades.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "before": before, "bot": bot_id, "limit": limit},
    )


def orders_of(
    transaction: Transaction,
    user_id: int,
    *,
    limit: int = PAGE,
    before: int | None = None,
    only_open: bool = False,
) -> list[Row]:
    """Return a user's orders as sent to brokers, with what the brokers answered."""
    return transaction.all(
        """
        SELECT orders.id, orders.client_order_id, orders.broker_order_id, orders.bot_config_id AS bot_id,
               bots.name AS bot, orders.connection_id, orders.symbol, orders.purpose, orders.side,
               orders.quantity, orders.order_type, orders.limit_price, orders.state, orders.filled_quantity,
               orders.average_price, orders.fee, orders.fee_asset, orders.broker_code, orders.broker_message,
               orders.part, orders.attempt, orders.created_at, orders.sent_at, orders.acknowledged_at,
               orders.finished_at
          FROM orders JOIN user_bot_configs AS bots ON bots.id = orders.bot_config_id
         WHERE orders.user_id = %(user)s
           AND (%(before)s::bigint IS NULL OR orders.id < %(before)s)
           AND (NOT %(only_open)s OR orders.finished_at IS NULL)
         ORDER BY orders.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "before": before, "only_open": only_open, "limit": limit},
    )


def bot_positions_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return what each of a user's bots holds, priced at what its broker last said and when.

    `unrealized` is None where the broker has not named a price of that symbol.
    """
    return transaction.all(
        """
        SELECT bots.id AS bot_id, bots.name AS bot, bots.connection_id, connections.label AS connection,
               connections.broker, connections.mode, bots.symbol, bots.timeframe,
               CASE WHEN bots.quantity > 0 THEN 'LONG' ELSE 'SHORT' END AS side, bots.quantity,
               bots.average_price, snapshots.current_price, snapshots.taken_at AS priced_at,
               bots.quantity * (snapshots.current_price - bots.average_price) AS unrealized,
               bots.opened_at, protections.stop_price, protections.target_price, protections.held_by
          FROM user_bot_configs AS bots
          JOIN user_api_keys AS connections ON connections.id = bots.connection_id
          LEFT JOIN position_snapshots AS snapshots
            ON snapshots.connection_id = bots.connection_id AND snapshots.symbol = bots.symbol
          LEFT JOIN protections ON protections.bot_config_id = bots.id
         WHERE bots.user_id = %s AND bots.quantity <> 0 ORDER BY bots.id
        """,
        (user_id,),
    )


def switches_that_stop(transaction: Transaction, user_id: int, bots: int) -> list[Row]:
    """Return the kill switches over a user's bots that stop anything, of the bots' own at most `bots`.

    Each row of a bot says in `bots_in_all` how many bots' own switches do.
    """
    return transaction.all(
        """
        SELECT 'server' AS scope, NULL::bigint AS id, 'Server' AS name, trading_state, flatten, 0 AS bots_in_all
          FROM server_settings WHERE trading_state <> 'ACTIVE'
        UNION ALL SELECT 'user', id, email, trading_state, flatten, 0
                    FROM users WHERE id = %(user)s AND trading_state <> 'ACTIVE'
        UNION ALL SELECT 'connection', id, label, trading_state, flatten, 0 FROM user_api_keys
                   WHERE user_id = %(user)s AND archived_at IS NULL AND trading_state <> 'ACTIVE'
        UNION ALL (SELECT 'bot', id, name, trading_state, flatten, count(*) OVER () FROM user_bot_configs
                    WHERE user_id = %(user)s AND archived_at IS NULL AND trading_state <> 'ACTIVE'
                    ORDER BY id LIMIT %(bots)s)
        """,
        {"user": user_id, "bots": bots},
    )


def owner_of_signal(transaction: Transaction, signal_id: UUID) -> int | None:
    """Return whose signal it is, None where there is none; for those who may see everybody's."""
    owner: int | None = transaction.value("SELECT user_id FROM signals WHERE uuid = %s", (signal_id,))
    return owner


def trace(transaction: Transaction, user_id: int, signal_id: UUID) -> dict[str, Any] | None:
    """Return everything that came of a user's signal, None where the user has no such signal.

    `steps` are the moments in their order; `plan` holds the legs, each with its trade and its orders,
    each order with its fills; `notifications` is what was told about it.
    """
    signal = transaction.maybe(
        """
        SELECT signals.*, signals.uuid AS signal_id, bots.name AS bot, lanes.symbol AS lane_symbol
          FROM signals LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
          LEFT JOIN lanes ON lanes.id = signals.lane_id
         WHERE signals.uuid = %s AND signals.user_id = %s
        """,
        (signal_id, user_id),
    )
    if signal is None:
        return None
    plan = _plan_of(transaction, user_id, signal["id"])
    notifications = _notifications_of(transaction, user_id, signal_id)
    return {
        **{name: signal[name] for name in _SIGNAL_FIELDS},
        "body": bytes(signal["body"]).decode(errors="replace"),
        "steps": _steps(signal, plan, notifications),
        "plan": plan,
        "notifications": notifications,
    }


_SIGNAL_FIELDS = (
    *("signal_id", "source", "state", "code", "sentence", "bot_config_id", "bot", "lane_symbol", "number"),
    *("sender_id", "understood", "duplicates", "sent_at", "received_at", "stored_at"),
    *("decided_at", "finished_at", "wake_at"),
)


def _plan_of(transaction: Transaction, user_id: int, signal_row_id: int) -> dict[str, Any] | None:
    plan = transaction.maybe(
        """
        SELECT plans.id, plans.position_before, plans.code, plans.sentence, plans.created_at,
               plans.finished_at
          FROM plans JOIN signals ON signals.id = plans.signal_id
         WHERE plans.signal_id = %s AND signals.user_id = %s
        """,
        (signal_row_id, user_id),
    )
    if plan is None:
        return None
    legs = transaction.all(
        """
        SELECT id, number, purpose, side, quantity, parts, order_type, limit_price, stop_price, target_price,
               state, code, sentence, wake_at, started_at, finished_at
          FROM legs WHERE plan_id = %s ORDER BY number
        """,
        (plan["id"],),
    )
    ids = [leg["id"] for leg in legs]
    trades = _by_leg(transaction.all(_TRADES, {"legs": ids, "user": user_id}))
    orders = _by_leg(_orders_with_fills(transaction, user_id, ids))
    for leg in legs:
        leg["trade"] = next(iter(trades.get(leg["id"], [])), None)
        leg["orders"] = orders.get(leg["id"], [])
    return {**plan, "legs": legs}


_TRADES = """
    SELECT leg_id, action, status, order_id, filled_qty, filled_price, expected_price, slippage, realized_pnl,
           fees, reason, message
      FROM bot_trades WHERE leg_id = ANY(%(legs)s) AND user_id = %(user)s
"""


def _orders_with_fills(transaction: Transaction, user_id: int, leg_ids: list[int]) -> list[Row]:
    orders = transaction.all(
        """
        SELECT id, leg_id, part, attempt, client_order_id, broker_order_id, symbol, side, quantity,
               order_type, limit_price, state, filled_quantity, average_price, fee, fee_asset, broker_code,
               broker_message, sends, not_found_count, created_at, sent_at, acknowledged_at,
               in_doubt_since, cancel_asked_at, finished_at
          FROM orders WHERE leg_id = ANY(%s) AND user_id = %s ORDER BY part, attempt
        """,
        (leg_ids, user_id),
    )
    fills = transaction.all(
        """
        SELECT order_id, side, quantity, price, fee, fee_asset, realized_pnl, position_after, source,
               filled_at, booked_at
          FROM fills WHERE order_id = ANY(%s) AND user_id = %s ORDER BY id
        """,
        ([order["id"] for order in orders], user_id),
    )
    for order in orders:
        order["fills"] = [fill for fill in fills if fill["order_id"] == order["id"]]
    return orders


def _by_leg(rows: Iterable[Row]) -> dict[int, list[Row]]:
    grouped: dict[int, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row["leg_id"], []).append(row)
    return grouped


def _notifications_of(transaction: Transaction, user_id: int, signal_id: UUID) -> list[Row]:
    return transaction.all(
        """
        SELECT notifications.id, notifications.kind, notifications.content, notifications.created_at,
               coalesce(sum(deliveries.attempts), 0) AS attempts, min(deliveries.sent_at) AS sent_at,
               string_agg(deliveries.error, '; ') AS error
          FROM notifications
          LEFT JOIN alert_deliveries deliveries ON deliveries.notification_id = notifications.id
         WHERE notifications.user_id = %s AND notifications.content->>'event' = %s
         GROUP BY notifications.id ORDER BY notifications.id
        """,
        (user_id, str(signal_id)),
    )


def _steps(signal: Row, plan: dict[str, Any] | None, notifications: list[Row]) -> list[dict[str, Any]]:
    """List what happened when; a moment that has not come is left out."""
    moments: list[tuple[datetime | None, str]] = [
        (signal["sent_at"], "sent"),
        (signal["received_at"], "received"),
        (signal["stored_at"], "stored"),
        (signal["decided_at"], "decided"),
    ]
    for leg in plan["legs"] if plan else []:
        name = f"leg {leg['number']} ({leg['purpose'].lower()})"
        moments.append((leg["started_at"], f"{name} sized: {leg['quantity']}"))
        for order in leg["orders"]:
            moments += _order_moments(order)
        moments.append((leg["finished_at"], f"{name} {leg['state'].lower()}"))
    moments.append((signal["finished_at"], f"outcome: {signal['state']}"))
    moments += [(each["created_at"], f"notification written: {each['kind']}") for each in notifications]
    moments += [(each["sent_at"], f"notification sent: {each['kind']}") for each in notifications]
    known = [(at, what) for at, what in moments if at is not None]
    return [{"at": at, "what": what} for at, what in sorted(known, key=lambda moment: moment[0])]


def _order_moments(order: Row) -> list[tuple[datetime | None, str]]:
    name = f"order {order['client_order_id']}"
    return [
        (order["created_at"], f"{name} committed"),
        (order["sent_at"], f"{name} sent"),
        (order["in_doubt_since"], f"{name} in doubt"),
        (order["acknowledged_at"], f"{name} acknowledged by the broker"),
        (order["cancel_asked_at"], f"{name} asked to be cancelled"),
        *((fill["filled_at"], f"filled {fill['quantity']} at {fill['price']}") for fill in order["fills"]),
        (order["finished_at"], f"{name} {order['state'].lower()}"),
    ]
