"""Where Discord is: elsewhere for tests and proxies; the only place that touches discord.py's addresses."""

import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from yarl import URL

VERSION = "v10"


def use_server(base: str) -> None:
    """Ask this server in place of https://discord.com, for every client of this process."""
    Route.BASE = f"{base}/api/{VERSION}"


async def use_its_gateway(client: discord.Client) -> None:
    """Join the gateway that the server names, where discord.py would go to Discord's own."""
    _, address, _ = await client.http.get_bot_gateway()
    DiscordWebSocket.DEFAULT_GATEWAY = URL(address)
