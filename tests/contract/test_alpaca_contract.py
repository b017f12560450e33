"""Hold the Alpaca adapter to the contract, over real sockets to the local server."""

import itertools
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from brokers.alpaca import AlpacaBroker, Market
from core.errors import Conflict, Rejected
from core.instrument import AssetClass
from core.order import OrderState, Side
from tests.alpaca_server.local import Control, running_server
from tests.contract.broker_contract import BrokerContract
from tests.contract.trader import Trader, trader

__all__ = ["trader"]

D = Decimal
_keys = itertools.count(1)


class AlpacaHarness:
    """One fresh account at the local server, reached through the adapter."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.key = f"PKCONTRACT{next(_keys)}"
        control.account(self.key, "secret")
        self.broker = AlpacaBroker(
            self.key, "secret", base_url=control.url, data_url=control.url, clock_seconds=0.0
        )

    def settle(self) -> None:
        self.control.settle()

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        self.control.price(symbol, bid, ask)

    def open_market(self) -> None:
        self.control.clock(is_open=True)

    def close_market(self) -> None:
        self.control.clock(is_open=False)


@pytest.fixture(scope="module")
def alpaca() -> Iterator[Control]:
    with running_server() as control:
        yield control


@pytest.fixture
def harness(alpaca: Control) -> AlpacaHarness:
    alpaca.reset()
    alpaca.settings(partial_fill_share="0")
    return AlpacaHarness(alpaca)


class TestAlpacaBroker(BrokerContract):
    """Run the whole contract."""


class TestPartialFills(BrokerContract):
    """Run the whole contract again while every order fills in two pieces."""

    @pytest.fixture
    def harness(self, alpaca: Control) -> AlpacaHarness:
        alpaca.reset()
        alpaca.settings(partial_fill_share="1", fill_delay=0.002)
        return AlpacaHarness(alpaca)

    def test_every_order_fills_in_two_pieces(self, harness: AlpacaHarness, trader: Trader) -> None:
        harness.control.settings(fill_delay=0.3)
        order = trader.submit(Side.BUY, "AAPL", 10)
        states = [order.state]
        deadline = time.monotonic() + 10
        while states[-1] is not OrderState.FILLED and time.monotonic() < deadline:
            found = trader.broker.find_order(order.client_order_id)
            assert found is not None
            if found.state is not states[-1]:
                states.append(found.state)
        assert states == [OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED, OrderState.FILLED]


class TestOnlyAlpaca:
    """What the real service does beyond the contract."""

    def test_numbers_travel_as_they_are(self, harness: AlpacaHarness, trader: Trader) -> None:
        trader.submit(Side.BUY, "AAPL", "0.100000001", limit=D("150.10"))
        (sent,) = harness.control.orders(harness.key)
        assert (sent["qty"], sent["limit_price"]) == ("0.100000001", "150.1")
        assert trader.broker.open_orders()[0].quantity == D("0.100000001")

    def test_a_closed_market_without_quotes_gives_no_price(
        self, harness: AlpacaHarness, trader: Trader
    ) -> None:
        harness.control.shown_quote("AAPL", 0, 0)
        with pytest.raises(Rejected, match="No usable quote"):
            trader.broker.quote("AAPL")
        harness.control.shown_quote("BTC/USD", "60000", 0)
        with pytest.raises(Rejected, match="No usable quote"):
            trader.broker.quote("BTC/USD")

    def test_an_old_quote_says_its_age(self, harness: AlpacaHarness, trader: Trader) -> None:
        harness.control.shown_quote("AAPL", 199, 200, at="2026-01-02T03:04:05+00:00")
        assert trader.broker.quote("AAPL").at.isoformat() == "2026-01-02T03:04:05+00:00"

    def test_a_pair_without_a_quote(self, harness: AlpacaHarness, trader: Trader) -> None:
        with pytest.raises(Rejected):
            trader.broker.quote("XYZ/USD")

    def test_the_clock_is_asked_once(self, harness: AlpacaHarness) -> None:
        url = harness.control.url
        broker = AlpacaBroker(harness.key, "secret", base_url=url, data_url=url)
        for _ in range(5):
            assert broker.clock(AssetClass.STOCK).is_open
        assert len(harness.control.requests("GET", "/v2/clock")) == 1

    def test_an_instrument_is_asked_once(self, harness: AlpacaHarness) -> None:
        for spelling in ("BTC/USD", "btcusd", "BTC-USD"):
            harness.broker.instrument(spelling)
        assert len(harness.control.requests("GET", "/v2/assets/BTC/USD")) == 1

    @pytest.mark.parametrize(
        ("symbol", "tradable", "shortable", "step"),
        [
            ("AAPL", True, True, "0.000000001"),
            ("WHOLE", True, True, "1"),
            ("NOSHRT", True, False, "0.000000001"),
            ("HARD", True, False, "0.000000001"),
            ("GONE", False, True, "0.000000001"),
            ("BRK/B", True, True, "0.000000001"),
        ],
    )
    def test_instruments(
        self, harness: AlpacaHarness, symbol: str, tradable: bool, shortable: bool, step: str
    ) -> None:
        found = harness.broker.instrument(symbol)
        assert (found.tradable, found.shortable, found.quantity_step) == (tradable, shortable, D(step))

    def test_more_open_orders_than_fit_on_a_page(self, harness: AlpacaHarness, trader: Trader) -> None:
        sent = [trader.submit(Side.BUY, "F", 1, limit=D("1.00")).broker_order_id for _ in range(1_001)]
        assert [order.broker_order_id for order in trader.broker.open_orders()] == sent

    def test_an_order_at_its_end_in_alpacas_words(self, harness: AlpacaHarness, trader: Trader) -> None:
        harness.control.settings(hold_fills=True)
        order = trader.submit(Side.BUY, "AAPL", 1)
        for status, state in [
            ("done_for_day", OrderState.SUBMITTED),
            ("pending_cancel", OrderState.SUBMITTED),
            ("suspended", OrderState.SUBMITTED),
            ("replaced", OrderState.CANCELED),
        ]:
            harness.control.status(harness.key, order.client_order_id, status)
            found = trader.broker.find_order(order.client_order_id)
            assert found is not None
            assert found.state is state

    def test_the_accounts_of_one_host_share_what_is_the_same_for_all(self, harness: AlpacaHarness) -> None:
        harness.control.account("PKOTHER", "secret")
        market, url = Market(), harness.control.url
        before = len(harness.control.requests("GET", "/v2/assets/AAPL"))
        for key in (harness.key, "PKOTHER"):
            broker = AlpacaBroker(key, "secret", base_url=url, data_url=url, market=market)
            assert broker.instrument("AAPL").tradable
        assert len(harness.control.requests("GET", "/v2/assets/AAPL")) == before + 1

    def test_a_position_closed_by_hand_is_gone(self, harness: AlpacaHarness, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        resting = trader.submit(Side.SELL, "AAPL", 10, limit=D("250.00"), closes=True)
        harness.control.holding(harness.key, "AAPL", 0)
        assert trader.broker.positions() == ()
        assert trader.settled(resting).state is OrderState.CANCELED

    def test_a_blocked_account_says_so(self, harness: AlpacaHarness) -> None:
        harness.control.account(harness.key, "secret", trading_blocked=True, shorting_enabled=False)
        account = harness.broker.account()
        assert account.problem == "Trading is blocked."
        assert not account.shorting_enabled

    def test_a_close_through_zero_is_refused(self, harness: AlpacaHarness, trader: Trader) -> None:
        trader.trade(Side.BUY, "AAPL", 10)
        with pytest.raises(Rejected):
            trader.submit(Side.SELL, "AAPL", 11, closes=True)
        with pytest.raises(Conflict):
            trader.submit(Side.SELL, "AAPL", 11)
        assert trader.broker.position("AAPL").quantity == 10
