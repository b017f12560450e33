"""The signals of a user by any filter, page by page, and what a signal has to do with others."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from database.history import Key, Page
from database.pool import Row, Transaction

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFilter:
    """Which signals are wanted; None takes all. `until` is not included itself."""

    bot_id: int | None = None
    state: str | None = None
    code: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


# What was not traded always has a code, and those with a code are few and have an index.
_NOT_TRADED = ("REFUSED", "SKIPPED", "FAILED")
_CONDITIONS = {
    "bot_id": "signals.bot_config_id = %(bot_id)s",
    "state": "signals.state = %(state)s",
    "code": "signals.code = %(code)s",
    "source": "signals.source = %(source)s",
    "since": "signals.received_at >= %(since)s",
    "until": "signals.received_at < %(until)s",
}


def signals_page(
    transaction: Transaction,
    user_id: int,
    wanted: SignalFilter,
    *,
    before: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page of a user's signals, newest first, with what became of each."""
    chosen = {name: value for name, value in asdict(wanted).items() if value is not None}
    where = "".join(f" AND {_CONDITIONS[name]}" for name in chosen)
    where += " AND signals.code IS NOT NULL" if wanted.state in _NOT_TRADED else ""
    older = " AND (signals.received_at, signals.id) < (%(at)s, %(id)s)" if before else ""
    rows = transaction.all(
        f"""
        SELECT signals.id, signals.uuid AS signal_id, signals.source, signals.state, signals.code,
               signals.sentence, signals.understood->>'action' AS action,
               coalesce(bots.symbol, signals.understood->>'symbol') AS symbol,
               coalesce(bots.timeframe, signals.understood->>'timeframe') AS timeframe,
               signals.understood->>'position_after' AS position_after, signals.bot_config_id AS bot_id,
               bots.name AS bot, signals.duplicates, signals.received_at
          FROM signals LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
         WHERE signals.user_id = %(user)s {where} {older}
         ORDER BY signals.received_at DESC, signals.id DESC LIMIT %(limit)s
        """,
        {"user": user_id, **chosen, **(asdict(before) if before else {}), "limit": limit + 1},
    )
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return Page(rows=shown, older=Key(at=last["received_at"], id=last["id"]) if last else None)


def choices(transaction: Transaction, user_id: int) -> dict[str, list[str]]:
    """Return the codes and sources that a user's signals have, for filters that leave nothing empty."""
    return {
        "codes": _distinct(transaction, "code", user_id),
        "sources": _distinct(transaction, "source", user_id),
    }


def _distinct(transaction: Transaction, column: str, user_id: int) -> list[str]:
    """Step from each value to the next one in its index: DISTINCT would read every signal of the user."""
    rows = transaction.all(
        f"""
        WITH RECURSIVE found AS (
            (SELECT {column} AS value FROM signals WHERE user_id = %(user)s AND {column} IS NOT NULL
              ORDER BY {column} LIMIT 1)
            UNION ALL
            SELECT (SELECT {column} FROM signals WHERE user_id = %(user)s AND {column} > found.value
                     ORDER BY {column} LIMIT 1) FROM found WHERE found.value IS NOT NULL)
        SELECT value FROM found WHERE value IS NOT NULL
        """,
        {"user": user_id},
    )
    return [row["value"] for row in rows]


def surroundings(transaction: Transaction, user_id: int, signal_id: UUID) -> dict[str, Any] | None:
    """Return where a user's signal went and what it was replayed as: None where the user has no such signal.

    `replays` are the newest ten of the signal, `original` is the one that a replay repeats.
    """
    row = transaction.maybe(
        """
        SELECT signals.id, connections.label AS connection, connections.mode, connections.is_replay,
               bots.symbol, bots.timeframe, original.uuid AS original
          FROM signals LEFT JOIN user_bot_configs AS bots ON bots.id = signals.bot_config_id
          LEFT JOIN user_api_keys AS connections ON connections.id = bots.connection_id
          LEFT JOIN signals AS original ON original.id = signals.replay_of
                                       AND original.user_id = signals.user_id
         WHERE signals.uuid = %s AND signals.user_id = %s
        """,
        (signal_id, user_id),
    )
    if row is None:
        return None
    return {**row, "replays": _replays(transaction, user_id, row["id"])}


def _replays(transaction: Transaction, user_id: int, signal_row_id: int) -> list[Row]:
    return transaction.all(
        """
        SELECT uuid AS signal_id, state, code, received_at FROM signals
         WHERE replay_of = %s AND user_id = %s ORDER BY id DESC LIMIT 10
        """,
        (signal_row_id, user_id),
    )
