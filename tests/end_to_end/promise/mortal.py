"""Run a worker or the broker watch that ends itself with SIGKILL between two steps, and comes back.

`python -m tests.end_to_end.promise.mortal worker|watch DEATHS REPEATS`: everything is loaded once, each
life is a fork of it. A life ends at the first step at which fewer than REPEATS lives of its role have
ended; the file DEATHS, shared by all processes, has a line `role step` for each. When every step has
had its deaths the last life stays, as jobs.py and broker_watch.py do.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

import jobs
import log
from bot_database import Database
from bot_engine import desk_for
from broker_watch import THREADS, BrokerWatch
from settings import load

PAUSE_SECONDS = 0.05
LIVES_AT_LEAST_SECONDS = 0.3


class Fate:
    """Decide whether this life ends at a step, so that no step is forgotten and each life gets on a bit."""

    def __init__(self, role: str, deaths: Path, repeats: int) -> None:
        self._role = role
        self._deaths = deaths
        self._repeats = repeats
        self._spared: set[str] = set()
        self._born = time.monotonic()

    def step(self, name: str) -> None:
        """End this process here, if it is to end here."""
        if name in self._spared or time.monotonic() - self._born < LIVES_AT_LEAST_SECONDS:
            return
        with self._deaths.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            line = f"{self._role} {name}\n"
            if file.readlines().count(line) >= self._repeats:
                self._spared.add(name)
                return
            file.write(line)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def live(role: str, fate: Fate) -> None:
    """Be a worker or the broker watch, as `jobs.main` and `broker_watch.main` are."""
    settings = load()
    log.logging_setup(role, settings)
    if role == "worker":
        database = Database(settings.database, size=jobs.LANES_AT_ONCE + 4, application_name="mortal worker")
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        jobs.work(desk_for(settings, database, step=fate.step), stopping)
    else:
        database = Database(settings.database, size=2 * THREADS + 4, application_name="mortal watch")
        watch = BrokerWatch(settings, desk_for(settings, database, step=fate.step))
        signal.signal(signal.SIGTERM, lambda *_: watch.stop())
        watch.run()


def born_again(role: str, deaths: Path, repeats: int) -> None:
    """Start one life after the other until SIGTERM, or until whoever started this is gone."""
    parent, stopping = os.getppid(), []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while not stopping and os.getppid() == parent:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            live(role, Fate(role, deaths, repeats))
            os._exit(0)
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if stopping or os.getppid() != parent:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    born_again(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
