"""Token buckets that all processes on all machines share."""

from datetime import datetime, timedelta

from database.pool import Transaction


def take(transaction: Transaction, name: str, *, calls: int, within: timedelta, now: datetime) -> float:
    """Take one of the calls allowed within a time; return 0.0, or the seconds until there is one to take.

    The bucket begins full and fills evenly. Whoever takes holds its row until the transaction ends.
    """
    per_second = calls / within.total_seconds()
    transaction.execute(
        "INSERT INTO rate_allowances (name, tokens, counted_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (name, calls, now),
    )
    row = transaction.one(
        "SELECT tokens, counted_at FROM rate_allowances WHERE name = %s FOR UPDATE", (name,)
    )
    waited = max((now - row["counted_at"]).total_seconds(), 0.0)
    tokens = min(row["tokens"] + waited * per_second, calls)
    if tokens < 1:
        return float((1 - tokens) / per_second)
    transaction.execute(
        "UPDATE rate_allowances SET tokens = %s, counted_at = greatest(counted_at, %s) WHERE name = %s",
        (tokens - 1, now, name),
    )
    return 0.0
