"""Parts of the reversal signals, each as a fresh process, at a time that a test says instead of the clock's.

`python -m tests.end_to_end.reversal_clock scan|follow FIRST LAST` scans each hour's bars, or follows the trades
each hour, from the first hour to the last.
"""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from database.pool import Database
from reversal.monitor import look
from reversal.scan import scan
from settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
HOUR = timedelta(hours=1)
# What a scan waits for its source after a bar's close
GRACE = timedelta(seconds=5)


def run(step: str, environment: dict[str, str], first: datetime, last: datetime) -> None:
    """Do a step for some hours in a process of its own; raise what its log says where it fails."""
    command = [sys.executable, "-m", "tests.end_to_end.reversal_clock", step]
    done = subprocess.run(
        [*command, first.isoformat(), last.isoformat()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])


def _step(step: str, settings: Settings, database: Database, hour: datetime) -> None:
    if step == "scan":
        scan(database, settings, hour, hour + GRACE)
    else:
        look(database, settings, hour + GRACE)


def _main(step: str, first: str, last: str) -> None:
    settings = load()
    database = Database(settings.database, size=2)
    hour = datetime.fromisoformat(first)
    while hour <= datetime.fromisoformat(last):
        _step(step, settings, database, hour)
        hour += HOUR
    database.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
