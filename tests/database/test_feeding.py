"""Bars are fetched once, by one process at a time, and no more of them than is wanted."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.bar import length
from database import market_bars
from database.pool import Database
from reversal import feeding
from reversal.sources.base import origin_of
from reversal.sources.registry import source_of
from tests.database.feed_desk import AAPL, COIN, HOUR, MINUTE, NOW, Desk, feed_desk, settings_for, values_for
from tests.faults import FaultKind as Trouble

NO_PATIENCE = timedelta(0)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(database: Database, database_url: str) -> Iterator[Desk]:
    with feed_desk(database, database_url) as made:
        yield made


def test_the_first_refresh_brings_six_hundred_bars_and_the_next_only_what_is_new(desk: Desk) -> None:
    assert desk.refresh(COIN) == {}
    assert len(desk.opened(COIN)) == 600
    assert desk.opened(COIN)[-1] == NOW.replace(hour=14, minute=0)
    assert desk.later(HOUR, COIN) == {}
    (request,) = desk.prices.requests
    assert request.query["start"] == f"{NOW.replace(hour=10, minute=0):%Y-%m-%dT%H:%M:%SZ}"
    assert len(desk.opened(COIN)) == 601
    assert desk.faults(COIN) == []


@pytest.mark.parametrize(
    "wanted", [AAPL, COIN, ("EUR/USD", "1 Hour"), ("EUR/USD", "1 Day"), ("AAPL", "1 Day")]
)
def test_there_are_enough_bars_of_every_kind_of_market(desk: Desk, wanted: tuple[str, str]) -> None:
    assert desk.refresh(wanted) == {}
    assert len(desk.usable(wanted)) >= 600
    assert desk.faults(wanted) == []


def test_what_is_there_is_not_asked_for_again(desk: Desk) -> None:
    desk.refresh(COIN, AAPL)
    assert desk.later(30 * MINUTE, COIN, AAPL) == {}
    assert desk.prices.requests == []


def test_the_same_pair_for_many_users_is_fetched_once(desk: Desk) -> None:
    spellings = [("BTC/USD", "1h"), ("btc/usd", "60"), COIN, ("BTC/USD", "1 Hour")]
    assert desk.refresh(*spellings) == {}
    assert len(desk.prices.requests) == 1


def test_a_forming_bar_and_one_that_just_closed_are_left_for_later(desk: Desk) -> None:
    desk.now = NOW.replace(minute=0, second=1)
    desk.refresh(COIN)
    assert desk.opened(COIN)[-1] == NOW.replace(hour=13, minute=0)
    desk.later(timedelta(seconds=4), COIN)
    assert desk.opened(COIN)[-1] == NOW.replace(hour=14, minute=0)


def test_nothing_is_asked_while_the_market_is_closed(desk: Desk) -> None:
    wanted = ("EUR/USD", "1 Hour")
    # New York's Friday 17:00 in March is 21:00
    desk.now = datetime(2026, 3, 20, 21, 1, tzinfo=UTC)
    desk.refresh(wanted)
    last = desk.opened(wanted)[-1]
    assert last == datetime(2026, 3, 20, 20, tzinfo=UTC)
    for hours in (3, 20, 20):
        assert desk.later(hours * HOUR, wanted) == {}
        assert desk.prices.requests == []
    desk.now = datetime(2026, 3, 22, 22, 1, tzinfo=UTC)
    assert desk.refresh(wanted) == {}
    assert desk.opened(wanted)[-1] == datetime(2026, 3, 22, 21, tzinfo=UTC)
    assert desk.faults(wanted) == []
    assert len(desk.usable(wanted)) == len(desk.opened(wanted))


def test_two_processes_at_once_fetch_each_bar_once(desk: Desk, database_url: str) -> None:
    desk.prices.fault(Trouble.DELAY_BEFORE, count=-1, delay=0.3)
    together = threading.Barrier(4)

    def one_process(_: int) -> dict[tuple[str, str], str]:
        database = Database(database_url, size=2)
        together.wait(timeout=60)
        try:
            return feeding.refresh(database, desk.settings, [COIN, AAPL], NOW, patience=timedelta(seconds=60))
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one_process, range(4))) == [{}] * 4
    assert len(desk.prices.requests) == 2
    assert len(desk.opened(COIN)) == 600


def test_who_will_not_wait_for_the_other_process_is_told(desk: Desk, database_url: str) -> None:
    other = Database(database_url, size=1)
    with other.session() as session:
        with session.autocommit() as transaction:
            assert market_bars.try_lock(transaction, *COIN)
        words = desk.refresh(COIN, patience=NO_PATIENCE)[COIN]
        assert words.startswith("Another process is fetching it")
        assert desk.prices.requests == []
        # its death frees the pair in the same moment
        session._connection.close()
    assert desk.refresh(COIN, patience=timedelta(seconds=60)) == {}


def test_no_transaction_is_open_while_a_source_is_asked(desk: Desk, database_url: str) -> None:
    watched = Database(database_url, size=2, application_name="feeding")
    seen: list[str] = []

    def look() -> None:
        with desk.database.transaction() as transaction:
            rows = transaction.all("SELECT state FROM pg_stat_activity WHERE application_name = 'feeding'")
        seen.extend(row["state"] for row in rows)

    desk.prices.when_asked = look
    assert feeding.refresh(watched, desk.settings, [COIN, ("EUR/USD", "1 Hour")], NOW) == {}
    watched.close()
    assert len(seen) >= 2
    assert set(seen) == {"idle"}


def test_allowances_are_kept_and_who_had_to_wait_comes_first(desk: Desk, database_url: str) -> None:
    address = desk.settings.alpha_vantage_base_url or ""
    desk.settings = settings_for(database_url, address, ALPHA_VANTAGE_CALLS_PER_MINUTE="2")
    wanted = [(pair, "1 Hour") for pair in ("EUR/JPY", "EUR/USD", "USD/JPY")]
    failures = desk.refresh(*wanted, patience=timedelta(seconds=40))
    assert list(failures) == [("USD/JPY", "1 Hour")]
    assert failures["USD/JPY", "1 Hour"].startswith(
        "alpha_vantage allows 1 in 1 s and 2 in 60 s; the next call"
    )
    assert len(desk.prices.requests) == 2
    assert list(desk.later(HOUR, *wanted, patience=timedelta(seconds=40))) == [("EUR/USD", "1 Hour")]
    pairs = [request.query["from_symbol"] + request.query["to_symbol"] for request in desk.prices.requests]
    assert pairs == ["USDJPY", "EURJPY"]
    assert list(desk.later(HOUR, *wanted, patience=timedelta(seconds=40))) == [("EUR/JPY", "1 Hour")]


def test_another_source_begins_a_series_anew(desk: Desk, database_url: str) -> None:
    wanted, built = ("EUR/USD", "1 Hour"), ("EUR/USD", "4 Hour")
    live = desk.settings
    desk.settings = settings_for(database_url, "http://127.0.0.1:1", REVERSAL_FOREX_SOURCE="replay")
    source = source_of("EUR/USD", desk.settings)
    assert source is not None
    assert origin_of(source).is_replay
    desk.refresh(wanted, built)
    assert {row["source"] for row in desk.bars(wanted)} == {"replay"}
    desk.settings = live
    assert desk.refresh(wanted) == {}
    assert {row["source"] for row in desk.bars(wanted)} == {"alpha_vantage"}
    assert desk.bars(built) == []


def test_what_cannot_be_had_says_why(desk: Desk, database_url: str) -> None:
    desk.settings = settings_for(database_url, "http://127.0.0.1:1", REVERSAL_CRYPTO_SOURCE="off")
    wanted = [COIN, ("no pair", "1 Hour"), ("AAPL", "20 Sec"), ("AAPL", "1 Parsec")]
    assert list(desk.refresh(*wanted).values()) == [
        "BTC/USD has no prices: REVERSAL_CRYPTO_SOURCE is off.",
        "'no pair' is no pair: write EUR/USD, BTC/USD or AAPL",
        "alpaca has no bars of AAPL 20 Sec; its own timeframes are: 1 Min, 5 Min, 15 Min, 30 Min, 1 Hour, 1 Day.",
        "'1 Parsec' is no timeframe: write minutes as a number (15, 60, 240), or a number with a unit: "
        "30S, 15m, 15 Min, 1h, 4 Hour, 1D, 1 Week, 1M (M is a month, m a minute)",
    ]


def test_an_exchange_of_ccxt_feeds_too(desk: Desk, database_url: str) -> None:
    address = desk.settings.reversal_ccxt_base_url or ""
    desk.settings = settings_for(database_url, address, REVERSAL_CRYPTO_SOURCE="kraken")
    assert desk.refresh(COIN, ("BTC/USD", "1 Day")) == {}
    assert {row["source"] for row in desk.bars(COIN)} == {"kraken"}
    assert len(desk.usable(COIN)) == 600
    assert desk.faults(COIN) == []


def test_files_that_grow_are_followed(desk: Desk, database_url: str, tmp_path: Path) -> None:
    desk.settings = settings_for(
        database_url, "http://127.0.0.1:1", REVERSAL_STOCK_SOURCE="csv", REVERSAL_CSV_FOLDER=str(tmp_path)
    )
    wanted, path = ("ACME", "1 Hour"), tmp_path / "ACME_1h.csv"
    path.write_text("Time,Open,High,Low,Close\n2026-03-18 13:00,1,2,1,2\n2026-03-18 14:00,2,2,1,1\n")
    assert feeding.finest("ACME", desk.settings) == "1 Hour"
    assert wanted in feeding.offered(desk.settings)
    assert desk.refresh(wanted) == {}
    with path.open("a") as file:
        file.write("2026-03-18 15:00,1,3,1,2\n2026-03-18 16:00,2,")
    assert desk.later(2 * HOUR, wanted) == {}
    assert desk.opened(wanted) == [NOW.replace(hour=hour, minute=0) for hour in (13, 14, 15)]


def test_what_is_offered_can_be_had(desk: Desk, database_url: str) -> None:
    replay = settings_for(
        database_url,
        "http://127.0.0.1:1",
        REVERSAL_FOREX_SOURCE="replay",
        REVERSAL_STOCK_SOURCE="replay",
        REVERSAL_CRYPTO_SOURCE="off",
    )
    assert ("EUR/USD", "1 Hour") in feeding.offered(replay)
    assert ("SP500", "1 Hour") not in feeding.offered(replay)
    desk.settings = replay
    assert desk.refresh(*feeding.offered(replay)) == {}
    assert feeding.finest("SP500", replay) == "1 Day"
    assert feeding.finest("BTC/USD", replay) is None
    assert feeding.finest("AAPL", replay) is None


FETCHING = """
import sys
from datetime import datetime
import settings
from database.pool import Database
from reversal import feeding
feeding.refresh(Database(sys.argv[1]), settings.load(), [("BTC/USD", "1 Hour")], datetime.fromisoformat(sys.argv[2]))
"""


def test_a_process_that_is_killed_while_it_fetches_leaves_nothing_behind(
    desk: Desk, database_url: str
) -> None:
    """Its connection ends with it: the lock goes, what it had not committed was never there."""
    asked = threading.Event()
    desk.prices.when_asked = asked.set
    desk.prices.fault(Trouble.SILENCE_BEFORE)
    environment = {**os.environ, **values_for(database_url, desk.settings.apca_api_data_url or "")}
    process = subprocess.Popen(
        [sys.executable, "-c", FETCHING, database_url, NOW.isoformat()], cwd=ROOT, env=environment
    )
    try:
        assert asked.wait(60)
    finally:
        process.kill()
        process.wait(60)
    assert desk.refresh(COIN, patience=timedelta(seconds=60)) == {}
    assert len(desk.bars(COIN)) == 600
    assert desk.faults(COIN) == []


@pytest.mark.parametrize("timeframe", ["1 Min", "1 Hour", "1 Day"])
def test_a_long_absence_brings_the_newest_bars_and_not_all_that_was_missed(
    desk: Desk, timeframe: str
) -> None:
    wanted = ("AAPL", timeframe)
    desk.refresh(wanted)
    assert desk.later(12_000 * length(timeframe), wanted) == {}
    assert len(desk.prices.requests) == 1
    assert len(desk.usable(wanted)) < len(desk.opened(wanted))
