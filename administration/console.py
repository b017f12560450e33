"""What every command works with: settings, database, keys, brokers, and who is meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import click

import settings
from actions.acting import Acting
from brokers.base import Broker, BrokerName
from core.bot import Connection
from database import accounts, audit, bots
from database.accounts import User
from database.pool import Database, Row, Transaction
from encryption import Vault

if TYPE_CHECKING:
    from brokers.registry import Registry

ACTOR = "manage.py"


class Problem(click.ClickException):
    """Say in one line what is wrong and what is allowed; nothing was changed."""


class Console:
    """Open what a command needs, at its first use; nothing connects before."""

    @cached_property
    def settings(self) -> settings.Settings:
        """Return the settings of this machine."""
        return settings.load()

    @cached_property
    def database(self) -> Database:
        """Return the pool of our own tables."""
        return Database(self.settings.database, size=4, application_name=ACTOR)

    @cached_property
    def vault(self) -> Vault:
        """Return what opens and seals secrets."""
        return Vault(self.settings.encryption_key)

    @cached_property
    def registry(self) -> "Registry":
        """Return the brokers, whose libraries take a second to load."""
        from brokers.registry import Registry

        return Registry(self.database, self.vault, self.settings)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit at a clean end, roll back at any other."""
        with self.database.transaction() as transaction:
            yield transaction


def broker_class(name: BrokerName) -> type[Broker]:
    """Return what carries out a broker, to ask for its modes and credentials without opening it."""
    from brokers.registry import CLASSES

    return CLASSES[name]


pass_console = click.make_pass_decorator(Console)


def the_user(transaction: Transaction, email: str) -> User:
    """Return the account of an address; raise `Problem` where there is none."""
    user = accounts.user_by_email(transaction, email)
    if user is None:
        raise Problem(f"There is no account {email}. See: manage.py user list")
    return user


def the_connection(transaction: Transaction, user: User, label: str | None) -> Connection:
    """Return a user's connection by label or id; without one, the user's only one."""
    connections = bots.connections_of(transaction, user.id)
    if not connections:
        raise Problem(f"{user.email} has no connection yet. Make one: manage.py connect {user.email} paper")
    meant = [each for each in connections if label is None or label.lower() in _names(each)]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(f"{each.label} ({each.id})" for each in connections)
    if label is None:
        raise Problem(f"{user.email} has several connections; say which: --connection LABEL, of {known}")
    raise Problem(f"{user.email} has no connection {label}; allowed: {known}")


def _names(connection: Connection) -> tuple[str, str]:
    return connection.label.lower(), str(connection.id)


def the_bot(transaction: Transaction, bot_id: int) -> Row:
    """Return a bot's row, archived or not; raise `Problem` where there is none."""
    try:
        return bots.bot_row(transaction, bot_id)
    except LookupError:
        raise Problem(f"There is no bot {bot_id}. See: manage.py bots EMAIL") from None


def acting_for(user_id: int) -> Acting:
    """Return the command line as the one who acts on a user's things."""
    return Acting(owner=user_id, actor=ACTOR)


def note(transaction: Transaction, user_id: int | None, action: str, subject: str, **after: object) -> None:
    """Write into the audit log what a command did."""
    audit.record(
        transaction, actor=ACTOR, action=action, subject=subject, user_id=user_id, after=after or None
    )


def agree(yes: bool, consequence: str) -> None:
    """Ask for a typed yes unless `--yes` was given; raise `Problem` for anything else."""
    if yes:
        return
    answer = click.prompt(f"{consequence}; type yes", default="no", show_default=False)
    if str(answer).strip().lower() != "yes":
        raise Problem("Nothing was changed.")
