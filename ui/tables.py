"""Rows of the database as tables of text, ready to be shown."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from core.wording import number, percent
from ui.formatting import NOTHING, average, gain, moment, money, price, quantity

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
TRADE_SIGNS = {
    "SUBMITTED": "… SUBMITTED",
    "PARTIALLY_FILLED": "◐ PARTIALLY FILLED",
    "FILLED": "● FILLED",
    "REFUSED": "⊘ REFUSED",
    "REJECTED": "✕ REJECTED",
    "FAILED": "✕ FAILED",
    "CANCELED": "– CANCELED",
}
SIGNAL_SIGNS = {
    "STORED": "… stored",
    "WAITING_FOR_OPEN": "… waits for the open",
    "PLANNED": "… under way",
    "EXECUTED": "● executed",
    "SKIPPED": "○ skipped",
    "REFUSED": "⊘ refused",
    "FAILED": "✕ failed",
}
SOURCES = {"tradingview": "Webhook", "replay": "↻ Replay on paper", "reversal": "Reversal signals"}
RISK_KINDS = {
    "STOP": "Stop reached",
    "TARGET": "Target reached",
    "TIME_LIMIT": "Time limit reached",
    "RISK_LIMIT": "Risk limit hit",
    "DAILY_LOSS_LIMIT": "Daily loss limit hit",
    "FLATTEN": "Closed by the kill switch",
    "MANUAL_CLOSE": "Closed by hand",
    "ACCOUNT_MISMATCH": "Account does not add up",
    "MISSED_ALERT": "Alert missed",
    "PROTECTION_MISSING": "Protection was missing",
    "CONNECTION_PROBLEM": "Connection problem",
    "EXTERNAL_CLOSE": "Closed outside DashTrade",
    "EXIT_FAILED": "Exit failed",
    "PRICE_FAULT": "No usable price",
}
RISK_STATES = {
    "OPEN": "… waiting for its turn",
    "PLANNED": "… exit under way",
    "DONE": "✓ done",
    "FAILED": "✕ failed",
    "NOTED": "● noted",
}


def held(rows: Rows) -> pd.DataFrame:
    """Return what the bots hold, priced at what the broker last said."""
    return _frame(
        rows,
        {
            "Bot": lambda row: row["name"],
            "Side": lambda row: "▲ LONG" if row["quantity"] > 0 else "▼ SHORT",
            "Unrealized P&L": lambda row: gain(row["unrealized"]),
            "Quantity": lambda row: quantity(abs(row["quantity"])),
            "Entry": lambda row: average(row["average_price"]),
            "Now": lambda row: price(row["current_price"]),
            "Stop": lambda row: price(row["stop_price"]),
            "Target": lambda row: price(row["target_price"]),
        },
    )


def account_positions(rows: Rows, zone: str) -> pd.DataFrame:
    """Return what the brokers last said that the accounts hold, whoever it belongs to."""
    return _frame(
        rows,
        {
            "Symbol": lambda row: row["symbol"],
            "Side": lambda row: "LONG" if row["quantity"] > 0 else "SHORT",
            "Unrealized P&L": lambda row: gain(row["unrealized"]),
            "Quantity": lambda row: quantity(row["quantity"]),
            "Entry": lambda row: average(row["average_price"]),
            "Now": lambda row: price(row["current_price"]),
            **(_MARGIN_COLUMNS if any(row["leverage"] is not None for row in rows) else {}),
            "Connection": lambda row: row["connection"],
            "As of": lambda row: moment(row["taken_at"], zone),
        },
    )


_MARGIN_COLUMNS: dict[str, Column] = {
    "Leverage": lambda row: leverage(row),
    "Margin": lambda row: money(row["margin"]),
    "Liquidation": lambda row: average(row["liquidation_price"]),
}


def orders(rows: Rows, zone: str) -> pd.DataFrame:
    """Return orders as they were sent, with what the brokers answered so far."""
    return _frame(
        rows,
        {
            "Since": lambda row: moment(row["created_at"], zone),
            "Bot": lambda row: row["bot"],
            "Symbol": lambda row: row["symbol"],
            "Side": lambda row: row["side"],
            "Quantity": lambda row: quantity(row["quantity"]),
            "Filled": lambda row: quantity(row["filled_quantity"]),
            "For": lambda row: "entry" if row["purpose"] == "OPEN" else "exit",
            "State": lambda row: row["state"].replace("_", " "),
            "Broker says": lambda row: row["broker_message"] or NOTHING,
        },
    )


def trades(rows: Rows, zone: str, lent: Mapping[int, Mapping[str, Any]] | None = None) -> pd.DataFrame:
    """Return trades, one row per leg, refused and failed ones too.

    `lent` holds leverage, margin mode and target of the trades that have any, by their id; without any the
    columns are left out.
    """
    more = lent or {}
    return _frame(
        rows,
        {
            # What people look for first stands first: a phone shows four columns.
            "Time": lambda row: moment(row["created_at"], zone),
            "Symbol": lambda row: row["symbol"],
            "Action": lambda row: row["action"],
            "P&L": lambda row: gain(row["realized_pnl"]),
            "Status": lambda row: TRADE_SIGNS[row["status"]],
            "Timeframe": lambda row: row["timeframe"] or "any",
            "Filled": lambda row: quantity(row["filled_qty"]) if row["filled_qty"] else NOTHING,
            "Price": lambda row: average(row["filled_price"]),
            "Fees": lambda row: money(row["fees"]) if row["filled_qty"] else NOTHING,
            **_lent_columns(more),
            "Reason": _reason,
            "Slippage": lambda row: _slippage(row["slippage"]),
            "Bot": lambda row: row["bot"],
            "Order ID": lambda row: row["order_id"] or NOTHING,
        },
    )


def _lent_columns(more: Mapping[int, Mapping[str, Any]]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    if any(each["leverage"] for each in more.values()):
        columns |= {
            "Leverage": lambda row: leverage(more.get(row["id"], {})),
            "Margin": lambda row: money(margin_of_trade(row, more.get(row["id"], {}))),
        }
    if any(each["target_number"] for each in more.values()):
        columns["At target"] = lambda row: str(more.get(row["id"], {}).get("target_number") or NOTHING)
    return columns


def leverage(row: Mapping[str, Any]) -> str:
    """Write leverage and margin mode: `10x isolated`."""
    if row.get("leverage") is None:
        return NOTHING
    return f"{number(row['leverage'])}x {row.get('margin_mode') or ''}".rstrip()


def margin_of_trade(row: Mapping[str, Any], lent: Mapping[str, Any]) -> Decimal | None:
    """Return the user's own money in what a trade filled; None where nothing was lent or filled."""
    if not lent.get("leverage") or not row["filled_qty"]:
        return None
    return Decimal(row["filled_qty"]) * Decimal(row["filled_price"]) / Decimal(lent["leverage"])


def risk_events(rows: Rows, zone: str) -> pd.DataFrame:
    """Return risk events, threshold and actual value each with the unit of its kind."""
    return _frame(
        rows,
        {
            "When": lambda row: moment(row["created_at"], zone),
            "What": lambda row: RISK_KINDS[row["kind"]],
            "Bot": lambda row: row["bot"] or NOTHING,
            "Symbol": lambda row: row["symbol"] or NOTHING,
            "Threshold": lambda row: risk_value(row, "threshold"),
            "Actual": lambda row: risk_value(row, "actual"),
            "Action taken": lambda row: row["action_taken"] or NOTHING,
            "State": lambda row: RISK_STATES[row["state"]],
            "In words": lambda row: row["sentence"] or NOTHING,
            "Connection": lambda row: row["connection"],
        },
    )


def risk_value(row: Mapping[str, Any], name: str) -> str:
    """Write an event's threshold or actual value: a price, percent, money, a quantity, or seconds."""
    value = row[name]
    if value is None:
        return NOTHING
    units = {
        "STOP": lambda: price(value),
        "TARGET": lambda: price(value),
        "TIME_LIMIT": lambda: price(value),
        "RISK_LIMIT": lambda: f"{percent(value)} loss",
        "DAILY_LOSS_LIMIT": lambda: f"{money(value)} loss",
        "ACCOUNT_MISMATCH": lambda: f"{quantity(value)} {row['symbol'] or 'units'}",
        "EXTERNAL_CLOSE": lambda: f"{quantity(value)} {row['symbol'] or 'units'}",
        "PROTECTION_MISSING": lambda: f"{number(value)} s",
    }
    return units.get(row["kind"], lambda: number(value))()


def figures(rows: Rows, what: str) -> pd.DataFrame:
    """Return how each symbol or bot did; `what` is the column that names it, `bot` or `symbol`."""
    return _frame(
        rows,
        {
            what.capitalize(): lambda row: row[what],
            "P&L": lambda row: gain(row["total_pnl"]),
            "Trades": lambda row: f"{row['trades']:,}",
            "Win rate": lambda row: rate(row["win_rate"]),
            "Profit factor": lambda row: factor(row),
            "Best": lambda row: gain(row["best"]),
            "Worst": lambda row: gain(row["worst"]),
        },
    )


def round_trips(rows: Rows, zone: str) -> pd.DataFrame:
    """Return single trades from flat to flat with what each brought."""
    return _frame(
        rows,
        {
            "P&L": lambda row: gain(row["pnl"]),
            "Bot": lambda row: row["bot"],
            "Closed": lambda row: moment(row["closed_at"], zone),
        },
    )


def rate(value: Decimal | None) -> str:
    """Write a win rate: `58.3 %`."""
    return NOTHING if value is None else f"{value:.1f} %"


def factor(row: Mapping[str, Any]) -> str:
    """Write a profit factor; without any loss it has no bound."""
    if row["profit_factor"] is not None:
        return f"{row['profit_factor']:.2f}"
    return "no loss yet" if row["wins"] else NOTHING


def all_signals(rows: Rows, zone: str) -> pd.DataFrame:
    """Return signals with their source, what each was understood as, and what became of it."""
    return _frame(
        rows,
        {
            "Received": lambda row: moment(row["received_at"], zone),
            "Outcome": lambda row: SIGNAL_SIGNS[row["state"]],
            "Signal": _asked,
            "Code": lambda row: row["code"] or NOTHING,
            "Why": lambda row: row["sentence"] or NOTHING,
            "Bot": lambda row: row["bot"] or NOTHING,
            "Source": lambda row: source(row["source"]),
            "Copies": lambda row: str(row["duplicates"] or NOTHING),
        },
    )


def source(text: str) -> str:
    """Say whence a signal came; a signal channel's own source bears its registration's number."""
    kind, _, number_of = text.partition(":")
    return SOURCES.get(text) or (f"Signal channel {number_of}" if kind == "discord" and number_of else text)


def plain(text: str) -> str:
    """Return a text of the user's that Markdown shows as it is."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|$:~" else sign for sign in text)


def code(text: str) -> str:
    """Return a text that Markdown shows as it is, in the type of a program; a backtick becomes an apostrophe."""
    return f"`{text.replace('`', chr(39))}`"


def _asked(row: Mapping[str, Any]) -> str:
    if row["action"] is None:
        return "not understood"
    wanted = f" → {row['position_after']}" if row["position_after"] else ""
    return " ".join(filter(None, (row["action"], row["symbol"], row["timeframe"]))) + wanted


def _slippage(value: Decimal | None) -> str:
    # Positive is worse for us on every side, so it is written like the loss that it is.
    if value is None:
        return NOTHING
    if value == 0:
        return "0.00"
    return f"▼ {price(value)} worse" if value > 0 else f"▲ {price(-value)} better"


def _reason(row: Mapping[str, Any]) -> str:
    if row["reason"] is None:
        return NOTHING
    return f"{row['reason']}: {row['message']}" if row["message"] else str(row["reason"])


def _frame(rows: Rows, columns: Mapping[str, Column]) -> pd.DataFrame:
    return pd.DataFrame(
        [{name: text(row) for name, text in columns.items()} for row in rows], columns=list(columns)
    )
