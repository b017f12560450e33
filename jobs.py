"""The job app: what runs in the background and when. A job is a bell, truth is in the tables."""

import asyncio
import contextlib
import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import procrastinate
import psycopg2

import log
from bot_database import Database, bells, health, lanes
from bot_engine import Desk, desk_for, run_lane, utc_now
from settings import Settings, load

CONCURRENCY = 12
SWEEP_SECONDS = 2.0
BEAT_SECONDS = 2.0
PROCESS = f"{socket.gethostname()}:{os.getpid()}"

logger = logging.getLogger("worker")


def create_app(settings: Settings, desk: Desk) -> procrastinate.App:
    """Make the procrastinate app whose jobs work on `desk`."""
    connector = procrastinate.PsycopgConnector(conninfo=settings.database, min_size=1, max_size=4)
    app = procrastinate.App(connector=connector)

    @app.task(name=bells.RING_LANE, queue=bells.LANE_QUEUE)
    def ring_lane(lane_id: int) -> None:
        run_lane_safely(desk, lane_id)

    return app


def run_lane_safely(desk: Desk, lane_id: int) -> None:
    """Work a lane; a failure is recorded and the sweep comes back to it."""
    try:
        run_lane(desk, lane_id)
    except Exception as error:
        logger.exception("lane %s failed", lane_id)
        record_failure(desk, lane_id, error)


def record_failure(desk: Desk, lane_id: int, error: Exception) -> None:
    """Keep what went wrong in a lane where `doctor` and the pages can show it."""
    try:
        with desk.database.transaction() as transaction:
            health.note_fault(transaction, f"lane {lane_id}", f"{type(error).__name__}: {error}", desk.now())
    except Exception:
        logger.exception("the failure of lane %s could not be recorded", lane_id)


async def sweep(desk: Desk, pool: ThreadPoolExecutor, lane_pool: ThreadPoolExecutor) -> None:
    """Ring every lane that has work, for ever: lost bells cost seconds, never a signal.

    Lanes are worked beside each other, so that one whose broker does not answer keeps no other waiting.
    """
    loop = asyncio.get_running_loop()
    working: dict[int, asyncio.Future[None]] = {}
    while True:
        try:
            for lane_id in await loop.run_in_executor(pool, partial(_lanes_with_work, desk)):
                if lane_id not in working or working[lane_id].done():
                    working[lane_id] = loop.run_in_executor(lane_pool, run_lane_safely, desk, lane_id)
        except Exception:
            logger.exception("the sweep failed and goes on")
        await asyncio.sleep(SWEEP_SECONDS)


def _lanes_with_work(desk: Desk) -> list[int]:
    with desk.database.transaction() as transaction:
        return lanes.lanes_with_work(transaction, desk.now())


async def beat(desk: Desk, pool: ThreadPoolExecutor) -> None:
    """Say that this worker lives, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(pool, partial(_beat, desk))
        except Exception:
            logger.exception("the heartbeat could not be written")
        await asyncio.sleep(BEAT_SECONDS)


def _beat(desk: Desk) -> None:
    with desk.database.transaction() as transaction:
        health.beat(transaction, "worker", PROCESS, utc_now())
        bells.forget_abandoned(transaction)


def _fall_silent(desk: Desk) -> None:
    with contextlib.suppress(psycopg2.Error), desk.database.transaction() as transaction:
        health.fall_silent(transaction, "worker", PROCESS)


async def work(settings: Settings, desk: Desk) -> None:
    """Run the worker until it is told to stop."""
    app = create_app(settings, desk)
    lane_pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="lane")
    sweep_pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="sweep")
    own_pool = ThreadPoolExecutor(2, thread_name_prefix="own")
    asyncio.get_running_loop().set_default_executor(lane_pool)
    own = [
        asyncio.create_task(sweep(desk, own_pool, sweep_pool)),
        asyncio.create_task(beat(desk, own_pool)),
    ]
    options: dict[str, Any] = {
        "queues": [bells.LANE_QUEUE],
        "concurrency": CONCURRENCY,
        "fetch_job_polling_interval": 0.5,
        "update_heartbeat_interval": 2.0,
        "stalled_worker_timeout": 10.0,
        "delete_jobs": "always",
        "shutdown_graceful_timeout": 10.0,
    }
    try:
        async with app.open_async():
            await app.run_worker_async(**options)
    finally:
        for task in own:
            task.cancel()
        _fall_silent(desk)


def main() -> None:
    """Work the queue of this DashTrade until SIGTERM."""
    settings = load()
    log.logging_setup("worker", settings)
    database = Database(settings.database, size=2 * CONCURRENCY + 4, application_name="dashtrade worker")
    asyncio.run(work(settings, desk_for(settings, database)))


if __name__ == "__main__":
    # procrastinate wants the module that makes the app to bear its own name
    import jobs

    jobs.main()
