"""Signal channels: how the bot stands, the registrations, or the one that the address names."""

import streamlit as st

from actions import signal_channels as actions
from database import channel_pages, connections, discord_status, signal_channels
from database.accounts import User
from ui.calm import calm
from ui.channel_pages import card, panel, register, standing, trying
from ui.places import TRADING_BOT
from ui.services import now, services
from ui.tabs import OPEN

REFRESH_SECONDS = 5
OPEN_CHANNEL = "channel"
NO_BROKER = "A signal channel trades through a broker. Connect a broker first."
NOTHING_YET = (
    "Register a channel of a Discord server: a message there that is a signal is traded with your settings, with"
    " a bot for each symbol, made at its first signal."
)


def draw(user: User) -> None:
    """Draw the tab: a registration named in the address (`?channel=3`) in full, or all of them."""
    number = _named()
    if number is not None:
        panel.draw(user, number)
        return
    standing.draw(user)
    with services().database.transaction() as transaction:
        places = connections.shown_connections(transaction, user.id)
        channels = signal_channels.of_user(transaction, user.id)
    if channels:
        listed(user)
    else:
        st.caption(NOTHING_YET)
    if places:
        adding = st.expander("Register a channel", key="add-channel", on_change="rerun",
                             expanded=not channels)  # fmt: skip
        if adding.open:
            with adding:
                register.draw(user, places, actions.defaults(services().settings))
    else:
        st.info(NO_BROKER, icon=":material/link:")
        st.page_link(TRADING_BOT, label="Connect a broker", icon=":material/arrow_forward:",
                     query_params={OPEN: "Setup"})  # fmt: skip
    with st.expander("Try a message", expanded=False, key="try-message"):
        trying.draw(user, channels)


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw a card for each registration; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            channels = {each.id: each for each in signal_channels.of_user(transaction, user.id)}
            rows = channel_pages.registrations(transaction, user.id, now() - card.LATELY)
            status = discord_status.status(transaction)
        for row in rows:
            with st.container(border=True, key=f"channel-{row['id']}"):
                card.draw(user, channels[row["id"]], row, status)


def _named() -> int | None:
    text = st.query_params.get(OPEN_CHANNEL, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
