"""Ways in which an adapter of exchanges loses money, each with what has to happen instead.

An order that is there and is not found is sent again; one that is refused for good although nobody refused it
leaves a position without its exit; a number that changes on its way buys another quantity.
"""

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from brokers import ccxt_exchange
from brokers.base import ProtectionIntent, ProtectionState
from brokers.blofin import BlofinBroker
from brokers.ccxt_exchange import CcxtBroker
from brokers.ccxt_listing import Listing
from core.errors import Conflict, Rejected, Unavailable, Unknown
from core.order import MarginMode, OrderType, Side
from tests.blofin_server.local import Control
from tests.contract.blofin_desk import KEY, ORDER, PHRASE, SECRET, blofin, buy, running, sell

__all__ = ["blofin", "running"]

D = Decimal
KEYS = {"api_key": KEY, "api_secret": SECRET, "passphrase": PHRASE}
DETAIL = "/api/v1/trade/order-detail"
HISTORY = "/api/v1/trade/orders-history"
PENDING = "/api/v1/trade/orders-pending"
INSTRUMENTS = "/api/v1/market/instruments"
POSITIONS = "/api/v1/account/positions"


@pytest.fixture
def broker(blofin: Control) -> BlofinBroker:
    return another(blofin)


def another(blofin: Control) -> BlofinBroker:
    """Return a broker that knows nothing yet, as after a restart."""
    return BlofinBroker(KEYS, base_url=blofin.url, listing=Listing())


def answer(blofin: Control, path: str, data: object, *, method: str = "GET", count: int = 1) -> None:
    body = json.dumps({"code": "0", "msg": "", "data": data})
    blofin.fault("answer_before", method, path, status=200, body=body, count=count)


def instruments(blofin: Control) -> list[dict[str, Any]]:
    return list(blofin.session.get(f"{blofin.url}{INSTRUMENTS}", timeout=10).json()["data"])


def age(broker: CcxtBroker) -> None:
    """Let the markets be of yesterday."""
    broker._listing.loaded_at = -1e9


class TestFinding:
    """None makes the engine send an exit again."""

    def test_an_order_in_a_market_that_is_not_listed_any_more_is_not_absent(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        intent = buy(symbol="SOL-USDT", quantity="1")
        broker.submit(intent)
        answer(blofin, INSTRUMENTS, instruments(blofin)[:1], count=-1)
        fresh = another(blofin)
        for symbol in ("SOL-USDT", None):
            with pytest.raises(Unknown, match="does not list SOL"):
                fresh.find_order(intent.client_order_id, symbol)
        assert fresh.find_order("neverSent", "SOL-USDT") is None

    def test_somebody_elses_strange_order_does_not_hide_ours(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        """Else the order would be in doubt for as long as the strange one is in the history."""
        intent = buy()
        broker.submit(intent)
        (raw,) = blofin.orders(KEY)
        strange = {**raw, "orderId": "1", "clientOrderId": "theirs", "state": "half_done", "side": "both"}
        answer(blofin, HISTORY, [strange, raw], count=2)
        fresh = another(blofin)
        assert fresh.find_order(intent.client_order_id) is not None
        assert fresh.find_order("neverSent") is None

    def test_a_page_that_repeats_an_order_is_not_the_last(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        intent = buy("0.01")
        broker.submit(intent)
        (ours,) = blofin.orders(KEY)
        newest = int(ours["orderId"]) + 100
        rows = [{**ours, "orderId": str(newest - number), "clientOrderId": ""} for number in range(99)]
        answer(blofin, HISTORY, [rows[0], *rows])
        assert another(blofin).find_order(intent.client_order_id) is not None

    def test_a_history_without_end_is_searched_as_far_as_it_matters(
        self, blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An order in doubt is among the newest; searching for ever would leave its position without an exit."""
        monkeypatch.setattr("brokers.blofin.HISTORY_PAGES", 3)
        monkeypatch.setattr("brokers.blofin.PAGE", 2)
        orders = [buy("0.001") for _ in range(8)]
        for intent in orders:
            broker.submit(intent)
        fresh = another(blofin)
        assert fresh.find_order("neverSent") is None
        assert len(blofin.requests("GET", HISTORY)) == 3
        assert fresh.find_order(orders[-6].client_order_id) is not None

    def test_the_same_page_again_is_not_the_end(
        self, blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the cursor is not heeded, the order may be on any page after the first."""
        monkeypatch.setattr("brokers.blofin.PAGE", 2)
        for _ in range(2):
            broker.submit(buy())
        answer(blofin, HISTORY, blofin.orders(KEY), count=-1)
        with pytest.raises(Unknown, match="same page"):
            broker.find_order("neverSent")

    def test_open_orders_without_end_are_not_told_in_part(
        self, blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("brokers.blofin.MOST_PAGES", 2)
        monkeypatch.setattr("brokers.blofin.PAGE", 2)
        for _ in range(5):
            broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D(100)))
        with pytest.raises(Unknown, match="more than 4"):
            broker.open_orders()
        with pytest.raises(Unknown, match="more than 4"):
            broker.find_order("neverSent")

    def test_many_threads_remember_orders_at_once(
        self, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What breaks here breaks after the order was sent."""
        monkeypatch.setattr(ccxt_exchange, "REMEMBERED_ORDERS", 50)
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(lambda n: broker._remember(f"order{n}", "BTC-USDT"), range(20_000)))
        assert len(broker._symbols) == 50


class TestExits:
    """What concerns something else keeps no exit back."""

    def test_markets_that_are_not_listed_are_no_refusal(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy())
        answer(blofin, INSTRUMENTS, [], count=2)
        with pytest.raises(Unavailable, match="lists no perpetual"):
            another(blofin).submit(sell(reduce_only=True))
        age(broker)
        broker.submit(sell(reduce_only=True))
        assert broker.positions() == ()

    @pytest.mark.parametrize("status", [200, 400, 404, 502])
    def test_markets_that_are_refused_are_no_refusal_of_an_order(
        self, blofin: Control, broker: BlofinBroker, status: int
    ) -> None:
        broker.submit(buy())
        refusal = '{"code": "400", "msg": "Bad Request"}'
        blofin.fault("answer_before", "GET", INSTRUMENTS, status=status, body=refusal, count=2)
        age(broker)
        broker.submit(sell(reduce_only=True))
        with pytest.raises(Unavailable):
            another(blofin).submit(buy())

    def test_a_position_in_an_unknown_market_stops_nothing_elsewhere(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker.submit(buy(leverage=7, margin_mode=MarginMode.ISOLATED))
        strange = {"instId": "NEW-USDT", "marginMode": "cross", "positionSide": "net", "positions": "5"}
        row = {**strange, "instId": "BTC-USDT", "marginMode": "isolated", "positions": "10", "leverage": "7"}
        row |= {"averagePrice": "60010", "markPrice": "60000"}
        answer(blofin, POSITIONS, [strange, row], count=-1)
        fresh = another(blofin)
        assert fresh.position("BTC-USDT").quantity == D("0.01")
        with pytest.raises(Unknown, match="NEW"):
            fresh.positions()
        fresh.submit(sell(reduce_only=True))
        assert blofin.books(KEY)["positions"] == []

    @pytest.mark.parametrize("row", [{}, {"instId": None, "positions": "5"}])
    def test_a_position_of_nothing_is_not_flat(
        self, blofin: Control, broker: BlofinBroker, row: dict[str, object]
    ) -> None:
        answer(blofin, POSITIONS, [row])
        with pytest.raises(Unknown):
            broker.position("BTC-USDT")

    def test_a_refused_entry_changes_nothing_for_the_exit(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker.submit(buy(leverage=7, margin_mode=MarginMode.ISOLATED))
        with pytest.raises(Rejected):
            broker.submit(buy(leverage=9, margin_mode=MarginMode.CROSS))
        broker.submit(sell(reduce_only=True))
        assert broker.positions() == ()

    def test_a_margin_mode_that_another_process_changed_is_read_again(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker.submit(buy("0.02", margin_mode=MarginMode.ISOLATED))
        broker.submit(sell("0.01", reduce_only=True))
        elsewhere = another(blofin)
        elsewhere.submit(sell("0.01", reduce_only=True))
        elsewhere.submit(buy(margin_mode=MarginMode.CROSS))
        with pytest.raises(Conflict):
            broker.submit(sell(reduce_only=True))
        broker.submit(sell(reduce_only=True))
        assert broker.positions() == ()

    def test_an_exit_sets_no_leverage(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy(leverage=7, margin_mode=MarginMode.CROSS))
        broker.submit(sell(reduce_only=True, leverage=20, margin_mode=MarginMode.CROSS))
        assert broker.positions() == ()
        assert len(blofin.requests("POST", "/api/v1/account/set-leverage")) == 1

    def test_a_busy_symbol_does_not_hide_what_a_stop_did(
        self, blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("brokers.blofin.HISTORY_PAGES", 2)
        monkeypatch.setattr("brokers.blofin.MOST_PAGES", 2)
        monkeypatch.setattr("brokers.blofin.PAGE", 2)
        broker.submit(buy("0.02"))
        placed = broker.protect(stop_of("0.01"))
        for _ in range(6):
            broker.submit(buy("0.001"))
        blofin.price("BTC-USDT", 57_000)
        outcome = broker.protection_outcome("BTC-USDT", placed)
        assert outcome.state is ProtectionState.TRIGGERED
        assert outcome.order is not None
        assert outcome.order.filled_quantity == D("0.01")
        (protection,) = blofin.protections(KEY)
        assert str(protection["createTime"]) in str(blofin.requests("GET", HISTORY)[-1]["query"])

    def test_what_ccxt_refuses_after_the_order_was_sent_is_no_refusal(
        self, blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        once = broker._client.private_post_trade_order

        def send_and_complain(body: dict[str, str]) -> object:
            once(body)
            raise ccxt.InvalidOrder("what came back is strange")

        monkeypatch.setattr(broker._client, "privatePostTradeOrder", send_and_complain)
        with pytest.raises(Unknown, match="strange"):
            broker.submit(buy())
        assert len(blofin.orders(KEY)) == 1


def stop_of(quantity: str, price: str = "58000") -> ProtectionIntent:
    return ProtectionIntent(
        client_id=uuid.uuid4().hex,
        symbol="BTC-USDT",
        side=Side.SELL,
        quantity=D(quantity),
        stop_price=D(price),
    )


class TestProtection:
    def test_two_at_one_price_are_told_apart(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy("0.03"))
        placed = [broker.protect(stop_of(quantity)) for quantity in ("0.01", "0.02")]
        blofin.price("BTC-USDT", 57_000)
        outcomes = [broker.protection_outcome("BTC-USDT", each) for each in placed]
        assert [each.order.quantity for each in outcomes if each.order] == [D("0.01"), D("0.02")]
        assert len({each.order.broker_order_id for each in outcomes if each.order}) == 2

    def test_a_stop_that_has_filled_in_part_tells_how_much(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker.submit(buy("0.02"))
        placed = broker.protect(stop_of("0.02"))
        blofin.settings(fill_size="4")
        blofin.price("BTC-USDT", 57_000)
        outcome = another(blofin).protection_outcome("BTC-USDT", placed)
        assert outcome.order is not None
        assert not outcome.order.state.is_final
        assert (outcome.order.quantity, outcome.order.filled_quantity) == (D("0.02"), D("0.004"))

    def test_it_is_reduce_only_and_of_the_positions_margin(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker.submit(buy("0.02", leverage=3, margin_mode=MarginMode.ISOLATED))
        another(blofin).protect(stop_of("0.01"))
        body = json.loads(blofin.requests("POST", "/api/v1/trade/order-tpsl")[-1]["body"])
        assert (body["reduceOnly"], body["marginMode"], body["size"]) == ("true", "isolated", "10")


class TestNumbers:
    """From our decimals to the exchange's text and back, without a float or an exponent between."""

    @pytest.mark.parametrize("price", ["0.00001234", "0.00000001", "0.00001"])
    def test_the_smallest_prices(self, blofin: Control, broker: BlofinBroker, price: str) -> None:
        blofin.instrument("1000BONK-USDT", tick="0.00000001")
        blofin.price("1000BONK-USDT", price)
        found = broker.instrument("1000BONKUSDT")
        assert (found.tick(D(price)), found.quantity_step) == (D("0.00000001"), D(1000))
        quote = broker.quote("1000BONKUSDT")
        assert (quote.bid, quote.ask) == (D(price), D(price))
        order = broker.submit(buy("54000", "1000BONK-USDT", order_type=OrderType.LIMIT, limit_price=D(price)))
        body = json.loads(blofin.requests("POST", ORDER)[-1]["body"])
        assert (body["size"], body["price"]) == ("54", price)
        known = broker.find_order(order.client_order_id)
        assert known is not None
        assert (known.filled_quantity, known.average_price) == (D(54_000), D(price))
        held = broker.position("1000BONK-USDT")
        assert (held.quantity, held.average_price) == (D(54_000), D(price))

    @pytest.mark.parametrize("tick", [1e-8, "1e-8", "1E-8", "0.000000010000"])
    def test_a_tick_in_any_notation(self, blofin: Control, tick: object) -> None:
        rows = [row for row in instruments(blofin) if row["instId"] == "1000BONK-USDT"]
        answer(blofin, INSTRUMENTS, [{**rows[0], "tickSize": tick}], count=-1)
        blofin.instrument("1000BONK-USDT", tick="0.00000001")
        blofin.price("1000BONK-USDT", "0.00001234")
        broker = another(blofin)
        assert broker.instrument("1000BONK-USDT").tick(D(1)) == D("0.00000001")
        broker.submit(buy("1000", "1000BONK-USDT", order_type=OrderType.LIMIT, limit_price=D("0.00001234")))
        assert json.loads(blofin.requests("POST", ORDER)[-1]["body"])["price"] == "0.00001234"
        with pytest.raises(Rejected, match="multiple"):
            broker.submit(
                buy("1000", "1000BONK-USDT", order_type=OrderType.LIMIT, limit_price=D("0.000012345"))
            )

    @pytest.mark.parametrize("quantity", ["123456789.1234", "0.0001", "1E+3", "100000.0"])
    def test_sizes_arrive_as_they_were_meant(
        self, blofin: Control, broker: BlofinBroker, quantity: str
    ) -> None:
        blofin.account("rich", SECRET, PHRASE, balance=10**20)
        blofin.instrument("BTC-USDT", max_market="1E+20", max_limit="1E+20")
        rich = BlofinBroker({**KEYS, "api_key": "rich"}, base_url=blofin.url, listing=Listing())
        rich.submit(buy(quantity))
        body = json.loads(blofin.requests("POST", ORDER)[-1]["body"])
        assert D(body["size"]) * D("0.001") == D(quantity)
        assert "E" not in body["size"]
        assert rich.position("BTC-USDT").quantity == D(quantity)

    def test_a_market_order_beyond_the_greatest_is_refused_in_blofins_words(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        blofin.instrument("BTC-USDT", max_market="5")
        with pytest.raises(Rejected, match="maximum") as refusal:
            broker.submit(buy("0.01"))
        assert refusal.value.code == "102015"

    def test_a_price_outside_of_the_band_is_refused_in_blofins_words(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        blofin.settings(price_band="0.05")
        with pytest.raises(Rejected, match="price limit") as refusal:
            broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D(100)))
        assert refusal.value.code == "102064"


class TestMarkets:
    def test_a_contract_of_another_size_is_noticed_with_the_next_listing(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        """Rules of before with sizes of now would be ten times the order."""
        assert broker.instrument("SOL-USDT").quantity_step == D("0.01")
        blofin.instrument("SOL-USDT", contract_value="10")
        age(broker)
        assert broker.instrument("SOL-USDT").quantity_step == D("0.1")
        broker.submit(buy("10", "SOL-USDT"))
        assert D(blofin.orders(KEY)[-1]["size"]) == 1

    def test_only_what_is_linear_and_settled_in_usdt_is_traded(self, blofin: Control) -> None:
        rows = {row["instId"]: row for row in instruments(blofin)}
        base = rows["BTC-USDT"]
        others = [
            {
                **base,
                "instId": "BTC-USD",
                "quoteCurrency": "USD",
                "settleCurrency": "BTC",
                "contractType": "inverse",
            },
            {**base, "instId": "BTC-USDC", "quoteCurrency": "USDC", "settleCurrency": "USDC"},
            {**base, "instId": "ETH-USDT-261225", "baseCurrency": "ETH", "instType": "FUTURE"},
            {**base, "instId": "XRP-USDT", "baseCurrency": "XRP", "contractType": "inverse"},
            {**base, "instId": "ADA-USDT", "baseCurrency": "ADA", "instType": "SPOT"},
        ]
        answer(blofin, INSTRUMENTS, [*others, base], count=-1)
        broker = another(blofin)
        assert broker.instrument("BTCUSDT").symbol == "BTC-USDT"
        for row in others:
            with pytest.raises(Rejected, match="no perpetual"):
                broker.instrument(row["instId"])
        with pytest.raises(Rejected):
            broker.instrument("ETHUSDT")

    def test_a_coin_keeps_the_name_that_the_exchange_gives_it(self, blofin: Control) -> None:
        """ccxt calls XBT bitcoin and BCHSV another coin, whatever this exchange means by them."""
        base = next(row for row in instruments(blofin) if row["instId"] == "BTC-USDT")
        other = {**base, "instId": "XBT-USDT", "baseCurrency": "XBT", "contractValue": "7"}
        answer(blofin, INSTRUMENTS, [base, other], count=-1)
        broker = another(blofin)
        assert broker.instrument("BTC-USDT").quantity_step == D("0.0001")
        assert broker.instrument("XBT-USDT").quantity_step == D("0.7")

    def test_1000bonk_is_not_bonk(self, broker: BlofinBroker) -> None:
        for symbol in ("BONKUSDT", "BONK-USDT", "1000BONK", "BONK1000USDT"):
            with pytest.raises(Rejected):
                broker.submit(buy("1000", symbol))


class TestAccount:
    def test_a_leverage_that_was_not_taken_sends_nothing(self, blofin: Control, broker: BlofinBroker) -> None:
        data = {"leverage": "50", "marginMode": "cross", "instId": "BTC-USDT"}
        answer(blofin, "/api/v1/account/set-leverage", data, method="POST")
        with pytest.raises(Rejected, match="to 50 instead of 75"):
            broker.submit(buy(leverage=75, margin_mode=MarginMode.CROSS))
        assert blofin.requests("POST", ORDER) == []

    def test_a_hedged_cross_account_has_one_leverage_for_both_sides(self, blofin: Control) -> None:
        blofin.account(KEY, SECRET, PHRASE, balance=100_000, position_mode="long_short_mode")
        another(blofin).submit(buy(leverage=9, margin_mode=MarginMode.CROSS))
        (sent,) = blofin.requests("POST", "/api/v1/account/set-leverage")
        assert "positionSide" not in json.loads(sent["body"])

    @pytest.mark.parametrize(
        ("data", "kind", "words"),
        [
            ({"positionMode": "multi_position_mode"}, Rejected, "multi_position_mode"),
            ({}, Unavailable, "not understood"),
            (None, Unavailable, "not understood"),
        ],
    )
    def test_a_position_mode_is_never_guessed(
        self, blofin: Control, broker: BlofinBroker, data: object, kind: type[Exception], words: str
    ) -> None:
        answer(blofin, "/api/v1/account/position-mode", data)
        with pytest.raises(kind, match=words):
            broker.submit(buy())
        assert blofin.requests("POST", ORDER) == []

    @pytest.mark.parametrize("seconds", [-90, 90])
    def test_a_clock_that_is_wrong_is_named(
        self, blofin: Control, broker: BlofinBroker, seconds: int
    ) -> None:
        blofin.settings(clock_offset_ms=seconds * 1000)
        for ask in (broker.account, lambda: broker.submit(buy())):
            with pytest.raises(Unavailable, match="clock of this machine is wrong"):
                ask()
        assert blofin.orders(KEY) == []

    @pytest.mark.parametrize("seconds", [-30, 30])
    def test_a_clock_that_is_a_little_off_loses_nothing(
        self, blofin: Control, broker: BlofinBroker, seconds: int
    ) -> None:
        blofin.settings(clock_offset_ms=seconds * 1000)
        intent = buy(stop_loss=D(58_000))
        broker.submit(intent)
        assert another(blofin).find_order(intent.client_order_id) is not None
        (resting,) = broker.protections("BTC-USDT")
        blofin.price("BTC-USDT", 57_000)
        assert broker.protection_outcome("BTC-USDT", resting.id).order is not None


def test_threads_trade_while_the_markets_are_loaded_anew(blofin: Control, broker: BlofinBroker) -> None:
    """A symbol that is not there for a moment would refuse an exit for good."""
    broker.submit(buy("0.5"))
    ended = threading.Event()

    def reload() -> int:
        times = 0
        while not ended.is_set():
            age(broker)
            broker.instrument("ETH-USDT")
            times += 1
        return times

    with ThreadPoolExecutor(max_workers=5) as pool:
        reloading = pool.submit(reload)
        try:
            orders = list(pool.map(lambda _: broker.submit(sell("0.01", reduce_only=True)), range(50)))
        finally:
            ended.set()
        assert reloading.result() > 1
    assert len(orders) == 50
    assert broker.positions() == ()
