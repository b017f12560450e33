"""The script that an `Office` runs: one part of a page, among the pages that it may link to.

It stands here since Streamlit finds pages from the folder of the script.
"""

import importlib

import streamlit as st

from ui.places import DISCORD, OVERVIEW, REVERSAL_SIGNALS, SETTINGS, SIGNALS, TRADE_JOURNAL, TRADING_BOT


def part() -> None:
    """Draw what the test asked for."""
    module, name = st.session_state["part"]
    getattr(importlib.import_module(module), name)(st.session_state["user"])


OTHERS = (OVERVIEW, TRADING_BOT, SIGNALS, REVERSAL_SIGNALS, TRADE_JOURNAL, DISCORD, SETTINGS)
others = [st.Page(place) for place in OTHERS]
st.navigation([st.Page(part, default=True), *others], position="hidden").run()
