"""The order stream against real websockets: updates, losses, a rival, wrong keys, and silence in the log."""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from brokers.alpaca import AlpacaBroker
from brokers.alpaca_stream import AlpacaStream, reconnect_wait
from core.errors import Rejected
from core.order import Order, OrderIntent, OrderState, Side
from tests.alpaca_server.local import Control, running_server

KEY, SECRET = "PKSTREAM", "a very secret key"
PATIENCE = 10.0


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


class Listener:
    """One stream with everything it brought."""

    def __init__(
        self, url: str, key: str = KEY, secret: str = SECRET, first_wait: float = 0.05, longest: float = 1.0
    ) -> None:
        self.stream = AlpacaStream(
            key, secret, base_url=url, connect_timeout=1.0, first_wait=first_wait, longest_wait=longest
        )
        self.orders: list[Order] = []
        self.connections = 0

    async def run(self) -> None:
        await self.stream.run(self.orders.append, self.count)

    def count(self) -> None:
        self.connections += 1

    def states(self, client_order_id: str) -> list[OrderState]:
        return [o.state for o in self.orders if o.client_order_id == client_order_id]


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so, a failure after ten seconds."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(*listeners: Listener) -> AsyncIterator[None]:
    """Run streams, wait until all are connected, and stop them at the end."""
    runs = [asyncio.create_task(listener.run()) for listener in listeners]
    try:
        await until(lambda: all(listener.connections for listener in listeners))
        yield
    finally:
        for listener in listeners:
            listener.stream.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*runs)


def buy(alpaca: Control, key: str = KEY, quantity: str = "1") -> str:
    """Send a market order and return its id of ours."""
    broker = AlpacaBroker(key, SECRET, base_url=alpaca.url, data_url=alpaca.url)
    intent = OrderIntent(
        client_order_id=uuid.uuid4().hex, symbol="AAPL", side=Side.BUY, quantity=Decimal(quantity)
    )
    broker.submit(intent)
    return intent.client_order_id


@pytest.mark.parametrize("binary", [True, False])
def test_every_step_of_an_order_arrives(alpaca: Control, binary: bool) -> None:
    alpaca.settings(binary_frames=binary, partial_fill_share="1", fill_delay=0.01)

    async def main() -> None:
        listener = Listener(alpaca.url)
        async with listening(listener):
            sent = await asyncio.to_thread(buy, alpaca, quantity="10")
            await until(lambda: OrderState.FILLED in listener.states(sent))
            states = listener.states(sent)
            assert states == [OrderState.SUBMITTED, OrderState.PARTIALLY_FILLED, OrderState.FILLED]
            partial, filled = listener.orders[-2:]
            assert 0 < partial.filled_quantity < filled.filled_quantity == 10
            assert filled.average_price == Decimal(200)
            assert listener.connections == 1

    asyncio.run(main())


def test_ends_without_a_fill_arrive(alpaca: Control) -> None:
    alpaca.settings(hold_fills=True)

    async def main() -> None:
        listener = Listener(alpaca.url)
        ends = {"reject": OrderState.REJECTED, "expire": OrderState.EXPIRED, "cancel": OrderState.CANCELED}
        async with listening(listener):
            for how, state in ends.items():
                sent = await asyncio.to_thread(buy, alpaca)
                await asyncio.to_thread(alpaca.end, KEY, sent, how)
                await until(lambda sent=sent, state=state: state in listener.states(sent))

    asyncio.run(main())


def test_a_dropped_stream_comes_back_and_says_so(alpaca: Control) -> None:
    async def main() -> None:
        listener = Listener(alpaca.url)
        async with listening(listener):
            await asyncio.to_thread(alpaca.drop_streams, KEY)
            # nobody listens now: this one is missed for good
            missed = await asyncio.to_thread(buy, alpaca)
            await until(lambda: listener.connections == 2)
            assert listener.states(missed) == []
            broker = AlpacaBroker(KEY, SECRET, base_url=alpaca.url)
            found = await asyncio.to_thread(broker.find_order, missed)
            assert found is not None
            assert found.state is OrderState.FILLED
            later = await asyncio.to_thread(buy, alpaca)
            await until(lambda: OrderState.FILLED in listener.states(later))

    asyncio.run(main())


def test_a_server_that_comes_up_later_is_found(free_port: int) -> None:
    async def main() -> None:
        listener = Listener(f"http://127.0.0.1:{free_port}")
        run = asyncio.create_task(listener.run())
        await asyncio.sleep(0.2)
        assert listener.connections == 0
        with running_server(port=free_port):
            await until(lambda: listener.connections == 1)
            listener.stream.stop()
            await run

    asyncio.run(main())


def test_two_streams_on_one_key_do_not_fight(alpaca: Control) -> None:
    """Each takes the other's place, but ever more slowly: about 2 log 2 (time / first wait) times."""

    async def main() -> None:
        rivals = [Listener(alpaca.url, longest=60.0), Listener(alpaca.url, longest=60.0)]
        async with listening(*rivals):
            await asyncio.sleep(3.0)
            assert 3 <= len(alpaca.sign_ins()) <= 24
            assert len(alpaca.listeners()) == 1

    asyncio.run(main())


def test_wrong_keys_end_the_run_at_once(alpaca: Control, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    listener = Listener(alpaca.url, secret="another")
    with pytest.raises(Rejected) as refusal:
        asyncio.run(listener.run())
    assert refusal.value.status == 401
    assert alpaca.sign_ins() == [[KEY, False]]
    assert len([record for record in caplog.records if record.name.startswith("brokers")]) <= 1


def test_a_dead_server_does_not_fill_the_log(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        listener = Listener(f"http://127.0.0.1:{free_port}", first_wait=0.2, longest=60.0)
        run = asyncio.create_task(listener.run())
        await asyncio.sleep(2.0)
        listener.stream.stop()
        await run

    asyncio.run(main())
    # waits of at least 0.2, 0.4, 0.8 … seconds; the library's own loop writes about 170 tracebacks
    assert 1 <= len(caplog.records) <= 5
    assert all(record.exc_info is None for record in caplog.records)


def test_stop_from_another_thread_before_and_during(alpaca: Control) -> None:
    before = Listener(alpaca.url)
    before.stream.stop()
    asyncio.run(asyncio.wait_for(before.run(), PATIENCE))
    during = Listener(alpaca.url)

    def stop_soon() -> None:
        while not during.connections:
            time.sleep(0.005)
        during.stream.stop()

    thread = threading.Thread(target=stop_soon)
    thread.start()
    asyncio.run(asyncio.wait_for(during.run(), PATIENCE))
    thread.join()
    during.stream.stop()
    assert during.connections == 1


def test_cancelling_the_run_closes_the_socket(alpaca: Control) -> None:
    async def main() -> None:
        listener = Listener(alpaca.url)
        run = asyncio.create_task(listener.run())
        await until(lambda: listener.connections == 1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await until(lambda: alpaca.listeners() == [])

    asyncio.run(main())


def test_many_streams_share_a_loop(alpaca: Control) -> None:
    keys = [f"PKMANY{number}" for number in range(50)]
    for key in keys:
        alpaca.account(key, SECRET)

    async def main() -> None:
        listeners = {key: Listener(alpaca.url, key=key) for key in keys}
        async with listening(*listeners.values()):
            sent = {key: await asyncio.to_thread(buy, alpaca, key) for key in keys}
            for key, client_order_id in sent.items():
                await until(lambda key=key, own=client_order_id: listeners[key].states(own) != [])
                assert {o.client_order_id for o in listeners[key].orders} == {client_order_id}

    asyncio.run(main())


def test_an_update_nobody_understands_asks_for_a_reconcile(alpaca: Control) -> None:
    alpaca.settings(hold_fills=True)

    async def main() -> None:
        listener = Listener(alpaca.url)
        async with listening(listener):
            odd = await asyncio.to_thread(buy, alpaca)
            await until(lambda: listener.states(odd) != [])
            await asyncio.to_thread(alpaca.status, KEY, odd, "half_done")
            await asyncio.to_thread(alpaca.fill, KEY, odd)
            await until(lambda: listener.connections == 2)
            assert len(alpaca.sign_ins()) == 1
            later = await asyncio.to_thread(buy, alpaca)
            await until(lambda: listener.states(later) != [])

    asyncio.run(main())


@pytest.mark.parametrize("where", ["order", "connected"])
def test_a_fault_of_the_callers_own_is_not_taken_for_a_lost_stream(alpaca: Control, where: str) -> None:
    def fail(*_: object) -> None:
        raise TimeoutError("the caller's own")

    async def main() -> None:
        stream = AlpacaStream(KEY, SECRET, base_url=alpaca.url)
        if where == "connected":
            await stream.run(lambda order: None, fail)
        connected = asyncio.Event()
        run = asyncio.create_task(stream.run(fail, connected.set))
        await connected.wait()
        await asyncio.to_thread(buy, alpaca)
        await run

    with pytest.raises(TimeoutError, match="the caller's own"):
        asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_the_secret_is_in_no_log(alpaca: Control, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        listener = Listener(alpaca.url)
        async with listening(listener):
            assert SECRET not in repr(listener.stream)

    asyncio.run(main())
    assert SECRET not in caplog.text


def test_waits_double_to_a_limit_and_differ() -> None:
    assert [reconnect_wait(n, chance=1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [reconnect_wait(n, chance=0.0) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert reconnect_wait(10_000, chance=1.0) == 60
    assert len({reconnect_wait(3) for _ in range(20)}) > 10
