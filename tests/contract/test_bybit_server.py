"""The local Bybit answers as ccxt expects, and verifies what ccxt signs."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from tests.blofin_server.local import Control, running
from tests.bybit_server import bybit

BTC = "BTC/USDT:USDT"


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with running(bybit()) as control:
        yield control


@pytest.fixture
def exchange(control: Control) -> Any:
    control.reset()
    control.account("key", "secret")
    exchange: Any = ccxt.bybit(
        {
            "apiKey": "key",
            "secret": "secret",
            "enableRateLimit": False,
            "urls": {"api": {"public": control.url, "private": control.url}},
            "options": {"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}},
        }
    )
    return exchange


def test_markets_are_in_coins(exchange: Any) -> None:
    bitcoin = exchange.load_markets()[BTC]
    assert (bitcoin["id"], bitcoin["contractSize"], bitcoin["precision"]["amount"]) == ("BTCUSDT", 1, 0.001)
    assert not exchange.market("LUNA/USDT:USDT")["active"]
    assert exchange.fetch_order_book(BTC)["bids"][0] == [60_000, 20]
    assert exchange.fetch_ticker(BTC)["ask"] == 60_000


def test_the_way_of_an_order(control: Control, exchange: Any) -> None:
    exchange.set_leverage(10, BTC)
    assert exchange.fetch_leverage(BTC)["longLeverage"] == 10
    with pytest.raises(ccxt.ExchangeError, match="110043"):
        exchange.set_leverage(10, BTC)
    placed = exchange.create_order(
        BTC, "market", "buy", 0.5, None, {"clientOrderId": "mine", "positionIdx": 0}
    )
    order = exchange.fetch_closed_order(placed["id"], BTC)
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.5, 60_000)
    assert (order["clientOrderId"], order["fee"]["cost"]) == ("mine", 18)
    [position] = exchange.fetch_positions([BTC])
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.5, 10)
    control.price("BTCUSDT", 61_000)
    assert exchange.fetch_balance()["USDT"]["total"] == 9_982
    assert exchange.fetch_positions([BTC])[0]["unrealizedPnl"] == 500
    exchange.create_order(BTC, "market", "sell", 0.5, None, {"reduceOnly": True})
    assert [p["contracts"] for p in exchange.fetch_positions() if p["contracts"]] == []
    with pytest.raises(ccxt.ExchangeError, match="110017"):
        exchange.create_order(BTC, "market", "sell", 0.5, None, {"reduceOnly": True})


def test_a_resting_order_and_its_end(exchange: Any) -> None:
    placed = exchange.create_order(BTC, "limit", "buy", 0.1, 50_000, {"clientOrderId": "rests"})
    [resting] = exchange.fetch_open_orders(BTC)
    assert (resting["id"], resting["status"], resting["price"]) == (placed["id"], "open", 50_000)
    query = {"category": "linear", "settleCoin": "USDT", "orderLinkId": "rests"}
    assert exchange.private_get_v5_order_realtime(query)["result"]["list"][0]["orderId"] == placed["id"]
    exchange.cancel_order(placed["id"], BTC)
    assert exchange.fetch_open_orders(BTC) == []
    assert exchange.fetch_canceled_orders(BTC)[0]["id"] == placed["id"]
    with pytest.raises(ccxt.OrderNotFound, match="110001"):
        exchange.cancel_order(placed["id"], BTC)


@pytest.mark.parametrize(("kind", "state"), [("IOC", "Cancelled"), ("PostOnly", "New"), ("FOK", "Cancelled")])
def test_times_in_force(exchange: Any, kind: str, state: str) -> None:
    exchange.create_order(BTC, "limit", "buy", 0.1, 50_000, {"timeInForce": kind, "clientOrderId": "one"})
    query = {"category": "linear", "orderLinkId": "one"}
    assert exchange.private_get_v5_order_realtime(query)["result"]["list"][0]["orderStatus"] == state


def test_refusals(control: Control, exchange: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds, match="110007"):
        exchange.create_order(BTC, "market", "buy", 100)
    exchange.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "once"})
    with pytest.raises(ccxt.InvalidOrder, match="110072"):
        exchange.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "once"})
    with pytest.raises(ccxt.ExchangeError, match="110025"):
        exchange.create_order(BTC, "market", "buy", 0.01, None, {"positionIdx": 1})
    exchange.secret = "other"
    with pytest.raises(ccxt.AuthenticationError, match="10004"):
        exchange.fetch_balance()
    exchange.apiKey = "other"
    with pytest.raises(ccxt.AuthenticationError, match="10003"):
        exchange.fetch_balance()
    exchange.apiKey, exchange.secret = "key", "secret"
    control.settings(clock_offset_ms=60_000)
    with pytest.raises(ccxt.InvalidNonce, match="10002"):
        exchange.fetch_balance()


def test_permissions_and_faults(control: Control, exchange: Any) -> None:
    exchange.load_markets()
    control.change_account("key", permissions=["read", "withdraw"])
    told = exchange.private_get_v5_user_query_api()["result"]
    assert (told["readOnly"], "Withdraw" in told["permissions"]["Wallet"]) == (1, True)
    with pytest.raises(ccxt.PermissionDenied, match="10005"):
        exchange.create_order(BTC, "market", "buy", 0.01)
    control.change_account("key", permissions=["read", "trade"])
    control.fault("answer_after", "POST", "/v5/order/create", status=502)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        exchange.create_order(BTC, "market", "buy", 0.01)
    assert len(control.orders("key")) == 1
