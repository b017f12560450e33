"""The page Reversal signals: one signal that the address names, or its tabs, of which the open one alone is run."""

import streamlit as st

from database.accounts import User
from ui import tabs
from ui.calm import calm, tell_what_was_done
from ui.reversal_pages import data, panel, record, scores, sent
from ui.reversal_pages.address import named

TABS = {
    "Signals": sent.draw,
    "Latest scores": scores.draw,
    "Track record": record.draw,
    "Market data": data.draw,
}


def draw(user: User) -> None:
    """Draw the tabs, or one signal in full."""
    tell_what_was_done()
    number = named()
    if number is not None:
        with calm():
            panel.draw(user, number)
        return
    tabs.open_named(TABS, {})
    for tab, part in zip(st.tabs(list(TABS), key=tabs.KEY, bind="query-params"), TABS.values(), strict=True):
        with tab:
            if tab.open:
                with calm():
                    part(user)
