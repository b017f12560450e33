"""DashTrade's own events in the topics and payloads that watched bots use, so that anything may watch it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from database.notifications import NotificationKind
from database.pool import Row

Payload = dict[str, Any]

CRITICAL = frozenset(
    {NotificationKind.EXIT_FAILED, NotificationKind.PROTECTION_MISSING, NotificationKind.CONNECTION_BROKEN}
)
STATE = "status/bot/state"


def payload(at: datetime, **fields: Any) -> Payload:
    """Return a payload with its time in epoch seconds; fields without a value are left out."""
    return {
        "timestamp": at.timestamp(),
        **{name: _plain(value) for name, value in fields.items() if value is not None},
    }


def trade(row: Row, at: datetime) -> tuple[str, Payload]:
    """Return topic and payload of an order that filled: a position opened, or a trade completed."""
    size, price = row["filled_qty"], row["filled_price"]
    if row["action"] != "CLOSE":
        opened = payload(
            at, symbol=row["symbol"], side="long" if row["side"] == "BUY" else "short", entry_price=price,
            size=size, reason="signal", bot=row["bot"],
        )  # fmt: skip
        return "trading/position/opened", opened
    entry, pnl = row["entry_price"], row["realized_pnl"]
    held = row["closed_at"] - row["opened_at"] if row["closed_at"] and row["opened_at"] else None
    completed = payload(
        at, trade_id=f"dashtrade-{row['id']}", symbol=row["symbol"],
        side="long" if row["side"] == "SELL" else "short", entry_price=entry or None, exit_price=price,
        size=size, pnl=pnl, pnl_pct=pnl / (entry * size) if entry and size and pnl is not None else None,
        fees=row["fees"], duration_seconds=int(held.total_seconds()) if held else None, bot=row["bot"],
    )  # fmt: skip
    return "trading/trade/completed", completed


def trouble(kind: str, content: Mapping[str, Any], at: datetime) -> tuple[str, Payload]:
    """Return topic and payload of anything that went wrong or was stopped."""
    words = content.get("sentence") or " ".join(
        str(content[key]) for key in ("scope", "state") if key in content
    )
    severity = "critical" if kind in CRITICAL else "warning"
    said = payload(
        at, error_type=str(kind).lower(), error_message=words, severity=severity, bot=content.get("bot")
    )
    return "status/bot/error", said


def heartbeat(standing: Row, at: datetime, uptime_seconds: int) -> tuple[str, Payload]:
    """Return topic and payload of a sign of life."""
    return "status/bot/heartbeat", payload(
        at, uptime_seconds=uptime_seconds, balance=standing["equity"],
        open_positions=standing["open_positions"], total_trades=standing["total_trades"],
    )  # fmt: skip


def balance(standing: Row, at: datetime) -> tuple[str, Payload]:
    """Return topic and payload of what all accounts in US dollars are worth."""
    return "balance/update", payload(
        at, balance=standing["balance"], equity=standing["equity"], available_balance=standing["balance"],
        unrealized_pnl=standing["unrealized_pnl"], total_pnl=standing["total_pnl"], update_reason="periodic",
    )  # fmt: skip


def session(standing: Row, at: datetime, session_id: str, seconds: int) -> tuple[str, Payload]:
    """Return topic and payload of what was traded since the start."""
    trades = standing["total_trades"]
    rate = Decimal(standing["winning_trades"]) / trades if trades else None
    return "stats/session", payload(
        at, session_id=session_id, duration_seconds=seconds, final_balance=standing["equity"],
        total_pnl=standing["total_pnl"], total_trades=trades, winning_trades=standing["winning_trades"],
        losing_trades=standing["losing_trades"], win_rate=rate, avg_win=standing["avg_win"],
        avg_loss=standing["avg_loss"],
    )  # fmt: skip


def started(standing: Row, at: datetime, session_id: str, version: str) -> tuple[str, Payload]:
    """Return topic and payload of a start."""
    said = payload(at, session_id=session_id, version=version, initial_balance=standing["equity"])
    return "status/bot/started", said


def stopped(standing: Row, at: datetime, session_id: str) -> tuple[str, Payload]:
    """Return topic and payload of a clean stop."""
    _, statistics = session(standing, at, session_id, 0)
    final = {
        name: statistics[name] for name in ("total_pnl", "total_trades", "win_rate") if name in statistics
    }
    return "status/bot/stopped", {**payload(at, session_id=session_id), "final_stats": final}


def state(is_online: bool, at: datetime) -> tuple[str, Payload]:
    """Return topic and payload of the retained state; the one of a death is the last will."""
    return STATE, payload(at, state="online" if is_online else "offline")


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
