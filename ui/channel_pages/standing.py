"""How the Discord bot stands: connected or not, in which servers, and what it lacks with the mend."""

from datetime import datetime

import streamlit as st

from database import discord_status, health
from database.accounts import User
from database.discord_status import DiscordStatus
from ui.calm import calm
from ui.formatting import age, moment
from ui.services import now, services
from ui.tables import plain

REFRESH_SECONDS = 5
PART = "discord bot"
# View Channel, Send Messages, Embed Links, Add Reactions, Read Message History
PERMISSIONS = 85056
INVITE = "https://discord.com/oauth2/authorize?client_id={}&scope=bot+applications.commands&permissions={}"
PORTAL = "https://discord.com/developers/applications"
STEPS = f"""
1. In [Discord's developer portal]({PORTAL}) make an application. Under **Bot** press **Reset Token**, and switch
   **Message Content Intent** on.
2. Put the token into `.env` as `DISCORD_BOT_TOKEN=…` and start DashTrade again.
3. Invite the bot to your server: docs/discord-bot.md has the address, and every step in full.

Channels can be registered and messages tried before that.
"""
MENDS = (
    ("intent", "Switch it on in the developer portal under Bot."),
    ("scope", "Open the invite address again."),
    ("server", "Open the invite address."),
    ("signal_api_key", "Set SIGNAL_API_KEY and start DashTrade again."),
    ("", "Give it in the channel's permissions in Discord."),
)


@st.fragment(run_every=REFRESH_SECONDS)
def draw(user: User) -> None:
    """Draw how it stands; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            status = discord_status.status(transaction)
            beats = {row["part"]: row for row in health.heartbeats(transaction)}
        beat = beats.get(PART)
        if not is_set_up(status):
            st.info("No Discord bot runs here yet, so no channel is read.", icon=":material/smart_toy:")
            with st.expander("Set the bot up", icon=":material/help:"):
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
    servers = ", ".join(plain(guild["name"]) for guild in status.guilds) or "no server yet"
    name = plain(status.name or "the bot")
    since = age(status.changed_at, now()).removesuffix(" ago")
    st.markdown(f":green-badge[● BOT CONNECTED] **{name}** in {servers} :gray[for {since}]")
    for what in status.lacking:
        st.warning(f"**Missing: {plain(what)}.** {mend(what)}", icon=":material/rule:")
    if (status.lacking or not status.guilds) and status.application_id is not None:
        st.caption(
            f"[Invite address]({INVITE.format(status.application_id, PERMISSIONS)}) · docs/discord-bot.md"
        )


def mend(what: str) -> str:
    """Say how something missing is mended; nothing where the words say so themselves."""
    if ";" in what or ": " in what:
        return ""
    return next(words for sign, words in MENDS if sign in what.lower())
