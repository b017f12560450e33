"""The worker: hears the bells of lanes, sweeps for lost ones, and works the lanes. Truth is in the tables."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial

import psycopg2

import log
from bot_database import Database, bells, health, lanes
from bot_engine import Desk, desk_for, run_lane, utc_now
from database.bells import Bell
from engine.counting import keep_counts
from engine.crew import Crew
from notifier import CHANNELS_AT_ONCE as ALERTS_AT_ONCE
from notifier import notifier_for
from settings import Settings, load

LANES_AT_ONCE = 12
# A connection whose broker hangs takes no more than these.
LANES_OF_A_CONNECTION = 4
SWEEP_SECONDS = 2.0
BEAT_SECONDS = 2.0
COUNT_SECONDS = 2.0
LISTEN_AGAIN_SECONDS = 0.5
PROCESS = f"{socket.gethostname()}:{os.getpid()}"

logger = logging.getLogger("worker")


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


def sweep(desk: Desk, ring: Callable[[Bell], None]) -> None:
    """Ring every lane that has work: lost bells cost seconds, never a signal."""
    with desk.database.transaction() as transaction:
        waiting = lanes.lanes_with_work(transaction, desk.now())
    for bell in waiting:
        ring(bell)


def beat(desk: Desk) -> None:
    """Say that this worker lives."""
    with desk.database.transaction() as transaction:
        health.beat(transaction, "worker", PROCESS, utc_now())


def again_and_again(name: str, what: Callable[[], None], seconds: float, stopping: threading.Event) -> None:
    """Do something until told to stop, each time so many seconds after its end; a failure is logged."""
    while not stopping.is_set():
        try:
            what()
        except psycopg2.Error as error:
            logger.warning("%s: tried again", name, exc_info=error)
        except Exception:
            logger.exception("%s failed and goes on", name)
        stopping.wait(seconds)


def work(desk: Desk, stopping: threading.Event, *beside: Callable[[threading.Event], None]) -> None:
    """Run the worker until it is told to stop; lanes under work are left at their next end.

    What runs `beside`, each in a thread of its own, ends when `stopping` is set.
    """
    crew = Crew(partial(run_lane_safely, desk), threads=LANES_AT_ONCE, per_connection=LANES_OF_A_CONNECTION)

    def ring(bell: Bell) -> None:
        crew.ring(bell.lane_id, bell.connection_id)

    swept = partial(sweep, desk, ring)
    # What rang while nobody listened is swept up as soon as somebody does again.
    heard = partial(bells.listen, desk.database.url, connected=swept, heard=ring, stopping=stopping)
    duties = [
        threading.Thread(target=again_and_again, args=(name, what, seconds, stopping), name=name)
        for name, what, seconds in (
            ("bells", heard, LISTEN_AGAIN_SECONDS),
            ("sweep", swept, SWEEP_SECONDS),
            ("heartbeat", partial(beat, desk), BEAT_SECONDS),
            ("counts", partial(keep_counts, desk), COUNT_SECONDS),
        )
    ]
    duties += [threading.Thread(target=run, args=(stopping,), name="beside") for run in beside]
    for duty in duties:
        duty.start()
    stopping.wait()
    for duty in duties:
        duty.join()
    crew.close()
    keep_counts(desk)
    with contextlib.suppress(psycopg2.Error), desk.database.transaction() as transaction:
        health.fall_silent(transaction, "worker", PROCESS)


def main(settings: Settings) -> None:
    """Work the lanes of this DashTrade until SIGTERM."""
    log.logging_setup("worker", settings)
    database = Database(
        settings.database, size=LANES_AT_ONCE + ALERTS_AT_ONCE + 5, application_name="dashtrade worker"
    )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    alerts = notifier_for(settings, database, utc_now)
    work(desk_for(settings, database), stopping, alerts.run)


if __name__ == "__main__":
    main(load())
