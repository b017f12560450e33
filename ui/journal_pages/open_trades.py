"""The trades that are open, each between its stop and its target; and the form that opens one by hand."""

import streamlit as st

from database import tracked_trades
from database.accounts import User
from ui.calm import calm
from ui.journal_pages import card, opening, panel
from ui.places import REVERSAL_SIGNALS
from ui.reversal_pages.words import IN_REPLAY, is_replay
from ui.services import services

REFRESH_SECONDS = 5
SHOWN = 50
NOTHING_OPEN = (
    "No trade is open. Open one from a signal that you were sent, or enter one by hand above: it is followed to its"
    " stop or its target."
)


def draw(user: User) -> None:
    """Draw the tab."""
    adding = st.expander("Open a trade by hand", icon=":material/add:", key="open-by-hand", on_change="rerun")
    if adding.open:
        with adding:
            opening.by_hand(user)
    listed(user)


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw a card for each open trade; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            rows = tracked_trades.open_of(transaction, user.id)
        if not rows:
            st.info(NOTHING_OPEN, icon=":material/menu_book:")
            st.page_link(REVERSAL_SIGNALS, label="Reversal signals", icon=":material/arrow_forward:")
            return
        if any(is_replay(row) for row in rows):
            st.caption(IN_REPLAY)
        for row in rows[:SHOWN]:
            with st.container(border=True, key=f"trade-{row['id']}"):
                with st.container(
                    horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
                ):
                    st.markdown(card.title(row), width="content")
                    if st.button("Details", key=f"details-{row['id']}", icon=":material/tune:"):
                        st.query_params[panel.TRADE] = str(row["id"])
                        st.rerun()
                card.figures(row)
                st.caption(card.since(user, row))
        if len(rows) > SHOWN:
            st.caption(f"The newest {SHOWN} of {len(rows):,}; History has all.")
