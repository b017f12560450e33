"""Discord out of reach: one plain line, where its library and each of our duties would log a traceback."""

import logging

import aiohttp
import discord

from log import say_plainly

# Each is met again and again while the network or Discord is away, and everybody tries again
UNREACHED = (
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
    discord.ConnectionClosed,
    discord.DiscordServerError,
    discord.GatewayNotFound,
)
LOGGERS = ("discord.client", "discord_bot")


class UnreachedFilter(logging.Filter):
    """Leave the traceback out of a line that says no more than that Discord could not be reached."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, UNREACHED):
            words = "Discord cannot be reached: %s: %s; %s"
            say_plainly(record, words, type(error).__name__, error, record.getMessage())
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def log_plainly() -> None:
    """Let this process say in plain lines that Discord is away."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(UnreachedFilter())
