"""Back everything up and restore it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg2
import psycopg2.errors

import settings
from actions import backups
from administration.console import Console, Problem, agree, note, pass_console
from database import embedded, health, keys, kill_switch, migrate

LOST = "repeat; where it is lost for good: restore --key-lost, then manage.py keys forget"
# The whole schema gives way, so that nothing of a newer version stays beside what is restored.
REPLACE = "SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public"


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@pass_console
def backup(console: Console, file: Path) -> None:
    """Write everything into FILE, while DashTrade runs or not; readable by you alone.

    Secrets in it stay sealed: keep ENCRYPTION_KEY apart from it, without the key they are lost.
    """
    with _database_running(console):
        backups.write(console, file)
    click.echo(f"{file}: {file.stat().st_size:,} bytes. Keep ENCRYPTION_KEY too, and apart from it.")


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--key-lost", is_flag=True, help="Restore though ENCRYPTION_KEY opens none of its secrets.")
@pass_console
def restore(console: Console, file: Path, yes: bool, key_lost: bool) -> None:
    """Replace everything with what FILE holds; every connection is HALTED until it is reconciled.

    DashTrade must be stopped.
    """
    with _database_running(console):
        _require_stopped(console)
        agree(yes, "Everything in the database is replaced")
        held = () if key_lost else (keys.refusal_unless_held(console.vault, LOST),)
        _replace(console, file, (migrate.refusal_of_newer(), *held))
        console.database.close()
        applied = migrate.apply(console.settings.database)
        with console.transaction() as transaction:
            connections = kill_switch.halt_after_restore(transaction)
            note(transaction, None, "restore", "server", file=file.name, migrations=len(applied))
    click.echo(f"Restored. {connections} connections are halted until they are reconciled: start DashTrade.")


@contextmanager
def _database_running(console: Console) -> Iterator[None]:
    """Start the embedded database for the while where it does not run."""
    found = settings.find()
    home = settings.home_of(found.values)
    address = found.values.get("DATABASE_URL")
    server = embedded.kept_server(home, address) if found.embedded and address else None
    if server is None or server.is_running():
        yield
        return
    try:
        server.start()
        yield
    finally:
        console.database.close()
        server.stop()


def _require_stopped(console: Console) -> None:
    try:
        with console.transaction() as transaction:
            alive = [row["part"] for row in health.heartbeats(transaction) if row["alive"]]
    except psycopg2.errors.UndefinedTable:
        return
    if alive:
        raise Problem(f"DashTrade is running ({', '.join(alive)}): stop it, wait 15 seconds, and repeat")


def _replace(console: Console, file: Path, checks: Sequence[str]) -> None:
    """Put the backup in the place of everything, in one transaction that ends with the checks."""
    address, environment = backups.connection(console)
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(folder) / "restore.sql")
        backups.run(["pg_restore", "--no-owner", "--no-acl", f"--file={script}", str(file)], {})
        options = [
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--set=VERBOSITY=terse",
            "--single-transaction",
        ]
        last = [f"--command={statement}" for statement in (*checks, kill_switch.HALT_WITHIN_RESTORE)]
        steps = [f"--command={REPLACE}", f"--file={script}", *last]
        backups.run(["psql", *options, *steps, f"--dbname={address}"], environment)
