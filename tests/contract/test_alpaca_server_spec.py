"""Hold the local server to what others say of Alpaca: its own OpenAPI file, and its own second client.

The file is `alpaca_mcp_server/specs/trading-api.json` (OpenAPI 3.1, JSON Schema 2020-12); the
client is alpaca-py, whose models refuse what Alpaca would not send.
"""

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce, TradeEvent
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
)
from alpaca.trading.stream import TradingStream
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from brokers.alpaca_mapping import order_body
from core.order import OrderIntent, OrderType, Side
from tests.alpaca_server.local import Control, running_server

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]

KEY, SECRET = "PKSPEC", "secret"
HEADERS = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET}
DOCUMENT: Json = json.loads(files("alpaca_mcp_server").joinpath("specs/trading-api.json").read_text("utf-8"))
REGISTRY: Registry[Any] = Registry().with_resource(
    "alpaca", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)


def validate(value: object, pointer: str) -> None:
    """Check a value against the schema at a place in the OpenAPI file."""
    schema = {"$ref": f"alpaca#{pointer}"}
    checker = Draft202012Validator(schema, registry=REGISTRY, format_checker=FormatChecker())
    problems = [f"{list(error.absolute_path)}: {error.message}" for error in checker.iter_errors(value)]
    assert problems == []


def answer_pointer(method: str, path: str, status: int) -> str | None:
    """Return where the file describes the answer; None where it promises no body."""
    (template,) = [t for t in DOCUMENT["paths"] if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", t), path)]
    answers = DOCUMENT["paths"][template][method.lower()]["responses"]
    assert str(status) in answers, f"{method} {path} answered {status}, the file knows {list(answers)}"
    if "content" not in answers[str(status)]:
        return None
    place = template.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    return f"/paths/{place}/{method.lower()}/responses/{status}/content/application~1json/schema"


class Api:
    """Call the server and hold every answer to the file."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return the validated body of an answer."""
        response = requests.request(method, self.url + path, headers=HEADERS, timeout=10, **options)
        pointer = answer_pointer(method, path, response.status_code)
        if pointer is None:
            return None
        validate(response.json(), pointer)
        return response.json()

    def order(self, **body: str) -> Json:
        """Send an order whose body is valid by the file too."""
        validate(body, "/components/schemas/CreateOrderRequest")
        return dict(self.call("POST", "/v2/orders", json=body))


@pytest.fixture(scope="module")
def running() -> Iterator[Control]:
    with running_server() as control:
        yield control


@pytest.fixture
def alpaca(running: Control) -> Control:
    running.reset()
    running.account(KEY, SECRET)
    return running


@pytest.fixture
def api(alpaca: Control) -> Api:
    return Api(alpaca.url)


def market(symbol: str, side: str, quantity: str, **more: str) -> Json:
    force = "gtc" if "/" in symbol else "day"
    common = {"symbol": symbol, "side": side, "qty": quantity, "type": "market", "time_in_force": force}
    return {**common, **more}


class TestOpenApiFile:
    def test_the_file_refuses_what_is_wrong(self, api: Api) -> None:
        order = api.order(**market("AAPL", "buy", "1"))
        with pytest.raises(AssertionError, match="is not of type 'string'"):
            validate({**order, "qty": 1}, "/components/schemas/Order")
        with pytest.raises(AssertionError, match="is not one of"):
            validate({**order, "status": "half_done"}, "/components/schemas/Order")

    @pytest.mark.parametrize("share", ["0", "1"])
    def test_every_answer_of_a_trading_day(self, alpaca: Control, api: Api, share: str) -> None:
        alpaca.settings(partial_fill_share=share)
        api.call("GET", "/v2/account")
        api.call("GET", "/v2/clock")
        for symbol in ("AAPL", "HARD", "GONE", "BTC%2FUSD", "BTCUSD"):
            api.call("GET", f"/v2/assets/{symbol}")
        api.call("GET", "/v2/assets")
        sent = [
            api.order(**market("AAPL", "buy", "10", position_intent="buy_to_open")),
            api.order(**market("TSLA", "sell", "5")),
            api.order(**market("BTC/USD", "buy", "0.1")),
            api.order(symbol="MSFT", side="buy", notional="500", type="market", time_in_force="day"),
            api.order(symbol="F", side="buy", qty="3", type="limit", limit_price="1.5", time_in_force="gtc"),
        ]
        alpaca.settle()
        for order in sent:
            api.call("GET", f"/v2/orders/{order['id']}")
            found = api.call("GET", "/v2/orders:by_client_order_id", params={
                "client_order_id": order["client_order_id"]
            })  # fmt: skip
            assert found["id"] == order["id"]
        for status, count in (("open", 1), ("closed", 4), ("all", 5)):
            assert len(api.call("GET", "/v2/orders", params={"status": status})) == count
        held = api.call("GET", "/v2/positions")
        assert {p["symbol"]: p["side"] for p in held} == {
            "AAPL": "long", "TSLA": "short", "BTCUSD": "long", "MSFT": "long"
        }  # fmt: skip
        assert next(p for p in held if p["symbol"] == "TSLA")["qty"] == "-5"
        api.call("GET", "/v2/positions/BTCUSD")
        api.call("DELETE", f"/v2/orders/{sent[-1]['id']}")
        closing = api.call("DELETE", "/v2/positions/AAPL", params={"qty": "4"})
        assert (closing["side"], closing["qty"]) == ("sell", "4")
        alpaca.settle()
        assert len(api.call("DELETE", "/v2/positions", params={"cancel_orders": "true"})) == 4
        alpaca.settle()
        assert api.call("GET", "/v2/positions") == []
        api.order(**market("F", "buy", "1", type="limit", limit_price="1"))
        assert len(api.call("DELETE", "/v2/orders")) == 1
        alpaca.fees(KEY)
        # both kinds of activity are valid for everything in the file, so "one of them" never is
        for path in ("/v2/account/activities?activity_types=CFEE", "/v2/account/activities/CFEE"):
            fees = requests.get(alpaca.url + path, headers=HEADERS, timeout=10).json()
            assert len(fees) >= 2
            for fee in fees:
                validate(fee, "/components/schemas/NonTradeActivities")
        api.call("GET", "/v2/account")

    @pytest.mark.parametrize(
        ("kind", "limit", "stop", "closes"),
        [
            (OrderType.MARKET, None, None, False),
            (OrderType.MARKET, None, None, True),
            (OrderType.LIMIT, "150.10", None, False),
            (OrderType.STOP, None, "150.10", True),
        ],
    )
    @pytest.mark.parametrize("side", list(Side))
    def test_our_requests(
        self, kind: OrderType, limit: str | None, stop: str | None, closes: bool, side: Side
    ) -> None:
        intent = OrderIntent(
            client_order_id=uuid.uuid4().hex,
            symbol="AAPL",
            side=side,
            quantity=Decimal("1.5"),
            order_type=kind,
            limit_price=Decimal(limit) if limit else None,
            stop_price=Decimal(stop) if stop else None,
            closes_account_position=closes,
        )
        validate(order_body(intent), "/components/schemas/CreateOrderRequest")

    def test_refusals_have_code_and_message(self, alpaca: Control) -> None:
        def refused(body: Json) -> tuple[int, Json]:
            answer = requests.post(f"{alpaca.url}/v2/orders", json=body, headers=HEADERS, timeout=10)
            validate(answer.json(), "/components/schemas/Error")
            return answer.status_code, answer.json()

        limit = {"type": "limit", "time_in_force": "gtc"}
        cases: list[tuple[Json, int, int]] = [
            (market("AAPL", "buy", "1000000"), 403, 40310000),
            (market("BTC/USD", "buy", "0.0001"), 403, 40310000),
            (market("NOSUCH", "buy", "1"), 422, 40010001),
            (market("AAPL", "sideways", "1"), 422, 40010001),
            (market("AAPL", "buy", "many"), 422, 40010001),
            (market("AAPL", "buy", "1", notional="5"), 422, 40010001),
            (market("AAPL", "buy", "1.5", time_in_force="gtc"), 422, 42210000),
            (market("BTC/USD", "buy", "1", time_in_force="day"), 422, 42210000),
            (market("WHOLE", "buy", "1.5"), 422, 42210000),
            (market("NOSHRT", "sell", "1"), 422, 42210000),
            (market("AAPL", "sell", "1.5"), 422, 42210000),
            (market("GONE", "buy", "1"), 422, 42210000),
            (market("AAPL", "buy", "1", limit_price="190.123", **limit), 422, 42210000),
            (market("AAPL", "sell", "1", position_intent="sell_to_close"), 422, 42210000),
            (market("AAPL", "buy", "1", position_intent="sell_to_close"), 422, 40010001),
            (market("AAPL", "buy", "1", order_class="bracket"), 422, 42210000),
        ]
        for body, status, code in cases:
            answered, error = refused(body)
            assert (answered, error["code"]) == (status, code), body

    def test_a_lookup_in_vain(self, alpaca: Control) -> None:
        for path in (
            f"/v2/orders/{uuid.uuid4()}",
            "/v2/orders:by_client_order_id?client_order_id=x",
            "/v2/positions/AAPL",
            "/v2/assets/NOSUCH",
        ):
            answer = requests.get(alpaca.url + path, headers=HEADERS, timeout=10)
            assert (answer.status_code, answer.json()["code"]) == (404, 40410000)


class TestSecondClient:
    """alpaca-py reads everything the server says."""

    @pytest.fixture
    def client(self, alpaca: Control) -> TradingClient:
        alpaca.settings(partial_fill_share="0")
        return TradingClient(KEY, SECRET, paper=True, url_override=alpaca.url)

    def test_a_round_trip(self, alpaca: Control, client: TradingClient) -> None:
        buy = MarketOrderRequest(
            symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="first"
        )
        sent = client.submit_order(buy)
        assert sent.status is OrderStatus.ACCEPTED
        alpaca.settle()
        filled = client.get_order_by_client_id("first")
        assert (filled.status, filled.filled_qty, filled.id) == (OrderStatus.FILLED, "10", sent.id)
        (position,) = client.get_all_positions()
        assert (position.qty, position.avg_entry_price) == ("10", "200")
        closing = client.close_position("AAPL", ClosePositionRequest(qty="4"))
        assert closing.side is OrderSide.SELL
        alpaca.settle()
        assert client.get_open_position("AAPL").qty == "6"
        assert client.get_clock().is_open
        assert client.get_asset("AAPL").fractionable
        assert client.get_asset("BTCUSD").symbol == "BTC/USD"
        account = client.get_account()
        assert Decimal(str(account.equity)) < 100_000
        assert account.pattern_day_trader is None

    def test_resting_orders(self, alpaca: Control, client: TradingClient) -> None:
        for price in (150, 151):
            client.submit_order(
                LimitOrderRequest(
                    symbol="AAPL",
                    qty=1,
                    limit_price=price,
                    side=OrderSide.BUY,
                    time_in_force=TimeInForce.GTC,
                )
            )
        client.submit_order(
            LimitOrderRequest(
                symbol="ETH/USD",
                qty=0.5,
                limit_price=2000,
                side=OrderSide.BUY,
                time_in_force=TimeInForce.GTC,
            )
        )
        resting = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN))
        assert [order.symbol for order in resting] == ["ETH/USD", "AAPL", "AAPL"]
        only = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["AAPL"], limit=1))
        assert [order.limit_price for order in only] == ["151"]
        client.cancel_order_by_id(resting[0].id)
        alpaca.settle()
        assert client.get_order_by_id(resting[0].id).status is OrderStatus.CANCELED
        with pytest.raises(APIError, match="already in"):
            client.cancel_order_by_id(resting[0].id)
        assert len(client.cancel_orders()) == 2
        assert len(client.close_all_positions(cancel_orders=True)) == 0

    def test_refusals(self, client: TradingClient) -> None:
        once = MarketOrderRequest(
            symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="once"
        )
        client.submit_order(once)
        with pytest.raises(APIError) as refusal:
            client.submit_order(once)
        assert (refusal.value.status_code, refusal.value.code) == (422, 40010001)
        with pytest.raises(APIError) as missing:
            client.get_open_position("MSFT")
        assert (missing.value.status_code, missing.value.code) == (404, 40410000)

    def test_its_stream_reads_our_updates(self, alpaca: Control, client: TradingClient) -> None:
        alpaca.settings(partial_fill_share="1", fill_delay=0.01)
        updates: list[TradeUpdate] = []

        async def main() -> None:
            address = alpaca.url.replace("http", "ws") + "/stream"
            stream = TradingStream(KEY, SECRET, paper=True, url_override=address)

            async def take(update: TradeUpdate) -> None:
                updates.append(update)

            stream.subscribe_trade_updates(take)
            running = asyncio.create_task(stream._run_forever())
            async with asyncio.timeout(10):
                while not await asyncio.to_thread(alpaca.listeners):
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(
                    client.submit_order,
                    MarketOrderRequest(
                        symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY
                    ),
                )
                while not any(update.event == TradeEvent.FILL for update in updates):
                    await asyncio.sleep(0.01)
                running.cancel()
                await stream.close()

        asyncio.run(main())
        assert [u.event for u in updates] == [TradeEvent.NEW, TradeEvent.PARTIAL_FILL, TradeEvent.FILL]
        assert updates[-1].position_qty == 10
        assert sum(u.qty or 0 for u in updates) == 10
        assert updates[-1].order.status is OrderStatus.FILLED


class TestServerItself:
    """What tests and benches lean on: the seed, the faults, the process."""

    def events(self, alpaca: Control, seed: str) -> dict[str, int]:
        """Return in how many pieces each of forty orders filled; their ids are always the same."""
        alpaca.reset()
        alpaca.account(KEY, SECRET, cash=1_000_000)
        alpaca.settings(seed=seed, partial_fill_share="0.5", hold_fills=True)
        api = Api(alpaca.url)
        for number in range(40):
            api.order(**market("AAPL", "buy", "10", client_order_id=f"order-{number}"))
        alpaca.settle()
        # every order is worked once, by hand, and shows the first piece
        alpaca.settings(hold_fills=False, fill_delay=60)
        return {order["client_order_id"]: 1 + (order["status"] != "filled") for order in alpaca.orders(KEY)}

    def test_a_seed_breaks_the_same_orders_in_the_same_places(self, alpaca: Control) -> None:
        first = self.events(alpaca, "1")
        assert first == self.events(alpaca, "1")
        assert first != self.events(alpaca, "2")
        assert 10 < len([n for n in first.values() if n == 2]) < 40

    def test_faults_wait_for_their_turn(self, alpaca: Control) -> None:
        alpaca.fault("answer_before", "GET", "/v2/clock", status=500, skip=1, count=2)
        alpaca.fault("answer_before", "GET", "/v2/*", status=429, key="PKOTHER", count=-1)
        address = f"{alpaca.url}/v2/clock"
        answers = [requests.get(address, headers=HEADERS, timeout=10).status_code for _ in range(5)]
        assert answers == [200, 500, 500, 200, 200]
        other = {**HEADERS, "APCA-API-KEY-ID": "PKOTHER"}
        assert [requests.get(address, headers=other, timeout=10).status_code for _ in range(2)] == [429, 429]
        assert [fault["count"] for fault in alpaca.faults()] == [-1]
        alpaca.clear_faults()
        assert requests.get(address, headers=other, timeout=10).status_code == 200

    def test_a_share_of_requests_fails(self, alpaca: Control) -> None:
        alpaca.fault("answer_before", "GET", "/v2/clock", status=500, count=-1, chance=0.3)
        session = requests.Session()
        with session:
            codes = [
                session.get(f"{alpaca.url}/v2/clock", headers=HEADERS, timeout=10).status_code
                for _ in range(200)
            ]
        assert 30 < codes.count(500) < 90

    def test_keys_are_accounts_of_their_own(self, alpaca: Control) -> None:
        alpaca.account("PKONE", "a")
        alpaca.account("PKTWO", "b", cash=5_000)
        one, two = (
            {"APCA-API-KEY-ID": k, "APCA-API-SECRET-KEY": s} for k, s in (("PKONE", "a"), ("PKTWO", "b"))
        )
        body = market("AAPL", "buy", "10", client_order_id="same")
        for headers in (one, two):
            assert requests.post(f"{alpaca.url}/v2/orders", json=body, headers=headers, timeout=10).ok
        assert len(alpaca.orders()) == 2
        assert len(alpaca.orders("PKONE")) == 1
        assert alpaca.books("PKTWO")["account"]["equity"] != alpaca.books("PKONE")["account"]["equity"]
        mixed = {**one, "APCA-API-SECRET-KEY": "b"}
        assert requests.get(f"{alpaca.url}/v2/account", headers=mixed, timeout=10).status_code == 401
        stranger = {**one, "APCA-API-KEY-ID": "XX"}
        assert requests.get(f"{alpaca.url}/v2/account", headers=stranger, timeout=10).status_code == 401

    def test_it_runs_alone(self) -> None:
        command = [sys.executable, "-m", "tests.alpaca_server", "--port", "0", "--seed", "7"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            answer = requests.get(f"{address}/v2/account", headers=HEADERS, timeout=10)
            assert answer.json()["equity"] == "100000"
        finally:
            process.terminate()
            assert process.wait(10) == 0
            if process.stdout is not None:
                process.stdout.close()
