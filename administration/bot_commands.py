"""Make bots, switch them, close and archive them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import click

from actions import bots as bot_actions
from actions.acting import Refused
from administration.console import (
    Console,
    Problem,
    acting_for,
    pass_console,
    the_bot,
    the_connection,
    the_user,
)
from administration.inputs import ANY_TIMEFRAME, Amount, Timeframe, Window, Zone
from administration.output import print_json, print_table
from core.bot import SizeMode
from core.wording import number
from database import bots

DEFAULT_SIZE = "5000"
DEFAULT_RISK = "10"
ZONE = "America/New_York"

Command = TypeVar("Command", bound=Callable[..., None])


@click.group()
def bot() -> None:
    """Make bots, switch them on and off, close and archive them."""


def _limits(command: Command) -> Command:
    """Add the options of what a bot may do; each is named like the column it fills."""
    options = (
        click.option("--size", type=Amount(), default=DEFAULT_SIZE, show_default=True, help="Per trade."),
        click.option("--size-mode", type=click.Choice([mode.value for mode in SizeMode]),
                     default=SizeMode.NOTIONAL.value, show_default=True, help="What --size counts."),
        click.option("--risk", type=Amount(), default=DEFAULT_RISK, show_default=True,
                     help="Loss in percent of what the position cost at which the bot stops."),
        click.option("--daily-loss", type=Amount(), help="Loss of a day at which entries stop."),
        click.option("--max-size", type=Amount(), help="Most that a position may be worth."),
        click.option("--stop-loss-percent", type=Amount(under=100), help="Stop, from the entry."),
        click.option("--take-profit-percent", type=Amount(), help="Target, from the entry."),
        click.option("--no-short", is_flag=True, help="Never sell short."),
        click.option("--use-signal-quantity", is_flag=True, help="Let a signal's own quantity count."),
        click.option("--max-age", type=click.IntRange(min=1), help="Seconds until an entry is too old."),
        click.option("--max-deviation", type=Amount(), help="Percent the market may have moved away."),
        click.option("--cooldown", type=click.IntRange(min=0), help="Minutes without entry after a stop."),
        click.option("--window", type=Window(), help="Enter only between these times of day."),
        click.option("--window-zone", type=Zone(), default=ZONE, show_default=True),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@bot.command("add")
@click.argument("email")
@click.argument("symbol")
@click.argument("timeframe", type=Timeframe())
@click.option("--connection", help="Label or id; needed where there are several.")
@click.option(
    "--source",
    default="tradingview",
    show_default=True,
    help="Whose signals it follows; reversal: it trades reversal signals by itself.",
)
@click.option("--confirm", default="", help="With --source reversal at a live connection: its name.")
@click.option("--name", help="Default: symbol and timeframe.")
@_limits
@pass_console
def add_bot(
    console: Console,
    /,
    email: str,
    symbol: str,
    timeframe: str,
    connection: str | None,
    source: str,
    confirm: str,
    name: str | None,
    size: Decimal,
    **options: Any,
) -> None:
    """Make a bot and print its id. TIMEFRAME: 15, 15m, 1h, 1D …, or any."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        place = the_connection(transaction, user, connection)
    try:
        made = bot_actions.create(
            console,
            acting_for(user.id),
            connection_id=place.id,
            symbol=symbol,
            timeframe=None if timeframe == ANY_TIMEFRAME else timeframe,
            position_size=size,
            source=source,
            confirmation=confirm,
            name=name,
            **_columns(options),
        )
    except Refused as error:
        raise Problem(error.sentence + (" with --name" if error.field == "name" else "")) from None
    if made.remark:
        click.echo(made.remark, err=True)
    click.echo(made.id)


def _columns(options: dict[str, Any]) -> dict[str, Any]:
    """Turn options into columns; one that was not given keeps the column's default."""
    window = options["window"] or (None, None)
    columns = {
        "size_mode": options["size_mode"],
        "risk_limit_percent": options["risk"],
        "daily_loss_limit": options["daily_loss"],
        "max_position_size": options["max_size"],
        "stop_loss_percent": options["stop_loss_percent"],
        "take_profit_percent": options["take_profit_percent"],
        "allow_short": not options["no_short"],
        "use_signal_quantity": options["use_signal_quantity"],
        "max_signal_age_seconds": options["max_age"],
        "max_price_deviation_percent": options["max_deviation"],
        "cooldown_minutes": options["cooldown"],
        "window_start": window[0],
        "window_end": window[1],
        "window_zone": options["window_zone"],
    }
    return {name: value for name, value in columns.items() if value is not None}


@bot.command("close")
@click.argument("bot_id", metavar="BOT", type=int)
@pass_console
def close_bot(console: Console, bot_id: int) -> None:
    """Close what a bot holds, at the market."""
    with console.transaction() as transaction:
        owner = the_bot(transaction, bot_id)["user_id"]
    closing = bot_actions.close(console, acting_for(owner), bot_id, sentence="Closed by manage.py.")
    held = f"{number(closing.quantity)} {closing.symbol}"
    click.echo(f"Bot {bot_id} is closing {held}" + (" already." if closing.already else "."))


@bot.command("enable")
@click.argument("bot_id", metavar="BOT", type=int)
@pass_console
def enable_bot(console: Console, bot_id: int) -> None:
    """Let a bot enter again."""
    _switch(console, bot_id, active=True)
    click.echo(f"Bot {bot_id} is enabled.")


@bot.command("disable")
@click.argument("bot_id", metavar="BOT", type=int)
@pass_console
def disable_bot(console: Console, bot_id: int) -> None:
    """Let a bot enter no more; what it holds stays, and its exits pass."""
    _switch(console, bot_id, active=False)
    click.echo(f"Bot {bot_id} is disabled; its exits still pass.")


def _switch(console: Console, bot_id: int, *, active: bool) -> None:
    with console.transaction() as transaction:
        owner = the_bot(transaction, bot_id)["user_id"]
    bot_actions.switch(console, acting_for(owner), bot_id, active=active)


@bot.command("archive")
@click.argument("bot_id", metavar="BOT", type=int)
@pass_console
def archive_bot(console: Console, bot_id: int) -> None:
    """Put a bot away; its trades stay."""
    with console.transaction() as transaction:
        owner = the_bot(transaction, bot_id)["user_id"]
    bot_actions.archive(console, acting_for(owner), bot_id)
    click.echo(f"Bot {bot_id} is archived.")


@click.command("bots")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def list_bots(console: Console, email: str, as_json: bool) -> None:
    """Show a user's bots with what they hold."""
    with console.transaction() as transaction:
        rows = bots.bots_of(transaction, the_user(transaction, email).id)
    if as_json:
        print_json(rows)
        return
    columns = ("id", "name", "symbol", "timeframe", "connection", "order_status", "trading_state",
               "position_size", "quantity", "average_price", "total_pnl", "total_trades")  # fmt: skip
    print_table(rows, columns, f"No bot yet. Make one: manage.py bot add {email} AAPL 15m")
