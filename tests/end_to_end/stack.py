"""Everything that `make run` starts, as real processes, with a local Alpaca-like server for a broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psutil
import requests

import supervision
from tests.alpaca_server.local import Control
from tests.conftest import KEPT_FROM_OUTSIDE

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
# Both of TradingView's: application/json where the message is valid JSON, else text/plain.
JSON_TYPE, TEXT_TYPE = "application/json; charset=utf-8", "text/plain; charset=utf-8"

Json = dict[str, Any]
Found = TypeVar("Found")


# A manage.py that stays: half a second of loading for each of a hundred commands would be wasted.
_STAYING = """
import contextlib, io, json, sys
import manage
answers = sys.stdout
for line in sys.stdin:
    arguments, given = json.loads(line)
    sys.stdin, out, err = io.StringIO(given), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = manage.main(arguments)
    print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)
"""


def wait_for(look: Callable[[], Found], seconds: float = 20.0, explain: Callable[[], Any] = str) -> Found:
    """Return the first truthy thing that `look` finds; fail with `explain` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {explain()}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: its status and its JSON."""

    status: int
    body: Json

    @property
    def code(self) -> str | None:
        return self.body.get("code")

    @property
    def outcome(self) -> Json:
        """Return what became of the signal; fail where the answer came before there was an outcome."""
        assert "outcome" in self.body, self
        return dict(self.body["outcome"])


class Stack:
    """One running DashTrade: its command line, its HTTP server, and the broker's own books."""

    def __init__(self, environ: dict[str, str], broker: Control, log: Path) -> None:
        self.environ = environ
        self.broker = broker
        self.log = log
        self.url = f"http://127.0.0.1:{environ['WEBHOOK_PORT']}"
        self.session = requests.Session()
        self.console: subprocess.Popen[str] | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start run.py and return when all parts work."""
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "run.py"], cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        wait_for(self._is_healthy, 90, self.written)

    def stop(self) -> None:
        """Press Ctrl-C and wait for the end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0

    def manage(self, *arguments: object, given: str = "") -> str:
        """Run a command of manage.py and return what it printed; fail where it failed."""
        if self.console is None:
            self.console = subprocess.Popen(
                [sys.executable, "-c", _STAYING],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=self.environ,
            )  # fmt: skip
        console = self.console
        assert console.stdin is not None
        assert console.stdout is not None
        console.stdin.write(json.dumps([[str(each) for each in arguments], given]) + "\n")
        console.stdin.flush()
        code, printed, error = json.loads(console.stdout.readline())
        assert code == 0, f"manage.py {arguments}: {error}"
        return str(printed).strip()

    def run_manage(self, *arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run manage.py as people do, whatever comes of it."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            input=given, capture_output=True, text=True, cwd=ROOT, env=self.environ, timeout=90,
        )  # fmt: skip

    def read(self, *arguments: object) -> Any:
        """Run a command that prints JSON and return what it printed."""
        return json.loads(self.manage(*arguments, "--json"))

    def get(self, path: str, **query: object) -> Answer:
        """Ask the HTTP server for something."""
        return _answer(self.session.get(self.url + path, params=query, timeout=30))

    def post(self, path: str, body: bytes, content_type: str = JSON_TYPE, **query: object) -> Answer:
        """Send the HTTP server something."""
        headers = {"Content-Type": content_type}
        return _answer(self.session.post(self.url + path, body, params=query, headers=headers, timeout=40))

    def at_broker(self, symbol: str) -> list[Json]:
        """Return every order in a symbol that the broker has accepted."""
        return [order for order in self.broker.orders() if order["symbol"] == symbol]

    def post_as_service(self, body: Json, **query: object) -> Answer:
        """Send a signal with the key that the Discord bot has."""
        key = (Path(self.environ["DASHTRADE_HOME"]) / "SIGNAL_API_KEY").read_text().strip()
        sent = self.session.post(
            self.url + "/api/v1/signals", json=body, params=query, headers={"X-API-Key": key}, timeout=40
        )
        return _answer(sent)

    def post_through_dashboard(self, body: bytes, token: str) -> Answer:
        """Send an alert to the dashboard's port, as on hosts that open only one."""
        url = f"http://127.0.0.1:{self.environ['DASHBOARD_PORT']}/webhook"
        headers = {"Content-Type": JSON_TYPE}
        return _answer(requests.post(url, body, params={"token": token}, headers=headers, timeout=40))

    def dashboard_answers(self) -> bool:
        """Tell whether something listens on the dashboard's port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.environ["DASHBOARD_PORT"]))) == 0

    def close(self) -> None:
        """Let go of the connection to the HTTP server, and end the command line."""
        self.session.close()
        if self.console is not None:
            self.console.communicate(timeout=10)

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"run.py ended\n{self.written()}"
        try:
            return self.get("/health").status == 200
        except requests.ConnectionError:
            return False

    def written(self) -> str:
        """Return the last lines that the parts wrote."""
        return self.log.read_text()[-6000:]


def _answer(response: requests.Response) -> Answer:
    return Answer(response.status_code, dict(response.json()))


class Trader:
    """A user made by manage.py, who sends alerts as TradingView does and reads what became of them."""

    def __init__(self, stack: Stack, email: str) -> None:
        self.stack = stack
        self.email = email
        self.id = int(stack.manage("user", "add", email, "--password-stdin", given=PASSWORD))
        self.token = stack.manage("user", "token", email).partition("token=")[2]
        self.keys: dict[int, str] = {}

    def connect_alpaca(self, label: str, cash: object = 100_000, **flags: object) -> int:
        """Open an account at the broker and connect it; return the connection's id."""
        key = f"PK{self.email.partition('@')[0]}{label}".upper()
        self.stack.broker.account(key, "secret of " + key, cash, **flags)
        given = json.dumps({"api_key": key, "api_secret": "secret of " + key})
        connection = int(self.stack.manage("connect", self.email, "alpaca", "--label", label, given=given))
        self.keys[connection] = key
        return connection

    def connect_paper(self) -> int:
        """Connect the built-in paper broker and return the connection's id."""
        return int(self.stack.manage("connect", self.email, "paper"))

    def bot(self, symbol: str, timeframe: str, connection: int, *options: object) -> int:
        """Make a bot and return its id."""
        where = ("--connection", connection)
        return int(self.stack.manage("bot", "add", self.email, symbol, timeframe, *where, *options))

    def alert(
        self,
        action: str,
        ticker: str,
        interval: str,
        *,
        content_type: str = JSON_TYPE,
        wait: float = 20,
        **more: object,
    ) -> Answer:
        """Send an alert and wait for its outcome, `wait` seconds at most."""
        return self.send(self.message(action, ticker, interval, **more), content_type, wait)

    def send(self, body: bytes, content_type: str = JSON_TYPE, wait: float = 20) -> Answer:
        """Send a body with the user's token."""
        return self.stack.post("/webhook", body, content_type, token=self.token, wait=wait)

    @staticmethod
    def message(action: str, ticker: str, interval: str, **more: object) -> bytes:
        """Return the body of an alert with TradingView's placeholders filled in."""
        timenow = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {"action": action, "ticker": ticker, "interval": interval, "timenow": timenow, **more}
        return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    def bots(self) -> dict[int, Json]:
        """Return the user's bots by id, as the API shows them."""
        return {bot["id"]: bot for bot in self._own("bots")["bots"]}

    def held(self, bot_id: int) -> Decimal:
        """Return the signed quantity that a bot holds."""
        return Decimal(self.bots()[bot_id]["quantity"])

    def positions(self) -> Json:
        """Return what the user's bots and accounts hold, as the API shows it."""
        return self._own("positions")

    def trace(self, signal_id: str) -> Json:
        """Return everything that came of a signal, as the API shows it."""
        answer = self.stack.get(f"/api/v1/signals/{signal_id}", token=self.token)
        assert answer.status == 200, answer
        return answer.body

    def trades(self, bot_id: int) -> list[Json]:
        """Return a bot's trades, the oldest first."""
        trades = self.stack.read("trades", self.email, "--limit", 1000)
        return [trade for trade in reversed(trades) if trade["bot_id"] == bot_id]

    def _own(self, what: str) -> Json:
        answer = self.stack.get(f"/user/{self.id}/{what}", token=self.token)
        assert answer.status == 200, answer
        return answer.body


@contextmanager
def running_stack(**settings: object) -> Iterator[Stack]:
    """Run DashTrade on free ports with a folder of its own, and the broker; stop both at the end."""
    with TemporaryDirectory(prefix="dashtrade-stack-") as folder, alpaca_process(Path(folder)) as broker:
        with stack_in(Path(folder), broker, **settings) as stack:
            yield stack


@contextmanager
def stack_in(folder: Path, broker: Control, **settings: object) -> Iterator[Stack]:
    """Run DashTrade on free ports below a folder, beside a broker that runs already; stop it at the end."""
    dashboard, webhook, mqtt = _free_ports(3)
    environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
        "DASHTRADE_HOME": str(folder / "home"),
        "DASHTRADE_ENV_FILE": str(folder / "absent.env"),
        "DASHBOARD_PORT": str(dashboard),
        "WEBHOOK_PORT": str(webhook),
        "MQTT_BROKER_PORT": str(mqtt),
        "LISTEN_ADDRESS": "127.0.0.1",
        "APCA_API_BASE_URL": broker.url,
        "APCA_API_DATA_URL": broker.url,
        **{name: str(value) for name, value in settings.items()},
    }
    stack = Stack(environ, broker, folder / "log")
    with closing(stack):
        try:
            stack.start()
            yield stack
            stack.stop()
        finally:
            _kill_rest(Path(environ["DASHTRADE_HOME"]))
            if stack.process is not None:
                stack.process.wait(10)


@contextmanager
def alpaca_process(folder: Path) -> Iterator[Control]:
    """Run the Alpaca-like server as a process of its own; what it says goes to a file of the folder."""
    command = [sys.executable, "-m", "tests.alpaca_server", "--port", "0", "--seed", "7"]
    with open(folder / "broker-log", "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        control = Control(process.stdout.readline().strip())
        with control.session:
            yield control
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _kill_rest(home: Path) -> None:
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(supervision.MARK) == str(home)
            if marked or str(home) in " ".join(process.cmdline()):
                process.kill()
        except psutil.Error:
            continue


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
