"""Scans: each time at which bars closed is looked at by one process, the one that has its row.

A claim that ended in a failure, or in nothing, is taken over after five minutes; one to which bars came late for as
long as they may still come. `started_at` tells a claim from the one before it, so that a process that lost its
claim writes nothing into the next one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from database.notifications import NotificationKind, notify
from database.pool import Row, Transaction

# A scan that lives is never taken over
LIMIT_SECONDS = 240
TAKEN_OVER_AFTER = timedelta(minutes=5)
LATE_BARS_MAY_COME = timedelta(hours=1)
TOLD_AFTER = 3
LOOKED_BACK = timedelta(days=1)
OUTAGE = "reversal scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One scan in the care of one process."""

    id: int
    due_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a scan came to: pairs and timeframes looked at, scores made, people told, and the model's time.

    `late` is how many bars had not come though their market traded.
    """

    pairs: int
    scores: int
    notifications: int
    model_ms: Decimal | None
    late: int = 0


def claim(
    transaction: Transaction, due_at: datetime, timeframes: Sequence[str], now: datetime
) -> Claim | None:
    """Take a scan; None where it is another's, or done, or was looked at within the last five minutes.

    One that was done before its bars closed, by a clock that was ahead, is not done.
    """
    row = transaction.maybe(
        """
        INSERT INTO scans AS scan (due_at, started_at, timeframes) VALUES (%(due)s, %(now)s, %(timeframes)s)
        ON CONFLICT (due_at) DO UPDATE
           SET started_at = excluded.started_at, timeframes = excluded.timeframes, finished_at = NULL,
               attempts = scan.attempts + 1, noted_at = excluded.noted_at
         WHERE (scan.finished_at IS NULL OR scan.failure IS NOT NULL
                OR (scan.late > 0 AND scan.due_at >= %(hopeless)s)) AND scan.started_at <= %(stale)s
            OR (scan.finished_at IS NOT NULL AND scan.noted_at < scan.due_at AND excluded.noted_at >= scan.due_at)
        RETURNING id, due_at, started_at
        """,
        {"due": due_at, "now": now, "timeframes": list(timeframes)}
        | {"stale": now - TAKEN_OVER_AFTER, "hopeless": now - LATE_BARS_MAY_COME},
    )
    return None if row is None else Claim(**row)


def claimed(transaction: Transaction, due_at: datetime) -> Claim | None:
    """Return the claim of a scan as it stands; None where nobody began it."""
    row = transaction.maybe("SELECT id, due_at, started_at FROM scans WHERE due_at = %s", (due_at,))
    return None if row is None else Claim(**row)


def finish(transaction: Transaction, claim: Claim, looked: Looked, now: datetime) -> bool:
    """Write down what a scan came to; tell whether the claim was still ours."""
    return (
        transaction.execute(
            """
            UPDATE scans SET finished_at = %s, pairs = %s, scores = %s, late = %s,
                   notifications = coalesce(notifications, 0) + %s, model_ms = coalesce(%s, model_ms), failure = NULL
             WHERE id = %s AND started_at = %s
            """,
            (
                now,
                looked.pairs,
                looked.scores,
                looked.late,
                looked.notifications,
                looked.model_ms,
                claim.id,
                claim.started_at,
            ),
        )
        == 1
    )


def fail(transaction: Transaction, claim: Claim, words: str, now: datetime) -> bool:
    """Write down why a scan came to nothing, where nobody did yet; tell whether it was done now."""
    return (
        transaction.execute(
            """
            UPDATE scans SET finished_at = %s, failure = %s
             WHERE id = %s AND started_at = %s AND finished_at IS NULL
            """,
            (now, words[:2000], claim.id, claim.started_at),
        )
        == 1
    )


def release(transaction: Transaction, claim: Claim) -> None:
    """Give a scan back that was not finished, so that another process takes it at once."""
    transaction.execute(
        """
        UPDATE scans SET started_at = started_at - %s
         WHERE id = %s AND started_at = %s AND finished_at IS NULL
        """,
        (TAKEN_OVER_AFTER, claim.id, claim.started_at),
    )


def tell_of_failures(transaction: Transaction, now: datetime) -> None:
    """Tell the operator once that scans fail one after the other, and once that they work again.

    A scan that nobody wanted anything of says nothing either way.
    """
    row = transaction.one(
        """
        WITH worked AS (SELECT max(due_at) AS due_at FROM scans
                         WHERE failure IS NULL AND pairs > 0 AND due_at <= %(now)s)
        SELECT coalesce(sum(attempts), 0) AS attempts, min(started_at) AS since,
               (array_agg(failure ORDER BY scans.due_at DESC))[1] AS failure
          FROM scans CROSS JOIN worked
         WHERE failure IS NOT NULL AND scans.due_at > %(since)s AND scans.due_at <= %(now)s
           AND scans.due_at > coalesce(worked.due_at, '-infinity')
        """,
        {"now": now, "since": now - LOOKED_BACK},
    )
    if row["attempts"] >= TOLD_AFTER:
        _tell_once(transaction, row, now)
    elif row["attempts"] == 0:
        _tell_of_the_end(transaction, now)


def newest(transaction: Transaction) -> Row | None:
    """Return the scan that was due last: `due_at`, `started_at`, `finished_at` and `failure`."""
    return transaction.maybe(
        """
        SELECT due_at, started_at, finished_at, failure FROM scans WHERE due_at <= now() ORDER BY due_at DESC LIMIT 1
        """
    )


def _tell_once(transaction: Transaction, row: Row, now: datetime) -> None:
    is_new = transaction.execute(
        "INSERT INTO part_outages (part, since, told_at) VALUES (%s, %s, %s) ON CONFLICT (part) DO NOTHING",
        (OUTAGE, row["since"], now),
    )
    if is_new:
        sentence = f"{row['attempts']} scans failed one after the other, so nobody is told of reversals now."
        sentence += f" The newest: {row['failure']}"
        notify(transaction, None, NotificationKind.PART_DOWN, part=OUTAGE, sentence=sentence)


def _tell_of_the_end(transaction: Transaction, now: datetime) -> None:
    since = transaction.value("DELETE FROM part_outages WHERE part = %s RETURNING since", (OUTAGE,))
    if since is not None:
        minutes = int((now - since).total_seconds() // 60)
        sentence = f"Scans work again. They failed for {minutes} min."
        notify(transaction, None, NotificationKind.PART_BACK, part=OUTAGE, sentence=sentence)
