"""An adapter of BloFin with its local server, as several modules of tests use them."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokers.base import ProtectionIntent
from brokers.blofin import BlofinBroker
from brokers.ccxt_listing import Listing
from core.errors import BrokerError
from core.order import OrderIntent, Side
from tests.blofin_server.local import Control, running_server
from tests.contract.fault_contract import READ_TIMEOUT, failure_of

D = Decimal
ROOT = Path(__file__).parents[2]
KEY, SECRET, PHRASE = "faultskey", "a very secret secret", "a very secret phrase"
ORDER = "/api/v1/trade/order"


@pytest.fixture(scope="module")
def running() -> Iterator[Control]:
    with running_server("demo") as control:
        yield control


@pytest.fixture
def blofin(running: Control) -> Control:
    running.reset()
    running.account(KEY, SECRET, PHRASE, balance=100_000)
    return running


@pytest.fixture
def broker(blofin: Control) -> BlofinBroker:
    """Give an adapter whose connection is open and that knows what it needs for an order."""
    broker = broker_at(blofin.url)
    broker.account()
    broker._is_hedged()
    return broker


def broker_at(url: str, *, secret: str = SECRET, phrase: str = PHRASE) -> BlofinBroker:
    keys = {"api_key": KEY, "api_secret": secret, "passphrase": phrase}
    return BlofinBroker(keys, base_url=url, connect_timeout=0.4, read_timeout=READ_TIMEOUT, listing=Listing())


def buy(quantity: str = "0.01", symbol: str = "BTC-USDT", **more: Any) -> OrderIntent:
    fields: dict[str, Any] = {"client_order_id": uuid.uuid4().hex, "side": Side.BUY, **more}
    return OrderIntent(quantity=D(quantity), symbol=symbol, **fields)


def sell(quantity: str = "0.01", **more: Any) -> OrderIntent:
    return buy(quantity, side=Side.SELL, **more)


def posts(blofin: Control, path: str = ORDER) -> int:
    return len(blofin.requests("POST", path))


def last_body(blofin: Control, path: str = ORDER) -> dict[str, str]:
    return dict(json.loads(blofin.requests("POST", path)[-1]["body"]))


def fails(broker: BlofinBroker, kind: type[BrokerError], intent: OrderIntent | None = None) -> BrokerError:
    return failure_of(broker, kind, intent or buy())


def envelope(code: str, message: str = "the words", *, outer: str = "0", order_id: str | None = None) -> str:
    item = {"orderId": order_id, "clientOrderId": "", "msg": message, "code": code}
    return json.dumps({"code": outer, "msg": "All operations failed" if outer != "0" else "", "data": [item]})


def protection(quantity: str = "0.01", stop: str = "58000") -> ProtectionIntent:
    return ProtectionIntent(
        client_id=uuid.uuid4().hex,
        symbol="BTC-USDT",
        side=Side.SELL,
        quantity=D(quantity),
        stop_price=D(stop),
    )
