"""Follow trades that were opened elsewhere: list, open, edit, close them, and write them into a file."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import click

from actions import executed_trades, tracked_trades
from actions.tracked_trades import TradeRequest
from administration.console import ACTOR, Console, acting_for, pass_console, the_connection, the_user
from administration.inputs import Amount
from administration.output import print_csv, print_json, print_table
from core.pips import Direction
from core.trade_wording import duration, money
from core.wording import number
from database import tracked_trades as records
from database.pool import Row
from database.tracked_trades import EXPORTED, TradeFilters

SHOWN = (
    *(
        "id",
        "pair",
        "direction",
        "lot_size",
        "entry_price",
        "stop_loss",
        "take_profit",
        "status",
        "close_reason",
    ),
    *("close_price", "pips", "profit_loss", "account_currency", "source"),
)
RUNNING = (
    *("id", "pair", "direction", "lot_size", "entry_time", "entry_price", "stop_loss", "take_profit"),
    *("current_price", "current_pips", "current_pnl", "account_currency", "source", "bot"),
)


@click.group()
def tracked() -> None:
    """Trades that were opened elsewhere and are followed to their stop or target."""


@tracked.command("list")
@click.argument("email")
@click.option("--all", "everything", is_flag=True, help="Ended ones too, the newest first.")
@click.option("--archived", is_flag=True, help="With --all: archived ones too.")
@click.option("--pair", help="Only this pair, such as EUR/USD.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="All columns, as JSON.")
@pass_console
def list_tracked(
    console: Console,
    /,
    email: str,
    everything: bool,
    archived: bool,
    pair: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List a user's open trades, or all of them."""
    status = None if everything else "open"
    filters = TradeFilters(status=status, pair=pair, with_archived=archived)
    with console.transaction() as transaction:
        rows = records.page(transaction, the_user(transaction, email).id, filters, count=limit)
    if as_json:
        print_json(rows)
        return
    print_table(rows, SHOWN if everything else RUNNING, "No trades. Follow one: manage.py tracked open")


@tracked.command("open")
@click.argument("email")
@click.argument("pair")
@click.argument("direction", type=click.Choice([each.value for each in Direction]))
@click.option("--entry", type=Amount(), required=True)
@click.option("--lots", type=Amount(), default="0.1", show_default=True)
@click.option("--stop", type=Amount(), required=True, help="Stop loss, a price.")
@click.option("--target", type=Amount(), required=True, help="Take profit, a price.")
@click.option("--timeframe", help="Of the chart it came from, such as 1h.")
@click.option("--notes", default="")
@click.option("--key", help="Asked twice with one key it opens once.")
@click.option("--execute", "connection", help="Label or id of a connection: send the order there.")
@click.option("--confirm", "confirmation", default="", help="The name of a live connection.")
@pass_console
def open_tracked(
    console: Console,
    /,
    email: str,
    pair: str,
    direction: str,
    entry: Decimal,
    lots: Decimal,
    stop: Decimal,
    target: Decimal,
    timeframe: str | None,
    notes: str,
    key: str | None,
    connection: str | None,
    confirmation: str,
) -> None:
    """Follow a trade and print its id; with --execute its order is sent."""
    wish = TradeRequest(
        pair=pair,
        direction=Direction(direction),
        entry=entry,
        lots=lots,
        stop=stop,
        target=target,
        timeframe=timeframe,
        notes=notes,
        request_key=f"{ACTOR} {key or uuid4()}",
    )
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        place = the_connection(transaction, user, connection) if connection else None
    if place is None:
        _follow(console, user.id, wish)
        return
    executed = executed_trades.open_and_execute(
        console, acting_for(user.id), wish, place.id, _now(), confirmation=confirmation
    )
    click.echo(executed.trade_id)


def _follow(console: Console, user_id: int, wish: TradeRequest) -> None:
    made = tracked_trades.open_trade(console.database, console.settings, user_id, ACTOR, wish, _now())
    click.echo(made.trade_id)
    if made.remark:
        click.echo(made.remark, err=True)


@tracked.command("edit")
@click.argument("trade_id", type=int)
@click.option("--stop", type=Amount(), help="Stop loss, a price.")
@click.option("--target", type=Amount(), help="Take profit, a price.")
@pass_console
def edit_tracked(console: Console, /, trade_id: int, stop: Decimal | None, target: Decimal | None) -> None:
    """Move the stop or target of an open trade; both stand on their sides of the price now."""
    edited = tracked_trades.edit_levels(
        console.database, _owner(console, trade_id), ACTOR, trade_id, _now(), stop=stop, target=target
    )
    click.echo(f"Stop loss {number(edited.stop)}, take profit {number(edited.target)}.")


@tracked.command("close")
@click.argument("trade_id", type=int)
@click.option("--price", type=Amount(), help="Default: the newest price known.")
@pass_console
def close_tracked(console: Console, /, trade_id: int, price: Decimal | None) -> None:
    """End a trade by hand and print what it came to; one of a bot's is closed by the bot."""
    closed = tracked_trades.close_trade(
        console.database, _owner(console, trade_id), ACTOR, trade_id, _now(), price
    )
    click.echo(closed.message)


@tracked.command("export")
@click.argument("email")
@click.option("--archived", is_flag=True, help="Archived ones too.")
@pass_console
def export_tracked(console: Console, /, email: str, archived: bool) -> None:
    """Print all of a user's trades as CSV."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        filters = TradeFilters(with_archived=archived)
        print_csv(records.csv_rows(transaction, user.id, filters), EXPORTED)


@tracked.command("statistics")
@click.argument("email")
@click.option("--archived", is_flag=True, help="Archived ones too.")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def show_statistics(console: Console, /, email: str, archived: bool, as_json: bool) -> None:
    """Show what a user's closed trades came to."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        found = records.statistics(transaction, user.id, TradeFilters(with_archived=archived))
    if as_json:
        print_json(found)
        return
    for name, value in _figures(found):
        click.echo(f"{name:<22}{value}")


def _figures(found: Row) -> list[tuple[str, str]]:
    seconds = found["average_seconds"]
    rate, profit = found["win_rate"], found["total_profit_loss"]
    return [
        ("closed", f"{found['trades']} ({found['open']} open)"),
        ("won, lost, even", f"{found['won']}, {found['lost']}, {found['breakeven']}"),
        ("win rate", "-" if rate is None else f"{number(round(rate, 1))} %"),
        ("reward to risk", "-" if not found["trades"] else f"{number(found['average_reward_to_risk'])}"),
        ("held on average", "-" if seconds is None else duration(timedelta(seconds=seconds))),
        ("pips, points", f"{number(found['total_pips'])}, {number(found['total_points'])}"),
        ("profit", "-" if profit is None else money(profit, found["currency"])),
        ("without a known rate", str(found["without_rate"])),
        ("in other currencies", str(found["in_other_currencies"])),
        *((name, _end(found[name])) for name in ("best", "worst")),
    ]


def _end(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"#{row['id']} {row['pair']} {number(row['profit_loss'])}"


def _owner(console: Console, trade_id: int) -> int:
    with console.transaction() as transaction:
        owner = records.owner_of(transaction, trade_id)
    if owner is None:
        raise tracked_trades.NoSuchTrade
    return owner


def _now() -> datetime:
    return datetime.now(UTC)
