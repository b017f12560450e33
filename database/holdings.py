"""What is held where: accounts that do not add up, and what a user may say of them."""

from database.pool import Row, Transaction

_MISMATCHES = """
    SELECT lanes.id AS lane_id, lanes.symbol, lanes.connection_id, connections.label AS connection,
           lanes.mismatch_since, lanes.foreign_quantity, held.bots AS held_by_bots,
           coalesce(snapshots.quantity, 0) AS account_quantity,
           coalesce(snapshots.quantity, 0) - held.bots AS unexplained, accounts.taken_at,
           NOT EXISTS (SELECT FROM orders WHERE orders.lane_id = lanes.id AND orders.finished_at IS NULL)
           AND NOT EXISTS (SELECT FROM fills JOIN user_bot_configs AS bots ON bots.id = fills.bot_config_id
                            WHERE bots.lane_id = lanes.id AND fills.filled_at > accounts.taken_at) AS settled
      FROM lanes
      JOIN user_api_keys AS connections ON connections.id = lanes.connection_id
      LEFT JOIN account_snapshots AS accounts ON accounts.connection_id = lanes.connection_id
      LEFT JOIN position_snapshots AS snapshots
        ON snapshots.connection_id = lanes.connection_id AND snapshots.symbol = lanes.symbol
     CROSS JOIN LATERAL (SELECT coalesce(sum(quantity), 0) AS bots FROM user_bot_configs
                          WHERE lane_id = lanes.id) AS held
     WHERE connections.user_id = %(user)s AND lanes.mismatch_since IS NOT NULL
"""


def mismatches_of(transaction: Transaction, user_id: int, limit: int = 100) -> list[Row]:
    """Return the symbols on which a user's account holds what nobody explains, the longest standing first.

    `unexplained` (signed) is what the account holds beyond its bots: `foreign_quantity` of it was
    declared the user's own before. Where it is not `settled`, orders have moved since the broker was
    asked, so that the numbers say nothing yet.
    """
    sql = _MISMATCHES + " ORDER BY lanes.mismatch_since, lanes.id LIMIT %(limit)s"
    return transaction.all(sql, {"user": user_id, "limit": limit})


def mismatch_of(transaction: Transaction, user_id: int, lane_id: int) -> Row | None:
    """Return one of them, its lane locked; None where that lane is another's or adds up."""
    sql = _MISMATCHES + " AND lanes.id = %(lane)s FOR NO KEY UPDATE OF lanes"
    return transaction.maybe(sql, {"user": user_id, "lane": lane_id})


_HELD = """
      FROM user_bot_configs AS bots
      JOIN user_api_keys AS connections ON connections.id = bots.connection_id
      JOIN lanes ON lanes.id = bots.lane_id
      LEFT JOIN position_snapshots AS snapshots
        ON snapshots.connection_id = bots.connection_id AND snapshots.symbol = bots.symbol
     WHERE bots.user_id = %(user)s AND bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below
       AND (%(text)s = '' OR position(lower(%(text)s) IN lower(bots.name || ' ' || bots.symbol)) > 0)
"""
_UNREALIZED = "bots.quantity * (snapshots.current_price - bots.average_price)"


def held_in_all(transaction: Transaction, user_id: int, text: str = "") -> Row:
    """Count the positions of a user's bots whose name or symbol holds `text`, and add up what is open.

    `unrealized` is None where no broker has named a price; `unpriced` counts the positions left out of it.
    """
    return transaction.one(
        f"""
        SELECT count(*) AS total, count(*) FILTER (WHERE bots.quantity > 0) AS longs,
               count(*) FILTER (WHERE bots.quantity < 0) AS shorts, sum({_UNREALIZED}) AS unrealized,
               count(*) FILTER (WHERE snapshots.current_price IS NULL) AS unpriced
        {_HELD}
        """,
        {"user": user_id, "text": text.strip()},
    )


def held_positions(
    transaction: Transaction, user_id: int, *, text: str = "", limit: int = 10, offset: int = 0
) -> list[Row]:
    """Return a page of what a user's bots hold, dust left out, priced at what the broker last said and when.

    `exit_asked` tells that its close is under way, `held_by` who watches stop and target.
    """
    return transaction.all(
        f"""
        SELECT bots.id, bots.name, bots.symbol, bots.timeframe, bots.quantity, bots.average_price, bots.opened_at,
               connections.label AS connection, connections.broker, connections.mode,
               snapshots.current_price, snapshots.taken_at AS priced_at, {_UNREALIZED} AS unrealized,
               protections.stop_price, protections.target_price, protections.held_by, protections.checked_at,
               EXISTS (SELECT FROM protection_targets AS targets
                        WHERE targets.bot_config_id = bots.id) AS has_several_targets,
               EXISTS (SELECT FROM plans JOIN legs ON legs.plan_id = plans.id
                        WHERE plans.bot_config_id = bots.id AND plans.finished_at IS NULL
                          AND legs.purpose = 'CLOSE' AND legs.finished_at IS NULL)
               OR EXISTS (SELECT FROM bot_risk_events AS events
                           WHERE events.lane_id = bots.lane_id AND events.bot_config_id = bots.id
                             AND events.state IN ('OPEN', 'PLANNED')) AS exit_asked
        {_HELD.replace("WHERE", "LEFT JOIN protections ON protections.bot_config_id = bots.id WHERE", 1)}
         ORDER BY bots.id LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"user": user_id, "text": text.strip(), "limit": limit, "offset": offset},
    )
