"""A database with a long history and a dashboard on it, alone, for measuring pages."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import requests

from bench.many_trades import fill
from database import accounts, bots, embedded, migrate
from database.pool import CHECK_AFTER_IDLE_SECONDS, Database
from encryption import new_key
from tests.conftest import KEPT_FROM_OUTSIDE, _free_port

ROOT = Path(__file__).resolve().parents[1]
EMAIL, PASSWORD = "ann@example.org", "correct horse battery"
# A query that a page sends, as the server's log tells it; not what begins, ends and tries connections.
QUERY = re.compile(r"statement: (?!BEGIN|COMMIT|ROLLBACK|SET|SELECT 1$|SELECT set_config)", re.MULTILINE)
START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What has been done so far: processor seconds of both, queries, rows the database read."""

    dashboard: float
    database: float
    queries: int
    rows: int

    def since(self, before: "Work") -> "Work":
        """Return what was done since another moment."""
        return Work(
            dashboard=self.dashboard - before.dashboard,
            database=self.database - before.database,
            queries=self.queries - before.queries,
            rows=self.rows - before.rows,
        )


@dataclass(slots=True)
class House:
    """A database with a history, and a dashboard on it."""

    database: Database
    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> float:
        """Return the dashboard's resident memory in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def work(self) -> Work:
        """Return what dashboard and database have done so far, while no page is open."""
        # A connection tells within ten seconds what it read, and at once when it ends; the pool makes another.
        with self.database.transaction() as transaction:
            transaction.execute(_END_IDLE)
        time.sleep(CHECK_AFTER_IDLE_SECONDS + 0.5)
        read = (self.folder / "start.log").read_text(errors="replace")
        mine, its = self.processor_seconds()
        return Work(
            dashboard=mine,
            database=its,
            queries=len(QUERY.findall(read)),
            rows=self._rows(),
        )

    def processor_seconds(self) -> tuple[float, float]:
        """Return the processor time that the dashboard and the database have taken so far."""
        postmaster = int((self.folder / "postmaster.pid").read_text().split()[0])
        return _tree_seconds(self.process.pid), _tree_seconds(postmaster)

    def count_queries(self) -> None:
        """Let the database write every statement down from now on."""
        run_alone(self.database, "ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")

    def newest_signal(self) -> str:
        """Return the id of a signal that was traded."""
        with self.database.transaction() as transaction:
            return str(transaction.value(_NEWEST, (EMAIL,)))

    def first_bot(self) -> int:
        """Return the id of the user's first bot."""
        sql = "SELECT min(bots.id) FROM user_bot_configs AS bots JOIN users ON users.id = user_id WHERE email = %s"
        with self.database.transaction() as transaction:
            return int(transaction.value(sql, (EMAIL,)))

    def _rows(self) -> int:
        # Rows read by walking a table, and entries read of indexes, also where these alone answered.
        sql = """
            SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables)
                 + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes)
        """
        with self.database.transaction() as transaction:
            return int(transaction.value(sql))


_END_IDLE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'dashtrade dashboard' AND state = 'idle'
"""
_NEWEST = """
    SELECT uuid FROM signals JOIN users ON users.id = user_id WHERE email = %s AND state = 'EXECUTED'
     ORDER BY signals.id DESC LIMIT 1
"""


@contextmanager
def house() -> Iterator[House]:
    """Make the history and start the dashboard; at the end nothing of them is left."""
    with TemporaryDirectory(prefix="dashtrade-bench-") as folder:
        data = Path(folder) / "data"
        server = embedded.Server(folder=data, port=_free_port(), password=new_key())
        server.start()
        try:
            url = server.url("dashtrade")
            migrate.apply(url)
            with closing(Database(url)) as database:
                make_history(database)
                with dashboard(url) as (port, process):
                    yield House(database, data, port, process)
        finally:
            server.stop()


@contextmanager
def another_dashboard(house: House) -> Iterator[House]:
    """Start a second dashboard on the same database: nobody has looked at it yet."""
    with dashboard(house.database.url) as (port, process):
        yield House(house.database, house.folder, port, process)


def make_history(database: Database) -> None:
    """Make two users with bots, trades, signals and an equity of months; the first one is the admin."""
    for email, count in ((EMAIL, 1000), ("bob@example.org", 100)):
        with database.transaction() as transaction:
            user = accounts.create_user(transaction, email, PASSWORD)
            connection_id = bots.create_connection(
                transaction, user_id=user.id, broker="paper", mode="paper", label="Practice"
            )
            fill(transaction, user.id, connection_id, bots=count)
    run_alone(database, "VACUUM ANALYZE")


def run_alone(database: Database, *statements: str) -> None:
    """Run statements that no transaction may hold."""
    with closing(psycopg2.connect(database.url)) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


@contextmanager
def dashboard(url: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run the dashboard alone; give its port and process when it answers."""
    port = _free_port()
    environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
        "DATABASE_URL": url, "ENCRYPTION_KEY": new_key(), "DASHTRADE_ENV_FILE": "/nowhere/.env",
        "DASHBOARD_PORT": str(port), "WEBHOOK_PORT": str(_free_port()),
    }  # fmt: skip
    where = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *where]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    try:
        _await_answer(f"http://127.0.0.1:{port}/auth/login", process)
        yield port, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_answer(url: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("the dashboard did not start")


def _tree_seconds(pid: int) -> float:
    """Return the processor time of a process, of those it started, and of those of them that have ended."""
    parent = psutil.Process(pid)
    ended = parent.cpu_times().children_user + parent.cpu_times().children_system
    return ended + sum(processor_seconds(each) for each in (parent, *parent.children(recursive=True)))


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of one process, none where it has ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
