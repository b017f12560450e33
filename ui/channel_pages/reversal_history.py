"""The history of signals that were sent to a user: how sending stands, and why one failed."""

import streamlit as st

from database import reversal_reading
from database.accounts import User
from ui.calm import calm
from ui.drawing import page_buttons, page_key, table
from ui.reversal_pages import frames
from ui.reversal_pages.words import IN_REPLAY, is_replay
from ui.services import now, services

NAME = "signals sent"
REFRESH_SECONDS = 5
NOTHING_YET = (
    "None was sent to you yet. Reversal signals, Latest scores, tells what was found last and why you were not"
    " told."
)


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw one page of the history; runs again by itself."""
    with calm():
        before = page_key(NAME, user.id)
        with services().database.transaction() as transaction:
            page = reversal_reading.signals_page(transaction, user.id, None, now(), before=before)
        table(frames.deliveries(page.rows, user.time_zone, now()), NOTHING_YET, key=f"{NAME} table",
              wide=("Why not sent",))  # fmt: skip
        if any(is_replay(row) for row in page.rows):
            st.caption(f"↻ {IN_REPLAY}")
        page_buttons(NAME, page, reversal_reading.PAGE)
