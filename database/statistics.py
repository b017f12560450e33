"""Figures of the whole server, or of some users: how many signals came and what became of them."""

from collections.abc import Sequence
from typing import Any

from database.pool import Row, Transaction


def figures(transaction: Transaction, users: Sequence[int] | None = None) -> dict[str, Any]:
    """Return counts since the beginning and latencies in milliseconds of the last day.

    `users` None counts everybody's.
    """
    whose = {"users": None if users is None else list(users)}
    return {
        "signals": _counted(transaction, "SELECT state AS name FROM signals", whose),
        "not_traded": _counted(
            transaction,
            "SELECT code AS name FROM signals WHERE state IN ('REFUSED', 'SKIPPED', 'FAILED')",
            whose,
        ),
        "duplicates": transaction.value(
            f"SELECT coalesce(sum(duplicates), 0)::bigint FROM signals WHERE {_OF_USERS}", whose
        ),
        "trades": _counted(transaction, "SELECT status AS name FROM bot_trades", whose),
        "latency_ms": _latencies(transaction, whose),
    }


_OF_USERS = "(%(users)s::bigint[] IS NULL OR user_id = ANY(%(users)s))"


def _counted(transaction: Transaction, rows: str, whose: Row) -> dict[str, int]:
    joint = "AND" if "WHERE" in rows else "WHERE"
    sql = f"SELECT name, count(*) FROM ({rows} {joint} {_OF_USERS}) AS named GROUP BY name ORDER BY name"
    return {row["name"]: row["count"] for row in transaction.all(sql, whose)}


def _latencies(transaction: Transaction, whose: Row) -> Row:
    return transaction.one(
        f"""
        WITH spans AS (
            SELECT extract(epoch FROM stored_at - received_at) * 1000 AS stored,
                   extract(epoch FROM decided_at - received_at) * 1000 AS decided,
                   extract(epoch FROM finished_at - received_at) * 1000 AS finished
              FROM signals
             WHERE received_at > now() - interval '1 day' AND number IS NOT NULL AND {_OF_USERS}
        )
        SELECT count(*) AS signals,
               percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY stored)::float[] AS stored_p50_p99,
               percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY decided)::float[] AS decided_p50_p99,
               percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY finished)::float[] AS finished_p50_p99
          FROM spans
        """,
        whose,
    )
