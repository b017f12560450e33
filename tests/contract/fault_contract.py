"""What every adapter of a broker behind a network promises of an order whose answer is late, wrong or lost.

A test module gives a fixture `line` and subclasses these classes; what one broker alone promises stays there.
Each test counts what arrived: whatever goes wrong, one `submit` is one order.
"""

import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import pytest

from brokers.base import Broker
from core.errors import BrokerError, DuplicateOrder, Unavailable, Unknown
from core.order import Order, OrderIntent

Fault = dict[str, Any]
Elsewhere = Callable[[str], Broker]
# Of every adapter that is tried here
READ_TIMEOUT = 0.4

CARRIED_OUT: list[Fault] = [
    {"kind": "answer_after", "status": 504},
    {"kind": "answer_after", "status": 500},
    {"kind": "answer_after", "status": 502},
    {"kind": "answer_after", "status": 503, "headers": {"Retry-After": "0"}},
    {"kind": "answer_after", "status": 200, "body": "<html>all is well</html>"},
    {"kind": "answer_after", "status": 200, "body": ""},
    {"kind": "answer_after", "status": 200, "body": "null"},
    {"kind": "answer_after", "status": 200, "body": "[]"},
    {"kind": "answer_after", "status": 200, "body": "{}"},
    {"kind": "answer_after", "status": 200, "body": "5"},
    {"kind": "answer_after", "status": 500, "body": "5"},
    {"kind": "drop_after"},
    {"kind": "half_after"},
    {"kind": "silence_after"},
    {"kind": "delay_after", "delay": READ_TIMEOUT * 2},
]
NOT_CARRIED_OUT: list[Fault] = [
    {"kind": "answer_before", "status": 500},
    {"kind": "answer_before", "status": 502},
    {"kind": "answer_before", "status": 504},
    {"kind": "drop_before"},
    {"kind": "silence_before"},
]


class FaultyServer(Protocol):
    """The control of a local server, as the tests for any broker use it."""

    def fault(self, kind: str, **fields: Any) -> None: ...
    def orders(self, key: str | None = None) -> list[Any]: ...
    def requests(self, method: str | None = None, path: str | None = None) -> list[Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An adapter, the local server at its other end, and how an order gets there."""

    server: FaultyServer
    broker: Broker
    key: str
    path: str
    intent: Callable[[], OrderIntent]

    def fault(self, **fault: Any) -> None:
        """Order trouble for the next order."""
        self.server.fault(path=self.path, **fault)

    def posts(self) -> int:
        """Return how many orders were sent."""
        return len(self.server.requests("POST", self.path))

    def arrived(self) -> int:
        """Return how many orders the broker has."""
        return len(self.server.orders(self.key))


def failure_of(broker: Broker, kind: type[BrokerError], intent: OrderIntent) -> BrokerError:
    """Return how the submit of an order fails, which has to be this kind and no kind of it."""
    with pytest.raises(BrokerError) as failure:
        broker.submit(intent)
    assert type(failure.value) is kind, failure.value
    return failure.value


class PerhapsReceived:
    """Unknown: never resent, found again by our id when it did arrive."""

    @pytest.mark.parametrize("fault", CARRIED_OUT, ids=str)
    def test_an_order_that_arrived(self, line: Line, fault: Fault) -> None:
        self.arrives_once(line, fault)

    @pytest.mark.parametrize("fault", NOT_CARRIED_OUT, ids=str)
    def test_an_order_that_did_not(self, line: Line, fault: Fault) -> None:
        line.fault(**fault)
        intent = line.intent()
        failure_of(line.broker, Unknown, intent)
        assert line.broker.find_order(intent.client_order_id) is None
        assert line.broker.find_order(intent.client_order_id, intent.symbol) is None
        assert line.posts() == 1
        assert line.arrived() == 0

    def arrives_once(self, line: Line, fault: Fault) -> Order:
        """Return what is found of an order that is carried out and whose answer is lost in this way."""
        line.fault(**fault)
        intent = line.intent()
        failure_of(line.broker, Unknown, intent)
        found = line.broker.find_order(intent.client_order_id)
        assert found is not None
        assert (found.symbol, found.side, found.quantity) == (intent.symbol, intent.side, intent.quantity)
        assert line.broker.find_order(intent.client_order_id, intent.symbol) == found
        assert line.posts() == line.arrived() == 1
        return found


class CertainlyNotReceived:
    """Unavailable: the same order may go again.

    The fixture `leading_to` gives an adapter whose orders go to another address; `too_many` is the broker's body
    of an HTTP 429, and the code in it.
    """

    too_many: ClassVar[tuple[str, str]]

    def test_nobody_listens(self, line: Line, leading_to: Elsewhere, free_port: int) -> None:
        failure_of(leading_to(f"http://127.0.0.1:{free_port}"), Unavailable, line.intent())

    def test_no_such_host(self, line: Line, leading_to: Elsewhere) -> None:
        failure_of(leading_to("http://broker.invalid"), Unavailable, line.intent())

    def test_nobody_picks_up(self, line: Line, leading_to: Elsewhere) -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            address = deaf.getsockname()
            # one connection fills the queue; the next SYN is left without an answer
            with socket.create_connection(address), _trying(address), _trying(address):
                broker = leading_to(f"http://127.0.0.1:{address[1]}")
                failure_of(broker, Unavailable, line.intent())

    def test_too_many_requests_say_how_long_to_wait(self, line: Line) -> None:
        body, code = self.too_many
        line.fault(kind="answer_before", status=429, body=body, headers={"Retry-After": "7"})
        failure = failure_of(line.broker, Unavailable, line.intent())
        assert isinstance(failure, Unavailable)
        assert (failure.retry_after, failure.status, failure.code) == (7.0, 429, code)
        assert line.posts() == 1
        assert line.arrived() == 0


class OneOrderEach:
    """An id is one order, and so is a submit, from however many threads.

    The fixture `fresh` gives an adapter that was not used yet; `taken` is the code and the HTTP status for an id
    that is used.
    """

    taken: ClassVar[tuple[str, int]]

    def test_a_taken_id_in_earnest(self, line: Line) -> None:
        intent = line.intent()
        line.broker.submit(intent)
        failure = failure_of(line.broker, DuplicateOrder, intent)
        assert (failure.code, failure.status) == self.taken
        assert line.arrived() == 1

    def test_many_threads_share_one_broker(
        self, line: Line, fresh: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        intents = [line.intent() for _ in range(200)]
        with ThreadPoolExecutor(max_workers=24) as pool:
            orders = list(pool.map(fresh.submit, intents))
        assert [o.client_order_id for o in orders] == [i.client_order_id for i in intents]
        assert line.posts() == line.arrived() == 200
        # urllib3 warns when a pool is too small and throws connections away
        assert caplog.text == ""


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
