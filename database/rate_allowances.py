"""Allowances of calls that all processes on all machines share."""

from datetime import datetime, timedelta

from database.pool import Transaction

# Clocks of machines that work together differ by less
LEAST_AHEAD = timedelta(minutes=1)


def take(transaction: Transaction, name: str, *, calls: int, within: timedelta, now: datetime) -> float:
    """Take one of the calls allowed within a time; return 0.0, or the seconds until there is one to take.

    However they fall, never more than `calls` are taken within any such time: a bucket that refills evenly would
    give nearly twice as many after a rest. Whoever takes holds the row until the transaction ends. A call that
    lies far ahead was noted by a clock that is wrong: it does not count.
    """
    transaction.execute("INSERT INTO rate_allowances (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    row = transaction.one("SELECT taken FROM rate_allowances WHERE name = %s FOR UPDATE", (name,))
    furthest = now + max(within, LEAST_AHEAD)
    taken = sorted(each for each in row["taken"] if each <= furthest)[-calls:]
    if len(taken) == calls and (wait := (taken[0] + within - now).total_seconds()) > 0:
        return float(wait)
    transaction.execute(
        "UPDATE rate_allowances SET taken = %s::timestamptz[] WHERE name = %s", ([*taken, now][-calls:], name)
    )
    return 0.0
