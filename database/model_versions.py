"""Trained models: each a row with its file, one of them the champion that scores; and the bars to learn from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from database.pool import Row, Transaction

# Advisory lock: whoever holds it makes or changes the champion
MODEL_LOCK = (9, 1)


class ModelState(StrEnum):
    """What a model is for: the champion scores, a challenger waits to be used, a retired one may come back."""

    CHAMPION = "CHAMPION"
    CHALLENGER = "CHALLENGER"
    RETIRED = "RETIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A model as training made it: `file` with its `file_hash`, what it learned from, and what was measured."""

    version: str
    trained_from: datetime
    trained_until: datetime
    data_hash: str
    series: list[dict[str, Any]]
    features: list[str]
    labels: Mapping[str, Any]
    metrics: Mapping[str, Any]
    file: bytes
    file_hash: str


def lock(transaction: Transaction) -> None:
    """Wait until nobody else makes or changes the champion; held to the end of the transaction."""
    transaction.execute("SELECT pg_advisory_xact_lock(%s, %s)", MODEL_LOCK)


def store(transaction: Transaction, model: NewModel, state: ModelState, now: datetime) -> bool:
    """Store a model; return false where its version is there already, which then stays as it is."""
    return bool(
        transaction.execute(
            """
            INSERT INTO model_versions (version, state, trained_from, trained_until, data_hash, series, features,
                                        labels, metrics, file, file_hash, created_at, champion_since)
            VALUES (%(version)s, %(state)s, %(trained_from)s, %(trained_until)s, %(data_hash)s, %(series)s,
                    %(features)s, %(labels)s, %(metrics)s, %(file)s, %(file_hash)s, %(now)s, %(since)s)
            ON CONFLICT (version) DO NOTHING
            """,
            {
                "version": model.version,
                "state": state,
                "trained_from": model.trained_from,
                "trained_until": model.trained_until,
                "data_hash": model.data_hash,
                "series": json.dumps(model.series),
                "features": json.dumps(model.features),
                "labels": json.dumps(model.labels),
                "metrics": json.dumps(model.metrics, allow_nan=False),
                "file": model.file,
                "file_hash": model.file_hash,
                "now": now,
                "since": now if state is ModelState.CHAMPION else None,
            },
        )
    )


def champion(transaction: Transaction) -> Row | None:
    """Return the model that scores, with its file, or None where there is none yet."""
    return _with_file(transaction.maybe(f"{_WITH_FILE} WHERE state = 'CHAMPION'"))


def of_version(transaction: Transaction, version: str) -> Row | None:
    """Return one model with its file, or None."""
    return _with_file(transaction.maybe(f"{_WITH_FILE} WHERE version = %s", (version,)))


def versions(transaction: Transaction) -> list[Row]:
    """Return every model without its file: the champion first, then the newest."""
    return transaction.all(f"{_WITHOUT_FILE} ORDER BY state <> 'CHAMPION', created_at DESC, version")


def record(transaction: Transaction) -> Row | None:
    """Return the champion without its file, or None before there is one.

    `metrics["record"]` has, by "EUR/USD 1 Hour", what it did out of sample: `strategies` (the model first, then
    its baselines, each with trades, hit_rate, expectancy, low, high, profit_factor, drawdown), `brier`,
    `reliability`, `edge_shown` and the span (docs/reversal-model.md).
    """
    return transaction.maybe(f"{_WITHOUT_FILE} WHERE state = 'CHAMPION'")


def previous(transaction: Transaction) -> str | None:
    """Return the version that was the champion before the present one, or None."""
    found = transaction.value(
        """
        SELECT version FROM model_versions WHERE state = 'RETIRED' AND champion_since IS NOT NULL
         ORDER BY champion_since DESC, version LIMIT 1
        """
    )
    return None if found is None else str(found)


def promote(transaction: Transaction, version: str, now: datetime) -> None:
    """Make a model the champion and retire the present one; raise LookupError where there is no such model."""
    transaction.execute("UPDATE model_versions SET state = 'RETIRED' WHERE state = 'CHAMPION'")
    changed = transaction.execute(
        "UPDATE model_versions SET state = 'CHAMPION', champion_since = %s WHERE version = %s", (now, version)
    )
    if not changed:
        raise LookupError(f"there is no model {version}")


def is_old(transaction: Transaction, days: int, now: datetime) -> bool:
    """Tell whether the newest model, whatever became of it, was made so many days ago; never where there is none."""
    sql = "SELECT max(created_at) <= %s - make_interval(days => %s) FROM model_versions"
    return bool(transaction.value(sql, (now, days)))


def stored_series(transaction: Transaction, *, at_least: int) -> list[tuple[str, str, datetime | None]]:
    """Return the pairs and timeframes that real sources brought so many bars of since the last replayed one.

    The time is when that last one opened, None where nothing was ever replayed.
    """
    rows = transaction.all(
        """
        WITH replayed AS (SELECT pair, timeframe, max(opened_at) AS last FROM market_bars
                           WHERE source = 'replay' GROUP BY pair, timeframe)
        SELECT pair, timeframe, last FROM market_bars LEFT JOIN replayed USING (pair, timeframe)
         WHERE opened_at > coalesce(last, '-infinity') GROUP BY pair, timeframe, last
        HAVING count(*) >= %s ORDER BY pair, timeframe
        """,
        (at_least,),
    )
    return [(row["pair"], row["timeframe"], row["last"]) for row in rows]


_COLUMNS = """
    version, state, trained_from, trained_until, data_hash, series, features, labels, metrics, file_hash,
    octet_length(file) AS file_bytes, created_at, champion_since
"""
_WITHOUT_FILE = f"SELECT {_COLUMNS} FROM model_versions"
_WITH_FILE = f"SELECT {_COLUMNS}, file FROM model_versions"


def _with_file(row: Row | None) -> Row | None:
    return None if row is None else row | {"file": bytes(row["file"])}
