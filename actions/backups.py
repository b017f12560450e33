"""Write everything into a file, while DashTrade runs or not."""

import os
import subprocess
import tempfile
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from actions.acting import Refused, Tools
from actions.people import Operator, require_admin
from database import embedded


def write(tools: Tools, file: Path) -> None:
    """Write everything into `file`, readable by its owner alone; secrets in it stay sealed.

    Raises `Refused`, and then there is no new file.
    """
    new = file.with_name(file.name + ".new")
    address, environment = connection(tools)
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    command = ["pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={new}", address]
    try:
        run(command, environment)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def download(tools: Tools, operator: Operator) -> bytes:
    """Return a backup for an admin to keep; it is recorded who took it."""
    with tools.database.transaction() as transaction:
        require_admin(transaction, operator)
        operator.note(transaction, "backup download", "server")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backup"
        write(tools, file)
        return file.read_bytes()


def connection(tools: Tools) -> tuple[str, dict[str, str]]:
    """Return the database's address without the password, and the environment that carries it."""
    parts = parse_dsn(tools.settings.database)
    password = parts.pop("password", "")
    return make_dsn(**parts), {"PGPASSWORD": password}


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run one of PostgreSQL's programs; raise `Refused` with its words where it fails."""
    program, *arguments = command
    done = subprocess.run(
        [str(embedded.program(program)), *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Refused(f"{program} failed, nothing was changed: {done.stderr.strip()}")
