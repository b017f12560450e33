"""Watched bots: what their messages say, written down; everything of a batch in one transaction.

Several rows go in one statement, as arrays: a broker hands out twenty messages at a time and waits until
they are committed, so that each round trip counts.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any

from database.pool import Row, Transaction
from database.prepared import Prepared, prepared

Json = dict[str, Any]
Identified = tuple[int, bytes]

REMEMBERED_HOURS = 1
SHORT_LIVED = ("HEARTBEAT", "PERIODIC_STATS")
SHORT_LIFE = timedelta(days=7)
LONG_LIFE = timedelta(days=90)
PRUNED_AT_ONCE = 3000


class BotState(StrEnum):
    """How it stands with a watched bot, by when its messages arrived."""

    UNKNOWN = "UNKNOWN"
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedBot:
    """A bot that runs elsewhere, as its messages left it; `user_id` is None before there is an admin."""

    id: int
    user_id: int | None
    prefix: str
    name: str
    state: BotState = BotState.UNKNOWN
    last_heartbeat_at: datetime | None = None
    last_message_at: datetime | None = None
    offline_since: datetime | None = None
    started_at: datetime | None = None
    heartbeat: Json | None = None
    balance: Json | None = None
    session: Json | None = None
    messages: int = 0
    bad_messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One message as it is kept."""

    watched_bot_id: int
    topic: str
    kind: str
    payload: bytes
    payload_bytes: int
    understood: str | None
    problem: str | None
    is_retained: bool
    sent_at: datetime | None
    received_at: datetime
    identity: bytes
    is_unique: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRow:
    """A balance at a moment."""

    watched_bot_id: int
    at: datetime
    balance: Decimal | None = None
    equity: Decimal | None = None
    available: Decimal | None = None
    locked: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    total_pnl: Decimal | None = None
    reason: str | None = None


_NAMES = tuple(field.name for field in fields(WatchedBot))
_COLUMNS = ", ".join(f"watched_bots.{name}" for name in _NAMES)


def _bot(row: Row) -> WatchedBot:
    return WatchedBot(**{**row, "state": BotState(row["state"])})


def ensure_default(transaction: Transaction, prefix: str) -> None:
    """See that the prefix of the settings is watched, and by its own row alone as the default.

    The bot belongs to the first admin, or to nobody as long as there is none. The same goes for a
    bot that was the default while there was none.
    """
    admin = transaction.value("SELECT min(id) FROM users WHERE role = 'admin' AND is_active")
    transaction.execute(
        "UPDATE watched_bots SET is_default = false WHERE is_default AND prefix <> %s", (prefix,)
    )
    transaction.execute(
        """
        INSERT INTO watched_bots (user_id, prefix, name, is_default) VALUES (%s, %s, %s, true)
        ON CONFLICT (prefix) DO UPDATE
           SET is_default = true WHERE NOT watched_bots.is_default
        """,
        (admin, prefix, prefix.strip("/") or prefix),
    )
    if admin is not None:
        transaction.execute("UPDATE watched_bots SET user_id = %s WHERE user_id IS NULL", (admin,))


def watched_prefixes(transaction: Transaction) -> dict[str, int]:
    """Return the id of each watched bot by its prefix."""
    rows = transaction.all(prepared("SELECT id, prefix FROM watched_bots"))
    return {row["prefix"]: row["id"] for row in rows}


def lock_bots(transaction: Transaction, ids: Iterable[int]) -> dict[int, WatchedBot]:
    """Return those of the bots that there still are; nobody else changes them until the transaction ends."""
    rows = transaction.all(_LOCK, (sorted(set(ids)),))
    return {row["id"]: _bot(row) for row in rows}


_LOCK = prepared(
    f"SELECT {_COLUMNS} FROM watched_bots WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", "bigint[]"
)


def known(
    transaction: Transaction,
    events: Sequence[EventRow],
    connected_at: Sequence[datetime],
    again: Sequence[bool],
) -> set[tuple[int, bytes, bool]]:
    """Return bot, identity and whether it is retained of those events, not unique, that may have come before.

    A retained one did if it is stored at all; any other if it arrived live before its connection
    began, in the hour before it. One that the broker says it sends `again` may have come in the last
    hour in which we heard anything, however long ago that was.
    """
    asked = _columns(events, "watched_bot_id", "identity", "received_at", "is_retained")
    rows = transaction.all(_KNOWN, (*asked, list(connected_at), list(again)))
    return {(row["watched_bot_id"], bytes(row["identity"]), row["retained"]) for row in rows}


_KNOWN = prepared(
    f"""
    WITH asked AS (
        SELECT * FROM unnest(%s, %s, %s, %s, %s, %s)
                   AS asked (watched_bot_id, identity, at, retained, connected_at, again)
    ), heard AS (
        SELECT connected_at, (SELECT max(received_at) FROM watched_events WHERE received_at < connected_at) AS last
          FROM (SELECT DISTINCT connected_at FROM asked) AS connections
    )
    SELECT DISTINCT watched_bot_id, identity, retained
      FROM asked JOIN heard USING (connected_at) JOIN watched_events USING (watched_bot_id, identity)
     WHERE NOT is_unique
       AND (retained OR (NOT is_retained AND received_at < connected_at
                         AND received_at > CASE WHEN again THEN last ELSE at END - interval '{REMEMBERED_HOURS} h'))
    """,
    "bigint[], bytea[], timestamptz[], boolean[], timestamptz[], boolean[]",
)


def stored_arrivals(transaction: Transaction, events: Sequence[EventRow]) -> set[tuple[int, bytes, datetime]]:
    """Return which of these very arrivals are stored, after a commit whose answer did not come."""
    rows = transaction.all(
        """
        SELECT watched_bot_id, identity, received_at
          FROM unnest(%s::bigint[], %s::bytea[], %s::timestamptz[]) AS asked (watched_bot_id, identity, received_at)
          JOIN watched_events USING (watched_bot_id, identity, received_at)
         WHERE NOT is_unique
        """,
        _columns(events, "watched_bot_id", "identity", "received_at"),
    )
    return {(row["watched_bot_id"], bytes(row["identity"]), row["received_at"]) for row in rows}


def insert_events(transaction: Transaction, events: Sequence[EventRow]) -> dict[Identified, bool]:
    """Store messages and return those that are new by their identity.

    True stands for a message that was known as a retained copy only and now came live. No two of
    them may be unique and have one identity.
    """
    rows = transaction.all(_INSERT_EVENTS, _columns(events, *_EVENT_TYPES))
    return {(row["watched_bot_id"], bytes(row["identity"])): row["was_known"] for row in rows}


_EVENT_TYPES = {
    "watched_bot_id": "bigint[]",
    "topic": "text[]",
    "kind": "text[]",
    "payload": "bytea[]",
    "payload_bytes": "integer[]",
    "understood": "jsonb[]",
    "problem": "text[]",
    "is_retained": "boolean[]",
    "sent_at": "timestamptz[]",
    "received_at": "timestamptz[]",
    "identity": "bytea[]",
    "is_unique": "boolean[]",
}


def _insert(table: str, types: dict[str, str], more: str = "") -> Prepared:
    return prepared(
        f"INSERT INTO {table} ({', '.join(types)}) SELECT {_cast(types)} FROM {_given(types)} {more}",
        _sent_as(types),
    )


def _given(types: dict[str, str]) -> str:
    return f"unnest({', '.join(['%s'] * len(types))}) AS given ({', '.join(types)})"


def _cast(types: dict[str, str]) -> str:
    return ", ".join(f"given.{name}::{each.removesuffix('[]')}" for name, each in types.items())


def _sent_as(types: dict[str, str]) -> str:
    return ", ".join(types.values()).replace("jsonb", "text")


_INSERT_EVENTS = _insert(
    "watched_events",
    _EVENT_TYPES,
    """
    ON CONFLICT (watched_bot_id, identity) WHERE is_unique DO UPDATE SET is_retained = false
     WHERE watched_events.is_retained AND NOT excluded.is_retained
    RETURNING watched_bot_id, identity, xmax <> 0 AS was_known
    """,
)


def insert_balances(transaction: Transaction, balances: Sequence[BalanceRow]) -> None:
    """Keep balances for the curve."""
    if balances:
        transaction.execute(_INSERT_BALANCES, _columns(balances, *_BALANCE_TYPES))


_BALANCE_TYPES = {
    "watched_bot_id": "bigint[]",
    "at": "timestamptz[]",
    "balance": "numeric[]",
    "equity": "numeric[]",
    "available": "numeric[]",
    "locked": "numeric[]",
    "unrealized_pnl": "numeric[]",
    "total_pnl": "numeric[]",
    "reason": "text[]",
}
_INSERT_BALANCES = _insert("watched_balances", _BALANCE_TYPES)


def update_bots(transaction: Transaction, bots: Sequence[WatchedBot]) -> None:
    """Write how messages left bots that are locked."""
    if bots:
        transaction.execute(_UPDATE_BOTS, _columns(bots, "id", *_BOT_TYPES))


_BOT_TYPES = {
    "state": "text[]",
    "last_heartbeat_at": "timestamptz[]",
    "last_message_at": "timestamptz[]",
    "offline_since": "timestamptz[]",
    "started_at": "timestamptz[]",
    "heartbeat": "jsonb[]",
    "balance": "jsonb[]",
    "session": "jsonb[]",
    "messages": "bigint[]",
    "bad_messages": "bigint[]",
}
_UPDATE_BOTS = prepared(
    f"""
    UPDATE watched_bots SET ({", ".join(_BOT_TYPES)}) = ROW ({_cast(_BOT_TYPES)})
      FROM {_given({"id": "bigint[]", **_BOT_TYPES})} WHERE watched_bots.id = given.id
    """,
    _sent_as({"id": "bigint[]", **_BOT_TYPES}),
)


def lock_online(transaction: Transaction) -> list[WatchedBot]:
    """Return the bots that count as online, locked until the transaction ends."""
    return [_bot(row) for row in transaction.all(_ONLINE)]


_ONLINE = prepared(
    f"SELECT {_COLUMNS} FROM watched_bots WHERE state = 'ONLINE' ORDER BY id FOR NO KEY UPDATE"
)


def put_offline(transaction: Transaction, since: dict[int, datetime]) -> None:
    """Note bots as away since their last sign of life."""
    if since:
        transaction.execute(
            """
            UPDATE watched_bots SET state = 'OFFLINE', offline_since = given.at
              FROM unnest(%s::bigint[], %s::timestamptz[]) AS given (id, at) WHERE watched_bots.id = given.id
            """,
            (list(since), list(since.values())),
        )


def prune(transaction: Transaction, now: datetime) -> int:
    """Delete some of the messages that are too old, the oldest first, and return how many.

    What comes many times an hour is kept for a week, the rest for ninety days.
    """
    short = sum(
        transaction.execute(
            """
            DELETE FROM watched_events WHERE id IN (
                SELECT id FROM (
                    SELECT id, received_at FROM watched_events
                     WHERE watched_bot_id = %s AND kind = %s ORDER BY id LIMIT %s
                ) AS oldest WHERE received_at < %s
            )
            """,
            (bot_id, kind, PRUNED_AT_ONCE, now - SHORT_LIFE),
        )
        for bot_id in watched_prefixes(transaction).values()
        for kind in SHORT_LIVED
    )
    return short + transaction.execute(
        """
        DELETE FROM watched_events WHERE id IN (
            SELECT id FROM watched_events WHERE received_at < %s ORDER BY received_at LIMIT %s
        )
        """,
        (now - LONG_LIFE, PRUNED_AT_ONCE),
    )


def _columns(rows: Sequence[Any], *names: str) -> tuple[list[Any], ...]:
    return tuple([_plain(value) for value in map(attrgetter(name), rows)] for name in names)


def _plain(value: Any) -> Any:
    # A dictionary is sent as the text of its JSON, which the array's type makes JSON again
    return json.dumps(value) if isinstance(value, dict) else value
