"""Signals and trades for a room: rows as the scan and the monitor write them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from actions import tracked_trades
from core.pips import Direction
from core.reversal import Score
from database import discord_accounts, signal_notifications, trade_updates
from database.pool import Row
from database.signal_notifications import NewNotification
from database.trade_updates import TradeUpdate, UpdateKind

FACTORS = {"RSI(14)": "24.1", "ATR(14)": "0.0027"}


def score(**changes: Any) -> Score:
    """Return a long EUR/USD that closed just now, with a stop of 54 pips and a target of 108."""
    closed = datetime.now(UTC) - timedelta(seconds=30)
    given = {
        "pair": "EUR/USD",
        "timeframe": "1 Hour",
        "bar_opened_at": closed - timedelta(hours=1),
        "bar_closed_at": closed,
        "direction": Direction.LONG,
        "confidence": Decimal("0.75"),
        "stage1_prob": Decimal("0.62"),
        "stage2_prob": Decimal("0.71"),
        "version": "v1",
        "entry": Decimal("1.0854"),
        "stop": Decimal("1.0800"),
        "target": Decimal("1.0962"),
        "source": "alpha_vantage",
        "is_replay": False,
        "edge_shown": True,
        "factors": FACTORS,
        **changes,
    }
    return Score(**given)


def notify(desk: Any, user_id: int, **changes: Any) -> int:
    """Store a signal for a user as the scan does, and return its number."""
    now, made = datetime.now(UTC), score(**changes)
    with desk.database.transaction() as transaction:
        new = NewNotification(user_id=user_id, day=now.date(), score=made)
        assert signal_notifications.store_new(transaction, [new], now - timedelta(seconds=2)) == 1
        return int(transaction.value("SELECT max(id) FROM signal_notifications"))


def told(desk: Any, notification_id: int) -> Row:
    """Return the row of a signal."""
    [row] = desk.all("SELECT * FROM signal_notifications WHERE id = %s", (notification_id,))
    return dict(row)


def update(desk: Any, trade_id: int, kind: UpdateKind, message: str, pips: str = "12") -> int:
    """Store an update of a trade as the monitor does, to be sent at once."""
    made = TradeUpdate(
        trade_id=trade_id, kind=kind, price=Decimal("1.0866"), steps=Decimal(pips), pnl=Decimal(pips),
        message=message, send=True,
    )  # fmt: skip
    with desk.database.transaction() as transaction:
        trade_updates.store(transaction, [made], datetime.now(UTC) - timedelta(seconds=2))
        return int(transaction.value("SELECT max(id) FROM trade_updates"))


def wishes(desk: Any, user_id: int, **changes: Any) -> None:
    """Store what a user wants."""
    with desk.database.transaction() as transaction:
        discord_accounts.change_settings(transaction, user_id, changes)


def trade(desk: Any, user_id: int, **changes: Any) -> int:
    """Open a trade of a user as the dashboard does, and return its number."""
    given = {
        "pair": "EUR/USD",
        "direction": Direction.LONG,
        "entry": Decimal("1.0854"),
        "lots": Decimal("0.5"),
        "stop": Decimal("1.0800"),
        "target": Decimal("1.0962"),
        "request_key": uuid4().hex,
        **changes,
    }
    request = tracked_trades.TradeRequest(**given)
    opened = tracked_trades.open_trade(
        desk.database, desk.settings, user_id, "test", request, datetime.now(UTC)
    )
    return opened.trade_id
