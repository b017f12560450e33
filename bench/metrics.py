"""Measure /metrics beside a long history, and what counting costs an alert.

python -m bench.metrics [signals]
"""

import contextlib
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.ground import commit_milliseconds, load_words, people, percentile, spread, table
from bench.house import run_alone
from database import embedded, migrate, standing, tallies
from database.pool import Database
from encryption import Vault, new_key
from settings import Settings
from tests.conftest import _free_port
from webhook_server import create_app

SCRAPES = 50
TURNS, ROWS = 8, 4000
TABLES = ("signals", "plans", "legs", "orders", "notifications", "alert_deliveries")
# Each with a plan, a leg, an order, and an alert that was sent; one in a thousand is still under way.
_HISTORY = (
    """
    INSERT INTO signals (user_id, lane_id, number, source, body_hash, body, bot_config_id, state, code, sentence,
                         received_at, stored_at, decided_at, finished_at)
    SELECT bots.user_id, bots.lane_id, number, 'tradingview', sha256(number::text::bytea), '{}', bots.id,
           CASE number %% 1000 WHEN 0 THEN 'PLANNED' ELSE 'EXECUTED' END, 'EXECUTED', 'Bought.', at, at, at,
           CASE number %% 1000 WHEN 0 THEN NULL ELSE at END
      FROM generate_series(1, %(count)s) AS number
     CROSS JOIN LATERAL (SELECT now() - (%(count)s - number) * interval '1 s' AS at) AS times
      JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS places
              FROM user_bot_configs) AS bots ON bots.place = number %% bots.places
    """,
    """
    INSERT INTO plans (lane_id, bot_config_id, signal_id, event_uuid, position_before, created_at, finished_at)
    SELECT lane_id, bot_config_id, id, uuid, 0, received_at, finished_at FROM signals
    """,
    """
    INSERT INTO legs (plan_id, number, purpose, side, quantity, state, finished_at)
    SELECT id, 1, 'OPEN', 'BUY', 1, CASE WHEN finished_at IS NULL THEN 'WORKING' ELSE 'DONE' END, finished_at FROM plans
    """,
    """
    INSERT INTO orders (client_order_id, leg_id, part, attempt, user_id, connection_id, lane_id, bot_config_id, purpose,
                        symbol, side, quantity, order_type, send_by, state, created_at, acknowledged_at, finished_at)
    SELECT md5(legs.id::text), legs.id, 1, 1, lanes.user_id, lanes.connection_id, plans.lane_id, plans.bot_config_id,
           'OPEN', 'AAPL', 'BUY', 1, 'MARKET', plans.created_at,
           CASE WHEN plans.finished_at IS NULL THEN 'SUBMITTED' ELSE 'FILLED' END, plans.created_at, plans.created_at,
           plans.finished_at
      FROM legs JOIN plans ON plans.id = legs.plan_id JOIN user_bot_configs AS lanes ON lanes.id = plans.bot_config_id
    """,
    """
    INSERT INTO notifications (user_id, kind, content, created_at, routed_at)
    SELECT user_id, 'BOT_FILLED', '{}', received_at, received_at FROM signals
    """,
    """
    INSERT INTO alert_deliveries (notification_id, channel_id, kind, state, not_before, sent_at, created_at)
    SELECT notifications.id, channels.id, kind, 'SENT', notifications.created_at, now(), notifications.created_at
      FROM notifications JOIN alert_channels AS channels ON channels.user_id = notifications.user_id
    """,
)


def main(count: int) -> None:
    """Make the history, ask for the metrics, and store alerts with and without counting."""
    with TemporaryDirectory(prefix="dashtrade-bench-") as folder:
        server = embedded.Server(folder=Path(folder) / "data", port=_free_port(), password=new_key())
        server.start()
        try:
            url = server.url("dashtrade")
            migrate.apply(url)
            with closing(Database(url, size=16)) as database:
                _measure(database, count)
        finally:
            server.stop()


def _measure(database: Database, count: int) -> None:
    key = new_key()
    settings = Settings.model_validate(
        {"database_url": database.url, "encryption_key": key, "public_url": "http://localhost:8080"}
    )
    vault = Vault(settings.encryption_key)
    people(database, vault, 20)
    print(f"{load_words()}; one commit {commit_milliseconds(database):.2f} ms", flush=True)
    app = create_app(settings)
    _scrape("/metrics, no history", app)
    _fill(database, count)
    _scrape(f"/metrics, {count:,} signals with plans, orders and alerts", app)
    _each_query(database)
    _counting(database)
    _add_up(database)


def _fill(database: Database, count: int) -> None:
    begin = time.perf_counter()
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO alert_channels (user_id, transport, shown, address_sealed)
            SELECT id, 'DISCORD', '', '' FROM users
            """
        )
        for name in TABLES:
            transaction.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        for statement in _HISTORY:
            transaction.execute(statement, {"count": count})
        for name in TABLES:
            transaction.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
        transaction.execute("UPDATE lanes SET last_number = %s", (count,))
    run_alone(database, "VACUUM ANALYZE")
    print(f"history made in {time.perf_counter() - begin:.0f} s", flush=True)


def _scrape(title: str, app: object) -> None:
    client = app.test_client()  # type: ignore[attr-defined]
    taken = []
    for _ in range(SCRAPES):
        begin = time.perf_counter()
        answer = client.get("/metrics")
        taken.append(time.perf_counter() - begin)
        assert answer.status_code == 200
    table(title, ("", "p50 ms", "p95", "p99", "max"), [("whole answer", *spread(taken))])


def _each_query(database: Database) -> None:
    rows = []
    for gauge in standing.GAUGES:
        with database.transaction() as transaction:
            taken = []
            for _ in range(5):
                begin = time.perf_counter()
                transaction.all(gauge.sql)
                taken.append(time.perf_counter() - begin)
        rows.append((gauge.name, f"{1000 * percentile(taken, 50):.2f}"))
    table("each gauge", ("", "ms"), rows)


def _counting(database: Database) -> None:
    """Store signals and finish them, counted and not, in turns; nothing of it is kept."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * TURNS):
        counted = turn % 2 == 0
        with contextlib.suppress(_RolledBack), database.transaction() as transaction:
            transaction.execute(f"ALTER TABLE signals {'ENABLE' if counted else 'DISABLE'} TRIGGER USER")
            begin = time.perf_counter()
            transaction.execute(_STORED, (ROWS,))
            transaction.execute(_FINISHED)
            taken[counted].append((time.perf_counter() - begin) / ROWS)
            raise _RolledBack
    rows = [
        (
            "counted" if counted else "not counted",
            *[f"{1e6 * percentile(each, p):.0f}" for p in (50, 95, 99, 100)],
        )
        for counted, each in taken.items()
    ]
    table(
        f"a signal stored and finished, of {ROWS:,} in one transaction",
        ("", "p50 µs", "p95", "p99", "max"),
        rows,
    )


class _RolledBack(Exception):
    """Leave nothing behind."""


_STORED = """
    INSERT INTO signals (user_id, source, body_hash, body, state, received_at)
    SELECT (SELECT min(id) FROM users), 'tradingview', sha256(number::text::bytea), '{}', 'STORED', now()
      FROM generate_series(1, %s) AS number
"""
_FINISHED = """
    UPDATE signals SET state = 'EXECUTED', code = 'EXECUTED', decided_at = now(), finished_at = now()
     WHERE state = 'STORED' AND lane_id IS NULL
"""


def _add_up(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO tallies (figure, labels, seconds)
            SELECT 'signal_received', ARRAY['tradingview'], random() FROM generate_series(1, 20000)
            """
        )
    begin = time.perf_counter()
    with database.transaction() as transaction:
        read = len(tallies.read(transaction))
    reading = time.perf_counter() - begin
    begin = time.perf_counter()
    with database.transaction() as transaction:
        count = tallies.add_up(transaction)
    print(f"reading {read} sums beside 20,000 rows not added up: {1000 * reading:.0f} ms;"
          f" adding {count:,} rows up: {1000 * (time.perf_counter() - begin):.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
