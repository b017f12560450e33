"""Drive manage.py as an operator does: real processes, a real database, the real brokers' classes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from database.pool import Database
from encryption import new_key

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that runs manage.py against the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())

    def run_it(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, env=os.environ.copy())

    return run_it


@pytest.fixture
def ann(run: Run) -> str:
    """Give the address of a user with a paper connection."""
    added = run("user", "add", "ann@example.com", "--password-stdin", given=PASSWORD)
    assert added.returncode == 0, added.stderr
    connected = run("connect", "ann@example.com", "paper")
    assert connected.returncode == 0, connected.stderr
    return "ann@example.com"


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that an error must be."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_from_nothing_to_a_bot(run: Run, database: Database) -> None:
    user_id = run("user", "add", "ann@example.com", "--password-stdin", given=PASSWORD).stdout.strip()
    url = run("user", "token", "ANN@example.com").stdout.strip()
    connection_id = run("connect", "ann@example.com", "paper").stdout.strip()
    bot_id = run("bot", "add", "ann@example.com", "aapl", "15m", "--size", "5000", "--risk", "10").stdout.strip()
    assert url.startswith("http://localhost:8080/webhook?token=usr_")
    (bot,) = json.loads(run("bots", "ann@example.com", "--json").stdout)
    assert (bot["id"], bot["user_id"], bot["connection_id"]) == (int(bot_id), int(user_id), int(connection_id))
    assert (bot["symbol"], bot["timeframe"], bot["position_size"]) == ("AAPL", "15 Min", "5000")
    assert bot["risk_limit_percent"] == "10"
