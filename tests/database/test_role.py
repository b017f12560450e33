"""The role that deploy/database-role.sh makes for DashTrade owns its database and may nothing else."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

from database import embedded, migrate
from tests.conftest import _execute

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "it's a \\password"
OF_OTHERS = (
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('/etc/passwd')",
    "CREATE ROLE another",
    "CREATE DATABASE another",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "SELECT rolpassword FROM pg_authid",
)


@pytest.fixture
def address(server: embedded.Server, tmp_path: Path) -> Iterator[str]:
    """Run the script as PostgreSQL's image does, and give the address of what it made."""
    name = f"role_{uuid.uuid4().hex[:8]}"
    _execute(server, f"CREATE DATABASE {name}")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    environ = {
        "PATH": f"{embedded.program('psql').parent}:{os.environ['PATH']}", "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port), "PGPASSWORD": server.password, "POSTGRES_USER": embedded.ROLE,
        "POSTGRES_DB": name, "DASHTRADE_ROLE": name, "DASHTRADE_PASSWORD_FILE": str(tmp_path / "password"),
    }  # fmt: skip
    subprocess.run(["sh", str(ROOT / "deploy/database-role.sh")], env=environ, check=True)
    yield f"postgresql://{name}:it%27s%20a%20%5Cpassword@127.0.0.1:{server.port}/{name}"
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    _execute(server, f"DROP ROLE {name}")


def test_it_makes_its_tables_and_may_nothing_else(address: str) -> None:
    assert migrate.apply(address)
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in OF_OTHERS:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
        cursor.execute("SELECT count(*) FROM users")
        assert cursor.fetchone() == (0,)
