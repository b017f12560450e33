"""Commands that begin with the prefix, in signal channels; such a message never trades, whatever follows."""

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from alerts.neutral import shortened
from database import channel_reading, signal_channels
from discord_bot.api import NotTaken
from discord_bot.standing import latency_ms
from signals import discord_text

if TYPE_CHECKING:
    from discord_bot.client import DiscordBot

PREFIX = "!"
LONGEST = 1900
# In a channel, within a minute: what is told of signals must not wait behind commands
MOST_ANSWERS = 10
STATS_SPAN = timedelta(days=1)
# What people put around or before a message, on purpose or not
_BEFORE = " \t\n\r\u200b\u200c\u200d\u2060\ufeff*_~`|>"

WORDS = {
    "EXECUTED": "executed",
    "STORED": "under way",
    "PLANNED": "under way",
    "WAITING_FOR_OPEN": "waiting for the market to open",
    "SKIPPED": "needed nothing done",
    "REFUSED": "refused",
    "FAILED": "failed",
    "SENDING": "being sent",
    "LATE": "too late",
    "BACKLOG": "from while DashTrade was away",
    "EDITED": "edited afterwards",
    "DELETED": "deleted afterwards",
}

Answering = Callable[["DiscordBot", discord.Message, str], Awaitable[str]]


def is_command(text: str) -> bool:
    """Tell whether a message begins with the prefix, behind any blanks and marks."""
    return text.lstrip(_BEFORE).startswith(PREFIX)


def parted(text: str) -> tuple[str, str]:
    """Return a command's name in small letters and what follows it, as it was written."""
    words = text.lstrip(_BEFORE)[len(PREFIX) :].split(maxsplit=1)
    return (words[0].lower() if words else "", words[1] if len(words) > 1 else "")


async def answer(client: "DiscordBot", message: discord.Message) -> None:
    """Answer a person's command of ours in a registered channel; any other word belongs to another bot."""
    name, rest = parted(message.content)
    command = COMMANDS.get(name)
    if command is None or message.author.bot:
        return
    if not await client.desk.ask(signal_channels.of_discord_channel, message.channel.id):
        return
    pace = client.paces.setdefault(message.channel.id, app_commands.Cooldown(MOST_ANSWERS, 60))
    if pace.update_rate_limit(message.created_at.timestamp()) is not None:
        return
    text = await command(client, message, rest)
    reference = message.to_reference(fail_if_not_exists=False)
    await message.channel.send(shortened(text, LONGEST), reference=reference, mention_author=False)


async def _health(client: "DiscordBot", message: discord.Message, _rest: str) -> str:
    begun = time.perf_counter()
    try:
        said = await client.api.health()
        took = round((time.perf_counter() - begun) * 1000)
        server = (
            f"{'✅' if said.status == 200 else '⚠️'} Server: {said.body.get('status', said.status)}, {took} ms"
        )
    except NotTaken as fault:
        server = f"❌ Server: no answer ({fault})"
    states = await client.desk.ask(channel_reading.connection_states, message.channel.id)
    latency = latency_ms(client)
    gateway = "not measured yet" if latency is None else f"{latency} ms"
    return "\n".join((server, _broker(states), f"✅ Discord: {gateway}"))


def _broker(states: Mapping[str, int]) -> str:
    if not states:
        return "⚠️ Broker: this channel is switched off"
    sign = "✅" if set(states) == {"OK"} else "⚠️"
    return f"{sign} Broker: " + ", ".join(f"{count} {state}" for state, count in states.items())


async def _stats(client: "DiscordBot", message: discord.Message, _rest: str) -> str:
    since = discord.utils.utcnow() - STATS_SPAN
    counts = await client.desk.ask(channel_reading.counts, message.channel.id, since)
    if not counts:
        return "No Data: no signal came in this channel within 24 hours."
    lines = [f"{count} {WORDS.get(name, name.lower())}" for name, count in counts.items()]
    return "Signals of this channel within 24 hours:\n" + "\n".join(lines)


async def _test(_client: "DiscordBot", _message: discord.Message, rest: str) -> str:
    if not rest:
        return "Write the message behind it: `!test LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000`. It never trades."
    return f"This is a test and trades nothing.\n```\n{discord_text.explain(rest).replace('```', '´´´')}\n```"


COMMANDS: dict[str, Answering] = {"health": _health, "stats": _stats, "test": _test}
