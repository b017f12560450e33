"""The address of the database, and the keys that seal its secrets."""

import click

from administration.console import Console, Problem, agree, note, pass_console
from database import keys


@click.command("database-url")
@pass_console
def database_url(console: Console) -> None:
    """Print the database's address with its password, for psql and tools."""
    click.echo(console.settings.database)


@click.group("keys")
def key_commands() -> None:
    """Rotate the keys that seal stored secrets."""


@key_commands.command("rotate")
@pass_console
def rotate(console: Console) -> None:
    """Seal every stored secret with the newest key of ENCRYPTION_KEY; may be repeated at any time.

    Put the new key (python encryption.py) in front of the old one, a comma between, restart, run
    this, then drop the old key.
    """
    done = keys.reseal(console.database, console.vault)
    with console.transaction() as transaction:
        note(transaction, None, "keys rotate", f"key {console.vault.key_id}", resealed=done.resealed)
    if done.failures:
        raise Problem(f"{done.resealed} secrets were sealed anew, {len(done.failures)} do not open:"
                      f" {'; '.join(done.failures)}")  # fmt: skip
    click.echo(f"{done.resealed} secrets were sealed anew with the newest key {console.vault.key_id}.")


@key_commands.command("forget")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_console
def forget(console: Console, yes: bool) -> None:
    """Drop every secret that no key opens, for when a key is lost for good."""
    agree(yes, "Broker keys must be entered and webhook addresses made anew")
    forgotten = keys.forget_unreadable(console.database, console.vault)
    with console.transaction() as transaction:
        note(transaction, None, "keys forget", "server", forgotten=forgotten)
    click.echo(f"{forgotten} secrets were dropped.")
