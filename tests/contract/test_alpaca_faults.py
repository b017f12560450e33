"""What every failure at Alpaca tells the engine to do, with the real library on real sockets.

What it promises like every adapter stands in `fault_contract.py`.
"""

import json
import logging
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest

from brokers.alpaca import AlpacaBroker
from core.errors import BrokerError, Conflict, Rejected, Unavailable, Unknown
from core.order import OrderIntent, OrderState, Side
from tests.alpaca_server.local import Control, running_server
from tests.contract.fault_contract import (
    READ_TIMEOUT,
    CertainlyNotReceived,
    Elsewhere,
    Fault,
    Line,
    OneOrderEach,
    PerhapsReceived,
    failure_of,
)

D = Decimal
KEY, SECRET = "PKFAULTS", "a very secret key"


@pytest.fixture(scope="module")
def running() -> Iterator[Control]:
    with running_server() as control:
        yield control


@pytest.fixture
def alpaca(running: Control) -> Control:
    running.reset()
    running.settings(partial_fill_share="0")
    running.account(KEY, SECRET)
    return running


@pytest.fixture
def broker(alpaca: Control) -> AlpacaBroker:
    """Give an adapter whose connection is open and in use already."""
    broker = broker_at(alpaca.url)
    broker.account()
    return broker


def broker_at(url: str, secret: str = SECRET) -> AlpacaBroker:
    return AlpacaBroker(
        KEY, secret, base_url=url, data_url=url, connect_timeout=0.4, read_timeout=READ_TIMEOUT
    )


def buy(quantity: str = "1", symbol: str = "AAPL") -> OrderIntent:
    return OrderIntent(client_order_id=uuid.uuid4().hex, symbol=symbol, side=Side.BUY, quantity=D(quantity))


def posts(alpaca: Control) -> int:
    return len(alpaca.requests("POST", "/v2/orders"))


def fails(broker: AlpacaBroker, kind: type[BrokerError], intent: OrderIntent | None = None) -> BrokerError:
    return failure_of(broker, kind, intent or buy())


@pytest.fixture
def line(alpaca: Control, broker: AlpacaBroker) -> Line:
    return Line(server=alpaca, broker=broker, key=KEY, path="/v2/orders", intent=buy)


@pytest.fixture
def fresh(alpaca: Control) -> AlpacaBroker:
    return broker_at(alpaca.url)


@pytest.fixture
def leading_to() -> Elsewhere:
    return broker_at


class TestOneOrderEach(OneOrderEach):
    taken = ("40010001", 422)


class TestPerhapsReceived(PerhapsReceived):
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "answer_after", "status": 504, "body": '{"code": 50410000, "message": "timeout"}'},
            {"kind": "answer_after", "status": 408},
            {"kind": "answer_after", "status": 200, "body": '{"id": "cut in the mid'},
        ],
        ids=str,
    )
    def test_an_order_that_arrived_in_alpacas_words(self, line: Line, fault: Fault) -> None:
        self.arrives_once(line, fault)

    def test_the_environment_cannot_bring_resending_back(
        self, alpaca: Control, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("APCA_RETRY_MAX", "5")
        monkeypatch.setenv("APCA_RETRY_WAIT", "0")
        monkeypatch.setenv("APCA_RETRY_CODES", "429,500,504")
        broker = broker_at(alpaca.url)
        alpaca.fault("answer_after", status=504, count=3)
        fails(broker, Unknown)
        assert posts(alpaca) == len(alpaca.orders(KEY)) == 1

    def test_an_answer_about_another_order_is_not_believed(
        self, alpaca: Control, broker: AlpacaBroker
    ) -> None:
        broker.submit(buy())
        other = {name: value for name, value in alpaca.orders(KEY)[0].items() if name != "key"}
        alpaca.fault("answer_after", status=200, body=json.dumps(other))
        fails(broker, Unknown)

    def test_a_status_alpaca_never_had_is_not_guessed(self, alpaca: Control, broker: AlpacaBroker) -> None:
        order = broker.submit(buy())
        alpaca.status(KEY, order.client_order_id, "half_done")
        with pytest.raises(Unknown, match="half_done"):
            broker.find_order(order.client_order_id)


class TestCertainlyNotReceived(CertainlyNotReceived):
    too_many = ('{"code":42910000,"message":"too many requests."}', "42910000")

    def test_the_rate_limit_itself(self, alpaca: Control) -> None:
        alpaca.settings(requests_per_minute=3)
        broker = broker_at(alpaca.url)
        for _ in range(3):
            broker.account()
        failure = fails(broker, Unavailable)
        assert isinstance(failure, Unavailable)
        assert failure.retry_after is not None
        assert 50 < failure.retry_after <= 60

    def test_a_proxy_that_is_not_there(
        self, alpaca: Control, free_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
        fails(broker_at("http://alpaca.invalid"), Unavailable)


class TestRefused:
    """Rejected: final, in the broker's words."""

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
    def test_a_final_answer(self, alpaca: Control, broker: AlpacaBroker, status: int) -> None:
        alpaca.fault("answer_before", status=status, body='{"code": 40310000, "message": "the words"}')
        failure = fails(broker, Rejected)
        assert (failure.message, failure.code, failure.status) == ("the words", "40310000", status)
        assert posts(alpaca) == 1

    def test_a_refusal_without_json(self, alpaca: Control, broker: AlpacaBroker) -> None:
        alpaca.fault("answer_before", status=403, body="<html>blocked</html>")
        assert fails(broker, Rejected).message == "Alpaca answered HTTP 403"

    def test_wrong_keys(self, alpaca: Control) -> None:
        with pytest.raises(Rejected) as failure:
            broker_at(alpaca.url, secret="another").account()
        assert (failure.value.status, failure.value.code) == (401, None)

    def test_an_order_refused_after_it_was_accepted(self, alpaca: Control, broker: AlpacaBroker) -> None:
        alpaca.settings(hold_fills=True)
        order = broker.submit(buy())
        alpaca.end(KEY, order.client_order_id, "reject", "halted")
        found = broker.find_order(order.client_order_id)
        assert found is not None
        assert found.state is OrderState.REJECTED
        assert found.message

    def test_a_redirect_is_not_followed(self, alpaca: Control, broker: AlpacaBroker) -> None:
        elsewhere = {"Location": f"{alpaca.url}/v2/orders"}
        alpaca.fault("answer_before", status=307, body="", headers=elsewhere)
        assert fails(broker, Rejected).status == 307
        assert posts(alpaca) == 1

    @pytest.mark.parametrize("key", ["", "  ", "PKTEST\nX: y", "schlüssel"])
    def test_a_key_that_cannot_be_one(self, alpaca: Control, key: str) -> None:
        with pytest.raises(Rejected):
            AlpacaBroker(key, SECRET, base_url=alpaca.url)


class TestBlocked:
    """Conflict: names the order in the way where Alpaca does."""

    @pytest.mark.parametrize(
        ("status", "body", "blocking"),
        [
            (
                403,
                {
                    "code": 40310000,
                    "message": "insufficient qty available for order (requested: 106, available: 0)",
                    "available": "0",
                    "existing_qty": "106",
                    "held_for_orders": "106",
                    "related_orders": ["61e69015-8549-4bfd-b9c3-01e75843f47d"],
                    "symbol": "AAPL",
                },
                "61e69015-8549-4bfd-b9c3-01e75843f47d",
            ),
            (403, {"code": 40310000, "message": "insufficient qty", "held_for_orders": "5"}, None),
            (
                403,
                {
                    "code": 40310000,
                    "message": "potential wash trade detected. use complex orders",
                    "existing_order_id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
                    "reject_reason": "opposite side market/stop order exists",
                },
                "61e69015-8549-4bfd-b9c3-01e75843f47d",
            ),
            (
                422,
                {"code": 42210000, "message": "potential wash trade detected. use complex orders"},
                None,
            ),
            (
                403,
                {"code": 40310000, "message": "cannot open a long buy while a short sell order is open"},
                None,
            ),
        ],
    )
    def test_conflicts(
        self,
        alpaca: Control,
        broker: AlpacaBroker,
        status: int,
        body: dict[str, object],
        blocking: str | None,
    ) -> None:
        alpaca.fault("answer_before", status=status, body=json.dumps(body))
        failure = fails(broker, Conflict)
        assert isinstance(failure, Conflict)
        assert failure.blocking_order_id == blocking

    def test_more_than_is_held_by_nobody_is_final(self, alpaca: Control, broker: AlpacaBroker) -> None:
        body = {
            "code": 40310000,
            "message": "insufficient qty available for order (requested: 15, available: 10)",
            "available": "10",
            "existing_qty": "10",
            "held_for_orders": "0",
        }
        alpaca.fault("answer_before", status=403, body=json.dumps(body))
        fails(broker, Rejected)


class TestReading:
    """A query that failed never reads as an answer."""

    @pytest.mark.parametrize("status", [404, 200])
    def test_a_page_instead_of_a_position_is_not_flat(
        self, alpaca: Control, broker: AlpacaBroker, status: int
    ) -> None:
        alpaca.fault("answer_before", "GET", "/v2/positions/AAPL", status=status, body="<html></html>")
        with pytest.raises((Rejected, Unknown)):
            broker.position("AAPL")

    def test_a_page_instead_of_an_order_is_not_absence(self, alpaca: Control, broker: AlpacaBroker) -> None:
        alpaca.fault("answer_before", "GET", "/v2/orders:*", status=404, body='{"message": "Not Found"}')
        with pytest.raises(Rejected):
            broker.find_order("anything")

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"kind": "drop_before"}, Unknown),
            ({"kind": "silence_before"}, Unknown),
            ({"kind": "answer_before", "status": 502}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": "{}"}, Unknown),
            ({"kind": "answer_before", "status": 200, "body": "[5]"}, Unknown),
            ({"kind": "answer_before", "status": 429}, Unavailable),
            ({"kind": "answer_before", "status": 401}, Rejected),
        ],
        ids=str,
    )
    def test_positions(
        self, alpaca: Control, broker: AlpacaBroker, fault: dict[str, object], kind: type[BrokerError]
    ) -> None:
        alpaca.fault(method="GET", path="/v2/positions", **fault)  # type: ignore[arg-type]
        with pytest.raises(BrokerError) as failure:
            broker.positions()
        assert type(failure.value) is kind

    def test_a_cancel_that_is_not_possible_yet(self, alpaca: Control, broker: AlpacaBroker) -> None:
        alpaca.settings(hold_fills=True)
        order = broker.submit(buy())
        alpaca.fault("answer_before", "DELETE", "/v2/orders/*", status=422, body='{"message": "not now"}')
        with pytest.raises(Rejected, match="not now"):
            broker.cancel(order.broker_order_id)

    def test_cancelling_what_never_was(self, broker: AlpacaBroker) -> None:
        with pytest.raises(Rejected):
            broker.cancel(str(uuid.uuid4()))


class TestSecrets:
    def test_keys_are_in_no_repr_log_or_error(
        self, alpaca: Control, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        broker = broker_at(alpaca.url)
        broker.account()
        alpaca.fault("drop_before")
        failure = fails(broker, Unknown)
        told = f"{broker!r} {failure!r} {failure.__cause__!r} {caplog.text}"
        assert SECRET not in told
        assert KEY not in told

    def test_a_token_in_the_environment_does_not_take_over(
        self, alpaca: Control, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("APCA_API_OAUTH_TOKEN", "someone else's")
        monkeypatch.setenv("APCA_API_VERSION", "v9")
        monkeypatch.setenv("APCA_API_BASE_URL", "http://alpaca.invalid")
        monkeypatch.setenv("APCA_API_DATA_URL", "http://alpaca.invalid")
        broker = broker_at(alpaca.url)
        assert broker.account().cash == 100_000
        assert broker.quote("AAPL").ask == 200
