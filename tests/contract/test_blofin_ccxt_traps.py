"""Facts about ccxt's BloFin that an adapter must go around; a version in which one is gone fails here."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.blofin_server.local import Control, running_server
from tests.contract.blofin_client import BTC, CCXT_BROKER, ORDER, client, detail, fresh


@pytest.fixture(scope="module")
def control() -> Iterator[Control]:
    with running_server() as running:
        yield running


@pytest.fixture
def exchange(control: Control) -> Any:
    return fresh(control)


@pytest.fixture
def hedged(exchange: Any) -> Any:
    exchange.set_position_mode(True)
    return exchange


@pytest.mark.parametrize("code", ["108888", "1000"])
def test_an_unknown_inner_code_looks_like_success(control: Control, exchange: Any, code: str) -> None:
    exchange.load_markets()
    control.operation_error(code, "outer_zero", message="never seen")
    assert exchange.create_order(BTC, "market", "buy", 1)["id"] is None
    assert control.orders() == []


def test_an_inner_failure_in_an_object_looks_like_success(control: Control, exchange: Any) -> None:
    exchange.load_markets()
    control.settings(envelope="outer_zero")
    params = {"stopLossPrice": 55_000, "takeProfitPrice": 70_000}
    # 102022 is known to ccxt, but it looks for it in arrays only
    assert exchange.create_order(BTC, "market", "sell", 1, None, params)["id"] is None
    assert control.protections() == []


@pytest.mark.parametrize("code", ["103003", "102002", "102089"])
def test_all_operations_failed_hides_the_kind_of_error(control: Control, exchange: Any, code: str) -> None:
    exchange.load_markets()
    control.operation_error(code, "outer_one")
    with pytest.raises(ccxt.ExchangeError, match=code) as caught:
        exchange.create_order(BTC, "market", "buy", 1)
    assert type(caught.value) is ccxt.ExchangeError


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("103003", ccxt.InsufficientFunds),
        ("102002", ccxt.InvalidOrder),
        ("102089", ccxt.BadRequest),
        ("150003", ccxt.InvalidOrder),
        ("150004", ccxt.InvalidOrder),
    ],
)
def test_inside_success_known_codes_are_raised(
    control: Control, exchange: Any, code: str, error: type
) -> None:
    exchange.load_markets()
    control.operation_error(code, "outer_zero")
    with pytest.raises(error) as caught:
        exchange.create_order(BTC, "market", "buy", 1)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("401", ccxt.AuthenticationError),
        ("152401", ccxt.AuthenticationError),
        ("152408", ccxt.AuthenticationError),
        ("152409", ccxt.AuthenticationError),
        ("152407", ccxt.InvalidNonce),
        ("152011", ccxt.PermissionDenied),
        ("152012", ccxt.BadRequest),
        ("152013", ccxt.PermissionDenied),
        ("542", ccxt.InvalidOrder),
    ],
)
def test_outer_codes(control: Control, exchange: Any, code: str, error: type) -> None:
    exchange.load_markets()
    control.operation_error(code, "flat")
    with pytest.raises(error) as caught:
        exchange.create_order(BTC, "market", "buy", 1)
    assert type(caught.value) is error


def test_the_broker_id_cannot_be_switched_off(control: Control, exchange: Any) -> None:
    control.account("key", "secret", "phrase")
    for none in ("", None):
        exchange.options["brokerId"] = none
        with pytest.raises(ccxt.PermissionDenied, match="152011"):
            exchange.create_order(BTC, "market", "buy", 1)
        assert json.loads(control.requests("POST", ORDER)[-1]["body"])["brokerId"] == CCXT_BROKER
    exchange.create_order(BTC, "market", "buy", 1, None, {"brokerId": None})
    assert json.loads(control.requests("POST", ORDER)[-1]["body"])["brokerId"] is None


def test_ioc_and_post_only_by_parameter_are_plain_limits(control: Control, exchange: Any) -> None:
    exchange.create_order(BTC, "limit", "buy", 1, 59_000, {"timeInForce": "IOC"})
    exchange.create_order(BTC, "limit", "buy", 1, 61_000, {"postOnly": True})
    first, second = control.orders("key")
    assert (first["orderType"], first["state"]) == ("limit", "live")
    assert (second["orderType"], second["state"]) == ("limit", "filled")


def test_hedged_picks_the_wrong_side_to_close(hedged: Any) -> None:
    hedged.create_order(BTC, "market", "buy", 10, None, {"hedged": True})
    hedged.create_order(BTC, "market", "sell", 10, None, {"hedged": True})
    assert {p["side"] for p in hedged.fetch_positions()} == {"long", "short"}


def test_the_timestamp_is_the_nonce(control: Control, exchange: Any) -> None:
    now = exchange.milliseconds()
    others = [client(control), client(control)]
    for other in others:
        other.milliseconds = lambda: now
    others[0].private_get_account_balance()
    with pytest.raises(ccxt.InvalidNonce, match="152407"):
        others[1].private_get_account_balance()


def test_amounts_are_contracts_and_cut_down(control: Control, exchange: Any) -> None:
    exchange.create_order(BTC, "market", "buy", 2.59)
    assert Decimal(control.orders("key")[0]["size"]) == Decimal("2.5")
    with pytest.raises(ccxt.InvalidOrder):
        exchange.create_order(BTC, "market", "buy", 0.05)
    assert len(control.requests("POST", ORDER)) == 1


def test_a_new_order_tells_nothing_but_its_ids(exchange: Any) -> None:
    order = exchange.create_order(BTC, "market", "buy", 1)
    assert [order[name] for name in ("status", "filled", "amount", "average")] == [None] * 4


def test_there_is_no_look_up_of_one_order(exchange: Any) -> None:
    assert not exchange.has["fetchOrder"]
    assert not exchange.has["cancelAllOrders"]
    with pytest.raises(ccxt.NotSupported):
        exchange.fetch_order("1", BTC)


def test_a_partly_filled_order_that_ended_has_a_status_ccxt_does_not_know(
    control: Control, exchange: Any
) -> None:
    control.settings(fill_size="4")
    exchange.create_order(BTC, "ioc", "buy", 10, 60_000, {"clientOrderId": "one"})
    assert detail(exchange, "one")["status"] == "partially_canceled"


def test_loading_markets_asks_for_the_funding_account(control: Control, exchange: Any) -> None:
    exchange.load_markets()
    assert len(control.requests("GET", "/api/v1/asset/currencies")) == 1
    with running_server("demo") as demo:
        demo.account("key", "secret", "phrase")
        with pytest.raises(ccxt.PermissionDenied, match="152404"):
            client(demo).load_markets()
