"""How far a new user has come, and what a test alert needs to know."""

from database.pool import Row, Transaction


def progress_of(transaction: Transaction, user_id: int) -> Row:
    """Return what a user has: the first connection, whether there is an active token, the first bot.

    `trade_*` is the user's oldest trade that filled, all None where there is none.
    """
    return transaction.one(
        """
        SELECT place.id AS connection_id, place.label AS connection, place.broker, place.mode, place.status,
               place.last_error,
               EXISTS (SELECT FROM user_webhook_tokens WHERE user_id = %(user)s AND is_active) AS has_token,
               bot.id AS bot_id, bot.name AS bot, trade.id AS trade_id, trade.action AS trade_action,
               trade.symbol AS trade_symbol, trade.filled_qty AS trade_quantity,
               trade.filled_price AS trade_price, trade.updated_at AS trade_at
          FROM (SELECT) AS one
          LEFT JOIN LATERAL (SELECT * FROM user_api_keys WHERE user_id = %(user)s AND archived_at IS NULL
                              ORDER BY mode = 'live', status = 'PROBLEM', id LIMIT 1) AS place ON true
          LEFT JOIN LATERAL (SELECT * FROM user_bot_configs WHERE user_id = %(user)s AND archived_at IS NULL
                              ORDER BY id LIMIT 1) AS bot ON true
          LEFT JOIN LATERAL (SELECT * FROM bot_trades WHERE user_id = %(user)s AND filled_qty > 0
                              ORDER BY created_at, id LIMIT 1) AS trade ON true
        """,
        {"user": user_id},
    )


def bots_for_a_test(transaction: Transaction, user_id: int, source: str) -> list[Row]:
    """Return the bots that a test alert may move: enabled, by webhook, never at a live connection."""
    return transaction.all(
        """
        SELECT bots.id, bots.name, bots.symbol, bots.timeframe, bots.connection_id, lanes.asset_class,
               connections.label AS connection,
               bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below AS holds
          FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
          JOIN user_api_keys AS connections ON connections.id = bots.connection_id
         WHERE bots.user_id = %s AND bots.archived_at IS NULL AND bots.is_active AND bots.source = %s
           AND connections.mode <> 'live' ORDER BY bots.id LIMIT 200
        """,
        (user_id, source),
    )
