"""An allowance holds for all processes together, however their calls fall."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier

import pytest

from database import rate_allowances
from database.pool import Database
from reversal.feed_round import Round, asking
from reversal.sources.alpha_vantage import AlphaVantage
from reversal.sources.base import Allowance, AllowanceUsedUp

NOW = datetime(2026, 7, 7, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def take(database: Database, now: datetime, name: str = "a source", calls: int = 5) -> float:
    with database.transaction() as transaction:
        return rate_allowances.take(transaction, name, calls=calls, within=MINUTE, now=now)


def test_so_many_calls_are_allowed_and_no_more(database: Database) -> None:
    assert [take(database, NOW + timedelta(seconds=number)) for number in range(5)] == [0.0] * 5
    assert take(database, NOW + timedelta(seconds=10)) == 50.0
    assert take(database, NOW + MINUTE) == 0.0
    assert take(database, NOW + MINUTE) == 1.0


def test_another_name_is_another_allowance(database: Database) -> None:
    assert [take(database, NOW, name, calls=1) for name in ("one", "two", "one")] == [0.0, 0.0, 60.0]


def test_many_connections_at_once_take_no_more_than_there_is(database_url: str) -> None:
    """Eight processes with connections of their own, each asking for more than the whole allowance."""
    together = Barrier(8)

    def ask(number: int) -> int:
        database = Database(database_url, size=1)
        together.wait(timeout=60)
        taken = [take(database, NOW + timedelta(seconds=number + each), calls=20) for each in range(30)]
        database.close()
        return taken.count(0.0)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 20


def test_no_minute_has_more_calls_than_a_minute_may_have(database: Database) -> None:
    """A bucket that refills evenly would give nearly ten in the minute after a rest."""
    chance, now, taken = random.Random(7), NOW, []
    for _ in range(300):
        now += timedelta(seconds=chance.choice((0, 0, 1, 3, 20, 70)))
        if take(database, now) == 0.0:
            taken.append(now)
    assert len(taken) > 50
    assert all(later - first >= MINUTE for first, later in zip(taken, taken[5:], strict=False))
    assert all(later >= first for first, later in pairwise(taken))


def test_what_was_taken_in_a_transaction_that_failed_is_given_back(database: Database) -> None:
    def take_and_fail() -> None:
        with database.transaction() as transaction:
            assert rate_allowances.take(transaction, "a source", calls=1, within=MINUTE, now=NOW) == 0.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take_and_fail()
    assert take(database, NOW, calls=1) == 0.0


def test_a_clock_that_was_hours_ahead_holds_nobody_up(database: Database) -> None:
    """Its calls would otherwise be new ones for as long as it was ahead, and nobody would be allowed any."""
    assert take(database, NOW + timedelta(hours=5), calls=1) == 0.0
    assert take(database, NOW, calls=1) == 0.0
    assert take(database, NOW + timedelta(seconds=59), calls=1) == 1.0
    assert take(database, NOW + MINUTE, calls=1) == 0.0


def test_the_calls_of_a_clock_that_is_a_little_ahead_count(database: Database) -> None:
    ahead = timedelta(seconds=20)
    assert take(database, NOW + ahead, calls=1) == 0.0
    assert take(database, NOW, calls=1) == 80.0
    assert take(database, NOW + ahead + MINUTE, calls=1) == 0.0


def test_a_smaller_allowance_counts_from_now_on(database: Database) -> None:
    assert [take(database, NOW, calls=5) for _ in range(5)] == [0.0] * 5
    assert take(database, NOW, calls=2) == 60.0
    assert take(database, NOW + MINUTE, calls=2) == 0.0


def test_what_one_allowance_refuses_costs_none_of_the_others(database: Database) -> None:
    allowances = (Allowance(calls=2, seconds=60), Allowance(calls=1, seconds=86_400))
    source = AlphaVantage("", "", allowances, "1 Min")
    this = Round(database=database, began_at=NOW, patience=timedelta(0))
    with database.session() as session:
        ask = asking(this, source, session)
        ask()
        with pytest.raises(AllowanceUsedUp, match="1 in 86400 s"):
            ask()
    with database.transaction() as transaction:
        rows = transaction.all("SELECT name, cardinality(taken) AS taken FROM rate_allowances")
    assert {row["name"]: row["taken"] for row in rows} == {
        "alpha_vantage 60 s": 1,
        "alpha_vantage 86400 s": 1,
    }
