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


def mismatches_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return the symbols on which a user's account holds what nobody explains, with all that is known.

    `unexplained` (signed) is what the account holds beyond its bots: `foreign_quantity` of it was
    declared the user's own before. Where it is not `settled`, orders have moved since the broker was
    asked, so that the numbers say nothing yet.
    """
    return transaction.all(_MISMATCHES + " ORDER BY lanes.connection_id, lanes.symbol", {"user": user_id})


def mismatch_of(transaction: Transaction, user_id: int, lane_id: int) -> Row | None:
    """Return one of them, its lane locked; None where that lane is another's or adds up."""
    sql = _MISMATCHES + " AND lanes.id = %(lane)s FOR NO KEY UPDATE OF lanes"
    return transaction.maybe(sql, {"user": user_id, "lane": lane_id})
