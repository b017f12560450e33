"""Look at the Discord bot: whether its process lives, whether Discord lets it in, and what it lacks."""

from collections.abc import Iterator

from administration.console import Console
from administration.finding import Finding, moment
from database import discord_status, health
from database.discord_status import DiscordStatus
from database.pool import Row
from discord_bot import PART, invite_address

GUIDE = "follow docs/discord-bot.md"


def discord_bot(console: Console) -> Iterator[Finding]:
    """Say how the bot stands; one line for each thing it lacks."""
    if console.settings.discord_bot_token is None:
        yield Finding(subject=PART, words="not set up: there is no DISCORD_BOT_TOKEN")
        return
    with console.transaction() as transaction:
        beat = next((row for row in health.heartbeats(transaction) if row["part"] == PART), None)
        status = discord_status.status(transaction)
    if beat is None or not beat["alive"]:
        words = "never ran" if beat is None else f"silent since {moment(beat['beat_at'])}"
        yield Finding(subject=PART, words=words, mend="start DashTrade: make run")
        return
    yield _connection(status, beat)
    for lack in status.lacking if status.is_connected else ():
        yield Finding(subject=PART, words=f"missing: {lack}", mend=_mend(status))


def _connection(status: DiscordStatus, beat: Row) -> Finding:
    if not status.is_connected:
        since = f" since {moment(status.changed_at)}" if status.changed_at else ""
        words = f"not connected{since}: {status.words or 'it is just starting'}"
        return Finding(subject=PART, words=words, mend=GUIDE)
    servers = ", ".join(guild["name"] for guild in status.guilds) or "no server"
    waiting = f", {beat['alive'] - 1} more waiting" if beat["alive"] > 1 else ""
    latency = "" if status.latency_ms is None else f", {status.latency_ms} ms"
    return Finding(subject=PART, words=f"connected as {status.name} in {servers}{latency}{waiting}")


def _mend(status: DiscordStatus) -> str:
    if status.application_id is None:
        return GUIDE
    return f"{GUIDE}; the invite address is {invite_address(status.application_id)}"
