"""What is measured: webhook servers and workers on machines of their own, against one PostgreSQL on its own.

Each side has a database of its own in that server, so that sides can be measured in turns without stopping any.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import requests
from psycopg2 import sql
from pydantic import SecretStr

from bench.scaling_client import Alert
from bench.scaling_machines import Machine, Machines, inside
from bot_database import Database, Transaction, bots, tokens
from brokers.simulated_market import SimulatedMarket
from core.bot import ConnectionStatus
from database import embedded, migrate
from encryption import Vault, new_key
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.end_to_end.stack import _free_ports

COINS = ("BTC/USD", "ETH/USD", "SOL/USD", "LTC/USD", "LINK/USD")
TIMEFRAME, INTERVAL = "15 Min", "15"
PLENTY = "10000000"
DATABASE_PORT, WEBHOOK_PORT = 5432, 8080
START_SECONDS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A bot and how it is sent alerts."""

    token: str
    symbol: str

    def alert(self, action: str) -> Alert:
        """Return the path and the body of an alert."""
        body = {"action": action, "ticker": self.symbol.replace("/", ""), "interval": INTERVAL}
        return f"/webhook?token={self.token}", body


@dataclass(slots=True, kw_only=True)
class Process:
    """A running part and the machine it is on."""

    machine: Machine
    popen: "subprocess.Popen[bytes]"
    port: int = 0

    @property
    def pid(self) -> int:
        """Return its number, which all namespaces share."""
        return self.popen.pid


@dataclass(slots=True, kw_only=True)
class Side:
    """One DashTrade: its database, its webhook servers and its workers."""

    name: str
    database: Database
    webs: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    watches: list[Process] = field(default_factory=list)
    next_number: int = 1

    @property
    def servers(self) -> list[tuple[str, int]]:
        """Return where alerts may be sent."""
        return [(web.machine.address, web.port) for web in self.webs]

    def finished(self) -> int:
        """Return how many signals have their outcome."""
        with self.database.transaction() as transaction:
            return int(transaction.value("SELECT count(*) FROM signals WHERE finished_at IS NOT NULL"))

    def wait_until_finished(self, count: int, seconds: float) -> None:
        """Return when so many signals have their outcome, or the time is up."""
        deadline = time.monotonic() + seconds
        while self.finished() < count and time.monotonic() < deadline:
            time.sleep(0.1)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The network, the database server and who trades."""

    machines: Machines
    server_machine: Machine
    server: embedded.Server
    folder: Path
    environ: dict[str, str]
    seats: list[Seat]
    sides: list[Side] = field(default_factory=list)

    def url(self, database: str, *, slowly: bool = False) -> str:
        """Return a database's address as the other machines reach it."""
        machine = self.server_machine
        address = machine.slow_address if slowly else machine.address
        return self.server.url(database).replace("127.0.0.1", address)

    def side(self, name: str, *, webs: int, workers: int, slowly: bool = False) -> Side:
        """Start a DashTrade on machines of its own and give it when it works."""
        self._copy_database(name)
        url = self.url(name, slowly=slowly)
        side = Side(name=name, database=Database(self.url(name), application_name="bench"))
        self.sides.append(side)
        side.webs = [self._web(url, f"{name}-web{number}") for number in range(webs)]
        side.workers = [self._worker(url, f"{name}-worker{number}") for number in range(workers)]
        _wait_until_ready(side, self.folder)
        return side

    def stop(self, side: Side) -> None:
        """End a side's processes; its database stays."""
        processes = (*side.webs, *side.workers, *side.watches)
        for process in processes:
            process.popen.terminate()
        for process in processes:
            process.popen.wait(30)

    def processor_seconds(self) -> dict[str, float]:
        """Return what each part has had of the processors so far, of all sides."""
        postmaster = int((self.server.folder / "postmaster.pid").read_text().split()[0])
        found = {"PostgreSQL": tree_seconds(postmaster)}
        for name, processes in (
            ("webhook servers", [web for side in self.sides for web in side.webs]),
            ("workers", [worker for side in self.sides for worker in side.workers]),
        ):
            found[name] = sum(tree_seconds(process.pid) for process in processes)
        lines = [process for process in self.server_machine.processes if process.poll() is None]
        found["slow line"] = sum(tree_seconds(line.pid) for line in lines)
        return found

    def add_watches(self, side: Side, count: int) -> None:
        """Start broker watches for a side and return when every connection is watched."""
        more = {"DATABASE_URL": self.url(side.name)}
        for number in range(count):
            name = f"{side.name}-watch{number}"
            machine = self.machines.machine()
            side.watches.append(self._start(machine, [sys.executable, "broker_watch.py"], more, name))
        deadline = time.monotonic() + START_SECONDS
        while unwatched(side) and time.monotonic() < deadline:
            time.sleep(0.1)

    def _copy_database(self, name: str) -> None:
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                        sql.Identifier(name), sql.Identifier(embedded.ROLE)
                    )
                )

    def _web(self, url: str, name: str) -> Process:
        machine = self.machines.machine()
        port = WEBHOOK_PORT if self.machines.separate else _free_ports(1)[0]
        command = [sys.executable, "-m", "gunicorn"]
        return self._start(machine, command, {"DATABASE_URL": url, "WEBHOOK_PORT": str(port)}, name, port)

    def _worker(self, url: str, name: str) -> Process:
        command = [sys.executable, "jobs.py"]
        return self._start(self.machines.machine(), command, {"DATABASE_URL": url}, name)

    def _start(
        self, machine: Machine, command: list[str], more: dict[str, str], name: str, port: int = 0
    ) -> Process:
        with open(self.folder / f"{name}.log", "wb") as log:
            popen = machine.run(command, self.environ | more, log)
        return Process(machine=machine, popen=popen, port=port)


@contextmanager
def staged(*, users: int, bots_each: int, separate: bool = True, **options: str) -> Iterator[Stage]:
    """Make the network, start PostgreSQL on a machine of its own, and make the people; take all away at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        machines = stack.enter_context(Machines(separate=separate))
        machine = machines.machine()
        server = _server(stack, machine, folder, options)
        key = new_key()
        environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
            "ENCRYPTION_KEY": key, "LISTEN_ADDRESS": "0.0.0.0" if separate else "127.0.0.1",  # noqa: S104
            "DASHTRADE_HOME": str(folder / "home"), "DASHTRADE_ENV_FILE": str(folder / "absent.env"),
            "WEBHOOK_ALERTS_PER_MINUTE": PLENTY, "WEBHOOK_REQUESTS_PER_MINUTE": PLENTY, "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        stage = Stage(
            machines=machines, server_machine=machine, server=server, folder=folder, environ=environ, seats=[]
        )
        url = stage.url(embedded.ROLE)
        migrate.apply(url)
        with closing(Database(url)) as database:
            stage.seats = people(database, Vault(SecretStr(key)), users, bots_each)
        yield stage
        for side in stage.sides:
            side.database.close()


def _server(stack: ExitStack, machine: Machine, folder: Path, options: dict[str, str]) -> embedded.Server:
    port = DATABASE_PORT if machine.holder is not None else embedded.free_port()
    options = {
        "listen_addresses": "*" if machine.holder is not None else "127.0.0.1",
        "max_connections": "400",
    } | options
    server = embedded.Server(folder=folder / "database", port=port, password=new_key(), options=options)
    server.create()
    with open(server.folder / "pg_hba.conf", "a") as access:
        access.write("host all all samenet scram-sha-256\n")
    stack.callback(server.stop)
    with inside(machine):
        server.start()
    return server


def people(database: Database, vault: Vault, users: int, bots_each: int) -> list[Seat]:
    """Make users with a paper account each and bots on coins, whose market never closes."""
    seats = []
    for number in range(users):
        with database.transaction() as transaction:
            seats.append(_person(transaction, vault, number, COINS[:bots_each]))
    # Never two of one user in a row
    return [each[place] for place in range(bots_each) for each in seats]


def _person(transaction: Transaction, vault: Vault, number: int, symbols: tuple[str, ...]) -> list[Seat]:
    user_id = transaction.value(
        "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id",
        (f"user{number}@example.org",),
    )
    connection_id = bots.create_connection(
        transaction, user_id=user_id, broker="paper", mode="paper", label="Paper"
    )
    bots.note_connection(transaction, connection_id, ConnectionStatus.OK, None, datetime.now(UTC))
    token = tokens.create_token(transaction, vault, user_id)
    for symbol in symbols:
        bots.create_bot(
            transaction, user_id=user_id, connection_id=connection_id, timeframe=TIMEFRAME, position_size=Decimal(100),
            instrument=SimulatedMarket().instrument(symbol), risk_limit_percent=Decimal(50),
        )  # fmt: skip
    return [Seat(token=token, symbol=symbol) for symbol in symbols]


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, also of those that have ended."""
    try:
        root = psutil.Process(pid)
        times = root.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        return float(total) + sum(tree_seconds(child.pid) for child in root.children())
    except psutil.Error:
        return 0.0


def unwatched(side: Side) -> list[int]:
    """Return the connections that no broker watch holds."""
    with side.database.transaction() as transaction:
        return [int(row["id"]) for row in transaction.all(_UNWATCHED)]


_UNWATCHED = """
    SELECT id FROM user_api_keys WHERE id NOT IN (
        SELECT objid::bigint FROM pg_locks
         WHERE locktype = 'advisory' AND classid = 2 AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def _wait_until_ready(side: Side, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _listeners(side) == len(side.workers) and all(map(_answers, side.servers)):
            return
        time.sleep(0.1)
    logs = "\n".join(log.read_text()[-1000:] for log in folder.glob(f"{side.name}-*.log"))
    raise RuntimeError(f"{side.name} did not start: {logs}")


def _listeners(side: Side) -> int:
    with side.database.transaction() as transaction:
        return int(
            transaction.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'dashtrade bells'"
            )
        )


def _answers(server: tuple[str, int]) -> bool:
    try:
        requests.get(f"http://{server[0]}:{server[1]}/health", timeout=5)
    except requests.RequestException:
        return False
    return True
