"""Only the loss of the database is an outage; a statement that is wrong, slow or in a deadlock is not."""

import psycopg2
import pytest

from database.away import is_away
from database.embedded import free_port
from database.pool import Database, Session

CUT = "SELECT pg_terminate_backend(pg_backend_pid())"


def test_a_connection_that_is_cut_closed_or_refused_is_an_outage(database: Database) -> None:
    with pytest.raises(psycopg2.Error) as cut, database.transaction() as transaction:
        transaction.value(CUT)
    with database.session() as session, pytest.raises(psycopg2.Error) as closed:
        use_closed(session)
    with pytest.raises(psycopg2.Error) as refused, Database(nowhere()).transaction():
        pass
    assert [is_away(each.value) for each in (cut, closed, refused)] == [True, True, True]


def test_a_cursor_that_we_closed_ourselves_is_a_fault_of_ours(database: Database) -> None:
    with database.transaction() as transaction:
        cursor = transaction.connection.cursor()
        cursor.close()
        with pytest.raises(psycopg2.InterfaceError) as failed:
            cursor.execute("SELECT 1")
    assert not is_away(failed.value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing",
        "SELECT 1/0",
        "SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)",
        "DO $$ BEGIN RAISE deadlock_detected; END $$",
        "DO $$ BEGIN RAISE too_many_connections; END $$",
    ],
)
def test_what_the_server_says_of_a_statement_is_none(database: Database, sql: str) -> None:
    with pytest.raises(psycopg2.Error) as failed, database.transaction() as transaction:
        transaction.execute(sql)
    assert not is_away(failed.value)


def use_closed(session: Session) -> None:
    with session.transaction() as transaction:
        transaction.connection.close()
        transaction.value("SELECT 1")


def nowhere() -> str:
    return f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
