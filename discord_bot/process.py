"""The process: hold the lease, be connected to Discord, begin anew after whatever ends that."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import discord
import psycopg2

from database import discord_status, health
from database.pool import Database
from discord_bot import PART
from discord_bot.client import DiscordBot
from discord_bot.desk import Desk
from discord_bot.lease import AWAY, Lease
from settings import Settings

BEAT_SECONDS = 2.0
TRY_AGAIN_SECONDS = 1.0
REFUSED_SECONDS = 60.0
MOST_PATIENCE_SECONDS = 60.0
REFUSED = (
    "Discord refuses the token: set DISCORD_BOT_TOKEN to the one that the developer portal shows under Bot"
)
STOPPED = "the bot is stopped"

logger = logging.getLogger("discord_bot")


class Process:
    """Be the bot for as long as this process lives, or wait behind the one that is.

    A client is made anew whenever the lease or the gateway's session came to an end. Nothing but a
    message being sent lives in its memory, and that is a row too.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        token = settings.discord_bot_token
        self._token = "" if token is None else token.get_secret_value()
        self._desk = Desk(settings, database)
        self._database = database
        self._stopping = asyncio.Event()
        self._reads_messages = True
        self._failures = 0

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    async def run(self) -> None:
        """Be the bot until `stop`; whatever is away is waited for."""
        is_away = False
        while not self._stopping.is_set():
            lease = Lease(self._database, self._token)
            try:
                await lease.open()
                is_away = False
                await self._hold(lease)
            except AWAY as error:
                if not is_away:
                    logger.warning("Discord is left and joined again", exc_info=error)
                is_away = True
            except Exception as error:
                logger.exception("the bot begins anew")
                await self._record(error)
            finally:
                await lease.close(for_good=self._stopping.is_set())
            await self._rest(TRY_AGAIN_SECONDS)

    async def _hold(self, lease: Lease) -> None:
        waits = False
        while not await lease.claim():
            if not waits:
                logger.info("another process is the bot; waiting to take over")
            waits = True
            await self._rest(BEAT_SECONDS)
            if self._stopping.is_set():
                return
        while not self._stopping.is_set():
            await self._connect(lease)

    async def _connect(self, lease: Lease) -> None:
        """Be connected until the gateway, the lease or the process ends; then rest as long as is fit."""
        client = DiscordBot(self._desk, process=lease.process, reads_messages=self._reads_messages)
        ends = [
            asyncio.create_task(work)
            for work in (
                client.start(self._token),
                self._keep(lease),
                self._stopping.wait(),
                client.wants_anew.wait(),
            )
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await client.close()
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        joined, kept, *_ = ends
        if not kept.cancelled() and kept.exception() is not None:
            raise kept.exception() or AssertionError
        error = None if joined.cancelled() else joined.exception()
        self._failures = 0 if client.was_ready else self._failures + 1
        await self._take_in(error, lease, wanted_anew=client.wants_anew.is_set())

    async def _take_in(self, error: BaseException | None, lease: Lease, *, wanted_anew: bool) -> None:
        if self._stopping.is_set():
            await self._say(STOPPED)
        elif isinstance(error, discord.PrivilegedIntentsRequired) and self._reads_messages:
            # Commands work without reading messages; the client looks whether it is allowed by now
            self._reads_messages = False
        elif wanted_anew:
            self._reads_messages = True
        elif isinstance(error, discord.LoginFailure):
            logger.error(REFUSED)
            await self._say(REFUSED)
            await self._rest_beating(lease, REFUSED_SECONDS)
        else:
            words = f"no connection to Discord: {_words(error)}"
            logger.warning(words)
            await self._say(words)
            await self._rest_beating(lease, min(2.0**self._failures, MOST_PATIENCE_SECONDS))
        if isinstance(error, Exception) and not isinstance(error, _EXPECTED):
            logger.error("the client failed", exc_info=error)
            await self._record(error)

    async def _keep(self, lease: Lease) -> None:
        while True:
            await lease.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _rest_beating(self, lease: Lease, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._stopping.is_set():
                    await lease.beat()
                    await self._rest(BEAT_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _say(self, words: str) -> None:
        await self._desk.ask(discord_status.note, is_connected=False, words=words, now=datetime.now(UTC))

    async def _record(self, error: BaseException) -> None:
        words = f"{type(error).__name__}: {error}"
        with suppress(psycopg2.Error):
            await self._desk.ask(health.note_fault, PART, words, datetime.now(UTC))


_EXPECTED = (
    discord.PrivilegedIntentsRequired,
    discord.LoginFailure,
    discord.HTTPException,
    discord.GatewayNotFound,
    discord.ConnectionClosed,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
)


def _words(error: BaseException | None) -> str:
    return "it was closed" if error is None else f"{type(error).__name__}: {error}"
