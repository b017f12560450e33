"""Bells: "look at this lane", told to whoever listens. A bell lost, late or doubled does no harm."""

import select
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from database.pool import Transaction, connect
from database.prepared import prepared

CHANNEL = "dashtrade_bells"
LISTENER = "dashtrade bells"
LOOK_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Bell:
    """A lane to look at and the connection it trades on."""

    lane_id: int
    connection_id: int


def ring(transaction: Transaction, lane_ids: Iterable[int]) -> None:
    """Ring lanes when the transaction commits; a rollback takes the bells with it.

    The count on the lane's row tells whoever just left the lane that a bell rang meanwhile.
    """
    transaction.execute(_RING, (sorted(set(lane_ids)),))


_RING = prepared(
    f"""
    WITH rung AS (UPDATE lanes SET bells = bells + 1 WHERE id = ANY(%s) RETURNING id, connection_id)
    SELECT pg_notify('{CHANNEL}', id || ' ' || connection_id) FROM rung
    """,
    "bigint[]",
)


def listen(
    url: str,
    *,
    connected: Callable[[], None],
    heard: Callable[[Bell], None],
    stopping: threading.Event,
) -> None:
    """Give every bell that rings until `stopping`, and tell once when from now on none is missed.

    Raises psycopg2.Error where the database goes away: what rings then is lost.
    """
    with closing(connect(url, application_name=LISTENER)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        connected()
        while not stopping.is_set():
            if select.select([connection], [], [], LOOK_UP_SECONDS)[0]:
                connection.poll()
            while connection.notifies:
                lane_id, connection_id = connection.notifies.pop(0).payload.split()
                heard(Bell(int(lane_id), int(connection_id)))
