"""Tabs of a page, and links to one of them: the address says `?tab=History`."""

from collections.abc import Callable, Collection, Mapping

import streamlit as st

from database.accounts import User
from ui.calm import calm

KEY = "tab"
# From one page with tabs to another: Streamlit takes `tab` out of the link, since the page that is left has bound it.
OPEN = "open"


def open_named(tabs: Collection[str], holders: Mapping[str, str]) -> None:
    """Open the tab that a link of another page names with `?open=`; call it before the tabs are drawn.

    `holders` are the tabs that show a thing which the address names: `bot` leads to My Bots.
    """
    named = st.query_params.pop(OPEN, None)
    if named is None and KEY not in st.session_state and KEY not in st.query_params:
        named = next((tab for thing, tab in holders.items() if thing in st.query_params), None)
    if named in tabs:
        st.session_state[KEY] = named


def draw(user: User, parts: Mapping[str, Callable[[User], None]]) -> None:
    """Draw tabs, of which the open one alone is run, and what goes wrong in it as a sentence."""
    for tab, part in zip(st.tabs(list(parts), key=KEY, bind="query-params"), parts.values(), strict=True):
        with tab:
            if tab.open:
                with calm():
                    part(user)
