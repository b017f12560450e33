"""A transaction pooler is recognised, PostgreSQL itself and a session pooler are not mistaken for one."""

import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest

from database.embedded import account
from database.pooler import PoolerError, refuse_transaction_pooler

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


@contextmanager
def pgbouncer(url, mode, folder, port, **options):
    parts = urlsplit(url)
    password = unquote(parts.password).replace("'", "''")
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        "logfile": folder / "log",
        "pidfile": "",
        **options,
    }
    (folder / "ini").write_text(
        f"[databases]\ntest = host=127.0.0.1 port={parts.port} dbname={parts.path[1:]}"
        f" user={parts.username} password='{password}'\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    folder.chmod(0o777)
    process = subprocess.Popen([PGBOUNCER, "-q", folder / "ini"], user=account())
    try:
        yield wait_for(f"postgresql://anyone@127.0.0.1:{port}/test")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder():
    """Give a folder that the account of the pooler may pass, which pytest's own is not for root."""
    with TemporaryDirectory() as path:
        yield Path(path)


def wait_for(url):
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg2.connect(url).close()
            return url
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_postgresql_itself_is_accepted(database_url):
    refuse_transaction_pooler(database_url)


@needs_pgbouncer
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("transaction", {}),
        ("transaction", {"server_round_robin": 1, "min_pool_size": 4}),
        ("transaction", {"default_pool_size": 2, "query_wait_timeout": 1}),
        ("statement", {}),
    ],
)
def test_a_pooler_that_lends_processes_on_is_refused(database_url, folder, free_port, mode, options):
    with pgbouncer(database_url, mode, folder, free_port, **options) as url:
        for _ in range(3):
            with pytest.raises(PoolerError, match="pooler in transaction mode"):
                refuse_transaction_pooler(url)


@needs_pgbouncer
def test_a_pooler_in_session_mode_is_accepted(database_url, folder, free_port):
    with pgbouncer(database_url, "session", folder, free_port) as url:
        refuse_transaction_pooler(url)
