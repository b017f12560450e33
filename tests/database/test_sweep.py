"""The sweep works every lane that has something to do, and bells of the dead do not pile up."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

import jobs
from bot_database import Database, bells
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


def test_a_lane_whose_broker_does_not_answer_keeps_no_other_waiting(
    rough_floor: RoughFloor, stuck: StuckLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = rough_floor
    monkeypatch.setattr(jobs, "SWEEP_SECONDS", 0.05)
    slow, quick = floor.bot("AAPL"), floor.bot("MSFT")
    floor.store(slow, signal("AAPL", "BUY"))

    async def until_executed() -> None:
        with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(4) as lane_pool:
            sweeping = asyncio.create_task(jobs.sweep(floor.desk, pool, lane_pool))
            assert await asyncio.to_thread(stuck.reached.wait, 30)
            floor.store(quick, signal("MSFT", "BUY"))
            for _ in range(600):
                if floor.outcome(quick)[0] == "EXECUTED":
                    break
                await asyncio.sleep(0.05)
            stuck.let_go.set()
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    asyncio.run(until_executed())
    assert floor.outcome(quick) == ("EXECUTED", "EXECUTED")
    floor.settle()
    assert floor.outcome(slow) == ("EXECUTED", "EXECUTED")


def test_bells_that_a_dead_worker_took_are_forgotten_and_no_others(database: Database) -> None:
    with database.transaction() as transaction:
        worker = (
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s::interval) RETURNING id"
        )
        living, dead = (transaction.value(worker, (silent,)) for silent in ("2 s", "6 min"))
        for number, (status, worker_id) in enumerate(
            [("doing", living), ("doing", dead), ("doing", None), ("todo", None)], start=1
        ):
            transaction.execute(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, worker_id)"
                " VALUES ('lanes', 'ring_lane', jsonb_build_object('lane_id', %s::int), %s, %s)",
                (number, status, worker_id),
            )
        assert bells.forget_abandoned(transaction) == 2
        left = transaction.all("SELECT args FROM procrastinate_jobs ORDER BY id")
    assert [job["args"]["lane_id"] for job in left] == [1, 4]
