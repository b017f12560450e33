"""Heartbeats of the parts, and what went wrong in a loop."""

from datetime import datetime, timedelta

from database.pool import Row, Transaction

FORGET_AFTER = timedelta(days=1)


def beat(transaction: Transaction, part: str, process: str, now: datetime) -> None:
    """Note that a process of a part lives; those long silent are forgotten."""
    transaction.execute(
        """
        INSERT INTO heartbeats (part, process, beat_at) VALUES (%s, %s, %s)
        ON CONFLICT (part, process) DO UPDATE SET beat_at = excluded.beat_at
        """,
        (part, process, now),
    )
    transaction.execute("DELETE FROM heartbeats WHERE beat_at < %s", (now - FORGET_AFTER,))


def fall_silent(transaction: Transaction, part: str, process: str) -> None:
    """Take back the heartbeat of a process that stops cleanly."""
    transaction.execute("DELETE FROM heartbeats WHERE part = %s AND process = %s", (part, process))


def heartbeats(transaction: Transaction) -> list[Row]:
    """Return the newest heartbeat of each part and how many processes beat in the last 15 s."""
    return transaction.all(
        """
        SELECT part, max(beat_at) AS beat_at, count(*) FILTER (WHERE beat_at > now() - interval '15 s') AS alive
          FROM heartbeats GROUP BY part ORDER BY part
        """
    )


def clock(transaction: Transaction) -> datetime:
    """Return the database's time."""
    at: datetime = transaction.value("SELECT clock_timestamp()")
    return at


def note_fault(transaction: Transaction, subject: str, words: str, now: datetime) -> None:
    """Keep a failure of a loop beside how often it has happened."""
    transaction.execute(
        """
        INSERT INTO faults (subject, words, first_at, last_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (subject, words) DO UPDATE SET last_at = excluded.last_at, times = faults.times + 1
        """,
        (subject, words[:2000], now, now),
    )


def faults(transaction: Transaction, limit: int = 50) -> list[Row]:
    """Return the failures seen last."""
    return transaction.all("SELECT * FROM faults ORDER BY last_at DESC LIMIT %s", (limit,))
