"""Bars are fetched once, kept as they first came, and nothing stands in for those that do not come."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import settings as settings_module
from core.bar import length
from core.pips import MarketKind
from database import market_bars
from database.market_bars import FaultKind
from database.pool import Database, Row
from reversal import feeding
from reversal.market_hours import may_be, openings
from reversal.sources.base import origin_of
from reversal.sources.registry import source_of
from settings import Settings
from tests.faults import FaultKind as Trouble
from tests.price_server import KEY, SECRET, Prices, price, price_server

# A Wednesday, a little after the hour
NOW = datetime(2026, 3, 18, 15, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AAPL, COIN = ("AAPL", "1 Hour"), ("BTC/USD", "1 Hour")
NO_PATIENCE = timedelta(0)
ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Desk:
    """The services, a database, and settings that lead to both."""

    database: Database
    settings: Settings
    prices: Prices
    now: datetime = NOW

    def refresh(self, *wanted: tuple[str, str], **more: Any) -> dict[tuple[str, str], str]:
        """Refresh at the desk's time; the services forget what they were asked before."""
        self.prices.requests.clear()
        self.prices.now = self.now
        return feeding.refresh(self.database, self.settings, wanted, self.now, **more)

    def later(self, time: timedelta, *wanted: tuple[str, str], **more: Any) -> dict[tuple[str, str], str]:
        """Let time go by, and refresh."""
        self.now += time
        return self.refresh(*wanted, **more)

    def bars(self, wanted: tuple[str, str]) -> list[Row]:
        with self.database.transaction() as transaction:
            return transaction.all(
                "SELECT * FROM market_bars WHERE pair = %s AND timeframe = %s ORDER BY opened_at", wanted
            )

    def opened(self, wanted: tuple[str, str]) -> list[datetime]:
        return [row["opened_at"] for row in self.bars(wanted)]

    def feed(self, wanted: tuple[str, str]) -> Row:
        with self.database.transaction() as transaction:
            found = market_bars.feed(transaction, *wanted)
        assert found is not None
        return found

    def faults(self, wanted: tuple[str, str]) -> list[tuple[str, datetime]]:
        with self.database.transaction() as transaction:
            rows = transaction.all(
                "SELECT kind, opened_at FROM bar_faults WHERE pair = %s AND timeframe = %s ORDER BY id",
                wanted,
            )
        return [(row["kind"], row["opened_at"]) for row in rows]

    def usable(self, wanted: tuple[str, str], count: int = 100_000) -> list[datetime]:
        with self.database.transaction() as transaction:
            bars = feeding.usable(transaction, *wanted, closed_by=self.now, count=count)
        return [bar.opened_at for bar in bars]


def settings_for(database_url: str, address: str, **more: str) -> Settings:
    return settings_module.load(values_for(database_url, address) | more)


def values_for(database_url: str, address: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REVERSAL_FOREX_SOURCE": "alpha_vantage",
        "REVERSAL_STOCK_SOURCE": "alpaca",
        "REVERSAL_CRYPTO_SOURCE": "alpaca",
        "ALPHA_VANTAGE_API_KEY": KEY,
        "ALPHA_VANTAGE_BASE_URL": address,
        "ALPHA_VANTAGE_CALLS_PER_DAY": "0",
        "ALPHA_VANTAGE_SHORTEST_TIMEFRAME": "1 Min",
        "ALPACA_DATA_KEY_ID": KEY,
        "ALPACA_DATA_SECRET_KEY": SECRET,
        "APCA_API_DATA_URL": address,
        "REVERSAL_CCXT_BASE_URL": address,
    }


@pytest.fixture
def desk(database: Database, database_url: str) -> Iterator[Desk]:
    with price_server(NOW) as (address, prices):
        yield Desk(database, settings_for(database_url, address), prices)


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


def test_a_source_that_fails_is_replaced_by_nothing_and_says_since_when(desk: Desk) -> None:
    """The older system fell back to made-up prices on a 429 and told nobody (D7 item 14)."""
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=429, count=2)
    words = desk.refresh(COIN)[COIN]
    assert words == "Alpaca asks us to wait (HTTP 429)."
    assert desk.bars(COIN) == []
    first = desk.feed(COIN)
    assert (first["failure"], first["source"]) == (words, "alpaca")
    assert NOW <= first["failed_since"] < NOW + MINUTE

    # left alone for a minute, and the failure is still told
    assert desk.later(timedelta(seconds=20), COIN) == {COIN: words}
    assert desk.prices.requests == []

    assert desk.later(2 * MINUTE, COIN) == {COIN: words}
    assert desk.feed(COIN)["failed_since"] == first["failed_since"]

    assert desk.later(16 * MINUTE, COIN) == {}
    assert len(desk.bars(COIN)) == 600
    assert {row["source"] for row in desk.bars(COIN)} == {"alpaca"}
    assert (desk.feed(COIN)["failed_since"], desk.feed(COIN)["failure"]) == (None, None)


def test_bars_missed_while_a_source_was_down_come_afterwards_and_are_not_late(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=503, count=3)
    for _ in range(3):
        assert COIN in desk.later(HOUR, COIN)
    assert desk.later(HOUR, COIN) == {}
    assert len(desk.bars(COIN)) == 604
    assert desk.faults(COIN) == []


def test_a_source_that_is_down_is_not_asked_for_every_pair(desk: Desk) -> None:
    coins = [(f"{name}/USD", "1 Hour") for name in ("ADA", "BTC", "ETH", "SOL")]
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=500, count=-1)
    assert set(desk.refresh(*coins)) == set(coins)
    assert len(desk.prices.requests) == 1


def test_an_answer_that_is_none_keeps_no_other_pair_from_its_bars(desk: Desk) -> None:
    coins = [(f"{name}/USD", "1 Hour") for name in ("ADA", "BTC", "ETH", "SOL")]
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=200, body="<html>")
    assert list(desk.refresh(*coins)) == [("ADA/USD", "1 Hour")]
    # what is sound comes first from now on
    desk.later(HOUR, *coins)
    assert [request.query["symbols"] for request in desk.prices.requests] == [
        *("BTC/USD", "ETH/USD", "SOL/USD", "ADA/USD")
    ]


def test_a_slow_source_takes_no_more_time_than_there_is(desk: Desk) -> None:
    assert desk.refresh(COIN, AAPL, longest=timedelta(seconds=-1)) == {
        COIN: feeding.NO_TIME,
        AAPL: feeding.NO_TIME,
    }
    assert desk.prices.requests == []
    assert desk.refresh(COIN, AAPL) == {}


def test_no_row_and_no_message_holds_a_key(desk: Desk) -> None:
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=403)
    desk.prices.fault(Trouble.ANSWER_BEFORE, status=200, body=f'{{"Information": "Your key {KEY} is wrong"}}')
    failures = desk.refresh(COIN, ("EUR/USD", "1 Hour"))
    assert len(failures) == 2
    with desk.database.transaction() as transaction:
        rows = transaction.all("SELECT row_to_json(market_feeds)::text AS row FROM market_feeds")
    assert "***" in "".join(failures.values())
    assert not [words for words in (*failures.values(), *map(str, rows)) if KEY in words or SECRET in words]


def test_a_stored_bar_stays_as_it_first_came(desk: Desk) -> None:
    desk.refresh(COIN)
    before = desk.bars(COIN)
    changed = before[-2]["opened_at"]
    desk.prices.given[changed] = {"close": 100.25}
    desk.later(HOUR, COIN)
    assert desk.bars(COIN)[:-1] == before
    assert desk.faults(COIN) == [(FaultKind.CHANGED, changed)]
    desk.later(HOUR, COIN)
    assert desk.faults(COIN) == [(FaultKind.CHANGED, changed)]


def test_a_hole_is_noted_cuts_what_is_usable_and_heals_when_the_bar_comes_late(desk: Desk) -> None:
    desk.refresh(COIN)
    hole = NOW.replace(hour=16, minute=0)
    desk.prices.lacking.add(hole)
    desk.later(3 * HOUR, COIN)
    assert hole not in desk.opened(COIN)
    assert desk.faults(COIN) == [(FaultKind.MISSING, hole)]
    assert desk.usable(COIN) == [hole + HOUR]
    desk.prices.lacking.clear()
    desk.later(HOUR, COIN)
    assert desk.faults(COIN)[1:] == [(FaultKind.LATE, hole)]
    assert len(desk.usable(COIN)) == 604


def test_impossible_and_misplaced_bars_are_noted_and_not_stored(desk: Desk) -> None:
    desk.refresh(COIN)
    at = NOW.replace(hour=15, minute=0)
    desk.prices.given |= {at: {"high": 1.0}, at + HOUR + 20 * MINUTE: {}}
    desk.later(3 * HOUR, COIN)
    assert at not in desk.opened(COIN)
    assert sorted(desk.faults(COIN)) == [
        (FaultKind.IMPOSSIBLE, at),
        (FaultKind.MISALIGNED, at + HOUR + 20 * MINUTE),
        (FaultKind.MISSING, at),
    ]


def test_weekend_bars_of_currencies_are_noted_and_not_stored(desk: Desk) -> None:
    wanted = ("EUR/USD", "1 Hour")
    saturday = datetime(2026, 3, 14, 12, tzinfo=UTC)
    desk.prices.given[saturday] = {}
    desk.refresh(wanted)
    assert saturday not in desk.opened(wanted)
    assert desk.faults(wanted) == [(FaultKind.MARKET_CLOSED, saturday)]


def test_a_bar_that_is_not_there_yet_is_asked_for_now_and_then(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.lacking |= {NOW.replace(hour=15, minute=0), NOW.replace(hour=16, minute=0)}
    asked = []
    for _ in range(60):
        desk.later(MINUTE, COIN)
        asked.append(len(desk.prices.requests))
    assert asked[0] == 0
    desk.now = NOW + HOUR
    assert sum(asked[-3:]) == 1


def test_a_source_without_newer_bars_is_stale_and_says_so(desk: Desk) -> None:
    desk.refresh(COIN)
    desk.prices.lacking |= {NOW.replace(minute=0) + number * HOUR for number in range(10)}
    assert desk.later(3 * HOUR, COIN) == {}
    words = desk.later(2 * HOUR, COIN)[COIN]
    assert words == "alpaca gives no bars of BTC/USD 1 Hour after 2026-03-18 15:00 UTC."
    assert desk.feed(COIN)["failure"] == words
    since = desk.feed(COIN)["failed_since"]
    assert desk.later(HOUR, COIN) == {COIN: words}
    assert desk.feed(COIN)["failed_since"] == since
    desk.prices.lacking.clear()
    assert desk.later(HOUR, COIN) == {}
    assert desk.feed(COIN)["failed_since"] is None


def test_a_pair_without_any_bar_says_so(desk: Desk) -> None:
    desk.prices.first = NOW + HOUR
    assert desk.refresh(COIN) == {COIN: "alpaca has no bars of BTC/USD 1 Hour."}


def test_longer_bars_are_built_from_closed_shorter_ones(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    assert desk.refresh(built) == {}
    assert len(desk.opened(COIN)) == 2400
    rows = desk.bars(built)
    assert [row["opened_at"].hour % 4 for row in rows] == [0] * len(rows)
    assert rows[-1]["opened_at"] == NOW.replace(hour=8, minute=0)
    parts = [price(rows[-1]["opened_at"] + number * HOUR) for number in range(4)]
    shown = {name: float(rows[-1][name]) for name in ("open", "high", "low", "close", "volume")}
    assert shown == {
        "open": parts[0]["open"],
        "high": max(part["high"] for part in parts),
        "low": min(part["low"] for part in parts),
        "close": parts[-1]["close"],
        "volume": sum(part["volume"] for part in parts),
    }
    assert len(desk.usable(built)) == len(rows) >= 599
    desk.later(HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=12, minute=0)
    assert desk.faults(built) == []


def test_a_longer_timeframe_that_is_wanted_later_gets_its_past(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    desk.refresh(COIN)
    assert len(desk.opened(COIN)) == 600
    assert desk.later(MINUTE, COIN, built) == {}
    assert len(desk.opened(COIN)) == 2400
    assert len(desk.usable(built)) >= 599
    assert desk.faults(COIN) == desk.faults(built) == []
    # and is not asked for again, however often the shorter one is wanted alone
    desk.later(MINUTE, COIN)
    desk.later(MINUTE, COIN, built)
    assert desk.prices.requests == []


def test_a_longer_bar_with_a_hole_is_not_built_until_the_hole_is_closed(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    desk.refresh(built)
    hole = NOW.replace(hour=17, minute=0)
    desk.prices.lacking.add(hole)
    desk.later(6 * HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=12, minute=0)
    desk.prices.lacking.clear()
    desk.later(HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=16, minute=0)


def test_days_and_weeks_of_currencies_are_built_over_weekends(desk: Desk, database_url: str) -> None:
    desk.settings = settings_for(database_url, "http://127.0.0.1:1", REVERSAL_FOREX_SOURCE="replay")
    wanted = [("EUR/USD", timeframe) for timeframe in ("1 Hour", "4 Hour", "1 Day", "1 Week")]
    assert desk.refresh(*wanted) == {}
    for each in wanted:
        assert desk.faults(each) == []
        assert desk.usable(each) == desk.opened(each)
    (pair, _), kind = wanted[0], MarketKind.FOREX
    days = desk.opened((pair, "1 Day"))
    assert days == [
        each for each in openings("1 Day", days[0], NOW - 24 * HOUR) if may_be(kind, "1 Day", each)
    ]


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
