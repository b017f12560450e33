"""Hold what was answered against what is in the books: nothing lost, nothing doubled, each lane in its order."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.scaling_client import Answer
from bot_database import Database, Row

TAKEN = (200, 202)
_SIGNALS = """
    SELECT signals.uuid::text AS id, signals.lane_id, signals.number, signals.state, signals.code,
           convert_from(body, 'UTF8')::json->>'comment' AS mark, signals.finished_at IS NOT NULL AS is_finished,
           extract(epoch FROM decided_at)::float AS decided_at,
           extract(epoch FROM orders.acknowledged_at)::float AS ordered_at,
           extract(epoch FROM signals.finished_at)::float AS finished_at
      FROM signals LEFT JOIN plans ON plans.signal_id = signals.id LEFT JOIN legs ON legs.plan_id = plans.id
      LEFT JOIN orders ON orders.leg_id = legs.id
     WHERE signals.number IS NOT NULL ORDER BY signals.lane_id, signals.number
"""
_MISBOOKED = """
    WITH ours AS (SELECT connection_id, symbol, sum(quantity) AS quantity FROM user_bot_configs GROUP BY 1, 2)
    SELECT (SELECT count(*) FROM orders FULL JOIN paper_orders AS theirs USING (connection_id, client_order_id)
             WHERE orders.id IS NULL OR (theirs.id IS NULL) <> (orders.state = 'NOT_RECEIVED')
                OR orders.filled_quantity <> theirs.filled_quantity)
         + (SELECT count(*) FROM ours FULL JOIN paper_positions AS theirs USING (connection_id, symbol)
             WHERE abs(coalesce(ours.quantity, 0) - coalesce(theirs.quantity, 0)) > 0.000001)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the books say of the answers; everything but `taken` and `outcomes` should be 0."""

    taken: int
    lost: int
    doubled: int
    out_of_order: int
    misbooked: int
    outcomes: dict[str, int]

    @property
    def is_clean(self) -> bool:
        """Tell whether all is as promised."""
        return not (self.lost or self.doubled or self.out_of_order or self.misbooked)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items()))
        return (
            f"{self.taken} alerts taken; lost {self.lost}, doubled {self.doubled}, out of order {self.out_of_order},"
            f" orders or positions that the broker knows otherwise {self.misbooked}; {ends}"
        )


def signals_of(database: Database) -> list[Row]:
    """Return every signal that has a place in a lane, with its order; one with two orders comes twice."""
    with database.transaction() as transaction:
        return transaction.all(_SIGNALS)


def judge(database: Database, answers: Sequence[Answer]) -> Verdict:
    """Compare every answer ever given with the books."""
    rows = signals_of(database)
    with database.transaction() as transaction:
        misbooked = int(transaction.value(_MISBOOKED))
    taken = [answer for answer in answers if answer.status in TAKEN]
    finished = {row["id"] for row in rows if row["is_finished"]}
    outcomes: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        outcomes[f"{row['state']} {row['code']}"] += 1
    return Verdict(
        taken=len(taken),
        lost=sum(answer.signal_id not in finished for answer in taken),
        doubled=len(rows) - len({row["mark"] for row in rows}),
        out_of_order=_decided_early(rows) + _taken_early(rows, taken),
        misbooked=misbooked,
        outcomes=dict(outcomes),
    )


def _decided_early(rows: Sequence[Row]) -> int:
    """Count signals that were decided before the one in front of them in their lane."""
    return sum(
        one["lane_id"] == other["lane_id"] and (one["decided_at"] or 0) > (other["decided_at"] or 0)
        for one, other in itertools.pairwise(rows)
    )


def _taken_early(rows: Sequence[Row], taken: Sequence[Answer]) -> int:
    """Count signals whose number is not after that of the alert that was answered before they were sent."""
    places = {row["id"]: (row["lane_id"], row["number"]) for row in rows}
    last: dict[int, int] = {}
    early = 0
    for answer in sorted(taken, key=lambda answer: answer.due_at):
        lane, number = places.get(str(answer.signal_id), (0, 0))
        early += number <= last.get(lane, 0)
        last[lane] = number
    return early


def order_seconds(rows: Sequence[Row], answers: Sequence[Answer]) -> tuple[list[float], float]:
    """Return the seconds from due to ordered of each alert, and orders a second from the first to the last."""
    ordered = {row["id"]: row["ordered_at"] for row in rows}
    pairs = [(each.due_at, ordered[each.signal_id]) for each in answers if ordered.get(str(each.signal_id))]
    first, last = min(due for due, _ in pairs), max(at for _, at in pairs)
    return [at - due for due, at in pairs], len(pairs) / (last - first)
