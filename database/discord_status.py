"""How the Discord bot stands, and which process is it: one row, one lease for each token."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import Json

from database.pool import Transaction

BOT_LOCKS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscordStatus:
    """Whether the bot is connected and since when, as whom, where, and what it lacks.

    `guilds` are objects with `id` and `name`; `lacking` names missing intents, permissions and scopes;
    `words` say why it is not connected. `changed_at` is None before the bot ever ran.
    """

    is_connected: bool
    name: str | None
    application_id: int | None
    guilds: tuple[dict[str, Any], ...]
    lacking: tuple[str, ...]
    words: str | None
    latency_ms: int | None
    changed_at: datetime | None


def status(transaction: Transaction) -> DiscordStatus:
    """Return how it stands."""
    row = transaction.one(
        """
        SELECT is_connected, name, application_id, guilds, lacking, words, latency_ms, changed_at
          FROM discord_bot_status
        """
    )
    return DiscordStatus(**row | {"guilds": tuple(row["guilds"]), "lacking": tuple(row["lacking"])})


def note(
    transaction: Transaction,
    *,
    is_connected: bool,
    now: datetime,
    name: str | None = None,
    application_id: int | None = None,
    guilds: Sequence[dict[str, Any]] | None = None,
    lacking: Sequence[str] | None = None,
    words: str | None = None,
    latency_ms: int | None = None,
) -> DiscordStatus:
    """Note how it stands and return it; the time changes only where the connection does.

    What is None of name, application, guilds and lacking stays as it was; words and latency do not.
    """
    transaction.execute(
        """
        UPDATE discord_bot_status SET is_connected = %(connected)s, words = %(words)s, latency_ms = %(latency)s,
               name = coalesce(%(name)s, name), application_id = coalesce(%(application)s, application_id),
               guilds = coalesce(%(guilds)s, guilds), lacking = coalesce(%(lacking)s::text[], lacking),
               changed_at = CASE WHEN is_connected = %(connected)s THEN coalesce(changed_at, %(now)s)
                                 ELSE %(now)s END
        """,
        {
            "connected": is_connected,
            "words": words,
            "latency": latency_ms,
            "name": name,
            "application": application_id,
            "guilds": None if guilds is None else Json(list(guilds)),
            "lacking": None if lacking is None else list(lacking),
            "now": now,
        },
    )
    return status(transaction)


def claim(transaction: Transaction, token: str) -> bool:
    """Become the process of a bot's token for as long as the session's connection lives; tell whether it is free.

    Only a hash of the token reaches the database, of which 31 bits name the lock.
    """
    return bool(transaction.value("SELECT pg_try_advisory_lock(%s, %s)", (BOT_LOCKS, _key(token))))


def release(transaction: Transaction, token: str) -> None:
    """Let another process be the bot."""
    transaction.execute("SELECT pg_advisory_unlock(%s, %s)", (BOT_LOCKS, _key(token)))


def _key(token: str) -> int:
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:4], "big") >> 1
