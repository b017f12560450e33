"""Duties of the reversal watch that one process at a time does, on whatever machine."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum

import psycopg2

from database.pool import Database

DUTY_LOCKS = 10


class Duty(IntEnum):
    """What only one process does at a time."""

    FOLLOW_TRADES = 1
    CLOSE_THE_DAY = 2
    RETRAIN = 3


@contextmanager
def alone(database: Database, duty: Duty) -> Iterator[bool]:
    """Give True to the one process that does a duty now; losing the database frees the duty."""
    with database.session() as session:
        with session.autocommit() as transaction:
            is_ours = transaction.value("SELECT pg_try_advisory_lock(%s, %s)", (DUTY_LOCKS, duty))
        try:
            yield bool(is_ours)
        finally:
            # A connection that just broke has let go of the lock by itself.
            with (
                suppress(psycopg2.OperationalError, psycopg2.InterfaceError),
                session.autocommit() as transaction,
            ):
                transaction.execute("SELECT pg_advisory_unlock(%s, %s) WHERE %s", (DUTY_LOCKS, duty, is_ours))
