"""What the database's sessions wait for, looked at again and again while something else is measured."""

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import psycopg2

from bench.scaling_machines import inside
from bench.scaling_stage import Side, Stage
from database.embedded import ROLE, program

LOOK_SECONDS = 0.05
COMMIT_SECONDS = 3
_SESSIONS = """
    SELECT CASE WHEN state = 'active' AND wait_event IS NULL THEN 'working'
                WHEN state = 'active' THEN wait_event_type || ' ' || wait_event
                ELSE 'in a transaction, waiting for the client' END AS what
      FROM pg_stat_activity WHERE datname = %s AND application_name <> 'bench waits' AND state <> 'idle'
"""
_OPEN = """
    SELECT application_name, count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name NOT LIKE 'bench%' GROUP BY 1 ORDER BY 1
"""
_PLAIN = "BEGIN;\nINSERT INTO bench_commits VALUES (now());\nSELECT 1;\nCOMMIT;\n"
_BELL = "SELECT pg_notify('bench', random()::text)"
_COMMITS = {
    "a row": _PLAIN,
    "a row and a bell": _PLAIN.replace("SELECT 1", _BELL),
    "a row, and a bell afterwards": _PLAIN + _BELL + ";\n",
}


@dataclass(slots=True, kw_only=True)
class Waits:
    """How many sessions were seen in each state, over how many looks."""

    looks: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def rows(self, most: int = 7) -> list[tuple[str, str]]:
        """Return states with the sessions that were in them on average."""
        return [(what, f"{count / self.looks:.2f}") for what, count in self.seen.most_common(most)]


@contextmanager
def watching_waits(url: str, waits: Waits) -> Iterator[None]:
    """Look at the sessions of a database until the end of the block, and add to what was seen."""
    stopping = threading.Event()
    thread = threading.Thread(target=_look, args=(url, waits, stopping))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _look(url: str, waits: Waits, stopping: threading.Event) -> None:
    with closing(psycopg2.connect(url, application_name="bench waits")) as connection:
        connection.autocommit = True
        name = connection.info.dbname
        while not stopping.wait(LOOK_SECONDS):
            with connection.cursor() as cursor:
                cursor.execute(_SESSIONS, (name,))
                waits.seen.update(what for (what,) in cursor)
            waits.looks += 1


def connections(side: Side) -> list[tuple[str, int]]:
    """Return how many connections each part of a side has open."""
    with side.database.transaction() as transaction:
        rows = transaction.all(_OPEN)
    return [(row["application_name"], row["count"]) for row in rows]


def commits(stage: Stage) -> list[tuple[str, int, int]]:
    """Return commits a second of a row each, by 1 and by 16 sessions, also with a NOTIFY in them or after them."""
    url = stage.url(ROLE)
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_commits (at timestamptz)")
    rows = []
    for name, script in _COMMITS.items():
        path = stage.folder / "commits.sql"
        path.write_text(script)
        alone, together = (_pgbench(stage, str(path), sessions) for sessions in (1, 16))
        rows.append((name, alone, together))
    return rows


def _pgbench(stage: Stage, path: str, sessions: int) -> int:
    words = [
        "-n",
        "-c",
        str(sessions),
        "-j",
        "1",
        "-T",
        str(COMMIT_SECONDS),
        "-f",
        path,
        stage.server.url(ROLE),
    ]
    with inside(stage.server_machine):
        done = subprocess.run([str(program("pgbench")), *words], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps = "))
    return round(float(line.split()[2]))
