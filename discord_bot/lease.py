"""The lease: an advisory lock on a connection of its own, so that one process is the bot."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import TypeVar

import psycopg2

from database import discord_status, health
from database.pool import Database, Session, Transaction
from discord_bot import PART

Answer = TypeVar("Answer")

# What ends a connection; anything else is a fault of ours.
AWAY = (psycopg2.OperationalError, psycopg2.InterfaceError)


class Lease:
    """Be the bot of a token, or wait to become it; heartbeats go over the very connection that holds the lock.

    Losing the connection loses the lease in the same moment, and the next `beat` raises one of `AWAY`.
    """

    def __init__(self, database: Database, token: str) -> None:
        self._database = database
        self._token = token
        self._held: ExitStack | None = None
        self._session: Session | None = None
        self.process = f"{socket.gethostname()}:{os.getpid()}"

    async def open(self) -> None:
        """Connect; raise one of `AWAY` while the database does not answer."""
        await asyncio.to_thread(self._open)

    async def claim(self) -> bool:
        """Beat, and return whether this process is the bot from now on."""
        return await asyncio.to_thread(self._do, self._claim)

    async def beat(self) -> None:
        """Say that this process lives."""
        await asyncio.to_thread(self._do, self._beat)

    async def close(self, *, for_good: bool) -> None:
        """Let another be the bot; `for_good` takes back the heartbeat too."""
        await asyncio.to_thread(self._close, for_good=for_good)

    def _open(self) -> None:
        stack = ExitStack()
        self._session = stack.enter_context(self._database.session())
        self._held = stack

    def _do(self, step: Callable[[Transaction], Answer]) -> Answer:
        if self._session is None:
            raise psycopg2.InterfaceError("the lease's connection is not open")
        with self._session.transaction() as transaction:
            return step(transaction)

    def _claim(self, transaction: Transaction) -> bool:
        self._beat(transaction)
        return discord_status.claim(transaction, self._token)

    def _beat(self, transaction: Transaction) -> None:
        health.beat(transaction, PART, self.process, datetime.now(UTC))

    def _release(self, transaction: Transaction) -> None:
        discord_status.release(transaction, self._token)

    def _close(self, *, for_good: bool) -> None:
        with suppress(*AWAY):
            if for_good:
                self._do(lambda transaction: health.fall_silent(transaction, PART, self.process))
            self._do(self._release)
        if self._held is not None:
            with suppress(*AWAY):
                self._held.close()
        self._held = self._session = None
