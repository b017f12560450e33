"""Rows of user_trades as the types that judge them and tell of them, and what a trade's end writes."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from core.pips import Direction, market_of
from core.tracked_trade import CloseReason, Levels
from core.trade_outcome import Outcome, outcome
from core.trade_walk import Moved
from core.trade_wording import Told
from database.pool import Row
from database.trade_updates import TradeUpdate, UpdateKind

ENDING = (
    *("status", "close_price", "close_time", "close_reason", "result", "pips", "profit_loss"),
    *(
        "profit_loss_percentage",
        "current_price",
        "current_pips",
        "current_pnl",
        "next_update_at",
        "updated_at",
    ),
)


def levels_of(row: Row) -> Levels:
    """Return what a trade is judged by."""
    return Levels(
        market=market_of(row["pair"]),
        direction=Direction(row["direction"]),
        entry=row["entry_price"],
        stop=row["stop_loss"],
        target=row["take_profit"],
        entered_at=row["entry_time"],
        expires_at=row["expires_at"],
    )


def moved_of(row: Row) -> Moved | None:
    """Return what its levels were before they were moved, None where they never were."""
    if row["levels_since"] is None:
        return None
    return Moved(since=row["levels_since"], stop=row["stop_before"], target=row["target_before"])


def told_of(row: Row) -> Told:
    """Return what its updates say of a trade."""
    return Told(
        trade_id=row["id"],
        market=market_of(row["pair"]),
        direction=Direction(row["direction"]),
        lots=row["lot_size"],
        currency=row["account_currency"],
        entered_at=row["entry_time"],
        source=row["source"],
    )


def worth(row: Row, price: Decimal, prices: Mapping[str, Decimal]) -> Outcome:
    """Return what a trade is worth at a price; `prices` are the newest of each pair."""
    return outcome(levels_of(row), row["lot_size"], row["account_currency"], price, prices)


def ending(ended: Outcome, reason: CloseReason, at: datetime, now: datetime) -> Row:
    """Return the columns, as `ENDING` has them, of a trade that ended at a time, for a reason."""
    return {
        "status": "closed",
        "close_price": ended.price,
        "close_time": at,
        "close_reason": reason,
        "result": ended.result,
        "pips": ended.steps,
        "profit_loss": ended.profit,
        "profit_loss_percentage": ended.percentage,
        "current_price": ended.price,
        "current_pips": ended.steps,
        "current_pnl": ended.profit,
        "next_update_at": None,
        "updated_at": now,
    }


def update(trade_id: int, kind: UpdateKind, at: Outcome, message: str, *, send: bool) -> TradeUpdate:
    """Return an update that tells what a trade is worth."""
    return TradeUpdate(
        trade_id=trade_id,
        kind=kind,
        price=at.price,
        steps=at.steps,
        pnl=at.profit,
        message=message,
        send=send,
    )
