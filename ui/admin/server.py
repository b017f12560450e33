"""The kill switch over the whole server."""

import streamlit as st

from actions import people as actions
from database import kill_switch
from database.accounts import User
from database.kill_switch import Change, Wanted
from ui.account_pages.switches import draw_switch
from ui.admin.operator import operator
from ui.services import services


def draw(user: User) -> None:
    """Draw the switch; it stands over everybody's bots."""
    st.caption("This switch stands over the bots of every account.")
    with services().database.transaction() as transaction:
        now = kill_switch.server_wanted(transaction)

    def set_it(wanted: Wanted, typed: str) -> Change:
        return actions.set_server_switch(services(), operator(user), wanted, confirmation=typed)

    draw_switch("server", now, set_it)
