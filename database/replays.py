"""Playing a signal again: where it goes, which is never a real account, and what it repeats."""

from typing import Any
from uuid import UUID

from core.matching import Candidate
from database import bots, inbox
from database.pool import Row, Transaction

SOURCE = "replay"
LABEL = "Replay"
# What the copy of a bot takes from it. The price of then says nothing about now, so its check is left out.
COPIED = tuple(sorted(bots.EDITABLE - {"name", "timeframe", "max_price_deviation_percent"}))


def signal_to_replay(transaction: Transaction, user_id: int, signal_id: UUID) -> Row | None:
    """Return a user's signal as it was understood, None where the user has no such signal."""
    return transaction.maybe(
        """
        SELECT id, uuid, source, understood, bot_config_id AS bot_id FROM signals
         WHERE uuid = %s AND user_id = %s
        """,
        (signal_id, user_id),
    )


def replay_connection(transaction: Transaction, user_id: int) -> tuple[int, bool]:
    """Return the user's paper connection for replays and whether it was made just now."""
    # Two replays at once must not make two.
    transaction.one("SELECT id FROM users WHERE id = %s FOR NO KEY UPDATE", (user_id,))
    found = transaction.value(
        "SELECT id FROM user_api_keys WHERE user_id = %s AND is_replay AND archived_at IS NULL", (user_id,)
    )
    if found is not None:
        return int(found), False
    made = bots.create_connection(
        transaction, user_id=user_id, broker="paper", mode="paper", label=_free_label(transaction, user_id)
    )
    transaction.execute("UPDATE user_api_keys SET is_replay = true, status = 'OK' WHERE id = %s", (made,))
    return made, True


def bot_for_replays(
    transaction: Transaction, connection_id: int, symbol_key: str, timeframe: str | None
) -> Row | None:
    """Return the bot on a replay connection that stands for all bots of a symbol and timeframe."""
    return transaction.maybe(
        """
        SELECT * FROM user_bot_configs
         WHERE connection_id = %s AND symbol_key = %s AND timeframe IS NOT DISTINCT FROM %s AND source = %s
           AND archived_at IS NULL
        """,
        (connection_id, symbol_key, timeframe, SOURCE),
    )


def copied_settings(row: Row) -> dict[str, Any]:
    """Return the settings of a bot that its copy has too."""
    return {name: row[name] for name in COPIED}


def candidate(transaction: Transaction, user_id: int, bot_id: int) -> Candidate:
    """Return a bot as one to choose; raise LookupError unless it is on the user's connection for replays."""
    place = transaction.value(
        """
        SELECT connections.id FROM user_bot_configs AS bots
          JOIN user_api_keys AS connections ON connections.id = bots.connection_id
         WHERE bots.id = %s AND bots.user_id = %s AND connections.is_replay
           AND connections.broker = 'paper' AND connections.mode = 'paper'
        """,
        (bot_id, user_id),
    )
    if place is None:
        raise LookupError(f"bot {bot_id} is not one for replays")
    sender = inbox.Sender(user_id=user_id, source=SOURCE, connection_id=place)
    return next(each for each in inbox.bots_open_to(transaction, sender) if each.id == bot_id)


def mark(transaction: Transaction, user_id: int, signal_id: UUID, original: int) -> None:
    """Say that a signal repeats another of the same user."""
    transaction.execute(
        "UPDATE signals SET replay_of = %s WHERE uuid = %s AND user_id = %s", (original, signal_id, user_id)
    )


def _free_label(transaction: Transaction, user_id: int) -> str:
    taken = {each.label for each in bots.connections_of(transaction, user_id)}
    return next(
        label for label in (LABEL, *(f"{LABEL} {number}" for number in range(2, 100))) if label not in taken
    )
