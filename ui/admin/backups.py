"""Backups: everything as one file."""

import streamlit as st

from actions import backups as actions
from database.accounts import User
from ui.admin.operator import operator
from ui.services import now, services


def draw(user: User) -> None:
    """Draw the button that makes a backup and loads it down."""
    st.markdown(
        "A backup holds everything: accounts, bots, trades, settings. It may be taken while DashTrade runs."
    )
    st.caption(
        "Secrets in it stay sealed: keep ENCRYPTION_KEY too, and apart from it; without the key they are lost."
    )
    st.download_button(
        "Download a backup",
        data=lambda: actions.download(services(), operator(user)),
        file_name=f"dashtrade-{now():%Y-%m-%d-%H%M}.backup",
        mime="application/octet-stream",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
        key="backup",
    )
    st.markdown("On the server, also for large databases and on a schedule:")
    st.code("python manage.py backup dashtrade.backup", language="bash")
    st.caption("To restore, stop DashTrade, then: python manage.py restore FILE. Every connection is HALTED until it"
               " is reconciled.")  # fmt: skip
