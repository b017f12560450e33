"""How the bot stands: connected or not, and by name what it lacks to do its work."""

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import discord

from alerts.neutral import neutral, shortened
from database import discord_status, signal_channels
from discord_bot.api import NotTaken

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

# discord.py's name of a permission, and Discord's own in its settings.
PERMISSIONS = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "add_reactions": "Add Reactions",
    "read_message_history": "Read Message History",
}
NO_INTENT = (
    "Message Content intent: switch it on in the developer portal under Bot; until then no signal is read"
)
NO_KEY = (
    "SIGNAL_API_KEY: without it no signal can be sent; set it, or leave DATABASE_URL out and run.py makes it"
)
WRONG_KEY = (
    "SIGNAL_API_KEY: the webhook server does not know this key, so no signal is taken; give both the same one and"
    " start anew, so that it is kept"
)
NO_SCOPE = "scope applications.commands: the server has not let the commands in; open the invite URL again"
NOT_INVITED = "server {}: DISCORD_GUILD_ID names it, and the bot is not there; open the invite URL"
LONGEST = 1900
LOST = "the connection to Discord was lost; it is tried again by itself"

logger = logging.getLogger("discord_bot")


class Standing:
    """Look at what Discord lets us do, and keep it where the dashboard and `doctor` find it."""

    def __init__(self, client: "DiscordBot") -> None:
        self._client = client
        self._lacking: tuple[str, ...] | None = None
        self._takes_key: bool | None = None
        self.commands_refused = False

    async def look(self) -> None:
        """Note that we are connected, where, how fast, and what is missing; log what of that is new."""
        client = self._client
        await self._look_at_key()
        channels = await client.desk.ask(signal_channels.watched_channel_ids)
        lacking = tuple(self._missing(channels))
        if lacking != self._lacking:
            for what in lacking:
                logger.warning("missing: %s", what)
            if self._lacking and not lacking:
                logger.info("nothing is missing any more")
            await self._announce(lacking)
        self._lacking = lacking
        await client.desk.ask(
            discord_status.note,
            is_connected=True,
            now=discord.utils.utcnow(),
            name=None if client.user is None else str(client.user),
            application_id=client.application_id,
            guilds=[{"id": str(guild.id), "name": guild.name} for guild in client.guilds],
            lacking=lacking,
            latency_ms=latency_ms(client),
        )

    async def _look_at_key(self) -> None:
        """Ask the webhook server whether it knows our key, until it once did."""
        if not self._takes_key:
            with contextlib.suppress(NotTaken):
                self._takes_key = await self._client.api.takes_key()

    async def note_away(self) -> None:
        """Note that the connection is lost."""
        await self._client.desk.ask(
            discord_status.note, is_connected=False, words=LOST, now=discord.utils.utcnow()
        )

    async def _announce(self, lacking: tuple[str, ...]) -> None:
        """Say in DISCORD_CHANNEL_ID what is missing, or that nothing is any more."""
        channel_id = self._client.desk.settings.discord_channel_id
        if channel_id is None or not (lacking or self._lacking):
            return
        lines = "\n".join(f"- {neutral(what)}" for what in lacking)
        text = (
            f"⚠️ I cannot do all of my work here. Missing:\n{lines}"
            if lacking
            else "✅ Nothing is missing any more."
        )
        try:
            await self._client.get_partial_messageable(channel_id).send(shortened(text, LONGEST))
        except discord.HTTPException as error:
            logger.warning("channel %s of DISCORD_CHANNEL_ID takes no message: %s", channel_id, error)

    def _missing(self, channels: set[int]) -> Iterator[str]:
        client, settings = self._client, self._client.desk.settings
        if not client.intents.message_content:
            yield NO_INTENT
        if settings.signal_api_key is None:
            yield NO_KEY
        elif self._takes_key is False:
            yield WRONG_KEY
        guild_id = settings.discord_guild_id
        if guild_id is not None and client.get_guild(guild_id) is None:
            yield NOT_INVITED.format(guild_id)
        elif self.commands_refused:
            yield NO_SCOPE
        own = settings.discord_channel_id
        for channel_id in sorted(channels | ({own} if own else set())):
            yield from _missing_in(client.get_channel(channel_id), channel_id)


def _missing_in(channel: object, channel_id: int) -> Iterator[str]:
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        yield f"{PERMISSIONS['view_channel']} in channel {channel_id}: the bot does not see it, or is not in its server"
        return
    allowed = channel.permissions_for(channel.guild.me)
    for name, title in PERMISSIONS.items():
        if not getattr(allowed, name):
            yield f"{title} in #{channel.name} ({channel.guild.name})"


def latency_ms(client: discord.Client) -> int | None:
    """Return how long a heartbeat to Discord and back took last, None before the first."""
    return round(client.latency * 1000) if math.isfinite(client.latency) else None
