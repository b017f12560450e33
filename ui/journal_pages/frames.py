"""Tracked trades as tables of text."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from core.wording import number
from ui.formatting import NOTHING, moment
from ui.journal_pages import words
from ui.reversal_pages.frames import frame
from ui.reversal_pages.words import REPLAY_MARK, is_replay
from ui.tables import Rows


def trades(rows: Rows, zone: str, now: datetime) -> pd.DataFrame:
    """Return tracked trades; what people look for first stands first."""
    return frame(
        rows,
        {
            "Trade": lambda row: f"{'↻ ' if is_replay(row) else ''}#{row['id']}",
            "Pair": lambda row: row["pair"],
            "Result": words.result,
            "P&L": lambda row: words.profit(row, *_now_or_then(row)),
            "Pips": lambda row: words.pips(row, _now_or_then(row)[1]),
            "Side": lambda row: words_of_side(row["direction"]),
            "Lots": lambda row: number(row["lot_size"]),
            "Entry": lambda row: words.price(row["pair"], row["entry_price"]),
            "Exit": lambda row: words.price(row["pair"], row["close_price"]),
            "Stop": lambda row: words.price(row["pair"], row["stop_loss"]),
            "Target": lambda row: words.price(row["pair"], row["take_profit"]),
            "Risk : reward": words.risk,
            "Why": lambda row: words.REASONS.get(row["close_reason"] or "", NOTHING),
            "Opened": lambda row: moment(row["entry_time"], zone),
            "Closed": lambda row: moment(row["close_time"], zone),
            "Held for": lambda row: words.lasted(row, now),
            "Prices": lambda row: REPLAY_MARK if is_replay(row) else row["source"],
            "Notes": lambda row: row["notes"] or NOTHING,
        },
    )


def updates(rows: Rows, zone: str) -> pd.DataFrame:
    """Return what happened to a trade."""
    return frame(
        rows,
        {
            "When": lambda row: moment(row["created_at"], zone),
            "What": lambda row: words.UPDATES[row["update_type"]],
            "In words": lambda row: " ".join(row["message"].split()),
            "Discord": _told,
        },
    )


def words_of_side(direction: str) -> str:
    """Write the side of a trade."""
    return {"long": "▲ LONG", "short": "▼ SHORT"}[direction]


def _now_or_then(row: Mapping[str, Any]) -> tuple[str, str]:
    return ("current_pnl", "current_pips") if row["status"] == "open" else ("profit_loss", "pips")


def _told(row: Mapping[str, Any]) -> str:
    if row["discord_notified"]:
        return "● sent"
    if row["failed_at"]:
        return f"✕ not delivered: {row['last_error'] or 'no reason was given'}"
    return NOTHING
