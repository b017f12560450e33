"""A local server that behaves like Discord's webhooks, and one that answers as it is told."""

from tests.discord_server.answers import Answer
from tests.discord_server.server import DiscordServer
from tests.discord_server.wire import Asked, ScriptedServer

__all__ = ["Answer", "Asked", "DiscordServer", "ScriptedServer"]
