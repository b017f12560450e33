"""How one signal is named in the page's address."""

from uuid import UUID

import streamlit as st

NAMED = "signal"


def go_to(signal_id: UUID) -> None:
    """Show one signal from the next run on, which begins now."""
    st.query_params[NAMED] = str(signal_id)
    st.rerun()
