"""What watched bots reported, as tables of text."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from alerts.figures import duration, percent
from alerts.figures import words as named
from ui.formatting import NOTHING, gain, moment, price, quantity
from ui.tables import Column, Rows
from ui.watched_pages.words import KINDS, own_time, told

SIDES = {"long": "▲ LONG", "buy": "▲ BUY", "short": "▼ SHORT", "sell": "▼ SELL"}


def open_positions(rows: Rows, zone: str) -> pd.DataFrame:
    """Return what a bot said it holds."""
    return _frame(
        rows,
        {
            "Market": lambda row: row["name"],
            "Side": _side,
            "Quantity": _size,
            "Entry": lambda row: price(row["entry_price"]),
            "Stop": lambda row: price(row["stop_loss"]),
            "Target": lambda row: price(row["take_profit"]),
            "Opened": lambda row: moment(row["opened_at"], zone),
            "Why": lambda row: named(row["entry_reason"]) or NOTHING,
        },
    )


def trades(rows: Rows, zone: str) -> pd.DataFrame:
    """Return completed trades with what each brought."""
    return _frame(
        rows,
        {
            "Closed": lambda row: moment(row["closed_at"], zone),
            "P&L": lambda row: gain(row["pnl"]),
            "Market": lambda row: row["name"],
            "P&L %": lambda row: percent(row["pnl_fraction"], sign=True) or NOTHING,
            "Side": _side,
            "Quantity": _size,
            "Entry": lambda row: price(row["entry_price"]),
            "Exit": lambda row: price(row["exit_price"]),
            "Held for": lambda row: duration(row["duration_seconds"]) or NOTHING,
            "Why": lambda row: named(row["exit_reason"]) or NOTHING,
            "Opened": lambda row: moment(row["opened_at"], zone),
            "Trade ID": lambda row: row["trade_id"] or NOTHING,
        },
    )


def events(rows: Rows, zone: str) -> pd.DataFrame:
    """Return messages in the order of arrival, unreadable ones with what was wrong with them."""
    return _frame(
        rows,
        {
            "Arrived": lambda row: moment(row["received_at"], zone),
            "What": _what,
            "Said": _said,
            "Its clock says": lambda row: own_time(row, zone),
            "Topic": lambda row: row["topic"],
            "Bytes": lambda row: f"{row['payload_bytes']:,}",
        },
    )


def _said(row: Mapping[str, Any]) -> str:
    words = told(row["understood"])
    if not row["problem"]:
        return words
    return f"✕ {row['problem']}" + (f" · {words}" if words != NOTHING else "")


def _what(row: Mapping[str, Any]) -> str:
    return f"{KINDS[row['kind']]}{' ↻' if row['is_retained'] else ''}"


def _side(row: Mapping[str, Any]) -> str:
    side = row["side"]
    return SIDES.get(side, str(side).upper()) if side else NOTHING


def _size(row: Mapping[str, Any]) -> str:
    if row["quantity"] is None:
        return NOTHING
    return f"{quantity(row['quantity'])} {row['quantity_unit'] or ''}".strip()


def _frame(rows: Rows, columns: Mapping[str, Column]) -> pd.DataFrame:
    return pd.DataFrame(
        [{name: text(row) for name, text in columns.items()} for row in rows], columns=list(columns)
    )
