"""Edits and deletions of messages that were signals: noted and shown, and nothing else changes."""

import discord

from database import channel_messages
from discord_bot.desk import Desk


async def note_edit(desk: Desk, payload: discord.RawMessageUpdateEvent) -> None:
    """Note another text of a signal; it is never read as one."""
    text = payload.data.get("content")
    # Discord tells of a link's preview in the same way, then without a text or with the same one
    if text:
        await desk.ask(channel_messages.note_edit, payload.message_id, text, discord.utils.utcnow())


async def note_deletion(desk: Desk, message_id: int) -> None:
    """Note that a signal's message is gone."""
    await desk.ask(channel_messages.note_delete, message_id, discord.utils.utcnow())
