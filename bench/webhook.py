"""Measure how many alerts a second `POST /webhook` accepts, against an empty route of the same server.

`python -m bench.webhook`. Both run under gunicorn with our gunicorn.conf.py, one after the other in turns,
on a PostgreSQL that writes durably as run.py starts it. No worker runs: only taking alerts in is measured.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from pydantic import SecretStr

from bench import ground, load
from bot_database import Database
from database import embedded, migrate
from encryption import Vault, new_key, new_token
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.end_to_end.stack import _free_ports

USERS, BOTS_EACH = 100, 10
CONNECTIONS = 16
ROUNDS, ROUND_SECONDS = 5, 4.0
STEADY_RATE, STEADY_SECONDS = 200.0, 15.0
PLENTY = "10000000"


@contextmanager
def durable_database(folder: Path) -> Iterator[str]:
    """Run PostgreSQL as run.py does, migrated, and give its address."""
    server = embedded.Server(folder=folder / "database", port=_free_ports(1)[0], password=new_token("pw_"))
    server.start()
    try:
        migrate.apply(server.url())
        yield server.url()
    finally:
        server.stop()


@contextmanager
def gunicorn(app: str, environ: dict[str, str], port: int, log: Path) -> Iterator[None]:
    """Run an app under gunicorn with our configuration until the end of the block."""
    with open(log, "w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", app], cwd=load.ROOT, env=environ | {"WEBHOOK_PORT": str(port)},
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", log)
        yield
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(url, timeout=5)
            return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
    raise RuntimeError(f"gunicorn does not answer: {log.read_text()[-2000:]}")


class Bench:
    """The two servers, and what was sent to them so far."""

    def __init__(self, ports: tuple[int, int], alerts: list[load.Target]) -> None:
        self.empty_port, self.webhook_port = ports
        self.alerts = alerts
        self.sent = self.accepted = 0

    def webhook(self, **how: float) -> load.Result:
        """Send alerts to the webhook."""
        plan = load.Plan(
            port=self.webhook_port,
            targets=self.alerts,
            connections=CONNECTIONS,
            first_number=self.sent,
            **how,
        )  # type: ignore[arg-type]
        result = load.send(plan)
        self.sent += len(result.latencies)
        self.accepted += result.accepted()
        return result

    def empty(self, **how: float) -> load.Result:
        """Send the same bodies to the empty route."""
        targets = [("/empty", body) for _, body in self.alerts]
        plan = load.Plan(port=self.empty_port, targets=targets, connections=CONNECTIONS, **how)  # type: ignore[arg-type]
        return load.send(plan)


def measure(bench: Bench, database: Database) -> None:
    """Run the rounds and print the table."""
    for warm in (bench.empty, bench.webhook):
        warm(seconds=2.0)
    rounds = [
        (bench.empty(seconds=ROUND_SECONDS), bench.webhook(seconds=ROUND_SECONDS)) for _ in range(ROUNDS)
    ]
    steady = bench.webhook(seconds=STEADY_SECONDS, per_second=STEADY_RATE)
    rows = [_row(name, [pair[place] for pair in rounds])
            for place, name in enumerate(("empty route, flat out", "POST /webhook, flat out"))]  # fmt: skip
    rows.append(_row(f"POST /webhook, steady {STEADY_RATE:.0f}/s", [steady]))
    commit = ground.commit_milliseconds(database)
    head = ("", "answers/s", "p50 ms", "p95 ms", "p99 ms", "max ms")
    ground.table(f"POST /webhook ({ground.load_words()}; one durable commit {commit:.2f} ms)", head, rows)
    ratios = sorted(webhook.per_second / empty.per_second for empty, webhook in rounds)
    print(f"  of the empty route's rate: median {statistics.median(ratios):.1%}"
          f" (rounds {', '.join(f'{ratio:.1%}' for ratio in ratios)}); aim 40 %")  # fmt: skip
    with database.transaction() as transaction:
        stored = transaction.value("SELECT count(*) FROM signals WHERE number IS NOT NULL")
    print(f"  answered 202: {bench.accepted} of {bench.sent}; signals in the database: {stored}")
    if not bench.accepted == bench.sent == stored:
        raise SystemExit("not every alert was accepted and stored")


def _row(name: str, results: list[load.Result]) -> list[str]:
    latencies = [latency for result in results for latency in result.latencies]
    rate = statistics.median(result.per_second for result in results)
    return [name, f"{rate:.0f}", *ground.spread(latencies)]


def main() -> None:
    """Prepare the servers, measure, and take everything away again."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        url = stack.enter_context(durable_database(folder))
        key = new_key()
        environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
            "DATABASE_URL": url, "ENCRYPTION_KEY": key, "LISTEN_ADDRESS": "127.0.0.1",
            "DASHTRADE_HOME": str(folder / "home"), "DASHTRADE_ENV_FILE": str(folder / "absent.env"),
            "WEBHOOK_ALERTS_PER_MINUTE": PLENTY, "WEBHOOK_REQUESTS_PER_MINUTE": PLENTY,
        }  # fmt: skip
        database = stack.enter_context(closing(Database(url)))
        everybody = ground.people(database, Vault(SecretStr(key)), USERS, bots_each=BOTS_EACH)
        empty_port, webhook_port = _free_ports(2)
        stack.enter_context(gunicorn("bench.empty_route:app", environ, empty_port, folder / "empty.log"))
        stack.enter_context(gunicorn("webhook_server:app", environ, webhook_port, folder / "webhook.log"))
        measure(Bench((empty_port, webhook_port), ground.interleaved(everybody, "buy")), database)


if __name__ == "__main__":
    main()
