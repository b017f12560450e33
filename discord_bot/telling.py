"""Tell in the channel what became of a message: a reaction at once, one reply with the outcome."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import discord

from database import channel_messages, channel_reading, signal_channels
from database.channel_messages import MessageState
from database.pool import Row
from discord_bot import wording
from log import about_signal

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

WAITING, DONE, NOT_DONE = "⏳", "✅", "❌"

logger = logging.getLogger("discord_bot")


class Telling:
    """Follow the signals of messages by their rows until each was told, also those of a process that died.

    What Discord does not let us say is noted as told: the trade does not depend on it.
    """

    def __init__(self, client: "DiscordBot") -> None:
        self._client = client
        self._desk = client.desk
        self._marks: dict[int, asyncio.Task[None]] = {}

    def mark(self, channel_id: int, message_id: int) -> None:
        """Show at once that a message is being worked on, without waiting for Discord."""
        self._marks[message_id] = self._client.carry_on(self._mark(channel_id, message_id))

    async def tell_some(self) -> None:
        """Tell what is known by now and was not told."""
        if not self._client.is_ready():
            return
        rows = await self._desk.ask(channel_messages.unanswered)
        for message_id, same in groupby(sorted(rows, key=itemgetter("message_id")), itemgetter("message_id")):
            known = list(same)
            with about_signal(*(row["signal_uuid"] for row in known)):
                await self._tell(message_id, known)

    async def _tell(self, message_id: int, rows: Sequence[Row]) -> None:
        try:
            await self._tell_changes(message_id, [row for row in rows if row["state"] in wording.CHANGES])
            known = [row for row in rows if row["state"] not in wording.CHANGES]
            if known:
                await self._tell_outcomes(message_id, known)
        except discord.HTTPException as error:
            if error.status < 500:
                await self._give_up(message_id, rows, error)
            else:
                logger.warning("message %s is told later: %s", message_id, error)

    async def _tell_outcomes(self, message_id: int, known: Sequence[Row]) -> None:
        rows = await self._desk.ask(channel_reading.rows_of_message, message_id)
        lines, goods = [], []
        for row in rows:
            if wording.is_settled(row):
                line, good = await self._line(row)
                lines.append(line)
                goods.append(good)
        is_whole = len(lines) == len(rows)
        channel_id = known[0]["channel_id"]
        reply_id = next((row["reply_id"] for row in rows if row["reply_id"]), None)
        text = wording.together(lines, len(rows))
        reply_id = await self._say(channel_id, message_id, text, reply_id)
        if is_whole:
            was_sent = any(row["state"] not in wording.NEVER_SENT for row in rows)
            await self._settle_reaction(
                channel_id, message_id, DONE if any(goods) else NOT_DONE, was_sent=was_sent
            )
        for row in known:
            await self._desk.ask(channel_messages.note_told, row["id"], discord.utils.utcnow(), reply_id)

    async def _line(self, row: Row, *, in_private: bool = False) -> tuple[str, bool]:
        if row["signal_uuid"] is None:
            return wording.unsent(row), False
        outcome = await self._desk.ask(channel_messages.outcome, row["signal_uuid"])
        return wording.outcome(outcome, in_private=in_private)

    async def _tell_changes(self, message_id: int, rows: Sequence[Row]) -> None:
        """Say of the first edit that it changed nothing; another, or a deletion, is noted only."""
        edits = [
            row for row in rows if row["state"] == MessageState.EDITED and row["signal_uuid"] is not None
        ]
        if edits and not await self._desk.ask(channel_reading.edit_was_told, message_id):
            nonce = f"e{edits[0]['id']}"
            await self._reply(edits[0]["channel_id"], message_id, wording.EDITED, nonce)
        for row in rows:
            await self._desk.ask(channel_messages.note_told, row["id"], discord.utils.utcnow())

    async def _say(self, channel_id: int, message_id: int, text: str, reply_id: int | None) -> int:
        """Reply, or write the outcome into the reply that is there."""
        if reply_id is not None:
            with suppress(discord.NotFound):
                channel = self._client.get_partial_messageable(channel_id)
                await channel.get_partial_message(reply_id).edit(content=text)
                return reply_id
        return await self._reply(channel_id, message_id, text, f"m{message_id}")

    async def _reply(self, channel_id: int, message_id: int, text: str, nonce: str) -> int:
        reference = discord.MessageReference(
            message_id=message_id, channel_id=channel_id, fail_if_not_exists=False
        )
        channel = self._client.get_partial_messageable(channel_id)
        sent = await channel.send(text, reference=reference, mention_author=False, nonce=nonce)
        return sent.id

    async def _settle_reaction(self, channel_id: int, message_id: int, sign: str, *, was_sent: bool) -> None:
        mark = self._marks.pop(message_id, None)
        if mark is not None:
            await asyncio.wait({mark})
        message = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        with suppress(discord.Forbidden, discord.NotFound):
            await message.add_reaction(sign)
        me = self._client.user
        if me is not None and was_sent:
            with suppress(discord.Forbidden, discord.NotFound):
                await message.remove_reaction(WAITING, me)

    async def _mark(self, channel_id: int, message_id: int) -> None:
        message = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        try:
            await message.add_reaction(WAITING)
        except discord.HTTPException as error:
            logger.warning("message %s cannot be marked: %s", message_id, error)

    async def _give_up(self, message_id: int, rows: Sequence[Row], error: Exception) -> None:
        """Tell those whose signals they were in private instead, each their own; or nobody."""
        logger.warning("what became of message %s cannot be told in its channel: %s", message_id, error)
        for row in rows:
            if row["state"] in wording.CHANGES:
                continue
            line, _ = await self._line(row, in_private=True)
            await self._tell_owner(row, wording.in_private(line, row["channel_id"], message_id))
        for row in rows:
            await self._desk.ask(channel_messages.note_told, row["id"], discord.utils.utcnow())

    async def _tell_owner(self, row: Row, text: str) -> None:
        channel = await self._desk.ask(signal_channels.find, row["signal_channel_id"])
        if channel is None or channel.owner_discord_id is None:
            return
        try:
            owner = await self._client.fetch_user(channel.owner_discord_id)
            await owner.send(text, nonce=f"p{row['id']}")
        except discord.HTTPException as error:
            # Closed direct messages (50007), or no server in common any more
            logger.warning("user %s cannot be told in private either: %s", row["user_id"], error)
