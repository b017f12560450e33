"""Tracked trades whose order is the engine's: the bot that holds them, its signal, and what was filled.

A trade begins with the first fill of its signal's opening orders, and ends with the fill after which the bot
holds nothing of it that could be sold.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from database.pool import Row, Transaction

# Where a bot's trade stands: what `change` may write of it
OPENED = ("entry_price", "entry_time", "lot_size", "looked_until", "looked_at")


def free_names(transaction: Transaction, user_id: int) -> set[str]:
    """Return the names, in small letters, that a user's bots have taken."""
    rows = transaction.all(
        "SELECT lower(name) AS name FROM user_bot_configs WHERE user_id = %s AND archived_at IS NULL",
        (user_id,),
    )
    return {row["name"] for row in rows}


def bot_for(transaction: Transaction, connection_id: int, symbol_key: str, source: str) -> Row | None:
    """Return the bot of a connection and symbol that carries out trades one by one, locked; None without one.

    Columns: id, name, quantity, and open_trade, the tracked trade that it holds, or None.
    """
    return transaction.maybe(
        """
        SELECT id, name, quantity,
               (SELECT min(trades.id) FROM user_trades AS trades
                 WHERE trades.bot_config_id = bots.id AND trades.status = 'open') AS open_trade
          FROM user_bot_configs AS bots
         WHERE connection_id = %s AND symbol_key = %s AND source = %s AND timeframe IS NULL
           AND archived_at IS NULL FOR NO KEY UPDATE
        """,
        (connection_id, symbol_key, source),
    )


def link(transaction: Transaction, user_id: int, trade_id: int, columns: Mapping[str, Any]) -> None:
    """Hand a trade over to the engine: connection_id, bot_config_id and signal_uuid; bars judge it no more."""
    transaction.execute(
        """
        UPDATE user_trades SET connection_id = %(connection_id)s, bot_config_id = %(bot_config_id)s,
               signal_uuid = %(signal_uuid)s, expires_at = NULL WHERE id = %(id)s AND user_id = %(user)s
        """,
        {**columns, "id": trade_id, "user": user_id},
    )


def followed(transaction: Transaction) -> list[Row]:
    """Return all open trades that bots hold, with what became of each, and hold them.

    One that another process looks at now is left out. Beside the columns of user_trades: rhythm and told as
    in `trade_watch`; signal_sentence, and is_final once the engine is done with the signal; bought,
    bought_at (average) and began_at of the entry, None without a fill; is_over once the bot holds no more of
    it, with sold_at (average), ended_at and ended_by, the kind of risk event or None; last_price and
    priced_at as the broker last showed the position; is_practice at the paper broker.
    """
    return transaction.all(_FOLLOWED)


def is_undecided(transaction: Transaction, signal_uuid: Any) -> bool:
    """Tell whether the engine has not begun with a signal."""
    sql = "SELECT EXISTS (SELECT FROM signals WHERE uuid = %s AND state IN ('STORED', 'WAITING_FOR_OPEN'))"
    return transaction.value(sql, (signal_uuid,)) is True


def cancel(transaction: Transaction, trade_id: int, now: datetime) -> None:
    """End a trade that never was: nothing of it was filled."""
    transaction.execute(
        """
        UPDATE user_trades SET status = 'cancelled', close_time = %s, next_update_at = NULL, updated_at = %s
         WHERE id = %s AND status = 'open'
        """,
        (now, now, trade_id),
    )


_FOLLOWED = """
    WITH held AS (
        SELECT trades.* FROM user_trades AS trades
         WHERE trades.status = 'open' AND trades.signal_uuid IS NOT NULL
         ORDER BY trades.id FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT held.*, coalesce(running_update_minutes, 0) AS rhythm,
           users.is_active AND discord_user_id IS NOT NULL AS told,
           signals.sentence AS signal_sentence, signals.id IS NULL OR signals.finished_at IS NOT NULL AS is_final,
           entry.*, ending.fill_id IS NOT NULL AS is_over, ending.ended_at, ending.ended_by, sold.sold_at,
           shown.current_price AS last_price, shown.taken_at AS priced_at,
           connections.broker IS NOT DISTINCT FROM 'paper' AS is_practice
      FROM held
      JOIN users ON users.id = held.user_id
      LEFT JOIN user_discord_settings AS settings ON settings.user_id = held.user_id
      LEFT JOIN signals ON signals.uuid = held.signal_uuid
      LEFT JOIN user_bot_configs AS bots ON bots.id = held.bot_config_id
      LEFT JOIN lanes ON lanes.id = bots.lane_id
      LEFT JOIN user_api_keys AS connections ON connections.id = bots.connection_id
      LEFT JOIN position_snapshots AS shown
        ON shown.connection_id = bots.connection_id AND shown.symbol = bots.symbol
      CROSS JOIN LATERAL (
        SELECT min(fills.id) AS first_fill, sum(fills.quantity) AS bought, min(fills.filled_at) AS began_at,
               sum(fills.quantity * fills.price) / nullif(sum(fills.quantity), 0) AS bought_at
          FROM plans JOIN legs ON legs.plan_id = plans.id AND legs.purpose = 'OPEN'
          JOIN orders ON orders.leg_id = legs.id JOIN fills ON fills.order_id = orders.id
         WHERE plans.signal_id = signals.id
      ) AS entry
      LEFT JOIN LATERAL (
        SELECT fills.id AS fill_id, fills.filled_at AS ended_at, events.kind AS ended_by
          FROM fills LEFT JOIN orders ON orders.id = fills.order_id
          LEFT JOIN legs ON legs.id = orders.leg_id LEFT JOIN plans ON plans.id = legs.plan_id
          LEFT JOIN bot_risk_events AS events ON events.id = plans.risk_event_id
         WHERE fills.bot_config_id = held.bot_config_id AND fills.id > entry.first_fill
           AND (fills.position_after * CASE held.direction WHEN 'long' THEN 1 ELSE -1 END <= 0
                OR abs(fills.position_after) < lanes.dust_below)
         ORDER BY fills.id LIMIT 1
      ) AS ending ON true
      CROSS JOIN LATERAL (
        SELECT sum(fills.quantity * fills.price) / nullif(sum(fills.quantity), 0) AS sold_at FROM fills
         WHERE fills.bot_config_id = held.bot_config_id AND fills.id > entry.first_fill
           AND fills.id <= ending.fill_id AND fills.kind <> 'FEE_CORRECTION'
           AND fills.side = CASE held.direction WHEN 'long' THEN 'SELL' ELSE 'BUY' END
      ) AS sold
     ORDER BY held.id
"""
