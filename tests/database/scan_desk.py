"""Users with wishes and scores of a test's own, and the scan's telling in this process or another.

Run as a script with an address of a database and a time it tells of one signal, as a scan does.
"""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg2.extras import Json

from core.bar import length
from core.pips import Direction
from core.reversal import Score
from database.pool import Database, Row
from reversal.choosing import found_in
from reversal.scan import Watchmaker, tell
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# A Monday
NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)


def settings_for(url: str, **more: Any) -> Settings:
    """Return settings of a machine whose database is at an address."""
    return Settings(**{"database_url": url, "public_url": "http://127.0.0.1", **more})


def score(pair: str = "EUR/USD", *, closed_at: datetime = NOON, **fields: Any) -> Score:
    """Return a long of the model's that anybody is told of who wants the pair by the hour."""
    timeframe = fields.setdefault("timeframe", "1 Hour")
    values = {
        "direction": Direction.LONG,
        "confidence": Decimal("0.7"),
        "stage1_prob": Decimal("0.8"),
        "stage2_prob": Decimal("0.9"),
        "version": "model 1",
        "entry": Decimal("1.1000"),
        "stop": Decimal("1.0950"),
        "target": Decimal("1.1100"),
        "source": "csv",
        "is_replay": False,
        "edge_shown": True,
        "factors": {"RSI": "28.1", "ATR": "0.0012"},
    }
    return Score(
        pair=pair, bar_opened_at=closed_at - length(timeframe), bar_closed_at=closed_at, **(values | fields)
    )


def users(database: Database, count: int, *, zone: str = "UTC", **wishes: Any) -> list[int]:
    """Make users with Discord linked who want EUR/USD by the hour, or what `wishes` say."""
    columns = {
        "enabled_timeframes": ["1h", "4h"],
        "preferred_pairs": ["EUR/USD", "GBP/USD"],
    } | wishes
    values = {name: Json(value) if isinstance(value, list) else value for name, value in columns.items()}
    names = ", ".join(values)
    with database.transaction() as transaction:
        rows = transaction.all(
            """
            INSERT INTO users (email, password_hash, time_zone)
            SELECT gen_random_uuid() || '@example.org', 'x', %s FROM generate_series(1, %s) RETURNING id
            """,
            (zone, count),
        )
        ids = [row["id"] for row in rows]
        transaction.execute(
            f"""
            INSERT INTO user_discord_settings (user_id, discord_user_id, discord_username, linked_at, {names})
            SELECT id, 10000 + id, 'someone', now(), {", ".join(f"%({name})s" for name in values)}
              FROM unnest(%(ids)s::bigint[]) AS id
            """,
            values | {"ids": ids},
        )
    return ids


def told(database: Database) -> list[Row]:
    """Return every notification in the order in which they were stored."""
    with database.transaction() as transaction:
        return transaction.all("SELECT * FROM signal_notifications ORDER BY id")


def tell_of(database: Database, *scores: Score, now: datetime = NOON) -> int:
    """Tell of scores as a scan does that found them at a time."""
    return tell(database, found_in(scores), Watchmaker(began=now, ticks=time.monotonic()))


def telling_elsewhere(url: str, now: datetime = NOON) -> "subprocess.Popen[bytes]":
    """Start a process that tells of one signal."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.database.scan_desk", url, now.isoformat()], cwd=ROOT
    )


def main(url: str, now: str) -> None:
    """Tell of one signal that was found at a time."""
    tell_of(
        Database(url, size=1), score(closed_at=datetime.fromisoformat(now)), now=datetime.fromisoformat(now)
    )


def later(**time_: float) -> datetime:
    """Return a time after noon."""
    return NOON + timedelta(**time_)


if __name__ == "__main__":
    main(*sys.argv[1:])
