"""Find out whether a pooler stands before PostgreSQL that breaks LISTEN and session locks."""

from contextlib import ExitStack, closing

import psycopg2
import psycopg2.extensions

PROBES = 4
PROBE_SECONDS = 5


class PoolerError(Exception):
    """Set DATABASE_URL to PostgreSQL itself, or to a pooler in session mode."""


def refuse_transaction_pooler(url: str) -> None:
    """Raise `PoolerError` where connections do not keep a server process of their own.

    A process that served one connection must serve no other while the first is open, and must still
    serve it afterwards. PgBouncer in transaction or statement mode lends it on between transactions,
    and with it our advisory locks, LISTEN and prepared statements.
    """
    with ExitStack() as stack:
        first = stack.enter_context(closing(_connect(url)))
        try:
            what = _found(url, first, stack)
        except psycopg2.OperationalError as error:
            what = str(error).strip()
    if what:
        raise PoolerError(
            f"DATABASE_URL leads through a pooler in transaction mode ({what})."
            " DashTrade needs LISTEN and session locks: use PostgreSQL's own address, or session mode."
        )


def _found(url: str, first: psycopg2.extensions.connection, stack: ExitStack) -> str | None:
    own = _process(first)
    first.rollback()
    # Each holds its transaction open, so that a pool must go on to its next process
    for _ in range(PROBES):
        if _process(stack.enter_context(closing(_connect(url)))) == own:
            return "it lent one connection's server process to another"
    return None if _process(first) == own else "a connection was given another server process"


def _connect(url: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(url, connect_timeout=PROBE_SECONDS)


def _process(connection: psycopg2.extensions.connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone() or (0,)
        return int(process)
