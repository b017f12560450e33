"""What must run for an alert to become a trade at the paper broker: webhook server, worker, broker watch.

No dashboard, no MQTT and no Discord beside them. Its people trade crypto, whose market never closes.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import SecretStr

from bench import load
from bench.webhook import PLENTY, durable_database, gunicorn
from bot_database import Database
from brokers.simulated_market import SimulatedMarket
from database import tokens
from encryption import Vault, new_key
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.end_to_end.stack import _free_ports

COINS = ("BTC", "ETH", "SOL", "LTC", "LINK", "AVAX", "DOT", "BCH", "AAVE", "UNI")
SYMBOLS = tuple(f"{coin}/USD" for coin in COINS)
INTERVAL, TIMEFRAME = "15", "15 Min"
ENDS_WITHIN_SECONDS = 20

_GROW = (
    """
    INSERT INTO users (email, password_hash)
    SELECT 'user' || number || '@example.org', 'x' FROM generate_series(1, %(users)s) AS number
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO user_api_keys (user_id, broker, mode, label, status, last_checked_at)
    SELECT id, 'paper', 'paper', 'Paper', 'OK', now() FROM users ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO lanes (connection_id, symbol, asset_class, base_asset, dust_below)
    SELECT connections.id, symbol, 'CRYPTO', split_part(symbol, '/', 1), dust
      FROM user_api_keys AS connections
     CROSS JOIN unnest(%(symbols)s::text[], %(dust)s::numeric[]) AS few (symbol, dust)
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO user_bot_configs (user_id, connection_id, lane_id, name, symbol, symbol_key, timeframe, position_size,
                                  risk_limit_percent)
    SELECT connections.user_id, connections.id, lanes.id, lanes.symbol, lanes.symbol, replace(lanes.symbol, '/', ''),
           %(timeframe)s, 1000, 50
      FROM lanes JOIN user_api_keys AS connections ON connections.id = lanes.connection_id
     WHERE NOT EXISTS (SELECT FROM user_bot_configs AS bots WHERE bots.lane_id = lanes.id)
    """,
)


def grow(database: Database, *, users: int, bots_each: int) -> None:
    """Let there be so many users, each with a paper account and a bot on each of so many coins."""
    symbols = list(SYMBOLS[:bots_each])
    few = [SimulatedMarket().instrument(symbol) for symbol in symbols]
    dust = [max(each.minimum_quantity, each.quantity_step) for each in few]
    values = {"users": users, "symbols": symbols, "dust": dust, "timeframe": TIMEFRAME}
    with database.transaction() as transaction:
        for statement in _GROW:
            transaction.execute(statement, values)


def token_of_each(database: Database, vault: Vault, users: int) -> list[str]:
    """Make a webhook token for each of the users that came first."""
    with database.transaction() as transaction:
        rows = transaction.all("SELECT id FROM users ORDER BY id LIMIT %s", (users,))
        return [tokens.create_token(transaction, vault, row["id"]) for row in rows]


def alert(token: str, symbol: str, action: str, **more: str) -> load.Target:
    """Return the path and the body of an alert for a user's bot on a coin."""
    body = {"action": action, "ticker": symbol.replace("/", ""), "interval": INTERVAL, **more}
    return f"/webhook?token={token}", body


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperHouse:
    """The database, the webhook server's port, and the processes that trade, by name."""

    folder: Path
    environ: dict[str, str]
    database: Database
    vault: Vault
    port: int
    processes: dict[str, "subprocess.Popen[bytes]"]

    def start(self, *names: str) -> None:
        """Start parts, each one process."""
        for name in names:
            with open(self.folder / f"{name}.log", "a") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, f"{name}.py"], cwd=load.ROOT, env=self.environ, stdout=log, stderr=log
                )

    def halt(self) -> None:
        """Let the parts stand still, so that something else has the machine."""
        for process in self.processes.values():
            process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the parts go on."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)

    def processor_seconds(self) -> dict[str, float]:
        """Return what each part has had of the processors, the database's processes and gunicorn's too."""
        found = {name: _seconds(psutil.Process(each.pid)) for name, each in self.processes.items()}
        others = {"postgres": 0.0, "gunicorn": 0.0}
        for process in psutil.process_iter():
            for name in others:
                if self._is(process, name):
                    others[name] += _seconds(process)
        return found | others

    def _is(self, process: psutil.Process, name: str) -> bool:
        try:
            if name == "gunicorn":
                return process.environ().get("DASHTRADE_HOME") == self.environ["DASHTRADE_HOME"] and (
                    "gunicorn" in " ".join(process.cmdline())
                )
            above = [process, *process.parents()]
            return process.name() == name and any(str(self.folder) in " ".join(p.cmdline()) for p in above)
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End the parts; one that does not go in time is killed."""
        self.go_on()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(ENDS_WITHIN_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes.clear()


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def paper_house(folder: Path) -> Iterator[PaperHouse]:
    """Start a database that writes durably and the webhook server; the other parts are started by name."""
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(durable_database(folder))
        key, port = new_key(), _free_ports(1)[0]
        environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
            "DATABASE_URL": url, "ENCRYPTION_KEY": key, "LISTEN_ADDRESS": "127.0.0.1",
            "DASHTRADE_HOME": str(folder / "home"), "DASHTRADE_ENV_FILE": str(folder / "absent.env"),
            "WEBHOOK_ALERTS_PER_MINUTE": PLENTY, "WEBHOOK_REQUESTS_PER_MINUTE": PLENTY,
        }  # fmt: skip
        database = stack.enter_context(closing(Database(url, application_name="bench")))
        vault = Vault(SecretStr(key))
        stack.enter_context(gunicorn("webhook_server:app", environ, port, folder / "webhook.log"))
        house = PaperHouse(
            folder=folder, environ=environ, database=database, vault=vault, port=port, processes={}
        )
        stack.callback(house.stop)
        yield house
