"""What is told of trades that are followed: each update in its words, many of them in one message; pure."""

from collections.abc import Sequence

from alerts.neutral import neutral, shortened
from core.pips import market_of
from core.trade_wording import steps
from database.pool import Row
from database.trade_updates import UpdateKind

LONGEST = 1900
MOST_LINES = 8
# What happened, without what it was worth: for a channel that others read
SHARED = {
    UpdateKind.OPENED: "📝 Opened",
    UpdateKind.RUNNING: "📊 Still running",
    UpdateKind.STOP: "❌ Stop Loss Hit!",
    UpdateKind.TARGET: "✅ Take Profit Hit!",
    UpdateKind.BY_HAND: "✋ Closed by hand",
    UpdateKind.TIME: "⏰ Time limit reached",
    UpdateKind.CANCELLED: "🚫 Cancelled",
}


def updates(rows: Sequence[Row], *, in_private: bool) -> str:
    """Return updates as one message, in their order.

    Of many the endings are told first of all, and the rest is counted. Only `in_private` it says amounts.
    """
    shown = _chosen(rows)
    lines = [neutral(row["message"]) if in_private else _shared(row) for row in shown]
    left = len(rows) - len(shown)
    if left:
        lines.append(
            f"… and {left} more update{'s' if left > 1 else ''}: `/trades` and `/history` show them."
        )
    return shortened("\n".join(lines), LONGEST)


def _chosen(rows: Sequence[Row]) -> list[Row]:
    if len(rows) <= MOST_LINES:
        return list(rows)
    ranked = sorted(rows, key=lambda row: (row["update_type"] == UpdateKind.RUNNING, -row["id"]))
    kept = {row["id"] for row in ranked[:MOST_LINES]}
    return [row for row in rows if row["id"] in kept]


def _shared(row: Row) -> str:
    kind = UpdateKind(row["update_type"])
    is_moved = kind not in (UpdateKind.OPENED, UpdateKind.CANCELLED)
    moved = f" {steps(row['current_pips'], market_of(row['pair']).unit)}" if is_moved else ""
    return neutral(f"{SHARED[kind]}{moved} · trade #{row['trade_id']} {row['pair']}")
