"""What signal channels and their messages are called on the page."""

from collections.abc import Mapping
from typing import Any

from core.bot import SizeMode
from core.wording import number
from database.channel_messages import MessageState
from database.discord_status import DiscordStatus
from database.pool import Row
from database.signal_channels import EntryMode, SignalChannel
from signals.discord_formats import FORMATS
from ui.formatting import money, quantity
from ui.tables import SIGNAL_SIGNS

FORMAT_TITLES = {"TRADERSPOST": "TradersPost"}
MESSAGE_SIGNS = {
    MessageState.SENDING: "… being sent",
    MessageState.REFUSED: "⊘ refused",
    MessageState.LATE: "⌛ too late",
    MessageState.BACKLOG: "⌛ came while away",
    MessageState.FAILED: "✕ not taken",
}
COLOURS = {
    "EXECUTED": "green",
    "REFUSED": "orange",
    "FAILED": "red",
    "LATE": "orange",
    "BACKLOG": "orange",
    "SKIPPED": "gray",
}
COUNTED = {
    "EXECUTED": "executed",
    "REFUSED": "refused",
    "SKIPPED": "skipped",
    "FAILED": "failed",
    "LATE": "too late",
    "BACKLOG": "missed",
}


def format_title(name: str) -> str:
    """Return what a format is called."""
    return FORMAT_TITLES.get(name.upper()) or name.replace("_", " ").capitalize()


def formats(channel: SignalChannel) -> str:
    """Say which formats a channel takes."""
    named = {each.lower() for each in channel.formats}
    known = [format_title(each.name) for each in FORMATS if each.name.lower() in named]
    return ", ".join(known) if named else "all formats"


def senders(channel: SignalChannel) -> str:
    """Say whose messages count."""
    if not channel.author_ids and not channel.role_ids:
        return "Only your own messages"
    words = [
        f"{len(ids)} {noun}{'' if len(ids) == 1 else 's'}"
        for ids, noun in ((channel.author_ids, "author"), (channel.role_ids, "role"))
        if ids
    ]
    return "Messages of " + " and ".join(words)


def size(channel: SignalChannel) -> str:
    """Say how large a position is."""
    match channel.size_mode:
        case SizeMode.RISK_PERCENT:
            return f"{number(channel.position_size)} % at risk"
        case SizeMode.NOTIONAL:
            return f"${money(channel.position_size)}"
        case SizeMode.UNITS:
            return f"{quantity(channel.position_size)} units"


def leverage(channel: SignalChannel) -> str:
    """Say how positions are leveraged."""
    most = "" if channel.leverage == channel.max_leverage else f", max {channel.max_leverage}x"
    return f"{channel.leverage}x{most}"


def entry(channel: SignalChannel) -> str:
    """Say how a signal enters."""
    if channel.entry_mode is EntryMode.MARKET:
        return f"Market, ±{number(channel.max_price_deviation_percent)} %"
    return f"Limit, {minutes(channel.entry_valid_minutes)}"


def minutes(count: int) -> str:
    """Write a length of time: `45 min`, `2 h`, `1 h 30 min`."""
    hours, rest = divmod(count, 60)
    return " ".join(filter(None, (f"{hours:,} h" if hours else "", f"{rest} min" if rest else ""))) or "0 min"


def came(counts: Mapping[str, int]) -> str:
    """Say what became of the messages of late: `12 signals in 7 days: 9 executed, 2 refused`."""
    total = sum(counts.values())
    if not total:
        return "No signal in 7 days."
    told = [f"{counts[name]:,} {words}" for name, words in COUNTED.items() if counts.get(name)]
    under_way = total - sum(counts.get(name, 0) for name in COUNTED)
    told += [f"{under_way:,} under way"] if under_way else []
    return f"{total:,} signal{'' if total == 1 else 's'} in 7 days: {', '.join(told)}."


def outcome(row: Row) -> tuple[str, str]:
    """Return the sign of what became of a message, and its colour."""
    state = row["signal_state"] or row["state"]
    sign = SIGNAL_SIGNS.get(state) if row["signal_state"] else MESSAGE_SIGNS.get(row["state"])
    return sign or state.lower(), COLOURS.get(state, "blue")


def why(row: Row) -> str | None:
    """Return the sentence on a message's outcome, None where there is none."""
    sentence: str | None = row["signal_sentence"] or row["sentence"]
    return sentence


def servers(status: DiscordStatus) -> dict[int, str]:
    """Return the names of the servers in which the bot is, by Discord's number."""
    return {int(guild["id"]): str(guild["name"]) for guild in status.guilds}


def server(status: DiscordStatus, guild_id: int | None) -> str | None:
    """Return the name of a server, None where it is not known."""
    return None if guild_id is None else servers(status).get(guild_id)


def link_in_discord(row: Mapping[str, Any]) -> str | None:
    """Return the address of a message in Discord, None where its server is not known."""
    if row["guild_id"] is None:
        return None
    return f"https://discord.com/channels/{row['guild_id']}/{row['channel_id']}/{row['message_id']}"
