"""Rows of bars: each once, whoever stores it, and read back exactly as it was."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg2
import pytest

from core.bar import Bar
from database import market_bars
from database.market_bars import BarFault, FaultKind
from database.pool import Database, Transaction

START = datetime(2026, 7, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAIR = ("EUR/USD", "1 Hour")


def bar(number: int, close: str = "1.17010") -> Bar:
    return Bar(
        opened_at=START + number * HOUR,
        closed_at=START + (number + 1) * HOUR,
        open=Decimal("1.17"),
        high=Decimal("9.5"),
        low=Decimal("0.00000001"),
        close=Decimal(close),
        volume=None if number % 2 else Decimal("12.5"),
    )


@pytest.fixture
def transaction(database: Database) -> Iterator[Transaction]:
    with database.transaction() as transaction:
        yield transaction


def store(transaction: Transaction, *bars: Bar) -> int:
    return market_bars.store(transaction, *PAIR, "replay", bars, START)


def test_what_is_stored_comes_back_as_it_was(transaction: Transaction) -> None:
    bars = [bar(number) for number in range(6)]
    assert store(transaction, *bars) == 6
    assert market_bars.newest(transaction, *PAIR, closed_by=START + 6 * HOUR, count=10) == bars
    assert market_bars.newest(transaction, *PAIR, closed_by=START + 6 * HOUR, count=2) == bars[4:]
    # one that is not closed by then is not there yet
    assert (
        market_bars.newest(transaction, *PAIR, closed_by=START + 6 * HOUR - timedelta(seconds=1), count=9)
        == bars[:5]
    )
    assert (
        market_bars.opened_from(transaction, *PAIR, START + 2 * HOUR, closed_by=START + 4 * HOUR) == bars[2:4]
    )


def test_a_bar_that_is_there_stays_as_it_is(transaction: Transaction) -> None:
    assert store(transaction, bar(0)) == 1
    assert store(transaction, bar(0, "1.2"), bar(1)) == 1
    assert market_bars.newest(transaction, *PAIR, closed_by=START + 9 * HOUR, count=9) == [bar(0), bar(1)]
    assert store(transaction) == 0


def test_many_who_store_the_same_store_it_once(database: Database) -> None:
    def work(_: int) -> int:
        with database.transaction() as transaction:
            return store(transaction, *(bar(number) for number in range(50)))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(12))) == 50


@pytest.mark.parametrize(
    "wrong",
    [{"high": Decimal("1.1")}, {"low": Decimal("1.18")}, {"close": Decimal(0)}, {"low": Decimal(-1)}],
    ids=str,
)
def test_the_table_itself_takes_no_impossible_bar(
    transaction: Transaction, wrong: dict[str, Decimal]
) -> None:
    with pytest.raises(psycopg2.errors.CheckViolation):
        store(transaction, replace(bar(0), **wrong))


def test_a_fault_is_noted_once(transaction: Transaction) -> None:
    fault = BarFault(opened_at=START, kind=FaultKind.LATE, words="late")
    note = (transaction, *PAIR, "replay", [fault, replace(fault, kind=FaultKind.CHANGED)], START)
    assert market_bars.note_faults(*note) == 2
    assert market_bars.note_faults(*note) == 0


def test_the_newest_price_of_a_pair_is_that_of_its_newest_bar_in_any_timeframe(
    transaction: Transaction,
) -> None:
    store(transaction, bar(0), bar(3, "1.5"))
    later = replace(bar(2, "1.4"), closed_at=START + 2 * HOUR + timedelta(minutes=5))
    market_bars.store(transaction, "EUR/USD", "5 Min", "replay", [later], START)
    for timeframe in ("1 Hour", "5 Min"):
        market_bars.note_fetched(transaction, "EUR/USD", timeframe, "replay", START, START)
    pairs = ["EUR/USD", "GBP/USD"]
    assert market_bars.last_prices(transaction, pairs, START + 5 * HOUR) == {"EUR/USD": Decimal("1.5")}


def test_how_far_a_feed_came_never_goes_back(transaction: Transaction) -> None:
    market_bars.note_fetched(transaction, *PAIR, "replay", START, START, since=START - HOUR)
    market_bars.note_fetched(transaction, *PAIR, "replay", START - HOUR, START + HOUR, since=START)
    market_bars.note_failure(transaction, *PAIR, "replay", "down", START + 2 * HOUR)
    market_bars.note_failure(transaction, *PAIR, "replay", "still", START + 3 * HOUR, asked=False)
    assert market_bars.feed(transaction, *PAIR) == {
        "source": "replay",
        "fetched_from": START - HOUR,
        "fetched_until": START,
        "asked_at": START + 2 * HOUR,
        "failed_since": START + 2 * HOUR,
        "failure": "still",
    }
    market_bars.note_fetched(transaction, *PAIR, "replay", None, START + 4 * HOUR)
    row = market_bars.feed(transaction, *PAIR)
    assert row is not None
    assert (row["failed_since"], row["failure"], row["fetched_until"]) == (None, None, START)
