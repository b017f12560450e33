"""Bars that are fetched from local services, at times that only the test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import settings as settings_module
from database import market_bars
from database.pool import Database, Row
from reversal import feeding
from settings import Settings
from tests.price_server import KEY, SECRET, Prices, price_server

# A Wednesday, a little after the hour
NOW = datetime(2026, 3, 18, 15, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AAPL, COIN = ("AAPL", "1 Hour"), ("BTC/USD", "1 Hour")


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


@contextmanager
def feed_desk(database: Database, database_url: str) -> Iterator[Desk]:
    """Give a desk whose services run meanwhile."""
    with price_server(NOW) as (address, prices):
        yield Desk(database, settings_for(database_url, address), prices)
