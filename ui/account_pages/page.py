"""The page Settings: its tabs, of which the open one alone is run."""

import streamlit as st

from database.accounts import User
from ui.account_pages import profile, second_factor, sessions, switches
from ui.calm import calm, tell_what_was_done

TABS = {
    "Kill switch": switches.draw,
    "Profile": profile.draw,
    "Sessions": sessions.draw,
    "Second factor": second_factor.draw,
}


def draw(user: User) -> None:
    """Draw the tabs; `?tab=Sessions` leads to one."""
    tell_what_was_done()
    for tab, part in zip(st.tabs(list(TABS), key="tab", bind="query-params"), TABS.values(), strict=True):
        with tab:
            if tab.open:
                with calm():
                    part(user)
