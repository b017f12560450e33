"""The form that registers a channel."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from actions import signal_channels as actions
from actions.lending import margin_modes
from core.bot import SizeMode
from database.accounts import User
from database.pool import Row
from database.signal_channels import titled
from ui.calm import acting, calm, done
from ui.channel_pages import fields
from ui.inputs import Slots
from ui.services import services

MADE = "channels registered on this page"


def draw(user: User, places: list[Row], usual: Mapping[str, Any]) -> None:
    """Draw the form with the usual settings filled in."""
    key = f"new-channel{st.session_state.get(MADE, '')}"
    row = {**fields.USUAL, **usual}
    by_id = {each["id"]: each for each in places}
    slots: Slots = {}
    left, right = st.columns(2)
    with left:
        text = st.text_input("Channel's id or link", key=f"{key}-channel", autocomplete="off",
                             placeholder="https://discord.com/channels/…", help=fields.COPY_ID)  # fmt: skip
        slots["channel_id"] = st.empty()
    with right:
        name = st.text_input(
            "Name", key=f"{key}-name", placeholder="as it is called there", autocomplete="off"
        )
        slots["name"] = st.empty()
    left, right = st.columns(2)
    with left:
        connection = st.selectbox("Trades at", list(by_id), key=f"{key}-place",
                                  format_func=lambda each: _label(by_id[each])) or places[0]["id"]  # fmt: skip
    with right:
        mode = fields.size_mode_field(SizeMode(row["size_mode"]), key)
    with st.form("new-channel", border=False):
        typed = fields.main_fields(row, mode, margin_modes(by_id[connection]["broker"]), key, slots)
        st.caption("Neither authors nor roles: only messages of your own linked Discord account count.")
        with st.expander("More"):
            typed |= fields.more_fields(row, key, slots)
        if st.form_submit_button("Register the channel", type="primary", icon=":material/add:"):
            with calm(slots):
                guild, channel = fields.named_channel(text or "")
                _register(user, connection, guild, channel, name or "", fields.read(typed))


def _register(
    user: User, connection: int, guild: int | None, channel: str, name: str, columns: dict[str, Any]
) -> None:
    if guild is not None:
        columns["guild_id"] = guild
    actions.create(
        services(), acting(user), connection_id=connection, channel_id=channel, name=name, **columns
    )
    st.session_state[MADE] = st.session_state.get(MADE, 0) + 1
    done(f"{titled(name)} is registered. Try a message below to see what it would do.")


def _label(row: Row) -> str:
    return f"{row['label']} ({row['mode']})"
