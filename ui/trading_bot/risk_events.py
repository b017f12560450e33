"""Risk Events: what limits, stops and faults did, with the threshold beside what was found."""

import streamlit as st

from database import history
from database.accounts import User
from ui import tables
from ui.calm import calm
from ui.drawing import page_buttons, page_key, table
from ui.services import services

NAME = "risk events"
REFRESH_SECONDS = 10
NOTHING_YET = (
    "Nothing happened yet. A stop, a target, a risk limit, a close by hand or an account that does not add up"
    " is written down here, with what was done about it."
)


def draw(user: User) -> None:
    """Draw the tab; it refreshes by itself."""
    events(user)


@st.fragment(run_every=REFRESH_SECONDS)
def events(user: User) -> None:
    """Draw one page of events, of all kinds or of one."""
    with calm():
        with services().database.transaction() as transaction:
            counts = history.risk_event_counts(transaction, user.id)
        if not counts:
            st.info(NOTHING_YET, icon=":material/shield:")
            return
        kind = _chosen_kind(counts)
        before = page_key(NAME, kind)
        with services().database.transaction() as transaction:
            page = history.risk_events_page(transaction, user.id, kind=kind, before=before)
        frame = tables.risk_events(page.rows, user.time_zone)
        table(frame, "None of this kind. Choose another above.", key=f"{NAME} table")
        page_buttons(NAME, page, history.PAGE)


def _chosen_kind(counts: dict[str, int]) -> str | None:
    return st.selectbox(
        "Kind",
        [None, *sorted(counts, key=tables.RISK_KINDS.__getitem__)],
        format_func=lambda kind: f"{tables.RISK_KINDS[kind]} ({counts[kind]:,})" if kind else "All kinds",
        key=f"{NAME} kind",
        width=320,
    )
