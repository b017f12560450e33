"""What failures at Bybit and Binance tell the engine to do: the table's codes, on real sockets through ccxt."""

import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from pydantic import SecretStr

from brokers.base import BrokerName, Mode
from brokers.ccxt_exchange import CcxtBroker
from brokers.ccxt_listing import Listing
from brokers.registry import EXCHANGES, Registry
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import MarginMode, Order, OrderIntent, OrderType, Side
from database.pool import Database
from encryption import Vault, new_key
from settings import Settings
from tests.binance_server import binance as binance_server
from tests.blofin_server.local import Control, running
from tests.bybit_server import bybit as bybit_server
from tests.contract.fault_contract import READ_TIMEOUT, Fault, Line, PerhapsReceived, failure_of

D = Decimal
KEY, SECRET = "othersKey", "a very secret secret"
ORDERS = {BrokerName.BYBIT: "/v5/order/create", BrokerName.BINANCE_FUTURES: "/fapi/v1/order"}


@dataclass(frozen=True, slots=True)
class Place:
    """One of the exchanges, its local server and an adapter."""

    name: BrokerName
    control: Control
    broker: CcxtBroker

    def fault(self, kind: str, **fields: object) -> None:
        self.control.fault(kind, path=ORDERS[self.name], **fields)  # type: ignore[arg-type]

    def refusal(self, code: str) -> str:
        names = ("retCode", "retMsg") if self.name is BrokerName.BYBIT else ("code", "msg")
        return json.dumps(dict(zip(names, (int(code), "the words"), strict=True)))

    def posts(self) -> int:
        return len(self.control.requests("POST", ORDERS[self.name]))


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[BrokerName, Control]]:
    with running(bybit_server("demo")) as bybit, running(binance_server("demo")) as binance:
        yield {BrokerName.BYBIT: bybit, BrokerName.BINANCE_FUTURES: binance}


@pytest.fixture(params=list(ORDERS))
def place(request: pytest.FixtureRequest, servers: dict[BrokerName, Control]) -> Place:
    return place_of(request.param, servers)


@pytest.fixture
def bybit(servers: dict[BrokerName, Control]) -> Place:
    return place_of(BrokerName.BYBIT, servers)


@pytest.fixture
def binance(servers: dict[BrokerName, Control]) -> Place:
    return place_of(BrokerName.BINANCE_FUTURES, servers)


def place_of(name: BrokerName, servers: dict[BrokerName, Control]) -> Place:
    control = servers[name]
    control.reset()
    control.account(KEY, SECRET, "", balance=100_000)
    keys = {"api_key": KEY, "api_secret": SECRET}
    broker = EXCHANGES[name](
        keys, base_url=control.url, connect_timeout=0.4, read_timeout=READ_TIMEOUT, listing=Listing()
    )
    broker.account()
    broker._is_hedged()
    return Place(name, control, broker)


def buy(quantity: str = "0.01", **more: object) -> OrderIntent:
    fields = {"client_order_id": uuid.uuid4().hex, "symbol": "BTCUSDT", "side": Side.BUY, **more}
    return OrderIntent(quantity=D(quantity), **fields)  # type: ignore[arg-type]


def fails(place: Place, kind: type[BrokerError], intent: OrderIntent | None = None) -> BrokerError:
    return failure_of(place.broker, kind, intent or buy())


@pytest.fixture
def line(place: Place) -> Line:
    return Line(server=place.control, broker=place.broker, key=KEY, path=ORDERS[place.name], intent=buy)


class TestPerhapsReceived(PerhapsReceived):
    def arrives_once(self, line: Line, fault: Fault) -> Order:
        found = super().arrives_once(line, fault)
        assert found.filled_quantity == D("0.01")
        return found

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "answer_after", "status": 502, "body": "{}"},
            {"kind": "answer_after", "status": 200, "body": '{"cut in the mid'},
        ],
        ids=str,
    )
    def test_an_order_that_arrived_in_pieces_of_json(self, line: Line, fault: Fault) -> None:
        self.arrives_once(line, fault)


@pytest.mark.parametrize("status", [403, 429])
def test_what_was_not_let_in(place: Place, status: int) -> None:
    place.fault("answer_before", status=status, body="", headers={"Retry-After": "3"})
    failure = fails(place, Unavailable)
    assert isinstance(failure, Unavailable)
    assert failure.retry_after == 3


CODES = [
    (BrokerName.BYBIT, "110072", DuplicateOrder),
    (BrokerName.BYBIT, "110017", Conflict),
    (BrokerName.BYBIT, "110025", Conflict),
    (BrokerName.BYBIT, "10006", Unavailable),
    (BrokerName.BYBIT, "10002", Unavailable),
    (BrokerName.BYBIT, "10016", Unknown),
    (BrokerName.BYBIT, "110007", Rejected),
    (BrokerName.BYBIT, "999999", Rejected),
    (BrokerName.BINANCE_FUTURES, "-4116", DuplicateOrder),
    (BrokerName.BINANCE_FUTURES, "-2022", Conflict),
    (BrokerName.BINANCE_FUTURES, "-4061", Conflict),
    (BrokerName.BINANCE_FUTURES, "-1003", Unavailable),
    (BrokerName.BINANCE_FUTURES, "-1021", Unavailable),
    (BrokerName.BINANCE_FUTURES, "-1007", Unknown),
    (BrokerName.BINANCE_FUTURES, "-2019", Rejected),
    (BrokerName.BINANCE_FUTURES, "-9999", Rejected),
]


@pytest.mark.parametrize(("name", "code", "kind"), CODES)
def test_a_code_says_what_to_do(
    servers: dict[BrokerName, Control], name: BrokerName, code: str, kind: type[BrokerError]
) -> None:
    place = place_of(name, servers)
    status = 400 if name is BrokerName.BINANCE_FUTURES else 200
    place.fault("answer_before", status=status, body=place.refusal(code))
    failure = fails(place, kind)
    assert failure.message.startswith("the words")
    assert failure.code == code
    assert place.posts() == 1


def test_the_margin_mode_is_set_with_the_leverage_it_has_already(binance: Place) -> None:
    """Binance's leverage is 20 at first: only the margin mode is another."""
    binance.broker.submit(buy(leverage=20, margin_mode=MarginMode.ISOLATED))
    (held,) = binance.control.books(KEY)["positions"]
    assert (held["leverage"], held["marginMode"]) == ("20", "isolated")
    with pytest.raises(Rejected, match="leverage 20 isolated, this entry asks for 20 cross"):
        binance.broker.submit(buy(leverage=20, margin_mode=MarginMode.CROSS))


def test_stops_are_not_left_at_an_exchange_that_does_not_hold_them(place: Place) -> None:
    with pytest.raises(Rejected, match="leaves no stops"):
        place.broker.submit(buy(stop_loss=D(50_000)))
    assert place.posts() == 0


def test_a_list_without_a_list_is_not_flat(bybit: Place, binance: Place) -> None:
    bybit.control.fault(
        "answer_before", "GET", "/v5/position/list", status=200, body='{"retCode":0,"result":{}}'
    )
    binance.control.fault("answer_before", "GET", "/fapi/v3/positionRisk", status=200, body="{}")
    for place in (bybit, binance):
        with pytest.raises(Unknown):
            place.broker.positions()


def test_open_orders_of_several_pages(bybit: Place) -> None:
    placed = [
        bybit.broker.submit(buy(order_type=OrderType.LIMIT, limit_price=D(50_000))).broker_order_id
        for _ in range(3)
    ]
    whole = bybit.broker._client.private_get_v5_order_realtime({"category": "linear", "settleCoin": "USDT"})
    rows = whole["result"]["list"]
    for part, cursor in ((rows[:2], "next"), (rows[2:], "")):
        page = {"retCode": 0, "result": {"category": "linear", "list": part, "nextPageCursor": cursor}}
        bybit.control.fault("answer_before", "GET", "/v5/order/realtime", status=200, body=json.dumps(page))
    assert {order.broker_order_id for order in bybit.broker.open_orders()} == set(placed)
    assert bybit.control.requests("GET", "/v5/order/realtime")[-1]["query"]["cursor"] == "next"


def test_no_signature_or_key_is_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Binance's signature is part of the address, which ccxt and requests put into their errors."""
    caplog.set_level(logging.DEBUG, logger="ccxt")
    told = [repr(place.broker)]
    for kind in ("drop_before", "answer_before"):
        place.control.fault(kind, "GET", "*", status=502)
        with pytest.raises(Unknown) as failed:
            place.broker.positions()
        failure: BaseException | None = failed.value
        while failure is not None:
            told.append(repr(failure))
            failure = failure.__cause__ or failure.__context__
    text = " ".join([*told, caplog.text])
    assert not [secret for secret in (SECRET, KEY, "signature=") if secret in text]


def test_small_prices_and_large_sizes(place: Place) -> None:
    place.control.account(KEY, SECRET, "", balance=10**12)
    place.control.instrument("1000BONKUSDT", tick="0.00000001")
    place.control.price("1000BONKUSDT", "0.00001234")
    broker = EXCHANGES[place.name](
        {"api_key": KEY, "api_secret": SECRET}, base_url=place.control.url, listing=Listing()
    )
    order = broker.submit(
        buy("1234567", symbol="1000BONKUSDT", order_type=OrderType.LIMIT, limit_price=D("0.00001234"))
    )
    known = broker.find_order(order.client_order_id, "1000BONKUSDT")
    assert known is not None
    assert (known.filled_quantity, known.average_price) == (D(1_234_567), D("0.00001234"))
    assert broker.position("1000BONKUSDT").quantity == D(1_234_567)


class TestRegistry:
    """Which address a connection's mode leads to."""

    KEYS = {"api_key": "k", "api_secret": "s", "passphrase": "p"}  # noqa: RUF012

    def registry(self, **changed: str) -> Registry:
        """Return a registry that has no need of its database: nothing connects before the first use."""
        address, key = "postgresql://nobody@127.0.0.1:1/none", SecretStr(new_key())
        settings = Settings(
            database_url=SecretStr(address),
            encryption_key=key,
            public_url="http://localhost",
            **changed,  # type: ignore[arg-type]
        )
        return Registry(Database(address), Vault(key), settings)

    @pytest.mark.parametrize(
        ("name", "mode", "address"),
        [
            (BrokerName.BLOFIN, Mode.LIVE, "https://openapi.blofin.com"),
            (BrokerName.BLOFIN, Mode.DEMO, "https://demo-trading-openapi.blofin.com"),
            (BrokerName.BYBIT, Mode.LIVE, "https://api.{hostname}"),
            (BrokerName.BYBIT, Mode.DEMO, "https://api-testnet.{hostname}"),
        ],
    )
    def test_a_mode_has_its_host(self, name: BrokerName, mode: Mode, address: str) -> None:
        broker = self.registry().open(name, mode, self.KEYS)
        assert f"({address})" in repr(broker)

    @pytest.mark.parametrize("mode", [Mode.DEMO, Mode.LIVE])
    def test_binance_goes_to_futures(self, mode: Mode) -> None:
        broker = self.registry().open(BrokerName.BINANCE_FUTURES, mode, self.KEYS)
        assert isinstance(broker, CcxtBroker)
        host = broker._client.urls["api"]["fapiPrivate"]
        assert host.startswith("https://demo-fapi." if mode is Mode.DEMO else "https://fapi.")

    def test_another_address_serves_demo_and_stops_live(self) -> None:
        registry = self.registry(blofin_base_url="http://127.0.0.1:9")
        assert "(http://127.0.0.1:9)" in repr(registry.open(BrokerName.BLOFIN, Mode.DEMO, self.KEYS))
        with pytest.raises(Rejected, match=r"BLOFIN_BASE_URL is .*, but this connection is live"):
            registry.open(BrokerName.BLOFIN, Mode.LIVE, self.KEYS)

    @pytest.mark.parametrize(
        "changed",
        [
            {"blofin_base_url": "https://openapi.blofin.com"},
            {"blofin_base_url": "https://OpenAPI.blofin.com/"},
            {"apca_api_base_url": "https://api.alpaca.markets"},
        ],
    )
    def test_play_money_never_goes_to_where_the_real_is(self, changed: dict[str, str]) -> None:
        """Live keys in a connection called demo would trade real money without a word of confirmation."""
        is_blofin = "blofin_base_url" in changed
        name, mode = (BrokerName.BLOFIN, Mode.DEMO) if is_blofin else (BrokerName.ALPACA, Mode.PAPER)
        with pytest.raises(Rejected, match=r"_BASE_URL is .*, where real money is traded"):
            self.registry(**changed).open(name, mode, self.KEYS)
        self.registry(**changed).open(name, Mode.LIVE, self.KEYS)

    def test_credentials_that_are_missing_are_named(self) -> None:
        with pytest.raises(Rejected, match="missing: passphrase"):
            self.registry().open(BrokerName.BLOFIN, Mode.DEMO, {"api_key": "k", "api_secret": "s"})
