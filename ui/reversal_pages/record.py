"""The model's honest record: what it did on data that it had not seen, beside ways to trade without it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from database import model_versions
from database.accounts import User
from database.pool import Row
from ui.drawing import chart, table
from ui.formatting import NOTHING, moment
from ui.reversal_pages import figures, record_words
from ui.services import services
from ui.tables import plain

NO_MODEL = (
    "No model is in use yet. The default one is trained by itself at the first look at a market, which takes some"
    " seconds; `manage.py model train` does it now."
)
NO_RECORD = "This model brought no record of any pair and timeframe, so no edge is shown for any."
WHAT_R_IS = (
    "**R** is what a trade risks: the way from its entry to its stop. A trade that reaches its target wins 2 R, one"
    " that reaches its stop loses 1 R; costs are taken off both."
)
INTERVAL = (
    "Each dot is what one trade earned on average; the line through it is where the true average likely lies, in 95"
    " of 100 cases. A line that crosses 0 may be luck."
)
RELIABILITY = (
    "Of all trades that were said to win with a certain confidence, so many did. On the dotted line the confidence is"
    " right; below it, it promised too much. Larger dots stand for more bars."
)
EQUITY = (
    "What all trades would have come to, one after the other, each with the same risk. One straight rise would be"
    " skill; a walk around 0 is luck."
)


def draw(user: User) -> None:
    """Draw the tab."""
    with services().database.transaction() as transaction:
        model = model_versions.record(transaction)
    if model is None:
        st.info(NO_MODEL, icon=":material/model_training:")
        return
    reports = record_words.reports_of(model["metrics"])
    about(model, user.time_zone)
    if not reports:
        st.warning(NO_RECORD, icon=":material/trending_flat:")
        return
    table(record_words.overview(reports), NOTHING, key="record-overview")
    names = list(reports)
    chosen = st.selectbox("Show all of", names, key="record-series", width=260)
    one(chosen or names[0], reports[chosen or names[0]], user.time_zone)


def about(model: Row, zone: str) -> None:
    """Draw which model it is and what it learned from."""
    st.markdown(f"**Model {plain(model['version'])}** :green-badge[● in use]")
    st.caption(
        f"Learned from {_day(model['trained_from'])} to {_day(model['trained_until'])} · made"
        f" {moment(model['created_at'], zone)}. What stands below was measured on bars that it had not learned from."
    )


def one(name: str, report: Mapping[str, Any], zone: str) -> None:
    """Draw the record of one pair and timeframe."""
    st.subheader(name, anchor=False)
    verdict(name, report)
    st.caption(WHAT_R_IS)
    for label, value, meaning in record_words.explained(report):
        st.markdown(f"**{label}: {plain(value)}**  \n:gray[{meaning}]")
    st.markdown("**Beside ways to trade without the model**")
    compared = record_words.compared(report)
    if not compared.empty:
        chart(figures.expectancy(compared), key="record-expectancy", words=INTERVAL)
        st.caption(INTERVAL)
    table(record_words.strategies(report), NOTHING, key="record-strategies")
    with st.expander("What each of these ways is"):
        for way, meaning in record_words.WAYS.values():
            st.markdown(f"**{way}** :gray[{meaning}]")
    reliability(report)
    equity(report)
    st.caption(record_words.span(report))


def verdict(name: str, report: Mapping[str, Any]) -> None:
    """Say plainly whether an edge was shown."""
    sentence = plain(record_words.verdict(name, report))
    if report.get("edge_shown"):
        st.success(f"**Edge shown.** {sentence}", icon=":material/trending_up:")
    else:
        st.warning(f"**No edge shown.** {sentence}", icon=":material/trending_flat:")


def reliability(report: Mapping[str, Any]) -> None:
    """Draw how far what was said came true."""
    rows = report.get("reliability") or []
    if not rows:
        return
    st.markdown("**Can its confidence be believed?**")
    frame = pd.DataFrame(
        [{"said": row["said"], "happened": row["came_true"], "trades": row["rows"]} for row in rows]
    )
    chart(figures.reliability(frame), key="record-reliability", words=RELIABILITY)
    st.caption(RELIABILITY)
    if report.get("brier"):
        st.markdown(f":gray[{record_words.brier(report['brier'])}]")


def equity(report: Mapping[str, Any]) -> None:
    """Draw the sum of all trades over time, where the record has it."""
    frame = record_words.equity(report)
    if frame.empty:
        return
    st.markdown("**All trades one after the other**")
    chart(figures.equity_in_r(frame), key="record-equity", words=EQUITY)
    st.caption(EQUITY)


def _day(at: datetime) -> str:
    return f"{at:%d %b %Y}"
