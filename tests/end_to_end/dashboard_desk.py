"""The dashboard as a real process, and what a browser sends it: forms, addresses, a page's websocket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import requests
from pydantic import SecretStr
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from database import accounts, embedded, sign_in
from database.pool import Database
from encryption import Vault, new_key
from tests.conftest import KEPT_FROM_OUTSIDE, TEMPLATE, _database_for_one_test, _free_port

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
COOKIE = "dashtrade_session"


@dataclass(slots=True)
class Dashboard:
    """One running dashboard and the database behind it."""

    environ: dict[str, str]
    database: Database
    vault: Vault
    port: int
    webhook_port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process and return when it answers."""
        at = ["--server.headless=true", f"--server.port={self.port}", "--server.address=127.0.0.1"]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", *at]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environ)
        wait_for(self.port)

    def stop(self) -> None:
        """End the process."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)

    def get(self, path: str, token: str | None = None, **options: object) -> requests.Response:
        """GET a path, with a session or without, following nothing."""
        cookies = {COOKIE: token} if token else {}
        return requests.get(self.url + path, cookies=cookies, allow_redirects=False, timeout=10, **options)

    def post(
        self, path: str, origin: str | None = "", token: str | None = None, **form: str
    ) -> requests.Response:
        """POST a form as a page of this host does; `origin` names another, None none at all."""
        headers = {} if origin is None else {"Origin": origin or self.url}
        cookies = {COOKIE: token} if token else {}
        return requests.post(
            self.url + path, data=form, headers=headers, cookies=cookies, allow_redirects=False, timeout=20
        )

    def sign_in(self, email: str, password: str = PASSWORD) -> str:
        """Sign in and return the session's token."""
        answer = self.post("/auth/login", email=email, password=password)
        assert answer.status_code == 303, answer.text
        return answer.cookies[COOKIE]

    def page(self, token: str | None, **headers: str) -> ClientConnection:
        """Open a page's websocket."""
        sent = {**headers, "Cookie": f"{COOKIE}={token}"} if token else headers
        return connect(f"ws://127.0.0.1:{self.port}/_stcore/stream", additional_headers=sent, max_size=None)


def wait_for(port: int) -> None:
    """Return when something listens on a port of this machine."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def run_script(page: ClientConnection) -> str:
    """Run the page's script to its end and return all it drew, as text."""
    page.send(BackMsg(rerun_script={}).SerializeToString())
    drawn: list[str] = []
    while True:
        message = ForwardMsg.FromString(page.recv(timeout=30))
        if message.WhichOneof("type") == "script_finished":
            return "\n".join(drawn)
        drawn.append(str(message.delta))


@contextmanager
def running_dashboard(server: embedded.Server, **settings: str) -> Iterator[Dashboard]:
    """Run a dashboard on a migrated database of its own; stop it at the end."""
    key = new_key()
    for url in _database_for_one_test(server, TEMPLATE):
        port, webhook_port = _free_port(), _free_port()
        environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
            "DATABASE_URL": url,
            "ENCRYPTION_KEY": key,
            "DASHTRADE_ENV_FILE": "/nowhere/.env",
            "DASHBOARD_PORT": str(port),
            "WEBHOOK_PORT": str(webhook_port),
            **settings,
        }
        database, vault = Database(url), Vault(SecretStr(key))
        made = Dashboard(environ, database, vault, port, webhook_port)
        made.start()
        try:
            yield made
        finally:
            made.stop()
            database.close()


def a_user(dashboard: Dashboard, email: str) -> str:
    """Make an account and return the token of a session of it."""
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, email) or accounts.create_user(
            transaction, email, PASSWORD
        )
        return sign_in.open_session(transaction, user.id, agent="", now=datetime.now(UTC))


def wait_until(look: Callable[[], bool]) -> None:
    """Return when it is so; fail where it does not come about."""
    deadline = time.monotonic() + 15
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)
