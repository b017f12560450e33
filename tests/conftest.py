"""Give every test a clean environment and, where it asks, a PostgreSQL database of its own."""

import itertools
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import psycopg2.extensions
import pytest

from database import embedded, migrate
from database.pool import Database

TEMPLATE = "migrated"
# A test database need not survive a power cut; it does survive the death of any process.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
KEPT_FROM_OUTSIDE = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "VIRTUAL_ENV")

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def main_stays() -> Iterator[None]:
    """Put `__main__` back, which Streamlit's AppTest leaves to be a page: a spawned process would run it."""
    kept = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = kept


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's settings, `.env` and home from the test and the processes it starts."""
    for name in list(os.environ):
        if name not in KEPT_FROM_OUTSIDE and not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("DASHTRADE_ENV_FILE", str(tmp_path / "absent.env"))
    monkeypatch.setenv("DASHTRADE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def server() -> Iterator[embedded.Server]:
    """Run PostgreSQL for the whole session, with a migrated database to clone."""
    # Not below pytest's folder: another session closes that to the account PostgreSQL runs as
    with TemporaryDirectory(prefix="dashtrade-test-") as folder:
        server = embedded.Server(
            folder=Path(folder) / "data", port=_free_port(), password="a test's password", options=FAST
        )
        server.start()
        try:
            _execute(server, f"CREATE DATABASE {TEMPLATE}")
            migrate.apply(server.url(TEMPLATE))
            yield server
        finally:
            server.stop()


@pytest.fixture
def empty_database_url(server: embedded.Server) -> Iterator[str]:
    """Give the address of a database without any table."""
    yield from _database_for_one_test(server, "template0")


@pytest.fixture
def database_url(server: embedded.Server) -> Iterator[str]:
    """Give the address of a migrated database that no other test sees."""
    yield from _database_for_one_test(server, TEMPLATE)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Give the pool of a migrated database that no other test sees."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def free_port() -> int:
    """Give a port of 127.0.0.1 that nothing listens on."""
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _database_for_one_test(server: embedded.Server, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield server.url(name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: embedded.Server, statement: str) -> None:
    with closing(psycopg2.connect(server.url("postgres"))) as connection:
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with connection.cursor() as cursor:
            cursor.execute(statement)
