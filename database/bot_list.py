"""The bots of a user in pages, each with what its card shows."""

from database.pool import Row, Transaction

_CARD = """
    SELECT bots.*, connections.label AS connection, connections.broker, connections.mode,
           connections.status AS connection_status, connections.trading_state AS connection_state,
           bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below AS holds,
           snapshots.current_price, snapshots.taken_at AS priced_at,
           bots.quantity * (snapshots.current_price - bots.average_price) AS unrealized,
           EXISTS (SELECT FROM bot_risk_events AS events WHERE events.bot_config_id = bots.id
                      AND events.lane_id = bots.lane_id AND events.state IN ('OPEN', 'PLANNED')) AS exit_asked,
           last.received_at AS last_at, last.state AS last_state, last.code AS last_code,
           last.sentence AS last_sentence, last.understood->>'action' AS last_action
      FROM user_bot_configs AS bots
      JOIN user_api_keys AS connections ON connections.id = bots.connection_id
      JOIN lanes ON lanes.id = bots.lane_id
      LEFT JOIN position_snapshots AS snapshots
        ON snapshots.connection_id = bots.connection_id AND snapshots.symbol = bots.symbol
      LEFT JOIN LATERAL (SELECT * FROM signals WHERE signals.bot_config_id = bots.id
                          ORDER BY signals.id DESC LIMIT 1) AS last ON true
     WHERE bots.user_id = %(user)s AND bots.archived_at IS NULL
"""
_WANTED = """
    (%(text)s = '' OR position(lower(%(text)s) IN lower(bots.name || ' ' || bots.symbol)) > 0)
"""


def count_bots(transaction: Transaction, user_id: int, text: str = "") -> Row:
    """Return how many bots a user has whose name or symbol holds `text`, and how many are enabled."""
    return transaction.one(
        f"""
        SELECT count(*) AS total, count(*) FILTER (WHERE is_active) AS enabled, count(*) FILTER (WHERE quantity <> 0)
               AS holding, coalesce(sum(total_pnl), 0) AS total_pnl
          FROM user_bot_configs AS bots WHERE user_id = %(user)s AND archived_at IS NULL AND {_WANTED}
        """,
        {"user": user_id, "text": text.strip()},
    )


def bot_cards(
    transaction: Transaction, user_id: int, *, text: str = "", limit: int = 10, offset: int = 0
) -> list[Row]:
    """Return a page of a user's bots, oldest first, whose name or symbol holds `text`."""
    return transaction.all(
        f"{_CARD} AND {_WANTED} ORDER BY bots.id LIMIT %(limit)s OFFSET %(offset)s",
        {"user": user_id, "text": text.strip(), "limit": limit, "offset": offset},
    )


def bot_card(transaction: Transaction, user_id: int, bot_id: int) -> Row | None:
    """Return one of a user's bots, None where the user has no such one."""
    return transaction.maybe(f"{_CARD} AND bots.id = %(bot)s", {"user": user_id, "bot": bot_id})


def bots_in_trouble(transaction: Transaction, user_id: int, limit: int) -> list[Row]:
    """Return the user's bots whose last order failed or whose risk limit was hit, the latest first.

    Each row says in `in_all` how many there are.
    """
    return transaction.all(
        """
        SELECT id, name, symbol, timeframe, order_status, updated_at, count(*) OVER () AS in_all
          FROM user_bot_configs WHERE user_id = %(user)s AND archived_at IS NULL
           AND order_status IN ('ERROR', 'REJECTED', 'RISK LIMIT HIT')
         ORDER BY updated_at DESC, id LIMIT %(limit)s
        """,
        {"user": user_id, "limit": limit},
    )


def is_closing_by_hand(transaction: Transaction, bot_id: int) -> bool:
    """Tell whether a close by hand was asked for and is not final."""
    sql = """
        SELECT EXISTS (SELECT FROM bot_risk_events AS events JOIN user_bot_configs AS bots USING (lane_id)
                        WHERE bots.id = %s AND events.bot_config_id = bots.id
                          AND events.kind = 'MANUAL_CLOSE' AND events.state IN ('OPEN', 'PLANNED'))
    """
    return transaction.value(sql, (bot_id,)) is True
