"""Measure a scan: how long it takes to choose and store whom to tell, as users and pairs grow tenfold.

A PostgreSQL of its own, with its usual safety (fsync on), takes what is stored. Every pair has a signal of its
hour; each user wants a random tenth of the pairs, at least five, and was told thirty signals before.
"""

import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from psycopg2.extras import execute_values

from bench import ground
from core.bar import length
from core.pips import Direction
from core.reversal import Score
from database import embedded, migrate, reversal_wants
from database.pool import Database
from reversal.choosing import found_in
from reversal.scan import Watchmaker, tell

NOON = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
USERS, PAIRS = (1_000, 10_000), (10, 100)
ROUNDS = 3
HISTORY = 30
CURRENCIES = ("EUR", "GBP", "AUD", "NZD", "CHF", "CAD", "SEK", "NOK", "DKK", "PLN", "HUF")


def main() -> None:
    """Measure every number of users with every number of pairs and print a table."""
    rows = []
    for users, pairs in product(USERS, PAIRS):
        with a_database() as database:
            names = names_of(pairs)
            fill(database, users, names)
            rows.append([users, pairs, *measured(database, names)])
    ground.table(
        "Telling of a scan's signals",
        (
            "users",
            "pairs with a signal",
            "told",
            "seconds",
            "of the processors",
            "again, telling nobody",
            "wishes of all, ms",
        ),
        rows,
    )


@contextmanager
def a_database() -> Iterator[Database]:
    """Run a PostgreSQL with all migrations."""
    with TemporaryDirectory(prefix="dashtrade-bench-") as folder:
        server = embedded.kept_server(Path(folder), None)
        server.start()
        try:
            migrate.apply(server.url())
            with closing(Database(server.url())) as database:
                yield database
        finally:
            server.stop()


def measured(database: Database, names: list[str]) -> tuple[int, str, str, str, str]:
    """Tell of a bar each day, so that nobody cools down, then of one that was told already."""
    rounds = [timed(database, names, NOON + timedelta(days=number)) for number in range(ROUNDS)]
    told, wall, processor = sorted(rounds, key=lambda each: each[1])[ROUNDS // 2]
    _, again, _ = timed(database, names, NOON + timedelta(days=ROUNDS - 1))
    began = time.perf_counter()
    with database.transaction() as transaction:
        reversal_wants.union(transaction, ("1 Hour",))
    union = (time.perf_counter() - began) * 1000
    return told, f"{wall:.1f}", f"{processor:.1f}", f"{again:.1f}", f"{union:.0f}"


def timed(database: Database, names: list[str], at: datetime) -> tuple[int, float, float]:
    """Tell of one signal of each pair; return the notifications, the seconds, and those of the processors."""
    found = found_in(score(name, at, place) for place, name in enumerate(names))
    with database.transaction() as transaction:
        backend = psutil.Process(transaction.value("SELECT pg_backend_pid()"))
    spent = _processor(backend)
    began = time.perf_counter()
    told = tell(database, found, Watchmaker(began=at, ticks=time.monotonic()))
    return told, time.perf_counter() - began, _processor(backend) - spent


def _processor(backend: psutil.Process) -> float:
    """Return the seconds that this process and the database's for it have had of the processors."""
    times = backend.cpu_times()
    return time.process_time() + times.user + times.system


def score(pair: str, closed_at: datetime, place: int) -> Score:
    """Return a signal; each pair's has another confidence."""
    return Score(
        pair=pair, timeframe="1 Hour", bar_opened_at=closed_at - length("1 Hour"), bar_closed_at=closed_at,
        direction=Direction.LONG, confidence=Decimal("0.6") + Decimal(place % 37) / 100, stage1_prob=Decimal("0.7"),
        stage2_prob=Decimal("0.9"), version="model", entry=Decimal("1.1"), stop=Decimal("1.09"),
        target=Decimal("1.12"), source="csv", is_replay=False, edge_shown=True, factors={"RSI": "28", "ATR": "0.001"},
    )  # fmt: skip


def names_of(count: int) -> list[str]:
    """Return so many names of pairs."""
    return [f"{base}/{quote}" for base, quote in product(CURRENCIES, CURRENCIES) if base != quote][:count]


def fill(database: Database, users: int, names: list[str]) -> None:
    """Make users who want some of the pairs, and what they were told in the year before."""
    chance = random.Random(7)
    each = max(len(names) // 10, 5)
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO users (email, password_hash) SELECT number || '@example.org', 'x'
              FROM generate_series(1, %s) AS number
            """,
            (users,),
        )
        ids = [row["id"] for row in transaction.all("SELECT id FROM users ORDER BY id")]
        with transaction.connection.cursor() as cursor:
            wanted = [(id, id, str(chance.sample(names, each)).replace("'", '"')) for id in ids]
            sql = "INSERT INTO user_discord_settings (user_id, discord_user_id, preferred_pairs) VALUES %s"
            execute_values(cursor, sql, wanted, page_size=1000)
        transaction.execute(
            """
            INSERT INTO signal_notifications
                (user_id, pair, timeframe, signal_type, bar_opened_at, bar_closed_at, confidence, entry_price,
                 stop_loss, take_profit, risk_reward_ratio, model_version, source, edge_shown, day, expires_at,
                 sent_at, created_at)
            SELECT users.id, (%(names)s::text[])[1 + (number * 7) %% %(count)s], '1 Hour', 'long', at, at, 0.7, 1,
                   1, 1, 2, 'm', 'csv', true, at::date, at, at, at
              FROM users, generate_series(1, %(history)s) AS number,
                   LATERAL (SELECT %(now)s::timestamptz - number * interval '86 hours' AS at) AS bars
            """,
            {"names": names, "count": len(names), "history": HISTORY, "now": NOON},
        )
    with database.session() as session, session.autocommit() as transaction:
        transaction.execute("ANALYZE")


if __name__ == "__main__":
    main()
