"""A small Discord on sockets: REST and gateway, enough for the real bot process to live in."""

from tests.discord_gateway.server import CHANNEL, GUILD, Gateway

__all__ = ["CHANNEL", "GUILD", "Gateway"]
