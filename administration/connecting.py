"""Connect accounts at brokers."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from administration.console import Console, Problem, broker_class, note, pass_console, the_user
from brokers.base import BrokerName, CredentialField, Mode
from core.bot import ConnectionStatus
from database import bots
from database.connections import edit_connection

SHOWN_OF_A_KEY = 4


@click.command()
@click.argument("email")
@click.argument("broker", type=click.Choice([name.value for name in BrokerName]))
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="Default: no real money.")
@click.option("--label", help="Your name for the connection; default: broker and mode.")
@click.option("--netting/--no-netting", default=False, help="Allow bots to hold against each other.")
@click.option("--confirm-live", metavar="LABEL", help="Real money: type the connection's label again.")
@pass_console
def connect(
    console: Console,
    email: str,
    broker: str,
    mode: str | None,
    label: str | None,
    netting: bool,
    confirm_live: str | None,
) -> None:
    """Connect an account at a broker and print the connection's id.

    The credentials come as JSON from standard input; they are tried at the broker before they are kept.
    """
    name = BrokerName(broker)
    meant = _mode(name, mode)
    label = label or (broker if broker == meant else f"{broker} {meant}")
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        if any(each.label == label for each in bots.connections_of(transaction, user.id)):
            raise Problem(f"{email} has a connection {label} already; give another --label")
    _confirm(meant, label, confirm_live)
    credentials = _credentials(name)
    problem = console.registry.open(name, meant, credentials).account().problem if credentials else None
    connection_id = _store(console, user.id, name, meant, label, credentials, netting, problem)
    click.echo(connection_id)
    if problem:
        click.echo(f"The broker says of this account: {problem}", err=True)


def _mode(name: BrokerName, mode: str | None) -> Mode:
    modes = broker_class(name).capabilities.modes
    safe = [each for each in modes if each is not Mode.LIVE]
    if mode is None:
        return safe[0]
    if mode not in modes:
        raise Problem(f"{name} has no mode {mode}; allowed: {', '.join(modes)}")
    return Mode(mode)


def _confirm(mode: Mode, label: str, confirmation: str | None) -> None:
    if mode is Mode.LIVE and confirmation != label:
        raise Problem(f"This trades real money. Confirm it with: --confirm-live {json.dumps(label)}")


def _credentials(name: BrokerName) -> dict[str, str]:
    fields = broker_class(name).credential_fields
    if not fields:
        return {}
    if sys.stdin.isatty():
        return {each.name: str(click.prompt(each.label, hide_input=each.secret)) for each in fields}
    try:
        given = json.loads(sys.stdin.read())
    except ValueError:
        given = None
    return _checked_credentials(name, fields, given)


def _checked_credentials(
    name: BrokerName, fields: tuple[CredentialField, ...], given: object
) -> dict[str, str]:
    wanted = [each.name for each in fields]
    form = "{" + ", ".join(f'"{each}": "…"' for each in wanted) + "}"
    if not isinstance(given, dict):
        raise Problem(f"Give the credentials of {name} as JSON on standard input: {form}")
    faults = [each for each in wanted if not (isinstance(given.get(each), str) and given[each].strip())]
    faults += sorted(str(each) for each in given if each not in wanted)
    if faults:
        raise Problem(
            f"These credentials of {name} are missing, empty or unknown: {', '.join(faults)}. Allowed: {form}"
        )
    return {each: given[each].strip() for each in wanted}


def _store(
    console: Console,
    user_id: int,
    name: BrokerName,
    mode: Mode,
    label: str,
    credentials: dict[str, str],
    netting: bool,
    problem: str | None,
) -> int:
    sealed: dict[str, Any] = {}
    if credentials:
        first = next(iter(credentials.values()))
        sealed = {
            "credentials_sealed": console.vault.seal(json.dumps(credentials)),
            "credentials_prefix": first[:SHOWN_OF_A_KEY] + "…",
            "sealed_with": console.vault.key_id,
        }
    with console.transaction() as transaction:
        connection_id = bots.create_connection(
            transaction, user_id=user_id, broker=name, mode=mode, label=label, **sealed
        )
        status = ConnectionStatus.PROBLEM if problem else ConnectionStatus.OK
        bots.note_connection(transaction, connection_id, status, problem, datetime.now(UTC))
        if netting:
            edit_connection(transaction, user_id, connection_id, allow_netting=True)
        note(
            transaction,
            user_id,
            "connect",
            f"connection {connection_id}",
            broker=name,
            mode=mode,
            label=label,
            key=sealed.get("credentials_prefix"),
            netting=netting,
        )
    return connection_id
