"""Connect accounts at brokers."""

import json
import sys

import click

from actions import connections
from actions.connections import Wish
from administration.console import Console, Problem, acting_for, broker_class, pass_console, the_user
from brokers.base import BrokerName, CredentialField, Mode
from database import bots


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
        acting = acting_for(the_user(transaction, email).id)
        if any(each.label == label for each in bots.connections_of(transaction, acting.owner)):
            raise Problem(f"{email} has a connection {label} already; give another --label")
    _confirm(meant, label, confirm_live)
    wish = Wish(
        broker=name,
        mode=meant,
        label=label,
        credentials=_credentials(name),
        confirmation=confirm_live,
        allow_netting=netting,
    )
    made = connections.connect(console, acting, wish)
    click.echo(made.id)
    if made.problem:
        click.echo(f"The broker says of this account: {made.problem}", err=True)
    if made.warning:
        click.echo(f"WARNING: {made.warning}", err=True)


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
    return {each: given[each] for each in wanted}
