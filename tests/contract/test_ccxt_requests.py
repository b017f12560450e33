"""What ccxt makes of our requests and of BloFin's answers, on real sockets: nothing sent twice or misread."""

import json
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from brokers.blofin import BlofinBroker
from core.errors import BrokerError, Rejected, Unavailable, Unknown
from core.order import OrderType, Side
from tests.blofin_server.local import Control
from tests.contract.blofin_desk import (
    KEY,
    PHRASE,
    ROOT,
    SECRET,
    blofin,
    broker,
    broker_at,
    buy,
    envelope,
    fails,
    last_body,
    posts,
    protection,
    running,
)

__all__ = ["blofin", "broker", "running"]

D = Decimal


class TestWhatIsSent:
    """ccxt's ways with a request that would cost money."""

    def test_no_broker_id_is_sent(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy())
        broker.protect(protection())
        assert "brokerId" not in last_body(blofin)
        assert "brokerId" not in last_body(blofin, "/api/v1/trade/order-tpsl")

    def test_a_limit_is_a_limit_until_it_is_cancelled(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D("50000.1")))
        body = last_body(blofin)
        assert (body["orderType"], body["price"], body["size"]) == ("limit", "50000.1", "10")
        assert not {"type", "timeInForce", "postOnly"} & set(body)

    @pytest.mark.parametrize(
        ("entry", "side", "exit_side"), [(Side.BUY, "long", Side.SELL), (Side.SELL, "short", Side.BUY)]
    )
    @pytest.mark.parametrize("how", [{"reduce_only": True}, {"closes_account_position": True}])
    def test_a_closing_order_of_a_hedged_account_names_the_side_it_closes(
        self, blofin: Control, entry: Side, side: str, exit_side: Side, how: dict[str, bool]
    ) -> None:
        """ccxt's `hedged` names the other one, which would open a second position."""
        blofin.account(KEY, SECRET, PHRASE, position_mode="long_short_mode")
        broker = broker_at(blofin.url)
        broker.submit(buy(side=entry))
        assert last_body(blofin)["positionSide"] == side
        broker.submit(buy(side=exit_side, **how))
        body = last_body(blofin)
        assert (body["positionSide"], body["reduceOnly"]) == (side, "true")
        assert blofin.books(KEY)["positions"] == []

    def test_one_way_accounts_say_net(self, blofin: Control, broker: BlofinBroker) -> None:
        broker.submit(buy())
        assert last_body(blofin)["positionSide"] == "net"
        assert "reduceOnly" not in last_body(blofin)

    def test_stops_are_executed_by_market_whatever_the_tick(self, blofin: Control) -> None:
        """ccxt rounds the -1 that means "by market" to the tick, which makes it 0 where the tick is large."""
        blofin.instrument("BTC-USDT", tick="5")
        broker = broker_at(blofin.url)
        broker.submit(buy(stop_loss=D(58_000), take_profit=D(66_000)))
        body = last_body(blofin)
        assert (body["slOrderPrice"], body["tpOrderPrice"]) == ("-1", "-1")
        assert (body["slTriggerPrice"], body["tpTriggerPrice"]) == ("58000", "66000")

    def test_sizes_are_never_cut_down(self, blofin: Control, broker: BlofinBroker) -> None:
        """ccxt cuts 2.54 contracts to 2.5 and says nothing."""
        fails(broker, Rejected, buy("0.00254"))
        assert posts(blofin) == 0

    def test_contracts_without_a_size_are_refused(self, blofin: Control, broker: BlofinBroker) -> None:
        """A contract of 1000BONK is a thousand coins: 1 would be a guess that costs a thousand times as much."""
        raw = json.loads(_instruments(blofin))
        for row in raw["data"]:
            row.pop("contractValue")
        blofin.fault(
            "answer_before", "GET", "/api/v1/market/instruments", status=200, body=json.dumps(raw), count=-1
        )
        strange = broker_at(blofin.url)
        with pytest.raises(Rejected, match="one contract of BTC-USDT is, is not known"):
            strange.submit(buy())
        with pytest.raises(Rejected):
            strange.instrument("BTC-USDT")
        assert posts(blofin) == 0

    def test_numbers_of_many_digits_stay_as_they_are(self, blofin: Control, broker: BlofinBroker) -> None:
        blofin.price("1000BONK-USDT", "0.024681", "0.024683", last="0.024681", mark="0.024681")
        quote = broker.quote("1000BONK-USDT")
        assert (quote.bid, quote.ask) == (D("0.024681"), D("0.024683"))

    def test_the_best_of_a_book_is_found_by_value(self, blofin: Control, broker: BlofinBroker) -> None:
        """Sorted as texts, 9.5 stands above 10.5."""
        level = {
            "bids": [["10.5", "1"], ["9.5", "1"]],
            "asks": [["100.5", "1"], ["11.5", "1"]],
            "ts": "1700000000000",
        }
        body = json.dumps({"code": "0", "msg": "", "data": [level]})
        blofin.fault("answer_before", "GET", "/api/v1/market/books", status=200, body=body)
        quote = broker.quote("SOL-USDT")
        assert (quote.bid, quote.ask) == (D("10.5"), D("11.5"))
        assert quote.at.isoformat() == "2023-11-14T22:13:20+00:00"

    def test_a_book_with_an_empty_side_gives_no_price(self, blofin: Control, broker: BlofinBroker) -> None:
        level = {"bids": [], "asks": [["100.5", "1"]], "ts": "1700000000000"}
        body = json.dumps({"code": "0", "msg": "", "data": [level]})
        blofin.fault("answer_before", "GET", "/api/v1/market/books", status=200, body=body)
        with pytest.raises(Rejected, match="No usable quote"):
            broker.quote("SOL-USDT")

    def test_a_rebate_is_a_negative_fee(self, blofin: Control, broker: BlofinBroker) -> None:
        """ccxt makes every fee positive."""
        blofin.settings(maker_fee="-0.0001")
        order = broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D(50_000)))
        blofin.price("BTC-USDT", 50_000)
        found = broker.find_order(order.client_order_id)
        assert found is not None
        assert (found.fee, found.fee_asset) == (D("-0.05"), "USDT")

    def test_two_processes_of_one_key_never_use_a_nonce_twice(
        self, blofin: Control, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """ccxt's nonce is the millisecond; BloFin refuses one that it has seen."""
        brokers = [broker_at(blofin.url) for _ in range(3)]
        at = int(time.time() * 1000)
        for each in brokers:
            monkeypatch.setattr(each._client, "milliseconds", lambda: at)
        with ThreadPoolExecutor(max_workers=9) as pool:
            accounts = list(pool.map(lambda n: brokers[n % 3].account(), range(60)))
        assert {account.equity for account in accounts} == {D(100_000)}
        nonces = [r["headers"]["ACCESS-NONCE"] for r in blofin.requests() if "ACCESS-NONCE" in r["headers"]]
        assert len(nonces) == len(set(nonces)) > 60


class TestReading:
    """A query that failed never reads as an answer."""

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"kind": "drop_before"}, Unknown),
            ({"kind": "silence_before"}, Unknown),
            ({"kind": "answer_before", "status": 502}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": "{}"}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": "[5]"}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": "<html></html>"}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"0","data":null}'}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"0","data":{}}'}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"0"}'}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"0","data":[{}]}'}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"0","data":[7]}'}, Unknown),
            ({"kind": "answer_before", "status": 429, "body": ""}, Unavailable),
            ({"kind": "answer_before", "status": 401, "body": ""}, Rejected),
            ({"kind": "answer_before", "status": 200, "body": '{"code":"152401","msg":"no"}'}, Rejected),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("what", ["positions", "open_orders", "protections"])
    def test_lists(
        self,
        blofin: Control,
        broker: BlofinBroker,
        fault: dict[str, object],
        kind: type[BrokerError],
        what: str,
    ) -> None:
        broker.submit(buy(stop_loss=D(50_000)))
        path = {
            "positions": "/api/v1/account/positions",
            "open_orders": "/api/v1/trade/orders-pending",
            "protections": "/api/v1/trade/orders-tpsl-pending",
        }[what]
        blofin.fault(method="GET", path=path, **fault)  # type: ignore[arg-type]
        with pytest.raises(BrokerError) as failure:
            getattr(broker, what)(*(["BTC-USDT"] if what == "protections" else []))
        assert type(failure.value) is kind

    def test_a_position_of_unknown_size_is_not_flat(self, blofin: Control, broker: BlofinBroker) -> None:
        position = {"instId": "NEW-USDT", "marginMode": "cross", "positionSide": "net", "positions": "5"}
        body = json.dumps({"code": "0", "msg": "", "data": [position]})
        blofin.fault("answer_before", "GET", "/api/v1/account/positions", status=200, body=body, count=2)
        with pytest.raises(Unknown, match="NEW"):
            broker.positions()

    @pytest.mark.parametrize("path", ["/api/v1/trade/orders-pending", "/api/v1/trade/orders-history"])
    def test_absence_needs_both_lists(self, blofin: Control, broker: BlofinBroker, path: str) -> None:
        blofin.fault("answer_before", "GET", path, status=200, body="{}")
        with pytest.raises(Unknown):
            broker.find_order("anything")

    @pytest.mark.parametrize("code", ["", "102068", "152014"])
    def test_a_refused_detail_is_not_absence(self, blofin: Control, broker: BlofinBroker, code: str) -> None:
        intent = buy()
        broker.submit(intent)
        body = json.dumps({"code": code or "0", "msg": "no such order", "data": None})
        blofin.fault("answer_before", "GET", "/api/v1/trade/order-detail", status=200, body=body)
        assert broker.find_order(intent.client_order_id) is not None

    def test_a_cancel_that_is_refused(self, blofin: Control, broker: BlofinBroker) -> None:
        order = broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D(50_000)))
        body = json.dumps({"code": "152404", "msg": "not now"})
        blofin.fault("answer_before", "POST", "/api/v1/trade/cancel-order", status=200, body=body)
        with pytest.raises(Rejected, match="not now"):
            broker.cancel(order.broker_order_id)

    @pytest.mark.parametrize("code", ["102068", "1000", "500"])
    def test_every_code_of_an_order_that_is_over(
        self, blofin: Control, broker: BlofinBroker, code: str
    ) -> None:
        words = "Cancel failed as the order has been filled, triggered, canceled or does not exist."
        for path in ("/api/v1/trade/cancel-order", "/api/v1/trade/cancel-tpsl"):
            blofin.fault("answer_before", "POST", path, status=200, body=envelope(code, words))
        broker.cancel("123")
        broker.cancel_protection("BTC-USDT", "123")

    def test_an_address_that_stops_answering_keeps_its_markets(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        broker._listing.loaded_at = -1e9
        blofin.fault("answer_before", "GET", "/api/v1/market/instruments", status=502)
        assert broker.instrument("BTC-USDT").symbol == "BTC-USDT"


def test_a_second_order_within_one_submit_is_stopped(
    blofin: Control, broker: BlofinBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a version of ccxt may do some day: what would be sent a second time raises instead."""
    once = broker._client.private_post_trade_order

    def twice(body: dict[str, str]) -> object:
        once(body)
        return once({**body, "clientOrderId": uuid.uuid4().hex})

    monkeypatch.setattr(broker._client, "privatePostTradeOrder", twice)
    fails(broker, Unknown)
    assert posts(blofin) == 1


def test_ccxt_is_loaded_when_an_account_is_opened_and_only_the_one_exchange() -> None:
    """All of ccxt costs 60 MB and more than a second, in each of many processes."""
    said = subprocess.run(
        [sys.executable, "-c", _LOADING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["0", "small", "whole"]


_LOADING = """
import sys
from brokers.base import BrokerName
from brokers.registry import CLASSES
print(sum(name.startswith("ccxt") for name in sys.modules))
for name in (BrokerName.BLOFIN, BrokerName.BYBIT, BrokerName.BINANCE_FUTURES):
    CLASSES[name]({"api_key": "k", "api_secret": "s", "passphrase": "p"})
print("small" if sum(name.startswith("ccxt") for name in sys.modules) < 25 else "all of it")
import ccxt
print("whole" if isinstance(ccxt.kraken, type) and isinstance(ccxt.blofin, type) else "broken")
"""


def _instruments(blofin: Control) -> str:
    return blofin.session.get(f"{blofin.url}/api/v1/market/instruments", timeout=10).text
