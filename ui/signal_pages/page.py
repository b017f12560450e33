"""The page Signals: the list, or the trace of the one that the address names."""

from uuid import UUID

import streamlit as st

from database.accounts import User
from ui.calm import tell_what_was_done
from ui.signal_pages import listing, trace
from ui.signal_pages.address import NAMED


def draw(user: User) -> None:
    """Draw one signal (`?signal=<uuid>`) or all."""
    tell_what_was_done()
    text = st.query_params.get(NAMED)
    if not text:
        listing.draw(user)
        return
    if st.button("All signals", icon=":material/arrow_back:"):
        del st.query_params[NAMED]
        st.rerun()
    signal_id = _uuid(text)
    if signal_id is None:
        st.warning(trace.NO_SUCH, icon=":material/search_off:")
        return
    trace.draw(user, signal_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
