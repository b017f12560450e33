"""What happened to tracked trades, in words: a row each, which the Discord bot sends where it is to be sent."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from database.pool import Row, Transaction


class UpdateKind(StrEnum):
    """What an update tells; the last five end the trade."""

    OPENED = "opened"
    RUNNING = "price_update"
    STOP = "sl_hit"
    TARGET = "tp_hit"
    BY_HAND = "manual_close"
    TIME = "timeout"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeUpdate:
    """One update of one trade; `pnl` is None where no rate is known. Only with `send` it goes to Discord."""

    trade_id: int
    kind: UpdateKind
    price: Decimal
    steps: Decimal
    pnl: Decimal | None
    message: str
    send: bool


def store(transaction: Transaction, updates: Sequence[TradeUpdate], now: datetime) -> int:
    """Store updates in one statement; return how many. Running ones that wait to be sent are overtaken."""
    if not updates:
        return 0
    _forget_waiting(transaction, [update.trade_id for update in updates])
    return transaction.execute(
        """
        INSERT INTO trade_updates (trade_id, update_type, current_price, current_pips, current_pnl, message,
                                   next_attempt_at, created_at)
        SELECT trade_id, kind, price, steps, pnl, message, CASE WHEN send THEN %(now)s END, %(now)s
          FROM unnest(%(trade_id)s::bigint[], %(kind)s::text[], %(price)s::numeric[], %(steps)s::numeric[],
                      %(pnl)s::numeric[], %(message)s::text[], %(send)s::boolean[])
            AS new (trade_id, kind, price, steps, pnl, message, send)
        """,
        {"now": now}
        | {
            name: [getattr(update, name) for update in updates]
            for name in ("trade_id", "kind", "price", "steps", "pnl", "message", "send")
        },
    )


def of_trade(transaction: Transaction, user_id: int, trade_id: int, count: int = 200) -> list[Row]:
    """Return what happened to one of a user's trades, the newest first; nothing of a stranger's."""
    return transaction.all(
        """
        SELECT updates.id, update_type, updates.current_price, updates.current_pips, updates.current_pnl, message,
               discord_notified, updates.failed_at, updates.last_error, updates.created_at
          FROM trade_updates AS updates JOIN user_trades AS trades ON trades.id = trade_id
         WHERE trade_id = %s AND trades.user_id = %s ORDER BY updates.id DESC LIMIT %s
        """,
        (trade_id, user_id, count),
    )


def _forget_waiting(transaction: Transaction, trade_ids: Collection[int]) -> None:
    """Take back running updates that Discord was not given yet: the newest says all that they would.

    One that a sender holds or has tried stays: whether it arrived is not known, and its nonce tells copies.
    """
    transaction.execute(
        """
        UPDATE trade_updates SET next_attempt_at = NULL WHERE id IN (
            SELECT id FROM trade_updates
             WHERE trade_id = ANY(%s) AND update_type = 'price_update' AND next_attempt_at IS NOT NULL
               AND attempts = 0
             ORDER BY id FOR UPDATE SKIP LOCKED)
        """,
        (list(trade_ids),),
    )
