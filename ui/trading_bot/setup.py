"""Setup: connections, webhook URLs, message templates, and trying it all out."""

import streamlit as st

from database.accounts import User
from ui.calm import calm, tell_what_was_done
from ui.trading_bot import broker_connections, messages, trial, webhook_urls


def draw(user: User) -> None:
    """Draw the tab; each part stands alone, so that one that fails leaves the others."""
    tell_what_was_done()
    parts = (
        ("1. Your broker", broker_connections.draw),
        ("2. Your webhook URL", webhook_urls.draw),
        ("3. The message of your alert", messages.draw),
        ("4. Try it", trial.draw),
    )
    for title, part in parts:
        st.subheader(title, anchor=False)
        with calm():
            part(user)
