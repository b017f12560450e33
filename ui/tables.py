"""Rows of the database as tables of text, ready to be shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ui.formatting import NOTHING, gain, moment, money, price, quantity

Rows = Sequence[Mapping[str, Any]]
Column = Callable[[Mapping[str, Any]], str]

STATUS_SIGNS = {
    "READY": "○ READY",
    "ORDER SUBMITTED": "… ORDER SUBMITTED",
    "PARTIALLY FILLED": "◐ PARTIALLY FILLED",
    "FILLED": "● FILLED",
    "REJECTED": "✕ REJECTED",
    "ERROR": "✕ ERROR",
    "RISK LIMIT HIT": "■ RISK LIMIT HIT",
    "DISABLED": "– DISABLED",
}


def positions(rows: Rows, zone: str) -> pd.DataFrame:
    """Return what the bots hold, priced at what the broker last said."""
    return _frame(
        rows,
        {
            "Bot": lambda row: row["bot"],
            "Side": lambda row: row["side"],
            "Quantity": lambda row: quantity(row["quantity"]),
            "Entry": lambda row: price(row["average_price"]),
            "Now": lambda row: price(row["current_price"]),
            "Unrealized P&L": lambda row: gain(row["unrealized"]),
            "Stop": lambda row: price(row["stop_price"]),
            "Target": lambda row: price(row["target_price"]),
            "Connection": lambda row: row["connection"],
            "Priced": lambda row: moment(row["priced_at"], zone),
            "Open since": lambda row: moment(row["opened_at"], zone),
        },
    )


def bots(rows: Rows) -> pd.DataFrame:
    """Return the bots with their status and what they made."""
    return _frame(
        rows,
        {
            "Bot": lambda row: row["name"],
            "Status": lambda row: STATUS_SIGNS[row["order_status"]],
            "Symbol": lambda row: row["symbol"],
            "Timeframe": lambda row: row["timeframe"] or "any",
            "Size": _size,
            "Realized P&L": lambda row: gain(row["total_pnl"]),
            "Trades": lambda row: f"{row['total_trades']:,}",
            "Connection": lambda row: row["connection"],
        },
    )


def signals(rows: Rows, zone: str) -> pd.DataFrame:
    """Return the signals with what became of each."""
    return _frame(
        rows,
        {
            "Received": lambda row: moment(row["received_at"], zone),
            "Action": lambda row: row["action"] or NOTHING,
            "Symbol": lambda row: row["symbol"] or NOTHING,
            "Bot": lambda row: row["bot"] or NOTHING,
            "Outcome": lambda row: row["code"] or row["state"],
            "Why": lambda row: row["sentence"] or "Under way.",
        },
    )


def plain(text: str) -> str:
    """Return a text of the user's that Markdown shows as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|$:~" else sign for sign in text)


def _size(row: Mapping[str, Any]) -> str:
    size = row["position_size"]
    texts = {"notional": money(size), "units": f"{quantity(size)} units"}
    return texts.get(row["size_mode"], f"{quantity(size)} % at risk")


def _frame(rows: Rows, columns: Mapping[str, Column]) -> pd.DataFrame:
    return pd.DataFrame(
        [{name: text(row) for name, text in columns.items()} for row in rows], columns=list(columns)
    )
