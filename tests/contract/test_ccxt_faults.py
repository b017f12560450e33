"""What every failure at BloFin tells the engine to do, with the real ccxt on real sockets.

What it promises like every adapter stands in `fault_contract.py`. The bugs of ccxt that were found by trying it
each have a test here, in `test_ccxt_requests.py` or in `tests/unit/test_ccxt_mapping.py` that would catch them.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from decimal import Decimal

import pytest

from brokers.base import Broker
from brokers.blofin import BlofinBroker
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import MarginMode, OrderState
from tests.blofin_server.local import Control
from tests.contract.blofin_desk import (
    KEY,
    ORDER,
    PHRASE,
    ROOT,
    SECRET,
    blofin,
    broker,
    broker_at,
    buy,
    envelope,
    fails,
    posts,
    protection,
    running,
    sell,
)
from tests.contract.fault_contract import (
    CertainlyNotReceived,
    Elsewhere,
    Fault,
    Line,
    OneOrderEach,
    PerhapsReceived,
)

__all__ = ["blofin", "broker", "running"]

D = Decimal


@pytest.fixture
def line(blofin: Control, broker: BlofinBroker) -> Line:
    return Line(server=blofin, broker=broker, key=KEY, path=ORDER, intent=buy)


@pytest.fixture
def fresh(blofin: Control) -> BlofinBroker:
    return broker_at(blofin.url)


@pytest.fixture
def leading_to(broker: BlofinBroker) -> Elsewhere:
    def leads(url: str) -> BlofinBroker:
        broker._client.urls["api"] = {"rest": url}
        return broker

    return leads


class TestOneOrderEach(OneOrderEach):
    taken = ("102002", 200)

    def test_many_threads_share_one_broker(
        self, line: Line, fresh: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        super().test_many_threads_share_one_broker(line, fresh, caplog)
        assert line.broker.position("BTC-USDT").quantity == D(2)


class TestPerhapsReceived(PerhapsReceived):
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "answer_after", "status": 504, "body": '{"code": "500", "msg": "timeout"}'},
            {"kind": "answer_after", "status": 408, "body": ""},
            {"kind": "answer_after", "status": 200, "body": '{"code":"500","msg":"Internal Server Error"}'},
            {"kind": "answer_after", "status": 200, "body": '{"code":"103013","msg":"Internal error"}'},
            {"kind": "answer_after", "status": 200, "body": envelope("103013", outer="1")},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "data": [{"orderId": "12'},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "msg": "", "data": []}'},
            {"kind": "answer_after", "status": 200, "body": '{"code": "0", "msg": "", "data": null}'},
            {"kind": "answer_after", "status": 200, "body": envelope("0")},
        ],
        ids=str,
    )
    def test_an_order_that_arrived_in_blofins_words(self, line: Line, fault: Fault) -> None:
        self.arrives_once(line, fault)

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


class TestCertainlyNotReceived(CertainlyNotReceived):
    too_many = ('{"code":"429","msg":"Too Many Requests"}', "429")

    def test_nobody_listens_when_it_is_opened(self, free_port: int) -> None:
        fails(broker_at(f"http://127.0.0.1:{free_port}"), Unavailable)

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

    def test_one_without_a_state_is_not_understood(self, blofin: Control, broker: BlofinBroker) -> None:
        body = json.dumps({"code": "0", "msg": "", "data": [{"tpslId": "123456"}]})
        blofin.fault("answer_before", "GET", "/api/v1/trade/orders-tpsl-pending", status=200, body=body)
        with pytest.raises(Unknown, match="state"):
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


_SENDER = """
import sys
from decimal import Decimal
from brokers.base import Broker
from brokers.blofin import BlofinBroker
from core.order import OrderIntent, Side
url, key, secret, phrase, order_id = sys.argv[1:]
broker = BlofinBroker({"api_key": key, "api_secret": secret, "passphrase": phrase}, base_url=url)
broker.submit(OrderIntent(client_order_id=order_id, symbol="BTC-USDT", side=Side.BUY, quantity=Decimal("0.01")))
"""
