"""Hold the paper broker to the contract, and to what only it promises."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from brokers.paper import PaperBroker
from brokers.simulator import Rules
from core.order import OrderState, Side
from database.pool import Database
from tests.contract.broker_contract import BrokerContract
from tests.contract.pinned_market import PinnedMarket
from tests.contract.trader import Trader, trader

__all__ = ["trader"]

D = Decimal
FRIDAY_MORNING = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def new_connection(database: Database, label: str = "practice") -> int:
    """Make a user with a paper connection and return the connection's id."""
    with database.transaction() as transaction:
        user_id = transaction.value(
            "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id",
            (f"{label}@example.org",),
        )
        return int(
            transaction.value(
                """
                INSERT INTO user_api_keys (user_id, broker, mode, label)
                VALUES (%s, 'paper', 'paper', %s) RETURNING id
                """,
                (user_id, label),
            )
        )


class PaperHarness:
    """A paper broker with a clock and prices that tests set; both go on only when told."""

    def __init__(self, database: Database, rules: Rules | None = None) -> None:
        self.now = FRIDAY_MORNING
        self.market = PinnedMarket()
        self.connection_id = new_connection(database)
        self.broker = PaperBroker(
            database, self.connection_id, market=self.market, clock=lambda: self.now, rules=rules
        )

    def settle(self) -> None:
        while self.broker.advance(self.now):
            self.now += timedelta(milliseconds=1)

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        self.market.pin(symbol, bid, ask)

    def open_market(self) -> None:
        clock = self.broker.clock(self.broker.capabilities.asset_classes[0])
        if not clock.is_open and clock.next_open is not None:
            self.now = clock.next_open

    def close_market(self) -> None:
        clock = self.broker.clock(self.broker.capabilities.asset_classes[0])
        if clock.is_open and clock.next_close is not None:
            self.now = clock.next_close


@pytest.fixture
def harness(database: Database) -> PaperHarness:
    return PaperHarness(database)


class TestPaperBroker(BrokerContract):
    """Run the whole contract."""


class TestOnlyPaper:
    def test_day_orders_end_with_the_session(self, harness: PaperHarness, trader: Trader) -> None:
        order = trader.submit(Side.BUY, "AAPL", 1, limit=D("150.00"))
        harness.close_market()
        assert trader.settled(order).state is OrderState.EXPIRED

    def test_crypto_orders_rest_for_good(self, harness: PaperHarness, trader: Trader) -> None:
        order = trader.submit(Side.BUY, "BTC/USD", "0.1", limit=D("50000"))
        harness.now += timedelta(days=90)
        assert trader.settled(order).state is OrderState.SUBMITTED

    def test_a_large_order_fills_in_pieces(self, database: Database) -> None:
        harness = PaperHarness(database, Rules(full_fill_notional=D(1000)))
        harness.set_price("AAPL", D("199.95"), D("200.05"))
        buyer = Trader(harness)
        order = buyer.submit(Side.BUY, "AAPL", 10)
        assert (order.state, order.filled_quantity) == (OrderState.PARTIALLY_FILLED, D(4))
        (changed,) = harness.broker.advance(harness.now)
        assert changed.filled_quantity == 8
        harness.broker.cancel(order.broker_order_id)
        ended = buyer.settled(order)
        assert (ended.state, ended.filled_quantity) == (OrderState.CANCELED, D(8))
        assert harness.broker.position("AAPL").quantity == 8

    def test_advance_returns_only_what_changed(self, harness: PaperHarness, trader: Trader) -> None:
        low = trader.submit(Side.BUY, "AAPL", 1, limit=D("150.00"))
        high = trader.submit(Side.BUY, "AAPL", 1, limit=D("190.00"))
        assert harness.broker.advance(harness.now) == ()
        harness.set_price("AAPL", D("180.00"), D("180.10"))
        assert [o.broker_order_id for o in harness.broker.advance(harness.now)] == [high.broker_order_id]
        assert [o.broker_order_id for o in harness.broker.open_orders()] == [low.broker_order_id]

    def test_two_connections_are_two_accounts(
        self, harness: PaperHarness, trader: Trader, database: Database
    ) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        other = PaperBroker(database, new_connection(database, "second"), market=harness.market)
        assert other.positions() == ()
        assert other.account().cash == D(100_000)

    def test_another_process_sees_the_same_account(
        self, harness: PaperHarness, trader: Trader, database_url: str
    ) -> None:
        order = trader.trade(Side.BUY, "AAPL", 10)
        elsewhere = Database(database_url)
        twin = PaperBroker(elsewhere, harness.connection_id, market=harness.market, clock=lambda: harness.now)
        assert twin.find_order(order.client_order_id) == order
        assert twin.account() == harness.broker.account()
        elsewhere.close()

    def test_prices_are_simulated_where_none_is_pinned(self, harness: PaperHarness) -> None:
        quote = harness.broker.quote("MSFT")
        assert D(300) < quote.bid < quote.ask < D(600)
