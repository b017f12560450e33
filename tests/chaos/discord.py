"""One Discord for a run: gateway, REST and webhooks at one address, and a receiver of JSON webhooks."""

import asyncio
from urllib.parse import urlsplit

from aiohttp import web

from tests.chaos.line import Line
from tests.discord_gateway import Gateway
from tests.discord_server.answers import Answer, Cut
from tests.discord_server.server import DiscordServer
from tests.discord_server.wire import Asked, ScriptedServer

TOKEN = "a.chaotic.bot-token"


class Discord:
    """Everything that stands for Discord, behind one line."""

    def __init__(self, token: str = TOKEN) -> None:
        self.webhooks = DiscordServer()
        self.gateway = Gateway(token, [web.post("/api/webhooks/{path:.*}", self._webhook)])
        self.line = Line("127.0.0.1", int(urlsplit(self.gateway.base).port or 0))
        self.gateway.reached_at = self.line.url

    def url_of(self, hook: int) -> str:
        """Return the address of a webhook, through the line."""
        return self.line.url + urlsplit(self.webhooks.url_of(hook)).path

    def fail(self, hooks: list[int], answers: list[Answer]) -> None:
        """Let the next messages to these webhooks be answered so."""
        for hook in hooks:
            self.webhooks.script(hook, *answers)

    def close(self) -> None:
        """End everything."""
        self.line.close()
        self.gateway.close()

    async def _webhook(self, request: web.Request) -> web.Response:
        asked = Asked(
            path=request.path,
            query=request.query_string,
            headers=dict(request.headers),
            body=await request.read(),
        )
        answer = self.webhooks.reply(asked)
        await asyncio.sleep(answer.delay)
        if answer.cut is not Cut.NOWHERE and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


class Receiver(ScriptedServer):
    """A program of a user that takes JSON webhooks; `received` tells each message with its id."""

    def received(self, place: str) -> list[str]:
        """Return the ids of the messages that came to a path, again for each time."""
        return [asked.headers["X-DashTrade-Id"] for asked in self.asked(place)]
