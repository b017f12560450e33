"""Signals that users are told of: each once, whatever runs twice; a row is what has to be sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from psycopg2.extras import Json

from core.reversal import Score, SentBefore
from database.pool import Transaction
from database.reversal_scores import REPLAY

RATIO = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """A signal for one user, who is told of it on `day` of their own."""

    user_id: int
    day: date
    score: Score


def sent_before(
    transaction: Transaction, days: Mapping[int, date], pairs: Sequence[str], since: datetime
) -> dict[int, SentBefore]:
    """Return what users were told before: the newest bar of each pair since a time, and how many on their day.

    What could not be delivered was not told: it neither begins a cool-down nor counts.
    """
    newest: dict[int, dict[str, datetime]] = {user_id: {} for user_id in days}
    for row in transaction.all(
        """
        SELECT user_id, pair, max(bar_closed_at) AS closed_at FROM signal_notifications
         WHERE user_id = ANY(%s) AND pair = ANY(%s) AND created_at >= %s AND failed_at IS NULL GROUP BY user_id, pair
        """,
        (list(days), list(pairs), since),
    ):
        newest[row["user_id"]][row["pair"]] = row["closed_at"]
    counts = {
        row["user_id"]: row["count"]
        for row in transaction.all(
            """
            SELECT sent.user_id, count(*) FROM signal_notifications AS sent
              JOIN unnest(%s::bigint[], %s::date[]) AS today (user_id, day)
                ON today.user_id = sent.user_id AND today.day = sent.day
             WHERE sent.failed_at IS NULL GROUP BY sent.user_id
            """,
            (list(days), list(days.values())),
        )
    }
    return {
        user_id: SentBefore(newest=newest[user_id], day=day, count=counts.get(user_id, 0))
        for user_id, day in days.items()
    }


def store_new(transaction: Transaction, new: Sequence[NewNotification], now: datetime) -> int:
    """Store what users are to be told, due to be sent at once; return how much of it was not there yet."""
    if not new:
        return 0
    rows = [_columns(each) for each in new]
    names = list(rows[0])
    places = ", ".join(f"%({name})s::{_TYPES[name]}[]" for name in names)
    return transaction.execute(
        f"""
        INSERT INTO signal_notifications ({", ".join(names)}, created_at, next_attempt_at)
        SELECT new.*, %(now)s, %(now)s FROM unnest({places}) AS new
        ON CONFLICT (user_id, pair, timeframe, bar_opened_at, signal_type) DO NOTHING
        """,
        {"now": now} | {name: [row[name] for row in rows] for name in names},
    )


def reward_to_risk(score: Score) -> Decimal:
    """Return how many times the risk its target is worth, to a hundredth; raise ValueError without levels."""
    if score.stop is None or score.target is None or score.stop == score.entry:
        raise ValueError(f"{score.pair} {score.timeframe}: a signal has a stop and a target")
    return (abs(score.target - score.entry) / abs(score.entry - score.stop)).quantize(RATIO)


_TYPES = {
    "user_id": "bigint",
    "day": "date",
    "pair": "text",
    "timeframe": "text",
    "signal_type": "text",
    "bar_opened_at": "timestamptz",
    "bar_closed_at": "timestamptz",
    "confidence": "numeric",
    "entry_price": "numeric",
    "stop_loss": "numeric",
    "take_profit": "numeric",
    "risk_reward_ratio": "numeric",
    "model_version": "text",
    "stage1_prob": "numeric",
    "stage2_prob": "numeric",
    "source": "text",
    "edge_shown": "boolean",
    "factors": "jsonb",
    "expires_at": "timestamptz",
}


def _columns(new: NewNotification) -> dict[str, object]:
    score = new.score
    return {
        "user_id": new.user_id,
        "day": new.day,
        "pair": score.pair,
        "timeframe": score.timeframe,
        "signal_type": score.direction,
        "bar_opened_at": score.bar_opened_at,
        "bar_closed_at": score.bar_closed_at,
        "confidence": score.confidence,
        "entry_price": score.entry,
        "stop_loss": score.stop,
        "take_profit": score.target,
        "risk_reward_ratio": reward_to_risk(score),
        "model_version": score.version,
        "stage1_prob": score.stage1_prob,
        "stage2_prob": score.stage2_prob,
        "source": REPLAY if score.is_replay else score.source,
        "edge_shown": score.edge_shown,
        "factors": Json([list(each) for each in score.factors.items()]),
        "expires_at": score.expires_at,
    }
