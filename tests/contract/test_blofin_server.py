"""The local BloFin reads, verifies and refuses requests as the real one; ccxt understands its answers."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
import requests

from tests.blofin_server.local import Control, running_server
from tests.contract.blofin_client import (
    BTC,
    CCXT_BROKER,
    ETH,
    ORDER,
    Json,
    Raw,
    fresh,
    order_body,
)


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with running_server() as running:
        yield running


@pytest.fixture
def exchange(control: Control) -> Any:
    return fresh(control)


@pytest.fixture
def raw(control: Control, exchange: Any) -> Raw:
    control.account("key", "secret", "phrase")
    return Raw(control)


class TestMarketData:
    def test_instruments_are_markets_in_contracts(self, exchange: Any) -> None:
        markets = {market["id"]: market for market in exchange.load_markets().values()}
        assert set(markets) == {"BTC-USDT", "ETH-USDT", "SOL-USDT", "1000BONK-USDT", "LUNA-USDT"}
        bitcoin = markets["BTC-USDT"]
        assert (bitcoin["contractSize"], bitcoin["limits"]["amount"]["min"]) == (0.001, 0.1)
        assert bitcoin["limits"]["leverage"]["max"] == 125
        assert bitcoin["linear"]
        assert bitcoin["swap"]
        assert bitcoin["settle"] == "USDT"
        assert not markets["LUNA-USDT"]["active"]

    def test_prices_are_those_that_were_set(self, control: Control, exchange: Any) -> None:
        control.price("BTC-USDT", "61000", "61000.5", last="61000.1", mark="61000.2")
        ticker = exchange.fetch_ticker(BTC)
        assert (ticker["bid"], ticker["ask"], ticker["last"]) == (61000, 61000.5, 61000.1)
        assert exchange.fetch_mark_price(BTC)["markPrice"] == 61000.2
        assert exchange.fetch_tickers([ETH])[ETH]["last"] == 3000
        book = exchange.fetch_order_book(BTC, 3)
        assert book["bids"][0] == [61000, 20]
        assert book["asks"][2][0] == 61000.7

    def test_an_unknown_instrument_has_its_own_code(self, control: Control, exchange: Any) -> None:
        answer = requests.get(f"{control.url}/api/v1/market/tickers?instId=NO-USDT", timeout=10).json()
        assert answer == {"code": "152014", "msg": "Instrument ID does not exist", "data": None}

    def test_tiers_tell_the_maintenance_rate(self, exchange: Any) -> None:
        rows = exchange.public_get_market_position_tiers({"instId": "BTC-USDT", "marginMode": "cross"})[
            "data"
        ]
        assert (rows[0]["maintenanceMarginRate"], rows[0]["maxLeverage"]) == ("0.003", "125")


class TestSignIn:
    def test_every_signature_of_ccxt_passes(self, control: Control, exchange: Any) -> None:
        exchange.fetch_balance()
        exchange.fetch_leverages([BTC, ETH])
        exchange.create_order(BTC, "limit", "buy", 1, 50_000)
        assert {r["code"] for r in control.requests()} == {"0"}

    @pytest.mark.parametrize(
        ("wrong", "code", "error"),
        [
            ({"secret": "other"}, "152409", ccxt.AuthenticationError),
            ({"password": "other"}, "152408", ccxt.AuthenticationError),
            ({"apiKey": "other"}, "152401", ccxt.AuthenticationError),
        ],
    )
    def test_wrong_credentials(
        self, control: Control, exchange: Any, wrong: Json, code: str, error: type
    ) -> None:
        exchange.load_markets()
        for name, value in wrong.items():
            setattr(exchange, name, value)
        with pytest.raises(error, match=code):
            exchange.fetch_positions()

    def test_our_own_signature_passes_and_a_changed_body_does_not(self, raw: Raw) -> None:
        assert raw.get("/api/v1/account/balance")["code"] == "0"
        assert raw.get("/api/v1/account/positions", {"instId": "BTC-USDT"})["code"] == "0"
        headers = raw.headers("POST", ORDER, json.dumps(order_body()))
        body = json.dumps(order_body(size="1000"))
        answer = requests.post(raw.url + ORDER, data=body, headers=headers, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (200, "152409")

    def test_a_nonce_is_good_once(self, raw: Raw) -> None:
        path = "/api/v1/account/balance"
        headers = raw.headers("GET", path, "")
        codes = [requests.get(raw.url + path, headers=headers, timeout=10).json()["code"] for _ in range(2)]
        assert codes == ["0", "152407"]

    @pytest.mark.parametrize(
        ("stamp", "code"),
        [
            (lambda now: now - 61_000, "152405"),
            (lambda now: now + 61_000, "152405"),
            (lambda now: now // 1000, "152410"),
        ],
    )
    def test_the_time_window(self, raw: Raw, stamp: Any, code: str) -> None:
        path = "/api/v1/account/balance"
        headers = raw.headers("GET", path, "", stamp=str(stamp(time.time_ns() // 1_000_000)))
        assert requests.get(raw.url + path, headers=headers, timeout=10).json()["code"] == code

    def test_the_servers_clock_can_be_wrong(self, control: Control, raw: Raw) -> None:
        control.settings(clock_offset_ms=120_000)
        assert raw.get("/api/v1/account/balance")["code"] == "152405"

    def test_a_missing_header_is_named(self, raw: Raw) -> None:
        answer = requests.get(f"{raw.url}/api/v1/account/balance", timeout=10).json()
        assert answer["code"] == "152001"
        assert "ACCESS-KEY" in answer["msg"]

    def test_permissions(self, control: Control, raw: Raw) -> None:
        control.account("key", "secret", "phrase", permissions=["read"])
        assert raw.get("/api/v1/user/query-apikey")["data"]["readOnly"] == 1
        assert raw.post(ORDER, order_body())["code"] == "152404"
        control.account("key", "secret", "phrase", permissions=["read", "trade"])
        assert raw.get("/api/v1/user/query-apikey")["data"]["readOnly"] == 0
        assert raw.post("/api/v1/asset/withdrawal-apply", {})["code"] == "152404"
        control.change_account("key", permissions=["read", "trade", "withdraw"])
        assert raw.post("/api/v1/asset/withdrawal-apply", {})["code"] == "152001"

    def test_addresses_and_expiry(self, control: Control, raw: Raw) -> None:
        control.account("key", "secret", "phrase", ips=["10.0.0.1"])
        assert raw.get("/api/v1/account/balance")["code"] == "152406"
        control.account("key", "secret", "phrase", expired=True)
        assert raw.get("/api/v1/account/balance")["code"] == "152402"

    def test_broker_ids(self, control: Control, raw: Raw) -> None:
        assert raw.post(ORDER, order_body(brokerId=CCXT_BROKER))["code"] == "152011"
        assert raw.post(ORDER, order_body(brokerId=""))["code"] == "0"
        control.account("key", "secret", "phrase", key_type=2, broker_id="ours")
        assert raw.post(ORDER, order_body())["code"] == "152012"
        assert raw.post(ORDER, order_body(brokerId=CCXT_BROKER))["code"] == "152013"
        assert raw.post(ORDER, order_body(brokerId="ours"))["code"] == "0"

    def test_the_demo_host_knows_other_keys_and_no_funding(self, control: Control, raw: Raw) -> None:
        with running_server("demo") as demo:
            assert Raw(demo).get("/api/v1/account/balance")["code"] == "152401"
            demo.account("key", "secret", "phrase", balance=0)
            assert Raw(demo).get("/api/v1/asset/currencies")["code"] == "152404"
            money = {"accountType": "futures", "demoApplyMoney": [{"currency": "USDT", "amountStr": "500"}]}
            assert Raw(demo).post("/api/v1/asset/demo-apply-money", money)["code"] == "0"
            rows = Raw(demo).get("/api/v1/asset/balances", {"accountType": "futures"})["data"]
            assert Decimal(rows[0]["balance"]) == 500
        assert raw.post("/api/v1/asset/demo-apply-money", money)["code"] == "152404"


class TestEnvelopes:
    def test_numbers_are_strings(self, control: Control, raw: Raw) -> None:
        raw.post(ORDER, order_body(orderType="limit", price="59000"))
        [order] = raw.get("/api/v1/trade/orders-pending")["data"]
        assert order["price"] == "59000.000000000000000000"
        assert order["reduceOnly"] == "false"
        raw.post(ORDER, order_body())
        [position] = raw.get("/api/v1/account/positions")["data"]
        assert all(isinstance(value, str) for value in position.values())

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"instId": None}, "152001"),
            ({"instId": "NO-USDT"}, "152014"),
            ({"instId": "LUNA-USDT"}, "152014"),
            ({"side": "long"}, "152002"),
            ({"size": "0.05"}, "152002"),
            ({"size": "1.05"}, "152002"),
            ({"size": "ten"}, "152002"),
            ({"orderType": "limit"}, "152001"),
            ({"orderType": "limit", "price": "60000.05"}, "152002"),
            ({"clientOrderId": "with-hyphen"}, "152009"),
            ({"clientOrderId": "x" * 33}, "152009"),
            ({"slTriggerPrice": "50000"}, "152001"),
        ],
    )
    def test_a_bad_parameter_refuses_the_whole(self, raw: Raw, change: Json, code: str) -> None:
        answer = raw.post(ORDER, order_body(**change))
        assert (answer["code"], answer["data"]) == (code, None)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"size": "100000"}, "103003"),
            ({"size": "2000000"}, "102015"),
            ({"orderType": "limit", "price": "1", "size": "200000000"}, "102014"),
            ({"reduceOnly": "true"}, "102022"),
            ({"positionSide": "long"}, "102089"),
            ({"slTriggerPrice": "60001", "slOrderPrice": "-1"}, "102050"),
            ({"tpTriggerPrice": "59999", "tpOrderPrice": "-1"}, "102054"),
            ({"side": "sell", "slTriggerPrice": "59999", "slOrderPrice": "-1"}, "102048"),
            ({"side": "sell", "tpTriggerPrice": "60001", "tpOrderPrice": "-1"}, "102053"),
            (
                {"orderType": "limit", "price": "50000", "slTriggerPrice": "50001", "slOrderPrice": "-1"},
                "102051",
            ),
            (
                {"orderType": "limit", "price": "50000", "tpTriggerPrice": "49999", "tpOrderPrice": "-1"},
                "102052",
            ),
        ],
    )
    def test_a_failed_order_is_an_item(self, control: Control, raw: Raw, change: Json, code: str) -> None:
        for envelope, outer in (("outer_one", "1"), ("outer_zero", "0")):
            control.settings(envelope=envelope)
            answer = raw.post(ORDER, order_body(**change, clientOrderId="mine"))
            assert answer["code"] == outer
            [item] = answer["data"]
            assert (item["code"], item["orderId"], item["clientOrderId"]) == (code, None, "mine")
        control.settings(envelope="flat")
        assert raw.post(ORDER, order_body(**change))["code"] == code
        assert control.orders() == []

    def test_a_client_id_is_good_once(self, raw: Raw) -> None:
        assert raw.post(ORDER, order_body(clientOrderId="once"))["code"] == "0"
        assert raw.post(ORDER, order_body(clientOrderId="once"))["data"][0]["code"] == "102002"

    def test_limit_prices_may_have_bounds(self, control: Control, raw: Raw) -> None:
        control.settings(price_band="0.05")
        far = order_body(orderType="limit", price="50000")
        assert raw.post(ORDER, far)["data"][0]["code"] == "102064"
        assert raw.post(ORDER, {**far, "price": "70000", "side": "sell"})["data"][0]["code"] == "102065"
        found = raw.get("/api/v1/trade/order/price-range", {"instId": "BTC-USDT", "side": "buy"})["data"]
        assert Decimal(found["maxPrice"]) == 63_000

    def test_unknown_paths_and_broken_json(self, raw: Raw) -> None:
        assert raw.get("/api/v1/no/such")["code"] == "404"
        assert raw.send("POST", ORDER, "{")["code"] == "152004"
        assert raw.post("/api/v1/trade/cancel-tpsl", {"tpslId": "1"})["code"] == "152004"

    def test_cancelling_what_is_over(self, control: Control, raw: Raw) -> None:
        done = raw.post(ORDER, order_body())["data"][0]["orderId"]
        single = raw.post("/api/v1/trade/cancel-order", {"orderId": done})
        assert (single["code"], single["data"][0]["code"]) == ("0", "102068")
        batch = raw.post("/api/v1/trade/cancel-batch-orders", [{"instId": "BTC-USDT", "orderId": done}])
        assert (batch["code"], batch["data"][0]["code"]) == ("0", "1000")
        protection = raw.post("/api/v1/trade/cancel-tpsl", [{"instId": "BTC-USDT", "tpslId": "5"}])
        assert (protection["code"], protection["data"][0]["code"]) == ("0", "500")
        control.settings(cancel_listed=False, cancel_envelope="outer_one")
        single = raw.post("/api/v1/trade/cancel-order", {"orderId": done})
        assert (single["code"], single["data"]["code"]) == ("1", "102068")

    def test_batches_may_half_succeed(self, raw: Raw) -> None:
        rows = [order_body(clientOrderId="a"), order_body(clientOrderId="b", size="100000")]
        answer = raw.post("/api/v1/trade/batch-orders", rows)
        assert (answer["code"], [item["code"] for item in answer["data"]]) == ("2", ["0", "103003"])

    def test_an_unknown_order_is_nothing_or_an_error(self, control: Control, raw: Raw) -> None:
        query = {"instId": "BTC-USDT", "clientOrderId": "never"}
        assert raw.get("/api/v1/trade/order-detail", query) == {"code": "0", "msg": "success", "data": None}
        control.settings(unknown_order_code="102068")
        assert raw.get("/api/v1/trade/order-detail", query)["code"] == "102068"


class TestFaults:
    @pytest.mark.parametrize(("kind", "arrived"), [("drop_before", 0), ("drop_after", 1)])
    def test_a_lost_answer(self, control: Control, exchange: Any, kind: str, arrived: int) -> None:
        exchange.load_markets()
        control.fault(kind)
        with pytest.raises(ccxt.NetworkError):
            exchange.create_order(BTC, "market", "buy", 1)
        assert len(control.orders("key")) == arrived
        assert control.requests("POST", ORDER)[-1]["status"] == 0
        assert control.faults() == []

    def test_a_gateway_and_a_limit(self, control: Control, exchange: Any) -> None:
        exchange.load_markets()
        control.fault("answer_after", status=502)
        with pytest.raises(ccxt.ExchangeNotAvailable):
            exchange.create_order(BTC, "market", "buy", 1)
        assert len(control.orders("key")) == 1
        control.settings(trades_per_10_seconds=1)
        exchange.fetch_open_orders(BTC)
        with pytest.raises(ccxt.RateLimitExceeded, match="Too Many Requests"):
            exchange.fetch_open_orders(BTC)
        exchange.fetch_balance()

    def test_silence_and_delay(self, control: Control, exchange: Any) -> None:
        exchange.load_markets()
        exchange.timeout = 2_000
        control.fault("silence_after")
        with pytest.raises(ccxt.RequestTimeout):
            exchange.create_order(BTC, "market", "buy", 1)
        assert len(control.orders("key")) == 1
        exchange.timeout = 30_000
        control.fault("delay_before", "GET", "/api/v1/account/balance", delay=0.05)
        assert exchange.fetch_balance()["USDT"]["total"] > 0

    def test_requests_are_written_down_with_headers(self, control: Control, exchange: Any) -> None:
        exchange.create_order(BTC, "market", "buy", 1, None, {"clientOrderId": "one"})
        [request] = control.requests("POST", ORDER)
        assert json.loads(request["body"])["clientOrderId"] == "one"
        assert request["headers"]["ACCESS-KEY"] == "key"
        assert request["code"] == "0"

    def test_control_names_what_it_does_not_know(self, control: Control) -> None:
        with pytest.raises(ValueError, match="no setting is called speed"):
            control.settings(speed=1)
        with pytest.raises(ValueError, match="no instrument is called BTCUSDT"):
            control.price("BTCUSDT", 1)


def test_it_runs_alone(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.blofin_server",
        "--mode",
        "demo",
        "--account",
        "key:secret:phrase",
    ]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ})
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        control = Control(url)
        with contextlib.closing(control.session):
            assert Raw(control).get("/api/v1/account/balance")["code"] == "0"
            control.price("BTC-USDT", 1000)
            assert control.requests()[0]["path"] == "/api/v1/account/balance"
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()
