"""What DashTrade tells the world about itself over MQTT: trades as they were, and how it stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from database.pool import Row, Transaction


def trades_to_publish(transaction: Transaction, trade_ids: Sequence[int]) -> dict[int, Row]:
    """Return trades with what they closed: `entry_price` and `opened_at` of the position each found."""
    rows = transaction.all(
        """
        SELECT trades.id, trades.symbol, trades.action, trades.side, trades.filled_qty, trades.filled_price,
               trades.realized_pnl, trades.fees, bots.name AS bot, own.closed_at,
               found.average_price_after AS entry_price, since.opened_at
          FROM bot_trades AS trades
          JOIN user_bot_configs AS bots ON bots.id = trades.bot_config_id
          LEFT JOIN LATERAL (
               SELECT min(fills.id) AS first_id, max(fills.filled_at) AS closed_at
                 FROM fills JOIN orders ON orders.id = fills.order_id
                WHERE orders.leg_id = trades.leg_id) AS own ON true
          LEFT JOIN LATERAL (
               SELECT average_price_after FROM fills
                WHERE fills.bot_config_id = trades.bot_config_id AND fills.id < own.first_id
                ORDER BY fills.id DESC LIMIT 1) AS found ON true
          LEFT JOIN LATERAL (
               SELECT min(fills.filled_at) AS opened_at FROM fills
                WHERE fills.bot_config_id = trades.bot_config_id AND fills.id < own.first_id
                  AND fills.id > coalesce((
                      SELECT max(flat.id) FROM fills AS flat
                       WHERE flat.bot_config_id = trades.bot_config_id AND flat.id < own.first_id
                         AND flat.position_after = 0), 0)) AS since ON true
         WHERE trades.id = ANY(%s)
        """,
        (list(trade_ids),),
    )
    return {row["id"]: row for row in rows}


def standing(transaction: Transaction, since: datetime) -> dict[str, Any]:
    """Return how the whole server stands: what its accounts are worth, what is open, what was made `since`.

    Only accounts in US dollars are added up; replays count nowhere.
    """
    return transaction.one(
        """
        WITH real AS (SELECT * FROM user_api_keys WHERE NOT is_replay AND archived_at IS NULL),
        held AS (
            SELECT bots.id FROM user_bot_configs AS bots JOIN real ON real.id = bots.connection_id
              JOIN lanes ON lanes.id = bots.lane_id
             WHERE bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below),
        closed AS (
            SELECT trades.realized_pnl FROM bot_trades AS trades
              JOIN user_bot_configs AS bots ON bots.id = trades.bot_config_id
              JOIN real ON real.id = bots.connection_id
             WHERE trades.action = 'CLOSE' AND trades.filled_qty > 0 AND trades.created_at >= %s)
        SELECT (SELECT sum(equity) FROM account_snapshots JOIN real ON real.id = connection_id
                 WHERE currency = 'USD') AS equity,
               (SELECT sum(cash) FROM account_snapshots JOIN real ON real.id = connection_id
                 WHERE currency = 'USD') AS balance,
               (SELECT sum(unrealized) FROM position_snapshots JOIN real ON real.id = connection_id)
                   AS unrealized_pnl,
               (SELECT count(*) FROM held) AS open_positions,
               count(*) AS total_trades, count(*) FILTER (WHERE realized_pnl > 0) AS winning_trades,
               count(*) FILTER (WHERE realized_pnl < 0) AS losing_trades,
               coalesce(sum(realized_pnl), 0) AS total_pnl,
               avg(realized_pnl) FILTER (WHERE realized_pnl > 0) AS avg_win,
               avg(realized_pnl) FILTER (WHERE realized_pnl < 0) AS avg_loss
          FROM closed
        """,
        (since,),
    )
