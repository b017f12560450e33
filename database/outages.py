"""Parts of DashTrade that died: noticed once, and once more when they are back."""

from datetime import datetime, timedelta

from database.pool import Row, Transaction

SILENT_AFTER = timedelta(seconds=30)
ALIVE_WITHIN = timedelta(seconds=15)


def parts_gone(transaction: Transaction, now: datetime) -> list[Row]:
    """Note the parts of which no process beats any more, and return `part` and `since` of the new ones.

    A part that stopped cleanly took its heartbeat back and is not among them.
    """
    return transaction.all(
        """
        INSERT INTO part_outages (part, since, told_at)
        SELECT part, max(beat_at), %(now)s FROM heartbeats GROUP BY part HAVING max(beat_at) < %(silent)s
        ON CONFLICT (part) DO NOTHING RETURNING part, since
        """,
        {"now": now, "silent": now - SILENT_AFTER},
    )


def parts_back(transaction: Transaction, now: datetime) -> list[Row]:
    """Forget the outages of parts that beat again, and return `part` and `since` of each."""
    return transaction.all(
        """
        DELETE FROM part_outages AS outage
         WHERE EXISTS (SELECT FROM heartbeats WHERE part = outage.part AND beat_at > %s)
        RETURNING part, since
        """,
        (now - ALIVE_WITHIN,),
    )
