"""One signal channel as a card: where it is, what it trades with, and what came of late."""

from datetime import timedelta

import streamlit as st

from actions import signal_channels as actions
from actions.lending import margin_modes
from database.accounts import User
from database.discord_status import DiscordStatus
from database.pool import Row
from database.signal_channels import SignalChannel
from ui.calm import acting, doing, done
from ui.channel_pages import words
from ui.drawing import facts
from ui.formatting import age, money
from ui.services import now, services
from ui.tables import plain
from ui.trading_bot.protection_fields import MARGIN

LATELY = timedelta(days=7)
NOT_LINKED = "Nobody's messages count yet: link your Discord account, or name the authors under Settings."


def draw(
    user: User, channel: SignalChannel, row: Row, status: DiscordStatus, *, details: bool = True
) -> None:
    """Draw the card with its buttons; `details` draws the one that opens the channel in full."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        _name(channel, row)
        with st.container(horizontal=True, width="content"):
            if details and st.button("Details", key=f"channel-open-{channel.id}", icon=":material/settings:"):
                st.query_params["channel"] = str(channel.id)
                st.rerun()
            _switch(user, channel)
    st.caption(
        f"{_where(channel, row, status)}  \n{words.senders(channel)}, {words.formats(channel)}".strip()
    )
    _faults(channel, row)
    pairs = [("Size", words.size(channel)), ("At most", f"${money(channel.max_position_size)}")]
    if margin_modes(row["broker"]):
        pairs += [("Leverage", words.leverage(channel)), ("Margin", MARGIN[channel.margin_mode])]
    pairs += [("Entry", words.entry(channel)), ("Bots", _bots(row))]
    facts(*pairs)
    last = f" Last {age(row['last_seen_at'], now())}." if row["last_seen_at"] else ""
    st.caption(words.came(row["came"]) + last)


def _name(channel: SignalChannel, row: Row) -> None:
    badges = ":green-badge[● ACTIVE]" if channel.is_active else ":gray-badge[– OFF]"
    if row["mode"] == "live":
        badges += " :red-badge[LIVE]"
    st.markdown(f"**{plain(channel.title)}** {badges}", width="content")


def _where(channel: SignalChannel, row: Row, status: DiscordStatus) -> str:
    server = words.server(status, channel.guild_id)
    place = f"{plain(server)} · channel" if server else "Channel"
    return f"{place} {channel.channel_id} · trades at {plain(row['connection'])}"


def _faults(channel: SignalChannel, row: Row) -> None:
    if not channel.author_ids and not channel.role_ids and channel.owner_discord_id is None:
        st.warning(NOT_LINKED, icon=":material/person_off:")
    if row["connection_removed"]:
        st.error("Its connection was removed: nothing is traded. Archive it.", icon=":material/link_off:")
    elif row["connection_status"] == "PROBLEM":
        st.warning("Its connection has a problem; see 🤖 Trading Bot, Setup.", icon=":material/link_off:")


def _bots(row: Row) -> str:
    if not row["bots"]:
        return "none yet"
    return f"{row['bots']}, {row['holding']} holding" if row["holding"] else str(row["bots"])


def _switch(user: User, channel: SignalChannel) -> None:
    active = channel.is_active
    label, icon = ("Switch off", ":material/pause:") if active else ("Switch on", ":material/play_arrow:")
    if st.button(label, key=f"channel-switch-{channel.id}", icon=icon):
        with doing():
            actions.switch(services(), acting(user), channel.id, active=not active)
            name = channel.title
            said = (
                f"{name} is off: no signal is taken. What its bots hold stays, with stops and targets."
                if active
                else f"{name} takes signals again."
            )
            done(said)
