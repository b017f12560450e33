"""A worker hears bells, sweeps up those it missed, and lets no lane that hangs keep another waiting."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import jobs
from bot_database import Row, bells
from engine.desk import Desk
from tests.database.rough_line import RoughFloor, rough_floor, signal

__all__ = ["rough_floor"]


class StuckLine:
    """A line on which nobody answers for one symbol until it is let go."""

    def __init__(self, broker, symbol: str) -> None:
        self._broker = broker
        self._symbol = symbol
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def quote(self, symbol: str):
        if symbol == self._symbol:
            self.reached.set()
            assert self.let_go.wait(30)
        return self._broker.quote(symbol)

    def __getattr__(self, name: str):
        return getattr(self._broker, name)


@pytest.fixture
def stuck(rough_floor: RoughFloor) -> Iterator[StuckLine]:
    line = StuckLine(rough_floor.paper, "AAPL")
    rough_floor.desk = replace(rough_floor.desk, broker=lambda _id: line)
    yield line
    line.let_go.set()


@contextmanager
def working(desk: Desk) -> Iterator[None]:
    """Run a worker inside."""
    stopping = threading.Event()
    worker = threading.Thread(target=jobs.work, args=(desk, stopping))
    worker.start()
    yield
    stopping.set()
    worker.join(30)
    assert not worker.is_alive()


def wait_for(look: Callable[[], bool]) -> None:
    for _ in range(600):
        if look():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_lanes_whose_broker_does_not_answer_keep_no_other_waiting(
    rough_floor: RoughFloor, stuck: StuckLine
) -> None:
    floor = rough_floor
    slow, quick = floor.bot("AAPL"), floor.bot("MSFT")
    floor.store(slow, signal("AAPL", "BUY"))
    with working(floor.desk):
        assert stuck.reached.wait(30)
        floor.store(quick, signal("MSFT", "BUY"))
        wait_for(lambda: floor.outcome(quick)[0] == "EXECUTED")
        assert floor.outcome(slow)[0] == "PLANNED"
        stuck.let_go.set()
    floor.settle()
    assert floor.outcome(slow) == ("EXECUTED", "EXECUTED")


def test_a_worker_that_lost_its_line_of_bells_hears_again_and_sweeps_what_it_missed(
    rough_floor: RoughFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = rough_floor
    # Neither the sweep nor a quick new line may be what finds it
    monkeypatch.setattr(jobs, "SWEEP_SECONDS", 3600)
    monkeypatch.setattr(jobs, "LISTEN_AGAIN_SECONDS", 1.0)
    missed, later = floor.bot("AAPL"), floor.bot("MSFT")
    cut = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = %s AND datname = current_database()
    """
    with working(floor.desk):
        wait_for(lambda: bool(listeners(floor)))
        with floor.database.transaction() as transaction:
            assert transaction.all(cut, (bells.LISTENER,))
        wait_for(lambda: not listeners(floor))
        floor.store(missed, signal("AAPL", "BUY"))
        wait_for(lambda: floor.outcome(missed)[0] == "EXECUTED")
        floor.store(later, signal("MSFT", "BUY"))
        wait_for(lambda: floor.outcome(later)[0] == "EXECUTED")


def listeners(floor: RoughFloor) -> list[Row]:
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"
    with floor.database.transaction() as transaction:
        return transaction.all(sql, (bells.LISTENER,))
