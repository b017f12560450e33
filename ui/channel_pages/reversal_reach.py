"""What a user's wishes let through: for each chosen pair and timeframe, whether a signal could come at all."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from actions.discord_settings import timeframes_of
from core.pips import market_of
from database import model_versions
from database.pool import Row
from reversal import feeding
from reversal.sources.registry import source_of
from ui.drawing import table
from ui.reversal_pages import record_words
from ui.reversal_pages.told import pairs_of
from ui.reversal_pages.words import REPLAY_MARK, confidence
from ui.services import services

NO_PRICES = "✕ no prices of it here"
NOT_SENT = "✕ no edge shown: not sent"
NEVER_TESTED = "✕ never tested, so no edge shown: not sent"
WITH_MARK = "● sent, marked “no edge shown”"
SENT = "● sent"
NO_MODEL = "○ not known: no model yet"
NOTHING_COMES = (
    "As it is set, no signal of the model will be sent to you. Below stands why for each pair and timeframe: mostly the"
    " model has shown no edge, or was never as sure as you want it. That is honest, not broken."
)
OF_THE_RULE = (
    "This is of the model. The plain rule’s confidence is how often it reached its target on measured data, and 0 where"
    " it was never measured, so that a minimum above 0 keeps it out there."
)
NO_RECORDING = "no recording of it"
MOST = 60


def offered() -> list[tuple[str, str]]:
    """Return the pairs and timeframes that there are prices of."""
    return feeding.offered(services().settings)


def draw(row: Row, known: Sequence[tuple[str, str]]) -> None:
    """Draw what may come of what was chosen."""
    with services().database.transaction() as transaction:
        model = model_versions.record(transaction)
    reports = None if model is None else record_words.reports_of(model["metrics"])
    rows = reach(row, known, reports)
    if not rows:
        return
    nothing_comes = reports is not None and not any("●" in each["Signals"] for each in rows)
    if nothing_comes:
        st.warning(NOTHING_COMES, icon=":material/trending_flat:")
    with st.expander("What can come of your choice", icon=":material/checklist:", expanded=nothing_comes):
        shown = [
            {**each, "Prices": _prices(each["Pair"], each["Signals"] != NO_PRICES)} for each in rows[:MOST]
        ]
        table(pd.DataFrame(shown), "", key="reversal-reach")
        st.caption(OF_THE_RULE)


def reach(
    row: Row, known: Collection[tuple[str, str]], reports: Mapping[str, Mapping[str, Any]] | None
) -> list[dict[str, str]]:
    """Return a line for each chosen pair and timeframe, with whether its signals are sent."""
    return [
        {
            "Pair": pair,
            "Timeframe": timeframe,
            "Signals": _sent((pair, timeframe) in known, reports, f"{pair} {timeframe}", row),
        }
        for pair in pairs_of(row)
        for timeframe in timeframes_of(row)
    ]


def _sent(has_prices: bool, reports: Mapping[str, Mapping[str, Any]] | None, name: str, row: Row) -> str:
    if not has_prices:
        return NO_PRICES
    if reports is None:
        return NO_MODEL
    report = reports.get(name) or {}
    if not report.get("edge_shown") and row["only_with_edge"]:
        return NOT_SENT if report else NEVER_TESTED
    highest = (report.get("confidence") or {}).get("highest")
    if highest is not None and Decimal(str(highest)) < row["min_confidence"]:
        return f"✕ never sure enough: at most {confidence(Decimal(str(highest)))}"
    return SENT if report.get("edge_shown") else WITH_MARK


def _prices(pair: str, has_prices: bool) -> str:
    source = source_of(market_of(pair).pair, services().settings)
    if source is None:
        return "off"
    # A source that names its pairs has no others
    if not has_prices and source.pairs():
        return NO_RECORDING if source.is_replay else f"none at {source.name}"
    return REPLAY_MARK if source.is_replay else source.name
