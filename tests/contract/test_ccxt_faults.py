"""What every failure at BloFin tells the engine to do, with the real ccxt on real sockets.

Each case counts what arrived: whatever goes wrong, one `submit` is one order. The bugs of ccxt that were
found by trying it each have a test here or in `tests/unit/test_ccxt_mapping.py` that would catch them.
"""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from brokers.base import ProtectionIntent
from brokers.blofin import BlofinBroker
from brokers.ccxt_exchange import Listing
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import MarginMode, OrderIntent, OrderState, OrderType, Side
from tests.blofin_server.local import Control, running_server

D = Decimal
ROOT = Path(__file__).parents[2]
KEY, SECRET, PHRASE = "faultskey", "a very secret secret", "a very secret phrase"
ORDER = "/api/v1/trade/order"
READ_TIMEOUT = 0.4


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


def buy(quantity: str = "0.01", **more: object) -> OrderIntent:
    fields = {"client_order_id": uuid.uuid4().hex, "symbol": "BTC-USDT", "side": Side.BUY, **more}
    return OrderIntent(quantity=D(quantity), **fields)  # type: ignore[arg-type]


def sell(**more: object) -> OrderIntent:
    return buy(side=Side.SELL, **more)


def posts(blofin: Control, path: str = ORDER) -> int:
    return len(blofin.requests("POST", path))


def last_body(blofin: Control, path: str = ORDER) -> dict[str, str]:
    return dict(json.loads(blofin.requests("POST", path)[-1]["body"]))


def fails(broker: BlofinBroker, kind: type[BrokerError], intent: OrderIntent | None = None) -> BrokerError:
    with pytest.raises(BrokerError) as failure:
        broker.submit(intent or buy())
    assert type(failure.value) is kind, failure.value
    return failure.value


def envelope(code: str, message: str = "the words", *, outer: str = "0", order_id: str | None = None) -> str:
    item = {"orderId": order_id, "clientOrderId": "", "msg": message, "code": code}
    return json.dumps({"code": outer, "msg": "All operations failed" if outer != "0" else "", "data": [item]})


class TestPerhapsReceived:
    """Unknown: never resent, found again by our id when it did arrive."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "answer_after", "status": 504},
            {"kind": "answer_after", "status": 504, "body": '{"code": "500", "msg": "timeout"}'},
            {"kind": "answer_after", "status": 500},
            {"kind": "answer_after", "status": 502},
            {"kind": "answer_after", "status": 503, "headers": {"Retry-After": "0"}},
            {"kind": "answer_after", "status": 408, "body": ""},
            {"kind": "answer_after", "status": 200, "body": '{"code":"500","msg":"Internal Server Error"}'},
            {"kind": "answer_after", "status": 200, "body": '{"code":"103013","msg":"Internal error"}'},
            {"kind": "answer_after", "status": 200, "body": envelope("103013", outer="1")},
            {"kind": "answer_after", "status": 200, "body": "<html>all is well</html>"},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "data": [{"orderId": "12'},
            {"kind": "answer_after", "status": 200, "body": ""},
            {"kind": "answer_after", "status": 200, "body": "null"},
            {"kind": "answer_after", "status": 200, "body": "[]"},
            {"kind": "answer_after", "status": 200, "body": "{}"},
            {"kind": "answer_after", "status": 200, "body": "5"},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "msg": "", "data": []}'},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "msg": "", "data": null}'},
            {"kind": "answer_after", "status": 200, "body": envelope("0")},
            {"kind": "answer_after", "status": 500, "body": "5"},
            {"kind": "drop_after"},
            {"kind": "silence_after"},
            {"kind": "delay_after", "delay": READ_TIMEOUT * 2},
        ],
        ids=str,
    )
    def test_an_order_that_arrived(
        self, blofin: Control, broker: BlofinBroker, fault: dict[str, object]
    ) -> None:
        blofin.fault(**fault)  # type: ignore[arg-type]
        intent = buy()
        fails(broker, Unknown, intent)
        found = broker.find_order(intent.client_order_id)
        assert found is not None
        assert (found.symbol, found.side, found.quantity) == ("BTC-USDT", Side.BUY, D("0.01"))
        assert posts(blofin) == len(blofin.orders(KEY)) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "answer_before", "status": 500},
            {"kind": "answer_before", "status": 502},
            {"kind": "answer_before", "status": 504},
            {"kind": "drop_before"},
            {"kind": "silence_before"},
        ],
        ids=str,
    )
    def test_an_order_that_did_not(
        self, blofin: Control, broker: BlofinBroker, fault: dict[str, object]
    ) -> None:
        blofin.fault(**fault)  # type: ignore[arg-type]
        intent = buy()
        fails(broker, Unknown, intent)
        assert broker.find_order(intent.client_order_id) is None
        assert posts(blofin) == 1
        assert blofin.orders(KEY) == []

    def test_an_answer_about_another_order_is_not_believed(
        self, blofin: Control, broker: BlofinBroker
    ) -> None:
        item = {"orderId": "77", "clientOrderId": "somebodyElses", "msg": "", "code": "0"}
        body = json.dumps({"code": "0", "msg": "", "data": [item]})
        blofin.fault("answer_after", status=200, body=body)
        fails(broker, Unknown)

    def test_a_state_blofin_never_had_is_not_guessed(self, blofin: Control, broker: BlofinBroker) -> None:
        order = broker.submit(buy())
        raw = {**blofin.orders(KEY)[0], "state": "half_done"}
        body = json.dumps({"code": "0", "msg": "", "data": raw})
        blofin.fault("answer_before", "GET", "/api/v1/trade/order-detail", status=200, body=body)
        with pytest.raises(Unknown, match="half_done"):
            broker.find_order(order.client_order_id)

    @pytest.mark.parametrize("status", [302, 307, 404])
    def test_a_gateway_refuses_nothing_for_good(
        self, blofin: Control, broker: BlofinBroker, status: int
    ) -> None:
        """A page about maintenance is no refusal of an exit; and nothing is sent to where it points."""
        elsewhere = {"Location": f"{blofin.url}{ORDER}"}
        blofin.fault("answer_before", status=status, body="<html>back soon</html>", headers=elsewhere)
        assert fails(broker, Unknown).status == status
        assert posts(blofin) == 1

    def test_ccxts_retries_stay_off(self, blofin: Control, broker: BlofinBroker) -> None:
        broker._client.options["maxRetriesOnFailure"] = 5
        blofin.fault("answer_after", status=502, count=6)
        fails(broker, Unknown)
        assert posts(blofin) == 1


class TestCertainlyNotReceived:
    """Unavailable: the same order may go again."""

    def test_nobody_listens(self, free_port: int) -> None:
        fails(broker_at(f"http://127.0.0.1:{free_port}"), Unavailable)

    def test_nobody_listens_any_more(self, blofin: Control, broker: BlofinBroker, free_port: int) -> None:
        broker._client.urls["api"] = {"rest": f"http://127.0.0.1:{free_port}"}
        fails(broker, Unavailable)

    def test_no_such_host(self, broker: BlofinBroker) -> None:
        broker._client.urls["api"] = {"rest": "http://blofin.invalid"}
        fails(broker, Unavailable)

    def test_nobody_picks_up(self, broker: BlofinBroker) -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            address = deaf.getsockname()
            # one connection fills the queue; the next SYN is left without an answer
            with socket.create_connection(address), _trying(address), _trying(address):
                broker._client.urls["api"] = {"rest": f"http://127.0.0.1:{address[1]}"}
                fails(broker, Unavailable)

    def test_too_many_requests_say_how_long_to_wait(self, blofin: Control, broker: BlofinBroker) -> None:
        body = '{"code":"429","msg":"Too Many Requests"}'
        blofin.fault("answer_before", status=429, body=body, headers={"Retry-After": "7"})
        failure = fails(broker, Unavailable)
        assert isinstance(failure, Unavailable)
        assert (failure.retry_after, failure.status, failure.code) == (7.0, 429, "429")
        assert posts(blofin) == 1
        assert blofin.orders(KEY) == []

    def test_the_rate_limit_itself(self, blofin: Control, broker: BlofinBroker) -> None:
        blofin.settings(trades_per_10_seconds=2)
        for _ in range(2):
            broker.submit(buy())
        fails(broker, Unavailable)
        assert len(blofin.orders(KEY)) == 2

    @pytest.mark.parametrize("body", ["<html>blocked</html>", "", '{"code": 403, "msg": "Forbidden"}'])
    def test_a_firewall_has_let_nothing_in(self, blofin: Control, broker: BlofinBroker, body: str) -> None:
        blofin.fault("answer_before", status=403, body=body)
        fails(broker, Unavailable)

    @pytest.mark.parametrize("code", ["152405", "152407", "429"])
    def test_an_envelope_that_was_not_opened(self, blofin: Control, broker: BlofinBroker, code: str) -> None:
        blofin.fault("answer_before", status=200, body=json.dumps({"code": code, "msg": "the words"}))
        assert fails(broker, Unavailable).code == code

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/account/position-mode"),
            ("GET", "/api/v1/account/batch-leverage-info"),
            ("POST", "/api/v1/account/set-leverage"),
            ("GET", "/api/v1/market/instruments"),
        ],
    )
    @pytest.mark.parametrize("kind", ["drop_before", "silence_before", "answer_before"])
    def test_a_question_before_the_order(self, blofin: Control, method: str, path: str, kind: str) -> None:
        broker = broker_at(blofin.url)
        blofin.fault(kind, method, path, status=502)
        intent = buy(leverage=7, margin_mode=MarginMode.CROSS)
        fails(broker, Unavailable, intent)
        assert posts(blofin) == 0
        broker.submit(intent)
        assert broker.position("BTC-USDT").leverage == 7

    def test_questions_that_took_too_long(self, blofin: Control, monkeypatch: pytest.MonkeyPatch) -> None:
        """The time that a successor waits for an order without an answer would be over."""
        monkeypatch.setattr("brokers.ccxt_exchange.PREPARE_SECONDS", 0.2)
        broker = broker_at(blofin.url)
        blofin.fault("delay_before", "GET", "/api/v1/account/position-mode", delay=0.25)
        fails(broker, Unavailable)
        assert posts(blofin) == 0


class TestRefused:
    """Rejected: final, in the broker's words."""

    @pytest.mark.parametrize("outer", ["0", "1"])
    @pytest.mark.parametrize("code", ["103003", "102015", "102064", "152404", "999999"])
    def test_a_code_of_the_single_order_wins(
        self, blofin: Control, broker: BlofinBroker, code: str, outer: str
    ) -> None:
        """ccxt reads an unknown inner code below an outer 0 as success, and not at all below an outer 1."""
        blofin.fault("answer_before", status=200, body=envelope(code, outer=outer))
        failure = fails(broker, Rejected)
        assert (failure.message, failure.code, failure.status) == ("the words", code, 200)
        assert posts(blofin) == 1

    @pytest.mark.parametrize("code", ["1", "2", "400", "404", "150004", "152409", "999999"])
    def test_a_code_that_stands_alone(self, blofin: Control, broker: BlofinBroker, code: str) -> None:
        blofin.fault("answer_before", status=200, body=json.dumps({"code": code, "msg": "the words"}))
        failure = fails(broker, Rejected)
        assert (failure.message, failure.code) == ("the words", code)

    @pytest.mark.parametrize("outer", ["0", "1"])
    @pytest.mark.parametrize("code", ["102002", "150003"])
    def test_a_taken_id(self, blofin: Control, broker: BlofinBroker, code: str, outer: str) -> None:
        blofin.fault("answer_before", status=200, body=envelope(code, outer=outer))
        assert fails(broker, DuplicateOrder).code == code

    def test_a_taken_id_in_earnest(self, blofin: Control, broker: BlofinBroker) -> None:
        intent = buy()
        broker.submit(intent)
        assert fails(broker, DuplicateOrder, intent).code == "102002"
        assert len(blofin.orders(KEY)) == 1

    @pytest.mark.parametrize("outer", ["0", "1"])
    @pytest.mark.parametrize("code", ["102022", "102005", "102089"])
    def test_a_contradiction_reads_the_account_again(
        self, blofin: Control, broker: BlofinBroker, code: str, outer: str
    ) -> None:
        blofin.fault("answer_before", status=200, body=envelope(code, outer=outer))
        assert fails(broker, Conflict, sell(reduce_only=True)).code == code

    def test_too_little_margin(self, blofin: Control, broker: BlofinBroker) -> None:
        failure = fails(broker, Rejected, buy("1000"))
        assert failure.code == "103003"
        assert "Insufficient USDT margin" in failure.message

    def test_an_http_status_without_a_code(self, blofin: Control, broker: BlofinBroker) -> None:
        blofin.fault("answer_before", status=401, body="<html></html>")
        assert fails(broker, Rejected).message == "BloFin answered HTTP 401"

    @pytest.mark.parametrize(
        ("wrong", "code"), [({"secret": "another"}, "152409"), ({"phrase": "another"}, "152408")]
    )
    def test_wrong_keys(self, blofin: Control, wrong: dict[str, str], code: str) -> None:
        with pytest.raises(Rejected) as failure:
            broker_at(blofin.url, **wrong).account()
        assert failure.value.code == code

    @pytest.mark.parametrize("secret", ["", "  ", "key\nX: y", "schlüssel"])
    def test_a_key_that_cannot_be_one(self, blofin: Control, secret: str) -> None:
        with pytest.raises(Rejected, match="API secret key"):
            broker_at(blofin.url, secret=secret)

    def test_a_leverage_that_blofin_will_not_set(self, blofin: Control, broker: BlofinBroker) -> None:
        body = json.dumps({"code": "110019", "msg": "Setting failed."})
        blofin.fault("answer_before", "POST", "/api/v1/account/set-leverage", status=200, body=body)
        assert fails(broker, Rejected, buy(leverage=9)).code == "110019"
        assert posts(blofin) == 0

    def test_an_order_that_failed_after_it_was_accepted(self, blofin: Control, broker: BlofinBroker) -> None:
        """ccxt calls it canceled."""
        order = broker.submit(buy())
        raw = {**blofin.orders(KEY)[0], "state": "order_failed", "cancelSourceReason": "No margin"}
        body = json.dumps({"code": "0", "msg": "", "data": raw})
        blofin.fault("answer_before", "GET", "/api/v1/trade/order-detail", status=200, body=body)
        found = broker.find_order(order.client_order_id)
        assert found is not None
        assert (found.state, found.message) == (OrderState.REJECTED, "No margin")


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
        for broker in brokers:
            monkeypatch.setattr(broker._client, "milliseconds", lambda: at)
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


class TestProtection:
    """Protection is sent once, and an answer that does not come is not its absence."""

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"kind": "drop_after"}, Unknown),
            ({"kind": "silence_after"}, Unknown),
            ({"kind": "answer_after", "status": 200, "body": '{"code":"0","data":{}}'}, Unknown),
            ({"kind": "answer_after", "status": 200, "body": '{"code":"0","data":null}'}, Unknown),
        ],
        ids=str,
    )
    def test_one_that_arrived_is_found_by_our_id(
        self, blofin: Control, broker: BlofinBroker, fault: dict[str, object], kind: type[BrokerError]
    ) -> None:
        broker.submit(buy())
        intent = protection()
        blofin.fault(path="/api/v1/trade/order-tpsl", **fault)  # type: ignore[arg-type]
        with pytest.raises(kind):
            broker.protect(intent)
        (resting,) = broker.protections("BTC-USDT")
        assert resting.client_id == intent.client_id
        assert posts(blofin, "/api/v1/trade/order-tpsl") == 1

    def test_one_that_blofin_does_not_show_is_not_gone(self, broker: BlofinBroker) -> None:
        with pytest.raises(Unknown):
            broker.protection_outcome("BTC-USDT", "123456")

    @pytest.mark.parametrize("outer", ["0", "1"])
    def test_a_refusal_is_final(self, blofin: Control, broker: BlofinBroker, outer: str) -> None:
        item = {"tpslId": None, "clientOrderId": "", "msg": "the words", "code": "102038"}
        body = json.dumps({"code": outer, "msg": "", "data": item})
        blofin.fault("answer_before", path="/api/v1/trade/order-tpsl", status=200, body=body)
        with pytest.raises(Rejected, match="the words") as refusal:
            broker.protect(protection())
        assert refusal.value.code == "102038"

    def test_one_whose_order_failed_is_gone(self, blofin: Control, broker: BlofinBroker) -> None:
        blofin.settings(closed_protection="none")
        broker.submit(buy())
        placed = broker.protect(protection())
        broker.submit(sell(reduce_only=True))
        blofin.price("BTC-USDT", 57_000)
        assert blofin.protections(KEY)[0]["state"] == "order_failed"
        outcome = broker.protection_outcome("BTC-USDT", placed)
        assert (outcome.state.value, outcome.order) == ("GONE", None)


class TestSecrets:
    def test_keys_are_in_no_repr_log_or_error(
        self, blofin: Control, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        broker = broker_at(blofin.url)
        broker.account()
        told = [repr(broker), repr(broker._client)]
        for fault in ({"kind": "drop_before"}, {"kind": "answer_before", "status": 502}):
            blofin.fault(**fault)  # type: ignore[arg-type]
            failure: BaseException | None = fails(broker, Unknown)
            while failure is not None:
                told.append(repr(failure))
                failure = failure.__cause__ or failure.__context__
        with pytest.raises(Rejected) as refused:
            broker_at(blofin.url, secret="another secret").account()
        told += [repr(refused.value), caplog.text]
        signatures = {r["headers"].get("ACCESS-SIGN") for r in blofin.requests()} - {None}
        assert signatures
        for secret in (SECRET, PHRASE, KEY, "another secret", *signatures):
            assert secret not in " ".join(told)

    def test_the_environment_changes_nothing(self, blofin: Control, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BLOFIN_BASE_URL", "http://blofin.invalid")
        monkeypatch.setenv("BLOFIN_API_KEY", "someone else's")
        assert broker_at(blofin.url).account().equity == 100_000


def test_many_threads_share_one_broker(blofin: Control, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    broker = broker_at(blofin.url)
    intents = [buy("0.0001") for _ in range(200)]
    with ThreadPoolExecutor(max_workers=24) as pool:
        orders = list(pool.map(broker.submit, intents))
    assert [o.client_order_id for o in orders] == [i.client_order_id for i in intents]
    assert posts(blofin) == len(blofin.orders(KEY)) == 200
    assert broker.position("BTC-USDT").quantity == D("0.02")
    # urllib3 warns when a pool is too small and throws connections away
    assert caplog.text == ""


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


def test_an_order_whose_sender_is_killed_is_there_once(blofin: Control) -> None:
    """The engine's part in a process of its own: killed while BloFin keeps it waiting for the answer."""
    blofin.fault("silence_after")
    order_id = uuid.uuid4().hex
    child = subprocess.Popen(
        [sys.executable, "-c", _SENDER, blofin.url, KEY, SECRET, PHRASE, order_id],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 60
        while not blofin.orders(KEY):
            assert time.monotonic() < deadline
            assert child.poll() is None
            threading.Event().wait(0.02)
    finally:
        child.kill()
        child.wait()
    found = broker_at(blofin.url).find_order(order_id)
    assert found is not None
    assert found.filled_quantity == D("0.01")
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


_SENDER = """
import sys
from decimal import Decimal
from brokers.blofin import BlofinBroker
from core.order import OrderIntent, Side
url, key, secret, phrase, order_id = sys.argv[1:]
broker = BlofinBroker({"api_key": key, "api_secret": secret, "passphrase": phrase}, base_url=url)
broker.submit(OrderIntent(client_order_id=order_id, symbol="BTC-USDT", side=Side.BUY, quantity=Decimal("0.01")))
"""

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


def protection(quantity: str = "0.01", stop: str = "58000") -> ProtectionIntent:
    return ProtectionIntent(
        client_id=uuid.uuid4().hex,
        symbol="BTC-USDT",
        side=Side.SELL,
        quantity=D(quantity),
        stop_price=D(stop),
    )


def _instruments(blofin: Control) -> str:
    return blofin.session.get(f"{blofin.url}/api/v1/market/instruments", timeout=10).text


class _trying:  # noqa: N801
    """Hold a socket that has asked for a connection without waiting for it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(address)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *reason: object) -> None:
        self.socket.close()
