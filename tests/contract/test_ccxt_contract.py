"""Hold the adapter to the contract at a local BloFin, over real sockets, through the real ccxt."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from brokers.base import Account, BrokerName, Mode
from brokers.blofin import BlofinBroker
from brokers.ccxt_exchange import CcxtBroker
from brokers.ccxt_listing import Listing
from brokers.registry import EXCHANGES
from core.errors import Conflict, DuplicateOrder, Unknown
from core.order import MarginMode, OrderState, Side
from tests.binance_server import binance as binance_server
from tests.blofin_server.local import Control, running, running_server
from tests.bybit_server import bybit as bybit_server
from tests.contract.lending_contract import (
    PERPETUALS,
    LendingContract,
    ProtectingContract,
    protecting,
    protection,
)
from tests.contract.trader import Trader, new_id, trader

__all__ = ["trader"]

D = Decimal
_keys = itertools.count(1)


class BlofinHarness:
    """One fresh account at the local server, reached through the adapter."""

    phrase = "phrase"

    def __init__(self, control: Control, **account: object) -> None:
        self.control = control
        self.key = f"contract{next(_keys)}"
        control.account(self.key, "secret", self.phrase, balance=100_000, **account)
        self.broker = self.another()

    def another(self) -> CcxtBroker:
        """Return a broker of the same account that knows nothing yet, as after a restart."""
        keys = {"api_key": self.key, "api_secret": "secret", "passphrase": "phrase"}
        return BlofinBroker(keys, base_url=self.control.url, listing=Listing())

    def settle(self) -> None:
        self.control.tick()

    def exchange_positions(self) -> list[dict[str, str]]:
        """Return what the exchange itself holds for the account."""
        return list(self.control.books(self.key)["positions"])

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        # stops go by the last price: let it be what a seller gets
        self.control.price(symbol, bid, ask, last=bid, mark=bid)

    def open_market(self) -> None:
        raise NotImplementedError("perpetuals trade at every hour")

    def close_market(self) -> None:
        raise NotImplementedError("perpetuals trade at every hour")


@pytest.fixture(scope="module")
def blofin() -> Iterator[Control]:
    with running_server("demo") as control:
        yield control


@pytest.fixture
def harness(blofin: Control) -> BlofinHarness:
    blofin.reset()
    return BlofinHarness(blofin)


class TestOneWay(ProtectingContract):
    """Run the whole contract in an account with one position for each symbol."""


class TestHedged(ProtectingContract):
    """Run the whole contract in an account with a long and a short side."""

    @pytest.fixture
    def harness(self, blofin: Control) -> BlofinHarness:
        blofin.reset()
        return BlofinHarness(blofin, position_mode="long_short_mode")

    def test_long_and_short_side_by_side_are_their_difference(
        self, harness: BlofinHarness, trader: Trader
    ) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.03")
        trader.trade(Side.SELL, "BTC-USDT", "0.01")
        assert len(harness.control.books(harness.key)["positions"]) == 2
        held = trader.broker.position("BTC-USDT")
        assert (held.quantity, held.average_price) == (D("0.02"), trader.terms.ask)
        trader.trade(Side.BUY, "BTC-USDT", "0.01", closes=True)
        trader.trade(Side.SELL, "BTC-USDT", "0.03", closes=True)
        assert harness.control.books(harness.key)["positions"] == []


class TestOtherWays(ProtectingContract):
    """Run the whole contract where BloFin's documents leave it open what it does, the other way round."""

    @pytest.fixture
    def harness(self, blofin: Control) -> BlofinHarness:
        blofin.reset()
        blofin.settings(
            envelope="outer_zero",
            cancel_envelope="outer_one",
            cancel_listed=False,
            unknown_order_code="102068",
            closed_protection="none",
            attach_at_first_fill=True,
            attached_client_id=True,
            amend_reduce_only=True,
        )
        return BlofinHarness(blofin)


class TestFlatFailures(ProtectingContract):
    """Run the whole contract where a failure's code stands alone."""

    @pytest.fixture
    def harness(self, blofin: Control) -> BlofinHarness:
        blofin.reset()
        blofin.settings(envelope="flat", cancel_envelope="flat")
        return BlofinHarness(blofin)


class TestOnlyBlofin:
    """What BloFin does beyond the contract."""

    terms = PERPETUALS

    def test_sizes_travel_in_contracts(self, harness: BlofinHarness, trader: Trader) -> None:
        trader.submit(Side.BUY, "BTC-USDT", "0.0123")
        trader.submit(Side.BUY, "1000BONK-USDT", "54000")
        sizes = [D(order["size"]) for order in harness.control.orders(harness.key)]
        assert sizes == [D("12.3"), D("54")]
        assert trader.broker.position("1000BONK-USDT").quantity == D(54_000)

    def test_more_open_orders_than_fit_on_a_page(self, harness: BlofinHarness, trader: Trader) -> None:
        sent = {trader.submit(Side.BUY, "SOL-USDT", "0.01", limit=D(1)).broker_order_id for _ in range(230)}
        assert {order.broker_order_id for order in trader.broker.open_orders()} == sent

    def test_after_a_restart_an_order_is_found_without_its_symbol(
        self, harness: BlofinHarness, trader: Trader
    ) -> None:
        filled = trader.trade(Side.BUY, "BTC-USDT", "0.01")
        resting = trader.submit(Side.BUY, "SOL-USDT", "1", limit=D(1))
        canceled = trader.submit(Side.BUY, "ETH-USDT", "1", limit=D(1))
        trader.broker.cancel(canceled.broker_order_id)
        for order, state in (
            (filled, OrderState.FILLED),
            (resting, OrderState.SUBMITTED),
            (canceled, OrderState.CANCELED),
        ):
            found = harness.another().find_order(order.client_order_id)
            assert found is not None
            assert (found.broker_order_id, found.state) == (order.broker_order_id, state)
        assert harness.another().find_order("neverSent") is None

    def test_an_order_far_down_the_history_is_found(self, harness: BlofinHarness, trader: Trader) -> None:
        first = trader.trade(Side.BUY, "SOL-USDT", "0.01")
        for _ in range(220):
            trader.submit(Side.BUY, "SOL-USDT", "0.01")
        found = harness.another().find_order(first.client_order_id)
        assert found == first

    def test_a_part_that_filled_before_the_cancel(self, harness: BlofinHarness, trader: Trader) -> None:
        order = trader.submit(Side.BUY, "BTC-USDT", "0.01", limit=D(50_000))
        harness.control.fill(harness.key, order.broker_order_id, size=4, price=50_000)
        partial = trader.settled(order)
        assert (partial.state, partial.filled_quantity) == (OrderState.PARTIALLY_FILLED, D("0.004"))
        trader.broker.cancel(order.broker_order_id)
        ended = trader.settled(order)
        assert (ended.state, ended.filled_quantity) == (OrderState.CANCELED, D("0.004"))
        assert ended.average_price == D(50_000)

    def test_an_order_that_the_exchange_ends_says_why(self, harness: BlofinHarness, trader: Trader) -> None:
        order = trader.submit(Side.BUY, "BTC-USDT", "0.01", limit=D(50_000))
        harness.control.end(harness.key, order.broker_order_id, "Delisted")
        assert trader.settled(order).message == "Delisted"

    def test_a_suspended_instrument_is_not_tradable(self, trader: Trader) -> None:
        assert not trader.broker.instrument("LUNA-USDT").tradable
        assert trader.broker.instrument("BTC-USDT").tradable

    def test_the_accounts_of_one_address_share_its_markets(self, harness: BlofinHarness) -> None:
        listing, before = Listing(), len(harness.control.requests("GET", "/api/v1/market/instruments"))
        for key in ("one", "two"):
            harness.control.account(key, "secret", "phrase")
            keys = {"api_key": key, "api_secret": "secret", "passphrase": "phrase"}
            broker = BlofinBroker(keys, base_url=harness.control.url, listing=listing)
            assert broker.instrument("BTC-USDT").tradable
            assert broker.account().equity == D(10_000)
        assert len(harness.control.requests("GET", "/api/v1/market/instruments")) == before + 1

    def test_another_position_mode_is_noticed(self, harness: BlofinHarness, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        trader.trade(Side.SELL, "BTC-USDT", "0.01", closes=True)
        harness.broker._client.private_post_account_set_position_mode({"positionMode": "long_short_mode"})
        with pytest.raises(Conflict) as refused:
            trader.submit(Side.BUY, "BTC-USDT", "0.01")
        assert refused.value.code == "102089"
        trader.trade(Side.BUY, "BTC-USDT", "0.01")
        assert harness.control.orders(harness.key)[-1]["positionSide"] == "long"

    def test_each_side_of_a_hedged_isolated_account_has_its_leverage(self, blofin: Control) -> None:
        blofin.reset()
        harness = BlofinHarness(blofin, position_mode="long_short_mode")
        trader = Trader(harness)
        for side, leverage in ((Side.BUY, 10), (Side.SELL, 4)):
            trader.trade(side, "BTC-USDT", "0.01", leverage=leverage, margin_mode=MarginMode.ISOLATED)
            trader.trade(side.opposite, "BTC-USDT", "0.01", closes=True)
        sent = harness.control.requests("POST", "/api/v1/account/set-leverage")
        assert ['"positionSide":"long"' in sent[0]["body"], '"positionSide":"short"' in sent[1]["body"]] == [
            True,
            True,
        ]

    def test_orders_in_the_same_leverage_cost_one_call(self, harness: BlofinHarness, trader: Trader) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.01", leverage=3, margin_mode=MarginMode.CROSS)
        before = len(harness.control.requests())
        trader.submit(Side.BUY, "BTC-USDT", "0.01", leverage=3, margin_mode=MarginMode.CROSS)
        assert len(harness.control.requests()) == before + 1

    def test_a_protection_whose_order_names_nothing_is_matched_by_its_kind(
        self, harness: BlofinHarness, trader: Trader
    ) -> None:
        trader.trade(Side.BUY, "BTC-USDT", "0.02")
        placed = protecting(trader).protect(protection(stop="58000"))
        trader.harness.set_price("BTC-USDT", D(57_000), D(57_001))
        outcome = protecting(trader).protection_outcome("BTC-USDT", placed)
        assert outcome.order is not None
        assert outcome.order.filled_quantity == D("0.01")


class TestKeys:
    """What is said of a key when the account is read."""

    @pytest.fixture
    def live(self) -> Iterator[Control]:
        with running_server("live") as control:
            yield control

    def account_of(self, control: Control, mode: str, **fields: object) -> Account:
        control.account("key", "secret", "phrase", **fields)
        keys = {"api_key": "key", "api_secret": "secret", "passphrase": "phrase"}
        return BlofinBroker(keys, mode=Mode(mode), base_url=control.url).account()

    def test_a_key_that_may_withdraw_is_a_loud_warning(self, live: Control) -> None:
        account = self.account_of(live, "live", permissions=["read", "trade", "withdraw"], ips=["127.0.0.1"])
        assert account.warning.startswith("THIS KEY MAY WITHDRAW MONEY")
        assert account.problem is None

    def test_a_key_that_may_not_is_none(self, live: Control) -> None:
        account = self.account_of(live, "live", permissions=["read", "trade"], ips=["127.0.0.1"])
        assert (account.problem, account.warning) == (None, None)

    def test_a_demo_key_is_not_put_to_the_test(self, blofin: Control) -> None:
        blofin.reset()
        self.account_of(blofin, "demo", permissions=["read", "trade", "withdraw"])
        assert blofin.requests("POST") == []

    def test_a_key_that_may_only_read_is_a_problem(self, blofin: Control) -> None:
        blofin.reset()
        account = self.account_of(blofin, "demo", permissions=["read"])
        assert "may only read" in account.problem

    def test_a_key_without_an_address_is_a_warning(self, blofin: Control) -> None:
        blofin.reset()
        assert "no IP address" in self.account_of(blofin, "demo").warning

    def test_the_key_is_asked_for_once(self, harness: BlofinHarness) -> None:
        for _ in range(3):
            harness.broker.account()
        assert len(harness.control.requests("GET", "/api/v1/user/query-apikey")) == 1


class TableHarness(BlofinHarness):
    """One fresh account at an exchange that is nothing but an entry of the table."""

    name: BrokerName
    phrase = ""

    def another(self) -> CcxtBroker:
        keys = {"api_key": self.key, "api_secret": "secret"}
        return EXCHANGES[self.name](keys, base_url=self.control.url, listing=Listing())


class BybitHarness(TableHarness):
    name = BrokerName.BYBIT


class BinanceHarness(TableHarness):
    name = BrokerName.BINANCE_FUTURES


COINS = replace(
    PERPETUALS,
    symbol="BTCUSDT",
    spellings=("BTCUSDT", "btc-usdt", "BTC/USDT", "BTCUSDT.P", "BTC/USDT:USDT", "BYBIT:BTCUSDT.P"),
    other=("ETHUSDT", D("2999.5"), D("3000.5")),
    step=D("0.001"),
)


@pytest.fixture(scope="module")
def bybit() -> Iterator[Control]:
    with running(bybit_server("demo")) as control:
        yield control


@pytest.fixture(scope="module")
def binance() -> Iterator[Control]:
    with running(binance_server("demo")) as control:
        yield control


class TestBybit(LendingContract):
    """Run the whole contract at a local server in Bybit's words."""

    terms = replace(COINS, taken_code="110072")

    @pytest.fixture
    def harness(self, bybit: Control) -> BybitHarness:
        bybit.reset()
        return BybitHarness(bybit)


class TestBinance(LendingContract):
    """Run the whole contract at a local server in Binance's words, which do not name an order's fee."""

    terms = replace(COINS, taken_code="-4116", fee_rate=D(0), leverage=20)

    def test_an_id_can_be_used_once(self, trader: Trader) -> None:
        """Binance knows an id as taken only while its order is open."""
        order = trader.buy(limit=trader.terms.below)
        with pytest.raises(DuplicateOrder):
            trader.buy(client_order_id=order.client_order_id)
        assert len(trader.broker.open_orders()) == 1

    def test_two_threads_with_one_id_make_one_order(self, trader: Trader) -> None:
        """The same: only an order that rests keeps its id taken."""
        client_order_id = new_id()

        def send(_: int) -> bool:
            try:
                trader.buy(limit=trader.terms.below, client_order_id=client_order_id)
            except DuplicateOrder:
                return False
            return True

        with ThreadPoolExecutor(max_workers=4) as pool:
            assert sum(pool.map(send, range(4))) == 1
        assert len(trader.broker.open_orders()) == 1

    def test_an_id_stays_used_after_a_cancel(self, trader: Trader) -> None:
        """It does not; so an order in doubt is looked up by its symbol, and nothing else."""
        order = trader.buy(limit=trader.terms.below)
        trader.broker.cancel(order.broker_order_id)
        with pytest.raises(Unknown, match="only by its symbol"):
            self.fresh(trader).find_order(order.client_order_id)
        found = self.fresh(trader).find_order(order.client_order_id, trader.terms.symbol)
        assert found is not None
        assert found.state is OrderState.CANCELED

    def fresh(self, trader: Trader) -> CcxtBroker:
        harness = trader.harness
        assert isinstance(harness, BinanceHarness)
        return harness.another()

    @pytest.fixture
    def harness(self, binance: Control) -> BinanceHarness:
        binance.reset()
        binance.settings(taker_fee="0", maker_fee="0")
        return BinanceHarness(binance)
