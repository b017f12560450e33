"""Look at the work that is under way: what waits for too long, and what nobody looks after."""

from collections.abc import Iterator

from administration.console import Console
from administration.finding import Finding
from database import inbox, standing
from database.pool import Row

LATE_SECONDS = 60
DOUBT_SECONDS = 120
READ_LOG = "read the worker's log"


def queue(console: Console) -> Iterator[Finding]:
    """Say how many signals and decisions wait, and whether one waits for too long."""
    with console.transaction() as transaction:
        waiting = inbox.waiting(transaction)
    words = f"{waiting['signals']} signals wait, {waiting['plans']} decisions are being carried out"
    if waiting["oldest_signal_seconds"] > LATE_SECONDS:
        late = f"{words}; the oldest signal came {waiting['oldest_signal_seconds']:.0f} s ago"
        yield Finding(subject="queue", words=late, mend=f"see that a worker runs, and {READ_LOG}")
    else:
        yield Finding(subject="queue", words=words)


def orders(console: Console) -> Iterator[Finding]:
    """Say whether there is an order of which nobody knows whether the broker has it."""
    (row,) = _standing(console, "dashtrade_order_doubt_oldest_seconds")
    if row["value"] > DOUBT_SECONDS:
        words = f"for {row['value']:.0f} s nobody has known whether a broker has an order"
        mend = "see whether the broker answers; it is looked up again and again, and never sent twice"
        yield Finding(subject="orders", words=words, mend=mend)
    else:
        yield Finding(subject="orders", words="none is in doubt")


def positions(console: Console) -> Iterator[Finding]:
    """Say whether every position with a stop or a target is looked at, and every account adds up."""
    unwatched = sum(row["value"] for row in _standing(console, "dashtrade_positions_unwatched"))
    (mismatched,) = _standing(console, "dashtrade_account_mismatches")
    if unwatched:
        words = f"nobody has looked at the stops of {unwatched} for a minute"
        mend = "see that the broker watch runs and the broker answers"
        yield Finding(subject="positions", words=words, mend=mend)
    else:
        yield Finding(subject="positions", words="all stops and targets are watched")
    if mismatched["value"]:
        words = f"{mismatched['value']} symbols of an account hold what no bot explains; entries on them stop"
        yield Finding(
            subject="accounts", words=words, mend="say whose it is: manage.py positions acknowledge"
        )


def _standing(console: Console, name: str) -> list[Row]:
    gauge = next(each for each in standing.GAUGES if each.name == name)
    with console.transaction() as transaction:
        return transaction.all(gauge.sql)
