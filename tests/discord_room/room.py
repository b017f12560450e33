"""A simulated Discord server, the real bot in it, and the real webhook server on a port of this machine.

Nothing of ours is replaced: simcord stands for Discord, PostgreSQL and HTTP are real, and so is the engine,
which works the lanes when a test says so.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import simcord
from simcord._runtime import _attach_bot
from werkzeug.serving import BaseWSGIServer, make_server

from bot_engine import desk_for, run_lane
from brokers.registry import Registry
from database import discord_accounts, keys, lanes, signal_channels
from database.pool import Database, Row
from discord_bot.client import DiscordBot
from discord_bot.desk import Desk
from encryption import new_token
from settings import Settings
from tests.end_to_end.webhook_desk import Trader, WebhookDesk

KEY_NAME = "Discord bot"
SETTLE_SECONDS = 60.0


class Served:
    """The webhook server of a desk on a port of its own; `stop` and `start` again at will."""

    def __init__(self, desk: WebhookDesk) -> None:
        self._app = desk.app
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = make_server("127.0.0.1", self.port, self._app, threaded=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None


class Room:
    """One Discord server with a channel for signals, its members, and what a test asks of the rows."""

    def __init__(self, env: simcord.Env, desk: WebhookDesk, served: Served, settings: Settings) -> None:
        self.env = env
        self.desk = desk
        self.served = served
        self.settings = settings
        self.may_fail = False
        self.guild = env.create_guild()
        self.channel = self.guild.create_text_channel("signals")
        self.ann = self.guild.add_member(env.create_user("ann"))

    @property
    def bot(self) -> DiscordBot:
        """Return the client that is connected now."""
        bot = self.env.bot
        assert isinstance(bot, DiscordBot)
        return bot

    def register(self, trader: Trader, **columns: Any) -> int:
        """Register the channel for a trader; Ann's messages count unless it is said otherwise."""
        connection_id = columns.pop("connection_id", trader.connection_id)
        given = {
            "name": "signals",
            "author_ids": [self.ann.id],
            "size_mode": "notional",
            "position_size": Decimal(500),
            "max_position_size": Decimal(1000),
            "leverage": 1,
            "max_leverage": 1,
            "entry_mode": "market",
            "max_price_deviation_percent": Decimal(50),
            **columns,
        }
        with self.desk.database.transaction() as transaction:
            made = signal_channels.create(
                transaction,
                user_id=trader.id,
                connection_id=connection_id,
                channel_id=self.channel.id,
                columns=given,
            )
            # Time in the room stands still unless it is moved
            sql = "UPDATE signal_channels SET created_at = %s WHERE id = %s"
            transaction.execute(sql, (self.env.now() - timedelta(minutes=5), made))
        return made

    def link(self, trader: Trader, discord_user_id: int) -> None:
        """Join a Discord account to a trader's."""
        with self.desk.database.transaction() as transaction:
            discord_accounts.link(
                transaction, trader.id, discord_user_id, "somebody", datetime.now(UTC), actor="test"
            )

    def rows(self) -> list[Row]:
        """Return what was noted of messages, oldest first."""
        return self.desk.all("SELECT * FROM channel_messages ORDER BY id")

    def states(self) -> list[str]:
        """Return the states of what was noted, oldest first."""
        return [row["state"] for row in self.rows()]

    def signals(self) -> list[Row]:
        """Return every stored signal."""
        return self.desk.all("SELECT * FROM signals ORDER BY id")

    def replies(self, message_id: int) -> list[str]:
        """Return what the bot answered to a message."""
        return [
            message.content
            for message in self.channel.history()
            if message.reference is not None and message.reference.message_id == message_id
        ]

    def signs(self, message_id: int) -> set[str]:
        """Return the reactions under a message."""
        [message] = [each for each in self.channel.history() if each.id == message_id]
        return {str(reaction.emoji) for reaction in message.reactions}

    def work(self) -> None:
        """Let the engine carry out what is stored."""
        desk = desk_for(self.desk.settings, self.desk.database)
        with desk.database.transaction() as transaction:
            waiting = lanes.lanes_with_work(transaction, datetime.now(UTC))
        for bell in waiting:
            run_lane(desk, bell.lane_id)

    def long(self, symbol: str = "BTC-USD") -> str:
        """Return a signal that the market allows at this moment."""
        registry = Registry(self.desk.database, self.desk.vault, self.desk.settings)
        connection = self.desk.value("SELECT min(id) FROM user_api_keys")
        price = registry.broker(connection).quote(symbol.replace("-", "/")).ask
        stop, target = price * Decimal("0.97"), price * Decimal("1.05")
        return f"LONG {symbol} {price:.0f}/{stop:.0f}/{target:.0f}"

    def post(self, text: str, author: Any = None, channel: Any = None) -> int:
        """Put a message into the channel without waiting for the bot; return its number."""
        with self.env.time_context():
            made = self.env.backend.create_message(
                (channel or self.channel).id, (author or self.ann).id, text
            )
        return int(made.id)

    async def told(self) -> None:
        """Let the bot look at its rows."""
        await self.env.advance_time(2)

    async def wait_for(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait in real time until something is so, for a bot that waits for what simcord does not know."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, self.env.transcript()
            await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Kill the bot: nothing that is under way comes to its end, and nothing is said."""
        before = self.bot
        await self.env._detach_bot()
        await before.api.close()

    async def come_back(self, *, settings: Settings | None = None) -> None:
        """Bring a new bot, which knows the rows alone."""
        await _attach_bot(self.env, new_bot(settings or self.settings, self.desk.database))

    async def until(self, condition: Callable[[], object], seconds: int = 60) -> None:
        """Let time pass until something is so; fail where it never is."""
        for _ in range(seconds):
            if condition():
                return
            await self.env.advance_time(1)
        raise AssertionError(f"waited {seconds} s in vain\n{self.env.transcript()}")


def new_bot(settings: Settings, database: Database) -> DiscordBot:
    """Return a bot that was never connected."""
    return DiscordBot(Desk(settings, database), process="test")


@asynccontextmanager
async def open_room(desk: WebhookDesk, served: Served, **options: Any) -> AsyncIterator[Room]:
    """Open a room with the bot in it; `options` are simcord's, and `settings` are changes of the bot's."""
    settings = bot_settings(desk, served, **options.pop("settings", {}))
    bot = new_bot(settings, desk.database)
    env = simcord.Env(bot, settle_timeout=SETTLE_SECONDS, **options)
    # Our rows and the server know the real time
    env.backend.clock._epoch = datetime.now(UTC) - timedelta(seconds=1)
    await env.start()
    try:
        room = Room(env, desk, served, settings)
        yield room
        assert room.may_fail or not env.errors, env.errors
    finally:
        await env.shutdown()
        if isinstance(env.bot, DiscordBot):
            await env.bot.api.close()


def bot_settings(desk: WebhookDesk, served: Served, **changes: Any) -> Settings:
    """Return the bot's settings: without the key of the secrets, with a key of its own for the API."""
    key = new_token("svc_")
    with desk.database.transaction() as transaction:
        keys.hash_key(transaction, desk.vault)
        keys.keep_service_key(transaction, desk.vault, KEY_NAME, key)
    given = {
        "database_url": desk.database.url,
        "public_url": "http://localhost:8080",
        "webhook_port": served.port,
        "signal_api_key": key,
        "discord_bot_token": "a.test.token",
        **changes,
    }
    return Settings.model_validate({name: value for name, value in given.items() if value is not None})


@contextmanager
def serving(desk: WebhookDesk) -> Iterator[Served]:
    """Serve the webhook server until the end."""
    served = Served(desk)
    try:
        yield served
    finally:
        served.stop()


def in_room(desk: WebhookDesk, served: Served, play: Callable[[Room], Any], **options: Any) -> None:
    """Play a scene in a room of its own."""

    async def scene() -> None:
        async with open_room(desk, served, **options) as room:
            await play(room)

    asyncio.run(scene())
