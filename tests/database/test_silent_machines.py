"""PostgreSQL lets go of a machine that fell silent: its locks are another's soon, not two hours later."""

from contextlib import closing

import pytest

from database.pool import SILENCE_SECONDS, Database

OPERATORS = "?options=-c%20tcp_keepalives_idle%3D77%20-c%20tcp_user_timeout%3D88000"
_NOTICED_BY_SERVER = """
    SELECT current_setting('tcp_keepalives_idle')::int AS idle,
           current_setting('tcp_keepalives_interval')::int AS interval,
           current_setting('tcp_keepalives_count')::int AS count,
           (SELECT setting::int / 1000 FROM pg_settings WHERE name = 'tcp_user_timeout') AS unanswered
"""


def noticed_by_server(url):
    with closing(Database(url)) as database, database.transaction() as transaction:
        return transaction.one(_NOTICED_BY_SERVER)


def test_the_server_asks_a_silent_machine_soon_and_ends_its_sessions(database_url):
    found = noticed_by_server(database_url)
    assert found["idle"] + found["count"] * found["interval"] <= SILENCE_SECONDS
    assert found["unanswered"] == SILENCE_SECONDS


def test_what_the_operator_says_in_the_address_holds(database_url):
    found = noticed_by_server(database_url + OPERATORS)
    assert (found["idle"], found["unanswered"]) == (77, 88)


@pytest.mark.parametrize("patience", [None, 7])
def test_a_process_asks_a_silent_server_too_and_the_operators_word_counts(database_url, patience):
    with (
        closing(Database(database_url, patience=patience)) as database,
        database.transaction() as transaction,
    ):
        parameters = transaction.connection.get_dsn_parameters()
    assert int(parameters["tcp_user_timeout"]) == 1000 * (patience or SILENCE_SECONDS)
    assert int(parameters["keepalives_idle"]) <= (patience or SILENCE_SECONDS)
    given = database_url + "?keepalives_idle=99"
    with closing(Database(given, patience=patience)) as database, database.transaction() as transaction:
        assert transaction.connection.get_dsn_parameters()["keepalives_idle"] == "99"
