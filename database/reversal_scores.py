"""The newest score of each pair, timeframe and model, whether anybody was told of it or not."""

from collections.abc import Iterable
from datetime import datetime

from psycopg2.extras import Json

from core.pips import Direction
from core.reversal import Score
from database.pool import Row, Transaction

HOLD = "hold"
# How rows of a recording are told from those of a market
REPLAY = "replay"


def store(transaction: Transaction, scores: Iterable[Score], now: datetime) -> None:
    """Put scores in the place of older ones; what is there of a newer bar stays, unless that lies ahead."""
    for score in sorted(scores, key=lambda score: (score.pair, score.timeframe, score.version)):
        transaction.execute(_STORE, _columns(score) | {"now": now})


def signals(transaction: Transaction, now: datetime) -> list[Score]:
    """Return the signals that have not expired."""
    rows = transaction.all(
        """
        SELECT * FROM reversal_scores
         WHERE signal_type <> 'hold' AND bar_closed_at <= %(now)s
           AND bar_closed_at + (bar_closed_at - bar_opened_at) > %(now)s
         ORDER BY pair, timeframe, model_version
        """,
        {"now": now},
    )
    return [score_of(row) for row in rows]


_STORE = """
    INSERT INTO reversal_scores AS known
        (pair, timeframe, bar_opened_at, bar_closed_at, signal_type, confidence, stage1_prob, stage2_prob,
         model_version, entry_price, stop_loss, take_profit, source, edge_shown, factors, scored_at)
    VALUES (%(pair)s, %(timeframe)s, %(bar_opened_at)s, %(bar_closed_at)s, %(signal_type)s, %(confidence)s,
            %(stage1_prob)s, %(stage2_prob)s, %(version)s, %(entry)s, %(stop)s, %(target)s, %(source)s,
            %(edge_shown)s, %(factors)s, %(now)s)
    ON CONFLICT (pair, timeframe, model_version) DO UPDATE
       SET bar_opened_at = excluded.bar_opened_at, bar_closed_at = excluded.bar_closed_at,
           signal_type = excluded.signal_type, confidence = excluded.confidence,
           stage1_prob = excluded.stage1_prob, stage2_prob = excluded.stage2_prob,
           entry_price = excluded.entry_price, stop_loss = excluded.stop_loss, take_profit = excluded.take_profit,
           source = excluded.source, edge_shown = excluded.edge_shown,
           factors = excluded.factors, scored_at = excluded.scored_at
     WHERE known.bar_opened_at <= excluded.bar_opened_at OR known.bar_closed_at > excluded.scored_at
"""


def _columns(score: Score) -> dict[str, object]:
    names = (
        *("pair", "timeframe", "bar_opened_at", "bar_closed_at", "confidence", "stage1_prob", "stage2_prob"),
        *("version", "entry", "stop", "target", "edge_shown"),
    )
    return {name: getattr(score, name) for name in names} | {
        "signal_type": score.direction or HOLD,
        "source": REPLAY if score.is_replay else score.source,
        "factors": Json([list(each) for each in score.factors.items()]),
    }


def score_of(row: Row) -> Score:
    """Return the score that a row is."""
    return Score(
        pair=row["pair"],
        timeframe=row["timeframe"],
        bar_opened_at=row["bar_opened_at"],
        bar_closed_at=row["bar_closed_at"],
        direction=None if row["signal_type"] == HOLD else Direction(row["signal_type"]),
        confidence=row["confidence"],
        stage1_prob=row["stage1_prob"],
        stage2_prob=row["stage2_prob"],
        version=row["model_version"],
        entry=row["entry_price"],
        stop=row["stop_loss"],
        target=row["take_profit"],
        source=row["source"],
        is_replay=row["source"] == REPLAY,
        edge_shown=row["edge_shown"],
        factors=dict(row["factors"]),
    )
