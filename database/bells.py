"""Bells: jobs that say "look at this lane". A bell lost, late or doubled does no harm."""

from collections.abc import Iterable
from datetime import timedelta

from database.pool import Transaction
from database.prepared import prepared

LANE_QUEUE = "lanes"
RING_LANE = "ring_lane"
ABANDONED_AFTER = timedelta(minutes=5)
# By procrastinate's own function and not through its Python side, which would take another round trip and
# more time than all the rest.
JOB = f"""ROW('{LANE_QUEUE}', '{RING_LANE}', 0, NULL, NULL, jsonb_build_object('lane_id', {{lane}}), NULL
          )::procrastinate_job_to_defer_v1"""


def ring(transaction: Transaction, lane_ids: Iterable[int]) -> None:
    """Ring lanes when the transaction commits; a rollback takes the bells with it.

    The count on the lane's row tells whoever just left the lane that a bell rang meanwhile.
    """
    transaction.execute(_RING, (sorted(set(lane_ids)),))


_RING = prepared(
    f"""
    WITH rung AS (UPDATE lanes SET bells = bells + 1 WHERE id = ANY(%s) RETURNING id)
    SELECT procrastinate_defer_jobs_v1(array_agg({JOB.format(lane="id")} ORDER BY id)) FROM rung
    HAVING count(*) > 0
    """,
    "bigint[]",
)


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
