"""The inbox: what came in, whose it is, which number it has in its lane, and whether it came before."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg2.extras import Json

from core.instrument import AssetClass
from core.matching import Candidate
from core.plan import Refusal
from core.signal import Signal
from core.signal_json import to_json
from database.bells import CHANNEL
from database.pool import Row, Transaction
from database.prepared import prepared
from database.tokens import NOTED_EVERY

# TradingView's last resend comes within 24 s.
COPY_WINDOW = timedelta(seconds=30)
# Later than this TradingView has hung up; an answer of 503 makes it send again.
_PATIENCE = "SET LOCAL statement_timeout = 2500;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sent a signal, proved by a token or a service's key; `connection_id` narrows it to one connection.

    `signal_channel_id` is the registration through which a message came. `stale` says that the use of the
    token is to be noted.
    """

    user_id: int
    source: str
    token_id: int | None = None
    service_key_id: int | None = None
    connection_id: int | None = None
    signal_channel_id: int | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One body as it came and when; `message_id` is a service's own name for it."""

    body: bytes
    received_at: datetime
    message_id: str | None = None

    @property
    def body_hash(self) -> bytes:
        """Return the SHA-256 of the raw body."""
        return hashlib.sha256(self.body).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The signal's row: a new one, or where `is_copy` the first one of the same."""

    id: int
    uuid: UUID
    is_copy: bool


_BOTS = """
    SELECT bots.id, bots.user_id, bots.name, bots.symbol, bots.symbol_key, bots.timeframe, bots.lane_id,
           bots.connection_id, bots.source, lanes.asset_class, connections.label AS connection,
           connections.broker
      FROM user_bot_configs AS bots
      JOIN lanes ON lanes.id = bots.lane_id
      JOIN user_api_keys AS connections ON connections.id = bots.connection_id
     WHERE bots.archived_at IS NULL
"""


_LOOK_UP = prepared(
    f"""
    SELECT tokens.id AS token_id, tokens.user_id AS owner_id, tokens.connection_id AS bound_to,
           coalesce(tokens.last_used_at < %(stale)s, true) AS stale, bots.*
      FROM user_webhook_tokens AS tokens
      JOIN users ON users.id = tokens.user_id AND users.is_active
      LEFT JOIN ({_BOTS}) AS bots
        ON bots.user_id = tokens.user_id AND bots.symbol_key = %(symbol)s AND bots.source = %(source)s
       AND (tokens.connection_id IS NULL OR tokens.connection_id = bots.connection_id)
     WHERE tokens.token_hash = %(hash)s AND tokens.is_active
    """,
    before=_PATIENCE,
    hash="bytea",
    symbol="text",
    source="text",
    stale="timestamptz",
)


def sender_and_bots(
    transaction: Transaction, token_hash: bytes, symbol_key: str | None, *, source: str, now: datetime
) -> tuple[Sender | None, list[Candidate]]:
    """Return whom a webhook token belongs to and their bots on a symbol; None where it is not valid.

    One statement, so that a revoked token is refused from that moment on and the way stays short.
    """
    rows = transaction.all(
        _LOOK_UP,
        {"hash": token_hash, "symbol": symbol_key, "source": source, "stale": now - NOTED_EVERY},
    )
    if not rows:
        return None, []
    first = rows[0]
    sender = Sender(
        user_id=first["owner_id"],
        source=source,
        token_id=first["token_id"],
        connection_id=first["bound_to"],
        stale=first["stale"],
    )
    return sender, [_candidate(row) for row in rows if row["id"] is not None]


def bots_open_to(transaction: Transaction, sender: Sender, symbol_key: str | None = None) -> list[Candidate]:
    """Return the bots that a sender can reach, on one symbol or on all, oldest first."""
    rows = transaction.all(
        f"""
        {_PATIENCE} {_BOTS} AND bots.user_id = %(user)s AND bots.source = %(source)s
            AND (%(connection)s::bigint IS NULL OR bots.connection_id = %(connection)s)
            AND (%(symbol)s::text IS NULL OR bots.symbol_key = %(symbol)s) ORDER BY bots.id
        """,
        {
            "user": sender.user_id,
            "source": sender.source,
            "connection": sender.connection_id,
            "symbol": symbol_key,
        },
    )
    return [_candidate(row) for row in rows]


def store(
    transaction: Transaction, sender: Sender, arrival: Arrival, signal: Signal, bot: Candidate
) -> Stored:
    """Give a signal its number in the lane, store it and ring; or return the first one if this is a copy.

    The lane's row stays locked until the commit, so numbers follow the order of commits; the advisory
    lock makes copies of one message wait for each other even where they are for different lanes.
    A copy: the same body for the same bot, (a) within a sliding 30 s of the last copy and with no other
    signal for that bot in between, or (b) with a sender's id, and either a sending time or again no
    other signal in between. A service's message id names its message for good, whatever the body.
    """
    store = _STORE_BODY if arrival.message_id is None else _STORE_MESSAGE
    row = transaction.one(
        store,
        {
            **_columns(sender, arrival),
            "lock": _lock_number(sender, arrival),
            "has_id": signal.sender_id is not None,
            "has_time": signal.sent_at is not None,
            "oldest": arrival.received_at - COPY_WINDOW,
            "sender_id": arrival.message_id or signal.sender_id,
            "understood": Json(to_json(signal)),
            "sent_at": signal.sent_at,
            "bot": bot.id,
            "lane": bot.lane_id,
        },
    )
    return Stored(id=row["id"], uuid=row["uuid"], is_copy=row["is_copy"])


def store_refusal(
    transaction: Transaction, sender: Sender, arrival: Arrival, signal: Signal | None, refusal: Refusal
) -> UUID:
    """Keep what was refused and why; it has no lane and will never trade."""
    return UUID(
        str(
            transaction.value(
                """
                INSERT INTO signals (user_id, source, token_id, service_key_id, signal_channel_id, body_hash,
                                     sender_id, body, understood, state, code, sentence, sent_at, received_at,
                                     finished_at)
                VALUES (%(user)s, %(source)s, %(token)s, %(service_key)s, %(channel)s, %(hash)s,
                        %(sender_id)s, %(body)s, %(understood)s, 'REFUSED', %(code)s, %(sentence)s, %(sent_at)s,
                        %(now)s, clock_timestamp())
                RETURNING uuid
                """,
                {
                    **_columns(sender, arrival),
                    "sender_id": arrival.message_id or (signal.sender_id if signal else None),
                    "understood": Json(to_json(signal)) if signal else None,
                    "sent_at": signal.sent_at if signal else None,
                    "code": refusal.code,
                    "sentence": refusal.sentence,
                },
            )
        )
    )


def first_of_message(transaction: Transaction, sender: Sender, arrival: Arrival) -> Row | None:
    """Return what is stored of a channel's message, refused or not, and let nobody else store it meanwhile.

    Columns: id, uuid, number (None of a refused one), code, sentence.
    """
    transaction.execute("SELECT pg_advisory_xact_lock(%s)", (_lock_number(sender, arrival),))
    return transaction.maybe(
        """
        SELECT id, uuid, number, code, sentence FROM signals
         WHERE signal_channel_id = %s AND sender_id = %s
        """,
        (sender.signal_channel_id, arrival.message_id),
    )


def sender_ids(transaction: Transaction, bot_ids: Sequence[int], ids: Sequence[str]) -> set[str]:
    """Return which of the senders' ids the bots have a signal of already."""
    rows = transaction.all(
        """
        SELECT sender_id FROM unnest(%s::bigint[], %s::text[]) AS asked (bot, sender)
          JOIN user_bot_configs AS bots ON bots.id = asked.bot
          JOIN signals ON signals.user_id = bots.user_id AND signals.sender_id = asked.sender
                      AND signals.bot_config_id = asked.bot
        """,
        (list(bot_ids), list(ids)),
    )
    return {row["sender_id"] for row in rows}


def count_copy(transaction: Transaction, signal_id: int, now: datetime) -> None:
    """Count a copy of a signal and let its window slide.

    In a transaction of its own: the engine locks a signal before its lane, storing locks the lane.
    """
    transaction.execute(
        """
        UPDATE signals SET duplicates = duplicates + 1, last_copy_at = greatest(last_copy_at, %s)
         WHERE id = %s
        """,
        (now, signal_id),
    )


def outcome_of(transaction: Transaction, uuid: UUID) -> Row | None:
    """Return state, code and sentence of a signal that came to its end, None while it is under way."""
    return transaction.maybe(
        "SELECT state, code, sentence FROM signals WHERE uuid = %s AND finished_at IS NOT NULL", (uuid,)
    )


def waiting(transaction: Transaction) -> Row:
    """Return how many signals are not decided and plans not finished, and the age of the oldest in seconds."""
    return transaction.one(
        """
        SELECT * FROM
            (SELECT count(*) AS signals,
                    coalesce(extract(epoch FROM now() - min(stored_at))::float, 0) AS oldest_signal_seconds
               FROM signals WHERE state = 'STORED') AS signals,
            (SELECT count(*) AS plans,
                    coalesce(extract(epoch FROM now() - min(created_at))::float, 0) AS oldest_plan_seconds
               FROM plans WHERE finished_at IS NULL) AS plans
        """
    )


def _columns(sender: Sender, arrival: Arrival) -> dict[str, Any]:
    return {
        "user": sender.user_id,
        "source": sender.source,
        "token": sender.token_id,
        "service_key": sender.service_key_id,
        "channel": sender.signal_channel_id,
        "hash": arrival.body_hash,
        "body": arrival.body,
        "now": arrival.received_at,
    }


def _lock_number(sender: Sender, arrival: Arrival) -> int:
    name = arrival.message_id.encode() if arrival.message_id is not None else arrival.body_hash
    digest = hashlib.sha256(b"%d %s" % (sender.user_id, name)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _candidate(row: Mapping[str, Any]) -> Candidate:
    return Candidate(
        id=row["id"],
        name=row["name"],
        symbol=row["symbol"],
        symbol_key=row["symbol_key"],
        timeframe=row["timeframe"],
        lane_id=row["lane_id"],
        asset_class=AssetClass(row["asset_class"]),
        connection=row["connection"],
        broker=row["broker"],
    )


# Only accepted signals have a number, and only they count: a refused one may be sent again.
_FIRST_OF_BODY = """
    SELECT id, uuid FROM
        (SELECT * FROM signals
          WHERE user_id = %(user)s AND body_hash = %(hash)s AND bot_config_id = %(bot)s
            AND number IS NOT NULL ORDER BY id DESC LIMIT 1) AS newest
     WHERE (%(has_id)s AND %(has_time)s)
        OR ((%(has_id)s OR coalesce(last_copy_at, received_at) >= %(oldest)s)
            AND NOT EXISTS (SELECT FROM signals AS others
                             WHERE others.bot_config_id = newest.bot_config_id AND others.id > newest.id
                               AND others.number IS NOT NULL))
"""
_FIRST_OF_MESSAGE = """
    SELECT id, uuid FROM signals
     WHERE service_key_id = %(service_key)s AND sender_id = %(sender_id)s AND user_id = %(user)s
       AND number IS NOT NULL ORDER BY id LIMIT 1
"""
# Three statements in one round trip; each sees what was committed before it began, so the last one sees
# every copy and every other signal of the lane.
_LOCKS = """
    SELECT pg_advisory_xact_lock(%(lock)s);
    SELECT id FROM lanes WHERE id = %(lane)s FOR NO KEY UPDATE;
"""
_STORE = f"""
    WITH first AS ({{first}}),
    numbered AS (
        UPDATE lanes SET last_number = last_number + 1, bells = bells + 1
         WHERE id = %(lane)s AND NOT EXISTS (SELECT FROM first) RETURNING last_number, connection_id
    ),
    stored AS (
        INSERT INTO signals (user_id, lane_id, number, source, token_id, service_key_id, signal_channel_id,
                             body_hash, sender_id, body, understood, bot_config_id, state, sent_at, received_at)
        SELECT %(user)s, %(lane)s, last_number, %(source)s, %(token)s, %(service_key)s, %(channel)s,
               %(hash)s, %(sender_id)s, %(body)s, %(understood)s, %(bot)s, 'STORED', %(sent_at)s, %(now)s
          FROM numbered RETURNING id, uuid
    ),
    rung AS (SELECT pg_notify('{CHANNEL}', %(lane)s || ' ' || connection_id) FROM numbered)
    SELECT id, uuid, false AS is_copy FROM stored CROSS JOIN rung
    UNION ALL SELECT id, uuid, true FROM first
"""
_TYPES = {
    "user": "bigint",
    "source": "text",
    "token": "bigint",
    "service_key": "bigint",
    "channel": "bigint",
    "hash": "bytea",
    "body": "bytea",
    "now": "timestamptz",
    "has_id": "boolean",
    "has_time": "boolean",
    "oldest": "timestamptz",
    "sender_id": "text",
    "understood": "jsonb",
    "sent_at": "timestamptz",
    "bot": "bigint",
    "lane": "bigint",
}
_STORE_BODY = prepared(_STORE.format(first=_FIRST_OF_BODY), before=_LOCKS, **_TYPES)
_STORE_MESSAGE = prepared(_STORE.format(first=_FIRST_OF_MESSAGE), before=_LOCKS, **_TYPES)
