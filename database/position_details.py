"""What is behind a position or a trade beside its quantity: borrowed money, and protection in several parts."""

from collections.abc import Sequence

from database.pool import Row, Transaction


def details_of(transaction: Transaction, user_id: int, bot_ids: Sequence[int]) -> dict[int, Row]:
    """Return for each of a user's bots what its broker said of leverage and margin, and what protects it.

    `margin` is the account's whole position's, of which `account_quantity` is held. `targets` are objects
    with `number`, `price`, `share` and `hit` (numbers as text), in their order; None without several.
    """
    rows = transaction.all(
        """
        SELECT bots.id, snapshots.leverage, snapshots.margin_mode, snapshots.margin, snapshots.liquidation_price,
               snapshots.quantity AS account_quantity, protections.break_even_after, protections.trail_distance,
               protections.trail_from, protections.trail_best, protections.close_at,
               (SELECT jsonb_agg(jsonb_build_object('number', number, 'price', price::text, 'share', share::text,
                                                    'hit', hit_at IS NOT NULL) ORDER BY number)
                  FROM protection_targets WHERE bot_config_id = bots.id) AS targets
          FROM user_bot_configs AS bots
          LEFT JOIN position_snapshots AS snapshots
            ON snapshots.connection_id = bots.connection_id AND snapshots.symbol = bots.symbol
          LEFT JOIN protections ON protections.bot_config_id = bots.id
         WHERE bots.user_id = %s AND bots.id = ANY(%s)
        """,
        (user_id, list(bot_ids)),
    )
    return {row.pop("id"): row for row in rows}


def leverage_of_trades(transaction: Transaction, user_id: int, trade_ids: Sequence[int]) -> dict[int, Row]:
    """Return leverage, margin mode and target of those of a user's trades that have any, by the trade's id."""
    rows = transaction.all(
        """
        SELECT trades.id, legs.leverage, legs.margin_mode, legs.target_number
          FROM bot_trades AS trades JOIN legs ON legs.id = trades.leg_id
         WHERE trades.user_id = %s AND trades.id = ANY(%s)
           AND (legs.leverage IS NOT NULL OR legs.target_number IS NOT NULL)
        """,
        (user_id, list(trade_ids)),
    )
    return {row.pop("id"): row for row in rows}
