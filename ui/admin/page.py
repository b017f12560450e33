"""The page Admin: its tabs, of which the open one alone is run."""

import streamlit as st

from actions.acting import Refused
from actions.people import require_admin
from database.accounts import User
from ui import tabs
from ui.admin import audit_log, backups, days, health, people, server
from ui.admin.operator import operator
from ui.calm import calm, tell_what_was_done
from ui.services import services

TABS = {
    "Health": health.draw,
    "Users": people.draw,
    "Signals by day": days.draw,
    "Kill switch": server.draw,
    "Audit log": audit_log.draw,
    "Backups": backups.draw,
}


def draw(user: User) -> None:
    """Draw the tabs for an admin, and nothing of them for anybody else."""
    with calm():
        try:
            with services().database.transaction() as transaction:
                require_admin(transaction, operator(user))
        except Refused:
            st.warning("This page is for admins.", icon=":material/lock:")
            return
        st.title("Admin", anchor=False)
        tell_what_was_done()
        tabs.draw(user, TABS)
