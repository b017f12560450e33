"""Signals, scores, feeds and faults as tables of text."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from ui.formatting import NOTHING, age, moment
from ui.reversal_pages import measured, words
from ui.tables import Column, Rows

FAULTS = {
    "MISSING": "✕ missing",
    "LATE": "… late",
    "CHANGED": "↻ changed afterwards",
    "IMPOSSIBLE": "✕ impossible",
    "MARKET_CLOSED": "○ while the market was closed",
    "MISALIGNED": "✕ at an odd time",
}


def signals(rows: Rows, zone: str, now: datetime) -> pd.DataFrame:
    """Return signals that were sent, with how sending stands, what was answered, and why one failed."""
    return frame(
        rows,
        {
            # What people look for first stands first: a phone shows three columns.
            "Signal": _signal,
            "Your answer": lambda row: words.answer(row, now),
            "Confidence": measured.confidence,
            "Entry": lambda row: words.price(row["pair"], row["entry_price"]),
            "Stop": lambda row: words.price(row["pair"], row["stop_loss"]),
            "Target": lambda row: words.price(row["pair"], row["take_profit"]),
            "Discord": lambda row: words.sending(row, now),
            "Why not sent": words.why_not_sent,
            "Found": lambda row: moment(row["created_at"], zone),
            "Edge": lambda row: "✓ shown" if row["edge_shown"] else "✕ none shown",
            "Model": lambda row: row["model_version"],
            "Prices": lambda row: words.REPLAY_MARK if words.is_replay(row) else row["source"],
        },
    )


def deliveries(rows: Rows, zone: str, now: datetime) -> pd.DataFrame:
    """Return signals with how the sending of each stands, and why one failed."""
    return frame(
        rows,
        {
            "Signal": _signal,
            "Discord": lambda row: words.sending(row, now),
            "Why not sent": words.why_not_sent,
            "Found": lambda row: moment(row["created_at"], zone),
            "Sent": lambda row: moment(row["sent_at"], zone),
            "Attempts": lambda row: f"{row['attempts']:,}",
            "Your answer": lambda row: words.answer(row, now),
            "Prices": lambda row: words.REPLAY_MARK if words.is_replay(row) else row["source"],
        },
    )


def scores(rows: Rows, zone: str) -> pd.DataFrame:
    """Return the newest scores; `told` of a row says whether the user was told, and why not."""
    return frame(
        rows,
        {
            # A phone shows what was found where, by whom, and the beginning of the answer.
            "Pair, timeframe": lambda row: f"{row['pair']} {row['timeframe']}",
            "By": measured.by,
            "Were you told?": lambda row: row["told"],
            "Signal": lambda row: words.SIDES[row["signal_type"]],
            "Confidence": measured.confidence,
            "Entry": lambda row: words.price(row["pair"], row["entry_price"]),
            "Stop": lambda row: words.price(row["pair"], row["stop_loss"]),
            "Target": lambda row: words.price(row["pair"], row["take_profit"]),
            "Edge": lambda row: "✓ shown" if row["edge_shown"] else "✕ none shown",
            "Bar closed": lambda row: moment(row["bar_closed_at"], zone),
            "Reversal": lambda row: words.confidence(row["stage1_prob"]),
            "Goes up": lambda row: words.confidence(row["stage2_prob"]),
            "Model": lambda row: row["model_version"],
            "Prices": lambda row: words.REPLAY_MARK if words.is_replay(row) else row["source"],
        },
    )


def feeds(rows: Rows, zone: str, now: datetime) -> pd.DataFrame:
    """Return how each pair and timeframe is fetched."""
    return frame(
        rows,
        {
            "Pair": lambda row: row["pair"],
            "Timeframe": lambda row: row["timeframe"],
            "State": lambda row: (
                f"✕ fails, {age(row['failed_since'], now)}" if row["failed_since"] else "● works"
            ),
            "Newest bar": lambda row: moment(row["fetched_until"], zone),
            "Asked": lambda row: age(row["asked_at"], now),
            "Prices": lambda row: words.REPLAY_MARK if words.is_replay(row) else row["source"],
            "Why it fails": lambda row: row["failure"] or NOTHING,
        },
    )


def faults(rows: Rows, zone: str) -> pd.DataFrame:
    """Return what was wrong with bars."""
    return frame(
        rows,
        {
            "Found": lambda row: moment(row["found_at"], zone),
            "Pair": lambda row: row["pair"],
            "Timeframe": lambda row: row["timeframe"],
            "What": lambda row: FAULTS[row["kind"]],
            "Bar of": lambda row: moment(row["opened_at"], zone),
            "In words": lambda row: row["words"],
            "Source": lambda row: row["source"],
        },
    )


def frame(rows: Rows, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return a table with a column of text for each function of a row."""
    return pd.DataFrame(
        [{name: text(row) for name, text in columns.items()} for row in rows], columns=list(columns)
    )


def _signal(row: Mapping[str, Any]) -> str:
    mark = "↻ " if words.is_replay(row) else ""
    return f"{mark}{words.SIDES[row['signal_type']]} {row['pair']} {row['timeframe']}"
