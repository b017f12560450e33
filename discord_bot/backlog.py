"""What was posted while nobody listened: noted and told, never traded."""

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import discord

from database import channel_messages, channel_reading
from discord_bot import PART
from discord_bot.lease import AWAY

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

MOST_MESSAGES = 200
# Our clock and Discord's may differ
MARGIN = timedelta(minutes=1)
READ_AGAIN_SECONDS = 5.0
MAY_PASS = (*AWAY, discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError)

logger = logging.getLogger("discord_bot")


class Backlog:
    """Read what the watched channels hold from the time when this DashTrade was not connected."""

    def __init__(self, client: "DiscordBot", process: str) -> None:
        self._client = client
        self._process = process
        self._away_since: datetime | None = None

    async def look_when(self) -> None:
        """Ask since when nobody listened; to be asked before we say that we do."""
        self._away_since = await self._client.desk.ask(channel_reading.away_since, PART, self._process)

    def bounds(self) -> dict[int, int]:
        """Return the newest message of each channel at this moment: what comes after it is heard live."""
        return {
            channel.id: channel.last_message_id
            for guild in self._client.guilds
            for channel in guild.text_channels
            if channel.last_message_id is not None
        }

    async def read(self, bounds: dict[int, int]) -> None:
        """Take in what was missed up to the bounds, after what was under way when a process died.

        What is heard live waits for it; where it fails that waits no longer, and it is tried again beside.
        """
        starts: dict[int, int] | None = None
        while not self._client.is_closed():
            try:
                if starts is None:
                    starts = await self._starts()
                await self._client.incoming.take_up()
                for channel_id in starts.keys() & bounds.keys():
                    await self._read_channel(channel_id, starts[channel_id], bounds[channel_id])
                self._away_since = None
                return
            except MAY_PASS as error:
                logger.error("what was missed cannot be read back, and is tried again: %s", error)
            finally:
                self._client.incoming.hear_live()
            await asyncio.sleep(READ_AGAIN_SECONDS)

    async def _starts(self) -> dict[int, int]:
        noted = await self._client.desk.ask(channel_messages.backlog_from)
        return {channel_id: self._start(after) for channel_id, after in noted.items()}

    def _start(self, after: int) -> int:
        if self._away_since is None:
            return after
        return max(after, channel_messages.message_id_at(self._away_since - MARGIN))

    async def _read_channel(self, channel_id: int, after: int, newest: int) -> None:
        channel = self._client.get_channel(channel_id)
        if not isinstance(channel, discord.TextChannel) or newest <= after:
            return
        try:
            history = channel.history(
                limit=MOST_MESSAGES, after=discord.Object(after), before=discord.Object(newest + 1),
                oldest_first=False,
            )  # fmt: skip
            found = [message async for message in history]
        except discord.Forbidden:
            # What is missing stands in the status
            logger.warning("channel %s may not be read back", channel_id)
            return
        for message in reversed(found):
            if message.id not in self._client.incoming.seen:
                await self._client.incoming.take(message, is_missed=True)
