"""`bot_trades`: what the user reads per executed leg, refused and failed ones too."""

from core.plan import LegPurpose, Refusal
from database.pool import Row, Transaction
from database.prepared import prepared
from database.work import LegRecord, PlanRecord


def write_trade(
    transaction: Transaction, plan: PlanRecord, leg: LegRecord, status: str, reason: Refusal | None
) -> None:
    """Write or move on the row of a leg; its fills are added by the ledger."""
    action = "CLOSE" if leg.purpose is LegPurpose.CLOSE else str(leg.side)
    transaction.execute(
        prepared(
            """
            INSERT INTO bot_trades (user_id, bot_config_id, signal_id, leg_id, symbol, timeframe, action, side,
                                    status, quantity, expected_price, reason, message)
            SELECT user_id, id, %(signal)s, %(leg)s, symbol, timeframe, %(action)s, %(side)s, %(status)s,
                   %(quantity)s, %(expected)s, %(reason)s, %(message)s
              FROM user_bot_configs WHERE id = %(bot)s
            ON CONFLICT (leg_id) DO UPDATE
               SET status = excluded.status, quantity = coalesce(excluded.quantity, bot_trades.quantity),
                   expected_price = coalesce(excluded.expected_price, bot_trades.expected_price),
                   reason = excluded.reason, message = excluded.message, updated_at = now(),
                   order_id = (SELECT broker_order_id FROM orders WHERE orders.leg_id = excluded.leg_id
                                ORDER BY part DESC, attempt DESC LIMIT 1)
            """,
            signal="bigint",
            leg="bigint",
            action="text",
            side="text",
            status="text",
            quantity="numeric",
            expected="numeric",
            reason="text",
            message="text",
            bot="bigint",
        ),
        {
            "signal": plan.signal_id,
            "leg": leg.id,
            "action": action,
            "side": leg.side,
            "status": status,
            "quantity": leg.quantity,
            "expected": leg.expected_price,
            "reason": reason and reason.code,
            "message": reason and reason.sentence,
            "bot": plan.bot_id,
        },
    )


def note_partial_fill(transaction: Transaction, leg_id: int) -> bool:
    """Show that a part of a leg has traded; tell whether the leg is still under way."""
    sql = prepared(
        """
        UPDATE bot_trades SET status = 'PARTIALLY_FILLED', updated_at = now()
         WHERE leg_id = %s AND status IN ('SUBMITTED', 'PARTIALLY_FILLED') AND reason IS NULL
        """,
        "bigint",
    )
    return transaction.execute(sql, (leg_id,)) == 1


def trade_of_leg(transaction: Transaction, leg_id: int) -> Row | None:
    """Return the trade row of a leg, None where it has none yet."""
    return transaction.maybe(prepared("SELECT * FROM bot_trades WHERE leg_id = %s", "bigint"), (leg_id,))
