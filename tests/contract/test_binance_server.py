"""The local Binance answers as ccxt expects, and verifies what ccxt signs."""

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from tests.binance_server import binance
from tests.blofin_server.local import Control, running

BTC = "BTC/USDT:USDT"


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with running(binance()) as control:
        yield control


@pytest.fixture
def exchange(control: Control) -> Any:
    control.reset()
    control.account("key", "secret")
    exchange: Any = ccxt.binanceusdm({"apiKey": "key", "secret": "secret", "enableRateLimit": False})
    exchange.urls["api"] = {
        name: control.url + "/" + url.split("/", 3)[3] for name, url in exchange.urls["api"].items()
    }
    return exchange


def test_markets_are_in_coins(exchange: Any) -> None:
    bitcoin = exchange.load_markets()[BTC]
    assert (bitcoin["id"], bitcoin["contractSize"], bitcoin["precision"]["amount"]) == ("BTCUSDT", 1, 0.001)
    assert not exchange.market("LUNA/USDT:USDT")["active"]
    assert exchange.fetch_order_book(BTC, 5)["bids"][0] == [60_000, 20]
    assert exchange.fetch_bids_asks([BTC])[BTC]["ask"] == 60_000
    assert exchange.fetch_leverage_tiers([BTC])[BTC][0]["maintenanceMarginRate"] == 0.004


def test_the_way_of_an_order(control: Control, exchange: Any) -> None:
    exchange.set_margin_mode("isolated", BTC)
    with pytest.raises(ccxt.MarginModeAlreadySet, match="-4046"):
        exchange.set_margin_mode("isolated", BTC)
    exchange.set_leverage(10, BTC)
    assert exchange.fetch_leverage(BTC)["longLeverage"] == 10
    assert exchange.fetch_margin_mode(BTC)["marginMode"] == "isolated"
    placed = exchange.create_order(BTC, "market", "buy", 0.5, None, {"newClientOrderId": "mine"})
    assert (placed["status"], placed["clientOrderId"]) == ("closed", "mine")
    order = exchange.fetch_order(None, BTC, {"origClientOrderId": "mine"})
    assert (order["id"], order["filled"], order["average"], order["cost"]) == (
        placed["id"],
        0.5,
        60_000,
        30_000,
    )
    [position] = exchange.fetch_positions([BTC])
    assert (position["side"], position["contracts"], position["marginMode"]) == ("long", 0.5, "isolated")
    control.price("BTCUSDT", 61_000)
    assert exchange.fetch_positions()[0]["unrealizedPnl"] == 500
    assert exchange.fetch_balance()["USDT"]["total"] == 10_482
    with pytest.raises(ccxt.ExchangeError, match="-4048"):
        exchange.set_margin_mode("cross", BTC)
    exchange.create_order(BTC, "market", "sell", 0.5, None, {"reduceOnly": True})
    assert exchange.fetch_positions() == []
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        exchange.create_order(BTC, "market", "sell", 0.5, None, {"reduceOnly": True})


def test_a_resting_order_and_its_end(exchange: Any) -> None:
    placed = exchange.create_order(BTC, "limit", "buy", 0.1, 50_000)
    [resting] = exchange.fetch_open_orders(BTC)
    assert (resting["id"], resting["status"], resting["price"]) == (placed["id"], "open", 50_000)
    assert exchange.cancel_order(placed["id"], BTC)["status"] == "canceled"
    assert exchange.fetch_order(placed["id"], BTC)["status"] == "canceled"
    assert exchange.fetch_open_orders(BTC) == []
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        exchange.cancel_order(placed["id"], BTC)
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        exchange.fetch_order("1", BTC)


@pytest.mark.parametrize(("kind", "status"), [("IOC", "expired"), ("FOK", "expired"), ("GTX", "open")])
def test_times_in_force(exchange: Any, kind: str, status: str) -> None:
    placed = exchange.create_order(BTC, "limit", "buy", 0.1, 50_000, {"timeInForce": kind})
    assert exchange.fetch_order(placed["id"], BTC)["status"] == status


def test_hedge_mode(exchange: Any) -> None:
    exchange.load_markets()
    exchange.set_position_mode(True)
    assert exchange.fetch_position_mode()["hedged"]
    exchange.create_order(BTC, "market", "buy", 0.1, None, {"positionSide": "LONG"})
    exchange.create_order(BTC, "market", "sell", 0.2, None, {"positionSide": "SHORT"})
    assert {p["side"]: p["contracts"] for p in exchange.fetch_positions()} == {"long": 0.1, "short": 0.2}
    exchange.create_order(BTC, "market", "sell", 0.1, None, {"positionSide": "LONG"})
    assert [p["side"] for p in exchange.fetch_positions()] == ["short"]
    with pytest.raises(ccxt.ExchangeError, match="-4061"):
        exchange.create_order(BTC, "market", "buy", 0.1)


def test_refusals(control: Control, exchange: Any) -> None:
    exchange.load_markets()
    # ccxt knows the futures' own codes, this one among them, by the host's name only
    with pytest.raises(ccxt.ExchangeError, match="-2019"):
        exchange.create_order(BTC, "market", "buy", 100)
    exchange.create_order(BTC, "limit", "buy", 0.01, 50_000, {"newClientOrderId": "once"})
    with pytest.raises(ccxt.ExchangeError, match="-4116"):
        exchange.create_order(BTC, "market", "buy", 0.01, None, {"newClientOrderId": "once"})
    exchange.secret = "other"
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        exchange.fetch_balance()
    exchange.secret = "secret"
    control.settings(clock_offset_ms=60_000)
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        exchange.fetch_balance()
    exchange.apiKey = "other"
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        exchange.fetch_balance()


def test_permissions_and_faults(control: Control, exchange: Any) -> None:
    exchange.load_markets()
    control.change_account("key", permissions=["read", "withdraw"])
    assert exchange.sapi_get_account_apirestrictions()["enableWithdrawals"] is True
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        exchange.create_order(BTC, "market", "buy", 0.01)
    control.change_account("key", permissions=["read", "trade"])
    control.fault("answer_after", "POST", "/fapi/v1/order", status=502)
    with pytest.raises(ccxt.ExchangeNotAvailable):
        exchange.create_order(BTC, "market", "buy", 0.01)
    assert len(control.orders("key")) == 1
    control.settings(requests_per_minute=1)
    exchange.fetch_order_book(BTC, 5)
    with pytest.raises(ccxt.DDoSProtection):
        exchange.fetch_order_book(BTC, 5)
