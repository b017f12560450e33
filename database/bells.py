"""Bells: jobs that say "look at this lane". A bell lost, late or doubled does no harm."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from procrastinate import App
from procrastinate.contrib.psycopg2 import Psycopg2Connector
from procrastinate.types import JSONDict
from psycopg2.extras import RealDictCursor

from database.pool import Transaction

LANE_QUEUE = "lanes"
RING_LANE = "ring_lane"
ABANDONED_AFTER = timedelta(minutes=5)


class TransactionConnector(Psycopg2Connector):
    """Let procrastinate write a job inside a psycopg2 transaction of ours."""

    def execute_query_all_with_connection(self, connection: Any, query: str, **arguments: Any) -> Any:
        """Run `query` on `connection` without committing, and return its rows."""
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(query, self._wrap_json(arguments))
            return cursor.fetchall()

    def execute_query_one_with_connection(self, connection: Any, query: str, **arguments: Any) -> Any:
        """Run `query` on `connection` without committing, and return its first row."""
        rows = self.execute_query_all_with_connection(connection, query, **arguments)
        return rows[0] if rows else None


_bell_ringer = App(connector=TransactionConnector())


def ring(transaction: Transaction, lane_ids: Iterable[int]) -> None:
    """Ring lanes when the transaction commits; a rollback takes the bells with it.

    The count on the lane's row tells whoever just left the lane that a bell rang meanwhile.
    """
    lane_ids = list(lane_ids)
    transaction.execute("UPDATE lanes SET bells = bells + 1 WHERE id = ANY(%s)", (lane_ids,))
    bells: list[JSONDict] = [{"lane_id": lane_id} for lane_id in sorted(set(lane_ids))]
    if bells:
        deferrer = _bell_ringer.configure_task(RING_LANE, queue=LANE_QUEUE, connection=transaction.connection)
        deferrer.batch_defer(*bells)


def forget_abandoned(transaction: Transaction) -> int:
    """Delete bells that a worker took and died with, so that they do not pile up; return how many.

    What they rang for was found by the sweep long ago. Nothing else would ever end them: procrastinate
    retries nothing by itself, and forgets a dead worker only when another one starts.
    """
    return transaction.execute(
        """
        DELETE FROM procrastinate_jobs AS jobs
         WHERE status = 'doing' AND queue_name = %s
           AND NOT EXISTS (SELECT FROM procrastinate_workers AS workers
                            WHERE workers.id = jobs.worker_id AND last_heartbeat > now() - %s)
        """,
        (LANE_QUEUE, ABANDONED_AFTER),
    )
