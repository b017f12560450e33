"""The engine: carries each signal out, once.

**A signal answered with 2xx is never lost and never executed twice**, whatever dies in between:
the web server, a worker, the database connection, the broker's answer.

How that is kept:

- Truth is in the tables, a job only rings. Whoever hears a lane's bell takes the lane's advisory
  lock on the very connection that writes the lane's rows; losing the connection ends the run. A
  bell lost, late or doubled does no harm, a sweep rings every lane that has work.
- A plan is committed with its decision. A restart resumes its rows and never decides again.
- Every order has an id of ours and a committed row before it is sent. An order whose fate nobody
  knows is looked up by that id, never resent before the broker has denied it for good.
- Fills are booked once, by the order's cumulative quantity, whoever brings them.

The steps of one pass are in `engine.lane`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from bot_database import Database, lanes
from brokers.counted import counted
from brokers.registry import Registry
from core.tallies import Tallies
from encryption import Vault
from engine.desk import Desk, Timing
from engine.lane import work_lane
from settings import Settings

__all__ = ["Desk", "Timing", "desk_for", "run_lane", "utc_now"]

READINGS_AT_ONCE = 16


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def desk_for(
    settings: Settings, database: Database, *, step: Callable[[str], None] = lambda _name: None
) -> Desk:
    """Put together what the engine works with in this process."""
    registry = Registry(database, Vault(settings.encryption_key), settings)
    tallies = Tallies()
    timing = Timing(
        send_window=float(settings.order_send_window_seconds), doubt=float(settings.order_doubt_seconds)
    )
    return Desk(
        database=database,
        broker=lambda connection_id: counted(registry.broker(connection_id), tallies),
        stream=registry.stream,
        now=utc_now,
        tallies=tallies,
        timing=timing,
        step=step,
        beside=ThreadPoolExecutor(READINGS_AT_ONCE, thread_name_prefix="reading"),
    )


def run_lane(desk: Desk, lane_id: int) -> None:
    """Do all that can be done in a lane now, then leave it.

    A lane held by another is left to it. A bell that rang while this run held the lane found it
    locked, so the count of bells of the last look is compared once more after the lane is free.
    """
    agenda = _agenda(desk, lane_id)
    while not agenda.is_empty:
        with lanes.hold_lane(desk.database, lane_id) as session:
            if session is None:
                return
            bells = work_lane(desk, session, lane_id)
        agenda = _agenda(desk, lane_id)
        if agenda.bells == bells:
            return


def _agenda(desk: Desk, lane_id: int) -> lanes.Agenda:
    with desk.database.session() as session, session.autocommit() as transaction:
        return lanes.agenda(transaction, lane_id, desk.now())
