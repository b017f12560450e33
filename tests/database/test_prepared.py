"""Statements that a connection plans once mean what the same statement means without that."""

from contextlib import suppress
from decimal import Decimal

import psycopg2
import pytest

from database.pool import Database
from database.prepared import prepared


def test_money_is_never_rounded_by_the_type_of_its_place(database: Database) -> None:
    # Without a stated type PostgreSQL would take the place for an integer, as its neighbour is one.
    sql = prepared("SELECT greatest(%(pnl)s, 0) AS most, greatest(-%(pnl)s, 0) AS least", pnl="numeric")
    with database.transaction() as transaction:
        assert transaction.one(sql, {"pnl": Decimal("0.005")}) == {"most": Decimal("0.005"), "least": 0}


def test_places_come_in_their_order_or_by_their_name(database: Database) -> None:
    with database.transaction() as transaction:
        in_order = transaction.one(
            prepared("SELECT %s - %s AS rest, %s AS word", "integer, integer, text"), (5, 3, "a")
        )
        assert in_order == {"rest": 2, "word": "a"}
        by_name = prepared("SELECT %(b)s - %(a)s", a="integer", b="integer")
        assert transaction.value(by_name, {"a": 3, "b": 5}) == 2


def test_a_statement_without_places_and_a_count_of_touched_rows(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute("CREATE TEMP TABLE counted (id int) ON COMMIT DROP")
        assert transaction.execute(prepared("INSERT INTO counted VALUES (1), (2)")) == 2
        assert transaction.execute(prepared("UPDATE counted SET id = 3 WHERE id = %s", "integer"), (2,)) == 1


def test_it_stays_prepared_after_a_rollback_and_is_prepared_on_each_connection(database: Database) -> None:
    sql = prepared("SELECT %s + 1", "integer")
    with database.session() as session:
        with suppress(psycopg2.Error), session.transaction() as transaction:
            assert transaction.value(sql, (1,)) == 2
            transaction.value("SELECT 1 / 0")
        with session.transaction() as transaction:
            assert transaction.value(sql, (1,)) == 2
        with database.transaction() as another:
            assert another.value(sql, (2,)) == 3


@pytest.mark.parametrize(
    ("sql", "types", "named"),
    [
        ("SELECT %s", "", {}),
        ("SELECT %s", "integer, integer", {}),
        ("SELECT %(a)s", "", {"b": "integer"}),
        ("SELECT %(a)s", "integer", {}),
    ],
)
def test_a_place_without_a_type_is_refused(sql: str, types: str, named: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="need a type each"):
        prepared(sql, types, **named)
