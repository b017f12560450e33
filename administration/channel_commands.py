"""Register Discord channels as sources of signals, and list them."""

from typing import Any

import click

from actions import signal_channels as channel_actions
from administration.console import Console, acting_for, pass_console, the_connection, the_user
from administration.inputs import Amount
from administration.output import print_json, print_table
from core.bot import SizeMode
from core.order import MarginMode
from database import signal_channels
from database.pool import Row
from database.signal_channels import EntryMode, SignalChannel

COLUMNS = (
    *("id", "name", "channel", "active", "connection", "authors", "formats", "size", "most", "leverage"),
    *("entry", "bots"),
)


@click.group()
def channel() -> None:
    """Register Discord channels whose messages are signals, switch them on and off, put them away."""


@channel.command("add")
@click.argument("email")
@click.argument("channel_id")
@click.option("--connection", help="Label or id; needed where there are several.")
@click.option("--name", default="signals", show_default=True, help="As it is shown, and in its bots' names.")
@click.option("--guild", "guild_id", help="The Discord server's id.")
@click.option("--authors", "author_ids", default="", help="Ids of those whose messages count.")
@click.option("--roles", "role_ids", default="", help="Ids of roles whose messages count.")
@click.option("--formats", default="", help="Formats that count, with commas between. Default: all.")
@click.option("--size-mode", type=click.Choice([mode.value for mode in SizeMode]), help="What --size counts.")
@click.option("--size", "position_size", type=Amount(), help="Default: RISK_PER_TRADE_PERCENT.")
@click.option("--max-size", "max_position_size", type=Amount(), help="Default: MAX_POSITION_SIZE_USD.")
@click.option("--leverage", type=int, help="Default: DEFAULT_LEVERAGE.")
@click.option("--max-leverage", type=int, help="Most that a message may ask for.")
@click.option("--margin-mode", type=click.Choice([mode.value for mode in MarginMode]))
@click.option("--entry", "entry_mode", type=click.Choice([mode.value for mode in EntryMode]))
@click.option("--max-age", "max_signal_age_seconds", type=click.IntRange(min=1))
@click.option("--no-stop-needed", is_flag=True, help="Take entries without a stop-loss too.")
@pass_console
def add_channel(
    console: Console, /, email: str, channel_id: str, connection: str | None, **options: Any
) -> None:
    """Register a Discord channel and print the registration's id."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        place = the_connection(transaction, user, connection)
    columns = {name: value for name, value in options.items() if value not in (None, "")}
    columns["stop_required"] = not columns.pop("no_stop_needed")
    if "formats" in columns:
        columns["formats"] = columns["formats"].replace(",", " ").split()
    made = channel_actions.create(
        console, acting_for(user.id), connection_id=place.id, channel_id=channel_id, **columns
    )
    click.echo(made)


@channel.command("enable")
@click.argument("registration", type=int)
@pass_console
def enable_channel(console: Console, /, registration: int) -> None:
    """Let a registration take signals again."""
    _switch(console, registration, active=True)


@channel.command("disable")
@click.argument("registration", type=int)
@pass_console
def disable_channel(console: Console, /, registration: int) -> None:
    """Let a registration take no signals; what its bots hold stays."""
    _switch(console, registration, active=False)


@channel.command("archive")
@click.argument("registration", type=int)
@pass_console
def archive_channel(console: Console, /, registration: int) -> None:
    """Take a registration out of use for good; its bots stay."""
    names = channel_actions.archive(console, acting_for(_owner(console, registration)), registration)
    click.echo(f"Archived. Its bots stay: {', '.join(names)}." if names else "Archived.")


@click.command("channels")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="All columns, as JSON.")
@pass_console
def list_channels(console: Console, /, email: str, as_json: bool) -> None:
    """List a user's registered Discord channels."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        found = signal_channels.of_user(transaction, user.id)
        rows = [_row(each, len(signal_channels.bots_of(transaction, each.id))) for each in found]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, nothing="No channels yet. Register one: manage.py channel add")


def _switch(console: Console, registration: int, *, active: bool) -> None:
    acting = acting_for(_owner(console, registration))
    channel_actions.switch(console, acting, registration, active=active)


def _owner(console: Console, registration: int) -> int:
    with console.transaction() as transaction:
        found = signal_channels.find(transaction, registration)
    if found is None:
        raise channel_actions.NoSuchChannel
    return found.user_id


def _row(each: SignalChannel, bots: int) -> Row:
    authors = [str(number) for number in sorted(each.author_ids)]
    authors += [f"role {number}" for number in sorted(each.role_ids)]
    return {
        "id": each.id,
        "name": each.name,
        "channel": each.channel_id,
        "active": each.is_active,
        "connection": each.connection_id,
        "authors": " ".join(authors) or "the owner",
        "formats": " ".join(sorted(each.formats)) or "all",
        "size": f"{each.position_size:f} {each.size_mode}",
        "most": each.max_position_size,
        "leverage": f"{each.leverage}x, up to {each.max_leverage}x",
        "entry": str(each.entry_mode),
        "bots": bots,
    }
