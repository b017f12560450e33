"""The script that an `Office` runs: one part of a page, among the pages that it may link to.

It stands here since Streamlit finds pages from the folder of the script.
"""

import importlib

import streamlit as st

from ui.places import DISCORD, OVERVIEW, SETTINGS, SIGNALS, TRADING_BOT


def part() -> None:
    """Draw what the test asked for."""
    module, name = st.session_state["part"]
    getattr(importlib.import_module(module), name)(st.session_state["user"])


others = [st.Page(place) for place in (OVERVIEW, TRADING_BOT, SIGNALS, DISCORD, SETTINGS)]
st.navigation([st.Page(part, default=True), *others], position="hidden").run()
