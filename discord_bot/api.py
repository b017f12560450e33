"""The way to the API: one message, one POST, again only for as long as nothing was stored."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import discord

from settings import Settings

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0
UNAUTHORIZED, TOO_MANY = 401, 429
FIRST_SERVER_FAULT = 500
# The server looks at the key first
NO_SIGNAL = "00000000-0000-0000-0000-000000000000"

logger = logging.getLogger("discord_bot")


class NotTaken(Exception):
    """Say that nothing was stored, or that nobody knows: send the same again, its message id tells copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said: its status and its JSON, empty where it was none."""

    status: int
    body: Mapping[str, Any]

    @property
    def is_passing(self) -> bool:
        """Tell whether the same may be sent again: a fault of the server, or too many at once."""
        return self.status >= FIRST_SERVER_FAULT or self.status == TOO_MANY

    @property
    def sentence(self) -> str:
        """Return the server's own words for a refusal."""
        said = self.body.get("error")
        return str(said) if said else f"The webhook server answered {self.status} and gave no reason."


class Api:
    """Speak to the webhook server of this DashTrade with the bot's key."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.webhook_url
        self._key = settings.signal_api_key
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make ready to connect."""
        limits = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        # No proxy of the environment and no redirect: the key is for this server alone
        self._session = aiohttp.ClientSession(timeout=limits, trust_env=False)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def answers(self, body: Mapping[str, Any], until: datetime) -> AsyncIterator[Answer]:
        """Send a signal and give the server's answer; send again, with growing pauses, after one that is passing.

        Safe however often it arrives: the server knows a copy by its message id. Raises `NotTaken` where
        there is no last answer by `until`.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                answer = await self._asked("POST", "/api/v1/signals", json=body)
                yield answer
                if not answer.is_passing:
                    return
                fault = NotTaken(answer.sentence)
            except NotTaken as error:
                fault = error
            left = (until - discord.utils.utcnow()).total_seconds()
            if left <= 0:
                raise fault
            pause = min(pause, left)
            logger.warning("the webhook server did not take a signal, again in %g s: %s", pause, fault)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def health(self) -> Answer:
        """Return what the server says of itself; raise `NotTaken` where it does not answer."""
        return await self._asked("GET", "/health")

    async def takes_key(self) -> bool:
        """Tell whether the server knows the bot's key; raise `NotTaken` where it does not answer."""
        answer = await self._asked("GET", f"/api/v1/signals/{NO_SIGNAL}")
        if answer.is_passing:
            raise NotTaken(answer.sentence)
        return answer.status != UNAUTHORIZED

    async def _asked(self, method: str, path: str, **options: Any) -> Answer:
        if self._session is None:
            raise NotTaken("the bot is not ready yet")
        headers = {} if self._key is None else {"X-API-Key": self._key.get_secret_value()}
        try:
            async with self._session.request(
                method, self._base + path, headers=headers, allow_redirects=False, **options
            ) as answer:
                return Answer(status=answer.status, body=await _json(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Where the server is stands in the log, and in no channel
            logger.warning("%s %s: %s: %s", method, path, type(error).__name__, error)
            raise NotTaken(_words(error)) from error


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {ANSWER_SECONDS} s"
    return "it cannot be reached" if isinstance(error, aiohttp.ClientConnectorError) else "the line broke"


async def _json(answer: aiohttp.ClientResponse) -> Mapping[str, Any]:
    try:
        said = await answer.json(content_type=None)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
