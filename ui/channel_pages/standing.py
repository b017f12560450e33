"""How the Discord bot stands: connected or not, in which servers, and what it lacks with the mend."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import streamlit as st

from database import discord_status, health, signal_channels
from database.accounts import User
from database.discord_status import DiscordStatus
from database.signal_channels import SignalChannel
from discord_bot import PART, invite_address
from ui.calm import calm
from ui.formatting import age, moment
from ui.services import now, services
from ui.tables import plain

REFRESH_SECONDS = 5
PORTAL = "https://discord.com/developers/applications"
STEPS = f"""
1. In [Discord's developer portal]({PORTAL}) make an application. Under **Bot** press **Reset Token**, and switch
   **Message Content Intent** on.
2. Put the token into `.env` as `DISCORD_BOT_TOKEN=…` and start DashTrade again.
3. Invite the bot to your server: docs/discord-bot.md has the address, and every step in full.

Channels can be registered and messages tried before that.
"""
_NAMES_CHANNEL = re.compile(r" in (#|channel )")
MEND = "Give it in the channel's permissions in Discord."


@st.fragment(run_every=REFRESH_SECONDS)
def draw(user: User) -> None:
    """Draw how it stands; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            status = discord_status.status(transaction)
            beats = {row["part"]: row for row in health.heartbeats(transaction)}
            own = signal_channels.of_user(transaction, user.id)
        if not user.is_admin:
            status = seen_by(status, own)
        beat = beats.get(PART)
        if not is_set_up(status):
            st.info("No Discord bot runs here yet, so no channel is read.", icon=":material/smart_toy:")
            with st.expander("Set the bot up"):
                st.markdown(STEPS)
            return
        if beat is None or not beat["alive"]:
            draw_silent(None if beat is None else beat["beat_at"], user.time_zone)
        elif not status.is_connected:
            since = f" since {moment(status.changed_at, user.time_zone)}" if status.changed_at else ""
            st.error(f"The Discord bot is not connected{since}: {plain(status.words or 'it is starting')}",
                     icon=":material/cloud_off:")  # fmt: skip
        else:
            draw_connected(status)


def seen_by(status: DiscordStatus, own: Sequence[SignalChannel]) -> DiscordStatus:
    """Return of the bot's standing what a user may see who does not run it: no server or channel of others."""
    guilds = {str(each.guild_id) for each in own}
    marks = {f"{each.title} (" for each in own} | {f"channel {each.channel_id}:" for each in own}
    lacking = tuple(
        what
        for what in status.lacking
        if not _NAMES_CHANNEL.search(what) or any(mark in what for mark in marks)
    )
    named = tuple(each for each in status.guilds if str(each["id"]) in guilds)
    return replace(status, guilds=named, lacking=lacking)


def is_set_up(status: DiscordStatus) -> bool:
    """Tell whether a bot runs here, or ever did."""
    return services().settings.discord_bot_token is not None or status.changed_at is not None


def draw_silent(last: datetime | None, zone: str) -> None:
    """Say that no process is the bot."""
    since = "has not started yet" if last is None else f"is silent since {moment(last, zone)}"
    words = "No channel is read meanwhile, and what is posted now is not traded later."
    st.error(f"The Discord bot {since}. {words}", icon=":material/heart_broken:")


def draw_connected(status: DiscordStatus) -> None:
    """Draw the light with the servers, then what is missing."""
    servers = ", ".join(plain(guild["name"]) for guild in status.guilds)
    name = plain(status.name or "the bot") + (f" in {servers}" if servers else "")
    since = age(status.changed_at, now()).removesuffix(" ago")
    st.markdown(f":green-badge[● BOT CONNECTED] **{name}** :gray[for {since}]")
    for what in status.lacking:
        st.warning(f"**Missing: {plain(what)}.** {mend(what)}", icon=":material/rule:")
    if (status.lacking or not status.guilds) and status.application_id is not None:
        st.caption(f"[Invite address]({invite_address(status.application_id)}) · docs/discord-bot.md")


def mend(what: str) -> str:
    """Say how a missing permission is mended; other lacks say so themselves."""
    return "" if ": " in what else MEND
