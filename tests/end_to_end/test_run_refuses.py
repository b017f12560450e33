"""`run.py` refuses to start where starting would do harm, and says what to do."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from database import keys, migrate, tokens
from database.pool import Database
from encryption import Vault, new_key

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def refusal(home, **variables):
    environ = {**os.environ, "DASHTRADE_HOME": str(home), "LISTEN_ADDRESS": "127.0.0.1", **variables}
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "DashTrade does not start." in done.stderr
    assert "password" not in done.stderr
    return done.stderr


def test_a_database_of_ones_own_needs_a_key_of_ones_own(home, database_url):
    assert "ENCRYPTION_KEY is not set" in refusal(home, DATABASE_URL=database_url)
    assert not (home / "ENCRYPTION_KEY").exists()


def test_another_key_than_the_databases_is_refused_before_anything_is_written(home, database, database_url):
    right = Vault(SecretStr(new_key()))
    with database.transaction() as transaction:
        keys.hash_key(transaction, right)
    said = refusal(home, DATABASE_URL=database_url, ENCRYPTION_KEY=new_key())
    assert f"sealed with the key {right.key_id}" in said
    with database.transaction() as transaction:
        assert keys.hash_key(transaction, right)


def test_a_lost_key_beside_the_embedded_database_is_not_replaced(home):
    (home / "database").mkdir()
    said = refusal(home)
    assert str(home / "ENCRYPTION_KEY") in said
    assert "Put the file back" in said
    assert not (home / "ENCRYPTION_KEY").exists()


def test_a_database_that_does_not_answer_is_named_as_the_trouble(home, free_port):
    url = f"postgresql://ann:password@127.0.0.1:{free_port}/x"
    assert "does not answer" in refusal(home, DATABASE_URL=url, ENCRYPTION_KEY=new_key())


def test_every_wrong_setting_is_named_before_anything_is_made(home):
    said = refusal(home, DASHBOARD_PORT="x", LOG_LEVEL="loud")
    assert "DASHBOARD_PORT" in said
    assert "LOG_LEVEL" in said
    assert not (home / "database").exists()
    assert not (home / "DATABASE_URL").exists()


def test_a_taken_port_is_named(home):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        said = refusal(home, WEBHOOK_PORT=str(port))
    assert f"Port {port} is taken" in said
    assert "WEBHOOK_PORT" in said


def test_prepare_brings_a_database_up_to_date_and_keeps_the_keys_without_starting_anything(
    home, empty_database_url
):
    environ = {
        **os.environ, "DASHTRADE_HOME": str(home), "DATABASE_URL": empty_database_url,
        "ENCRYPTION_KEY": new_key(), "SIGNAL_API_KEY": "svc_of-somebody-with-enough-letters",
    }  # fmt: skip
    command = [sys.executable, "run.py", "prepare"]
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
    assert migrate.outstanding(empty_database_url) == []
    with closing(Database(empty_database_url)) as database, database.transaction() as transaction:
        assert [key.name for key in tokens.service_keys(transaction)] == ["Discord bot"]
