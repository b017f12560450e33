"""What the bot works with: settings, its own few database connections, and the way to the API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from database.pool import Database, Transaction
from settings import Settings

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

CONNECTIONS = 4
PATIENCE_SECONDS = 15


class Desk:
    """Ask the database from asynchronous code without holding up the gateway."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database

    async def ask(
        self,
        look: Callable[Concatenate[Transaction, Given], Answer],
        *args: Given.args,
        **named: Given.kwargs,
    ) -> Answer:
        """Run one function in a transaction of its own, in a thread, and return what it returns."""
        return await asyncio.to_thread(self._within, look, args, named)

    async def act(
        self,
        action: Callable[Concatenate[Database, Given], Answer],
        *args: Given.args,
        **named: Given.kwargs,
    ) -> Answer:
        """Carry out one action, which has its own transaction, in a thread."""
        return await asyncio.to_thread(action, self.database, *args, **named)

    async def soon(self, asked: Awaitable[Answer], seconds: float) -> Answer:
        """Wait no longer than so many seconds; raise TimeoutError after that, and let the answer come to nobody."""
        return await asyncio.wait_for(asked, seconds)

    def _within(self, look: Callable[..., Answer], args: tuple[Any, ...], named: dict[str, Any]) -> Answer:
        with self.database.transaction() as transaction:
            return look(transaction, *args, **named)


def open_database(settings: Settings) -> Database:
    """Return a small pool that gives up on a database that does not answer."""
    return Database(
        settings.database,
        size=CONNECTIONS,
        application_name="dashtrade discord bot",
        patience=PATIENCE_SECONDS,
    )
