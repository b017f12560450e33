"""What a scan looks at: every pair and timeframe that somebody wants, at its own timeframe, once."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from core.instrument import AssetClass
from database import reversal_wants
from database.pool import Database
from reversal.choosing import TIMEFRAMES
from reversal.wanted import wanted
from settings import Settings
from tests.database.scan_desk import score, tell_of, told, users
from tests.database.trading_floor import TradingFloor


def union(database: Database, *due: str) -> list[tuple[str, str]]:
    with database.transaction() as transaction:
        return reversal_wants.union(transaction, due or TIMEFRAMES)


def given(database: Database, **settings: Any) -> list[tuple[str, str]]:
    loaded = Settings(**{"database_url": database.url, "public_url": "http://127.0.0.1", **settings})
    with database.transaction() as transaction:
        return wanted(transaction, loaded, TIMEFRAMES)


class TestUnion:
    def test_each_once_however_many_want_it_and_however_they_spell_it(self, database: Database) -> None:
        users(database, 3, preferred_pairs=["EUR/USD"], enabled_timeframes=["1h"])
        users(database, 2, preferred_pairs=["eur/usd", "GBP/USD"], enabled_timeframes=["1 Hour", "60"])
        assert union(database) == [("EUR/USD", "1 Hour"), ("GBP/USD", "1 Hour")]

    def test_only_timeframes_that_are_due(self, database: Database) -> None:
        users(database, 1, preferred_pairs=["EUR/USD"], enabled_timeframes=["5m", "1h", "4h"])
        assert union(database, "5 Min", "1 Hour") == [("EUR/USD", "1 Hour"), ("EUR/USD", "5 Min")]

    def test_what_is_no_pair_or_no_timeframe_hinders_nobody(self, database: Database) -> None:
        """D7.4: something else in a timeframe's place is left out, and not taken for another one."""
        users(
            database,
            1,
            preferred_pairs=["EUR USD!", "", "EUR/USD"],
            enabled_timeframes=["[object Object]", "4h"],
        )
        assert union(database) == [("EUR/USD", "4 Hour")]

    def test_not_of_those_who_want_none_or_whose_account_is_closed(self, database: Database) -> None:
        users(database, 1, notifications_enabled=False)
        [closed] = users(database, 1)
        with database.transaction() as transaction:
            transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (closed,))
        assert union(database) == []

    def test_of_those_without_discord_too_since_the_pages_show_scores(self, database: Database) -> None:
        users(database, 1, preferred_pairs=["EUR/USD"], enabled_timeframes=["1h"])
        with database.transaction() as transaction:
            transaction.execute("UPDATE user_discord_settings SET discord_user_id = NULL")
        assert union(database) == [("EUR/USD", "1 Hour")]

    def test_bots_that_trade_by_themselves_want_theirs(self, database: Database) -> None:
        floor = TradingFloor(database)
        floor.bot("ETH/USD", "4 Hour", source="reversal")
        floor.bot("BTC/USD", "1 Hour")
        floor.bot("SOL/USD", None, source="reversal")  # type: ignore[arg-type]
        assert union(database) == [("ETH/USD", "4 Hour")]


class TestWhatASourceGives:
    def test_pairs_and_timeframes_without_bars_start_no_scan(self, database: Database) -> None:
        pairs = ["EUR/USD", "GBP/USD", "SP500", "BTC/USD"]
        users(database, 1, preferred_pairs=pairs, enabled_timeframes=["5m", "1h", "4h", "1d"])
        assert given(database) == [
            ("EUR/USD", "1 Day"), ("EUR/USD", "1 Hour"), ("EUR/USD", "4 Hour"), ("SP500", "1 Day"),
        ]  # fmt: skip

    def test_a_market_that_is_off_is_left_out(self, database: Database) -> None:
        users(database, 1, preferred_pairs=["EUR/USD", "SP500"], enabled_timeframes=["1d"])
        assert given(database, reversal_forex_source="off") == [("SP500", "1 Day")]


def test_every_subscription_is_looked_at_in_its_own_timeframe(database: Database) -> None:
    """D7.4: nobody's timeframe becomes another's on the way."""
    [quarter], [hour], [four] = (
        users(database, 1, enabled_timeframes=[each]) for each in ("15m", "1h", "4h")
    )
    found = [score(timeframe=each) for each in ("5 Min", "15 Min", "1 Hour", "4 Hour")]
    assert tell_of(database, *found) == 3
    assert Counter((row["user_id"], row["timeframe"]) for row in told(database)) == {
        (quarter, "15 Min"): 1,
        (hour, "1 Hour"): 1,
        (four, "4 Hour"): 1,
    }


@pytest.mark.parametrize(
    ("symbol", "kind", "base", "pair"),
    [
        ("BTC/USD", AssetClass.CRYPTO, "BTC", "BTC/USD"),
        ("BTC-USDT", AssetClass.CRYPTO, "BTC", "BTC/USDT"),
        ("BTCUSDT", AssetClass.CRYPTO, "BTC", "BTC/USDT"),
        ("1000PEPEUSDT", AssetClass.CRYPTO, "PEPE", None),
        ("BTCUSDT", AssetClass.CRYPTO, None, None),
        ("AAPL", AssetClass.STOCK, None, "AAPL"),
        ("BRK.B", AssetClass.STOCK, None, None),
    ],
)
def test_the_pair_of_a_brokers_symbol(
    symbol: str, kind: AssetClass, base: str | None, pair: str | None
) -> None:
    assert reversal_wants.pair_of(symbol, kind, base) == pair


def test_levels_at_the_entry_are_a_fault_and_not_a_ratio(database: Database) -> None:
    users(database, 1)
    with pytest.raises(ValueError, match="EUR/USD 1 Hour"):
        tell_of(database, score(stop=Decimal("1.1000")))
