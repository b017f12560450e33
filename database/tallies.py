"""Figures that only grow: written down beside what they count, added up now and then, read in one statement."""

from collections.abc import Sequence
from dataclasses import asdict

from psycopg2.extras import Json

from core.tallies import BOUNDS, UNBOUNDED, Tally
from database.pool import Transaction

# Only one adds up at a time; who comes meanwhile leaves it to the other.
ADDING_LOCK = 5_271_016_001
ADDED_AT_ONCE = 20_000


def write_down(transaction: Transaction, tallies: Sequence[Tally]) -> None:
    """Write down what a process counted in its memory."""
    counted = [{**asdict(each), "le": None if each.le == UNBOUNDED else each.le} for each in tallies]
    transaction.execute(
        """
        INSERT INTO tallies (figure, labels, le, times, seconds)
        SELECT figure, labels, coalesce(le, 'Infinity'), times, seconds
          FROM jsonb_to_recordset(%s) AS counted (figure text, labels text[], le float8, times bigint, seconds float8)
        """,
        (Json(counted),),
    )


def add_up(transaction: Transaction) -> int:
    """Move what was written down into the sums and return how many rows that were.

    Each row is taken and counted in one statement, so it counts once, whoever dies when.
    """
    if not transaction.value("SELECT pg_try_advisory_xact_lock(%s)", (ADDING_LOCK,)):
        return 0
    return int(transaction.value(_ADD_UP, {"most": ADDED_AT_ONCE, "bounds": list(BOUNDS)}))


def read(transaction: Transaction) -> list[Tally]:
    """Return every figure as it is now: the sums, and what was written down since, in one look."""
    rows = transaction.all(_READ, {"bounds": list(BOUNDS)})
    return [Tally(**{**row, "labels": tuple(row["labels"])}) for row in rows]


_BOUND = """
    coalesce(le, (SELECT min(bound) FROM unnest(%(bounds)s::float8[]) AS bound WHERE seconds <= bound), 'Infinity')
"""
_ADD_UP = f"""
    WITH taken AS (
        DELETE FROM tallies WHERE ctid = ANY(ARRAY(SELECT ctid FROM tallies LIMIT %(most)s))
        RETURNING figure, labels, times, seconds, {_BOUND} AS le),
    summed AS (
        SELECT figure, labels, le, sum(times) AS times, sum(seconds) AS seconds
          FROM taken GROUP BY figure, labels, le),
    kept AS (
        INSERT INTO counters (figure, labels, le, times, seconds) SELECT * FROM summed
        ON CONFLICT (figure, labels, le) DO UPDATE
           SET times = counters.times + excluded.times, seconds = counters.seconds + excluded.seconds)
    SELECT count(*) FROM taken
"""
_READ = f"""
    SELECT figure, labels, le, sum(times)::bigint AS times, sum(seconds) AS seconds
      FROM (SELECT figure, labels, le, times, seconds FROM counters
            UNION ALL SELECT figure, labels, {_BOUND}, times, seconds FROM tallies) AS counted
     GROUP BY figure, labels, le ORDER BY figure, labels, le
"""
