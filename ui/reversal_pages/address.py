"""Which signal the address names: `?signal=12`."""

import streamlit as st

SIGNAL = "signal"


def named() -> int | None:
    """Return the number of the signal that the address names, None where it names none."""
    text = st.query_params.get(SIGNAL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def go_to(signal_id: int) -> None:
    """Open one signal."""
    st.query_params[SIGNAL] = str(signal_id)
    st.rerun()


def go_back() -> None:
    """Show the list again."""
    st.query_params.pop(SIGNAL, None)
    st.rerun()
