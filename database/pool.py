"""Connections and transactions. The only place that opens a connection for our own tables."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from database.prepared import Prepared

Row = dict[str, Any]
Parameters = Mapping[str, Any] | Sequence[Any] | None

CHECK_AFTER_IDLE_SECONDS = 1.0
# The other side is asked after ten seconds without a word, and again every five.
SILENCE_SECONDS = 20
_FIRST_QUESTION, _NEXT_QUESTION, _QUESTIONS = 10, 5, 2

psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]


class Transaction:
    """Run statements inside one transaction; rows come back as dictionaries."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self.connection = connection

    def all(self, sql: str | Prepared, parameters: Parameters = None) -> list[Row]:
        """Return every row."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._text(sql), parameters)
            names = _names(cursor)
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def maybe(self, sql: str | Prepared, parameters: Parameters = None) -> Row | None:
        """Return the first row, or None where there is none."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._text(sql), parameters)
            row = cursor.fetchone()
            return None if row is None else dict(zip(_names(cursor), row, strict=True))

    def one(self, sql: str | Prepared, parameters: Parameters = None) -> Row:
        """Return the first row; raise LookupError where there is none."""
        row = self.maybe(sql, parameters)
        if row is None:
            raise LookupError("the query that must give a row gave none")
        return row

    def value(self, sql: str | Prepared, parameters: Parameters = None) -> Any:
        """Return the first column of the first row, or None where there is no row."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._text(sql), parameters)
            row = cursor.fetchone()
            return None if row is None else row[0]

    def each(self, sql: str, parameters: Parameters = None, *, at_once: int) -> Iterator[Row]:
        """Give every row, fetching `at_once` at a time; to be read inside the transaction."""
        with self.connection.cursor("each") as cursor:
            cursor.itersize = at_once
            cursor.execute(sql, parameters)
            for row in cursor:
                yield dict(zip(_names(cursor), row, strict=True))

    def execute(self, sql: str | Prepared, parameters: Parameters = None) -> int:
        """Run a statement and return how many rows it touched."""
        with self.connection.cursor() as cursor:
            cursor.execute(self._text(sql), parameters)
            return int(cursor.rowcount)

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Undo what is done inside where it fails; what was done before stays, and the transaction goes on."""
        self.execute("SAVEPOINT apart")
        try:
            yield
        except BaseException:
            if not self.connection.closed:
                self.execute("ROLLBACK TO SAVEPOINT apart")
            raise
        self.execute("RELEASE SAVEPOINT apart")

    def _text(self, sql: str | Prepared) -> str:
        return sql.on(self.connection) if isinstance(sql, Prepared) else sql


def _names(cursor: psycopg2.extensions.cursor) -> list[str]:
    return [column.name for column in cursor.description or ()]


class Session:
    """One connection kept for several transactions, so that session locks taken on it hold."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    @property
    def is_broken(self) -> bool:
        """Tell whether the connection is gone, and with it every lock taken on it."""
        return self._connection.closed != 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at a clean end, roll back at any other."""
        try:
            yield Transaction(self._connection)
            self._connection.commit()
        except BaseException:
            if not self._connection.closed:
                self._connection.rollback()
            raise

    @contextmanager
    def autocommit(self) -> Iterator[Transaction]:
        """Run statements that stand each alone: each sees what is committed by then, and is itself at once.

        It spares the two round trips of a transaction. What is decided on is read again, under a
        lock, by the transaction that decides.
        """
        self._connection.autocommit = True
        try:
            yield Transaction(self._connection)
        finally:
            if not self._connection.closed:
                self._connection.autocommit = False


class Database:
    """A bounded pool of PostgreSQL connections, safe to use from several threads.

    Nothing connects before the first use. A connection that was idle is tried before it is
    handed out, so that a restarted server costs at most the call that was under way. With a
    `patience`, in seconds, a statement that takes longer fails; else it waits for as long as it takes.
    A side that is gone without a word is noticed by the other within `patience`, else `SILENCE_SECONDS`.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int = 8,
        application_name: str = "dashtrade",
        connect_timeout: int = 5,
        patience: int | None = None,
    ) -> None:
        self.url = url
        self._patience = patience
        self._connect_timeout = connect_timeout
        self._name = application_name
        self._idle: queue.LifoQueue[tuple[float, psycopg2.extensions.connection]] = queue.LifoQueue()
        self._free = threading.BoundedSemaphore(size)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at a clean end, roll back at any other."""
        with self.session() as session, session.transaction() as transaction:
            yield transaction

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Lend one connection; a connection on which anything failed is not lent again."""
        with self._free:
            connection = self._take()
            try:
                yield Session(connection)
            except BaseException as error:
                if isinstance(error, psycopg2.Error):
                    connection.close()
                raise
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close every idle connection."""
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    def _take(self) -> psycopg2.extensions.connection:
        while not self._idle.empty():
            try:
                returned_at, connection = self._idle.get_nowait()
            except queue.Empty:
                break
            if time.monotonic() - returned_at < CHECK_AFTER_IDLE_SECONDS or _is_alive(connection):
                return connection
            connection.close()
        made = connect(
            self.url,
            application_name=self._name,
            connect_timeout=self._connect_timeout,
            patience=self._patience,
        )
        if self._patience is not None:
            _give_up_after(made, self._patience)
        return made

    def _give_back(self, connection: psycopg2.extensions.connection) -> None:
        if connection.closed:
            return
        if connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            connection.close()
            return
        self._idle.put((time.monotonic(), connection))


def connect(
    url: str, *, application_name: str, connect_timeout: int = 5, patience: int | None = None
) -> psycopg2.extensions.connection:
    """Return a new connection whose commits are durable and whose two sides notice when one is gone."""
    made: psycopg2.extensions.connection = psycopg2.connect(
        url,
        application_name=application_name,
        connect_timeout=connect_timeout,
        **_noticing_silence(url, patience),
    )
    with made.cursor() as cursor:
        cursor.execute(_SETTLED, {"first": _FIRST_QUESTION, "next": _NEXT_QUESTION, "questions": _QUESTIONS,
                                  "milliseconds": 1000 * SILENCE_SECONDS})  # fmt: skip
    made.commit()
    return made


# First: overrule a server that answers a commit before it is on disk, an answered signal must not be lost.
# Then: a machine that died or was cut off holds its locks until PostgreSQL notices, by default two hours.
# What the operator set, in the address or at the server, stays.
_SETTLED = """
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SELECT set_config(name, wanted, false)
      FROM (VALUES ('tcp_keepalives_idle', '%(first)s'), ('tcp_keepalives_interval', '%(next)s'),
                   ('tcp_keepalives_count', '%(questions)s'), ('tcp_user_timeout', '%(milliseconds)s'))
           AS ours (name, wanted) JOIN pg_settings USING (name) WHERE source = 'default'
"""


def _noticing_silence(url: str, patience: int | None) -> dict[str, Any]:
    """Return how this side notices that the server is gone; what the address says itself counts."""
    if patience is None:
        first, following, questions = _FIRST_QUESTION, _NEXT_QUESTION, _QUESTIONS
    else:
        first, following, questions = patience, patience, 1
    wanted = {
        "keepalives_idle": first,
        "keepalives_interval": following,
        "keepalives_count": questions,
        "tcp_user_timeout": 1000 * (SILENCE_SECONDS if patience is None else patience),
    }
    said = psycopg2.extensions.parse_dsn(url)
    return {name: value for name, value in wanted.items() if name not in said}


def _give_up_after(connection: psycopg2.extensions.connection, seconds: int) -> None:
    """Bound each statement, where the operator's own address does not."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('statement_timeout', %s, false) WHERE current_setting('statement_timeout') = '0'",
            (f"{seconds}s",),
        )
    connection.commit()


def _is_alive(connection: psycopg2.extensions.connection) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.rollback()
    except psycopg2.Error:
        return False
    return True
