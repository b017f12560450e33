"""Read what happened: signals and their traces, trades, positions, figures, risk events."""

from decimal import Decimal
from uuid import UUID

import click

from administration.console import Console, Problem, note, pass_console, the_connection, the_user
from administration.inputs import Amount
from administration.output import print_csv, print_json, print_table
from core.wording import number
from database import figures, history, reports, risk
from database.history import TradeFilter
from database.lanes import acknowledge_foreign, lane_for
from database.pool import Row

SHOWN_TRADE_COLUMNS = (
    *(
        "created_at",
        "bot",
        "action",
        "status",
        "filled_qty",
        "filled_price",
        "realized_pnl",
        "fees",
        "reason",
    ),
)


class ShowingGroup(click.Group):
    """Take an argument that is no subcommand as the argument of `show`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand named first, or `show`."""
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.command("signals")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@pass_console
def list_signals(console: Console, email: str, as_json: bool, limit: int) -> None:
    """Show a user's signals with what became of each, the newest first."""
    with console.transaction() as transaction:
        rows = reports.signals_of(transaction, the_user(transaction, email).id, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = (
        "received_at",
        "action",
        "symbol",
        "timeframe",
        "bot",
        "state",
        "code",
        "sentence",
        "signal_id",
    )
    print_table(rows, columns, "No signal came yet.")


@click.command("signal")
@click.argument("signal_id", type=click.UUID)
@click.option("--json", "as_json", is_flag=True)
@pass_console
def show_signal(console: Console, signal_id: UUID, as_json: bool) -> None:
    """Show everything that came of one signal: each step, order and fill with its time."""
    with console.transaction() as transaction:
        owner = reports.owner_of_signal(transaction, signal_id)
        found = None if owner is None else reports.trace(transaction, owner, signal_id)
    if found is None:
        raise Problem(f"There is no signal {signal_id}. See: manage.py signals EMAIL")
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['state']} {found['code'] or ''}\n{found['sentence'] or 'It is under way.'}\n")
    print_table(found["steps"], ("at", "what"), "Nothing happened yet.")


@click.command("trades")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@click.option("--csv", "as_csv", is_flag=True, help="All trades.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@pass_console
def list_trades(console: Console, email: str, as_json: bool, as_csv: bool, limit: int) -> None:
    """Show a user's trades, refused and failed ones too, the newest first."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        if as_csv:
            print_csv(history.all_trades(transaction, user.id, TradeFilter()), history.EXPORTED)
            return
        rows = reports.trades_of(transaction, user.id, limit=limit)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, SHOWN_TRADE_COLUMNS, "No trade yet.")


@click.command("orders")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@pass_console
def list_orders(console: Console, email: str, as_json: bool, limit: int) -> None:
    """Show a user's orders as they were sent to brokers, the newest first."""
    with console.transaction() as transaction:
        rows = reports.orders_of(transaction, the_user(transaction, email).id, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = ("created_at", "bot", "symbol", "side", "quantity", "state", "filled_quantity",
               "average_price", "broker_message")  # fmt: skip
    print_table(rows, columns, "No order yet.")


@click.group("positions", cls=ShowingGroup, context_settings={"ignore_unknown_options": True})
def positions() -> None:
    """EMAIL shows what a user's bots hold; `acknowledge` declares a holding to be the user's own."""


@positions.command("show")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def show_positions(console: Console, email: str, as_json: bool) -> None:
    """Show what the bots hold and what the brokers last said of the accounts."""
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        found = {
            "bots": reports.bot_positions_of(transaction, user.id),
            "account": risk.positions_of(transaction, user.id),
            "money": risk.accounts_of(transaction, user.id),
        }
    if as_json:
        print_json(found)
    else:
        _print_positions(found)


def _print_positions(found: dict[str, list[Row]]) -> None:
    columns = ("bot", "side", "quantity", "average_price", "current_price", "unrealized", "priced_at",
               "stop_price", "target_price", "held_by")  # fmt: skip
    print_table(found["bots"], columns, "No bot holds anything.")
    click.echo("\nThe accounts, as the brokers last said:")
    said = ("connection", "symbol", "quantity", "average_price", "current_price", "unrealized", "taken_at")
    print_table(found["account"], said, "They hold nothing, or have not been asked yet.")


@positions.command("acknowledge", context_settings={"ignore_unknown_options": True})
@click.argument("email")
@click.argument("connection")
@click.argument("symbol")
@click.argument("quantity", type=Amount(signed=True))
@pass_console
def acknowledge(console: Console, email: str, connection: str, symbol: str, quantity: Decimal) -> None:
    """Declare QUANTITY of SYMBOL (shorts negative, 0: none) to be the user's own, outside all bots.

    Entries that an unexplained difference had stopped go again.
    """
    with console.transaction() as transaction:
        user = the_user(transaction, email)
        place = the_connection(transaction, user, connection)
    instrument = console.registry.broker(place.id).instrument(symbol)
    with console.transaction() as transaction:
        lane_id = lane_for(transaction, place.id, instrument)
        acknowledge_foreign(transaction, lane_id, quantity)
        subject = f"{instrument.symbol} at connection {place.id}"
        note(transaction, user.id, "positions acknowledge", subject, quantity=quantity)
    click.echo(f"{number(quantity)} {instrument.symbol} at {place.label} count as {user.email}'s own.")


@click.command("performance")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def show_performance(console: Console, email: str, as_json: bool) -> None:
    """Show what a user's bots made: in all, per bot, per symbol, per day; realized and net of fees."""
    with console.transaction() as transaction:
        found = figures.performance_of(transaction, the_user(transaction, email).id)
    if as_json:
        print_json(found)
        return
    ratios = ("trades", "win_rate", "profit_factor", "total_pnl", "fees")
    print_table([found["total"]], (*ratios, "max_drawdown", "best", "worst"), "")
    click.echo()
    print_table(found["bots"], ("bot", *ratios, "best", "worst"), "There is no bot yet.")


@click.command("risk-events")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@pass_console
def list_risk_events(console: Console, email: str, as_json: bool, limit: int) -> None:
    """Show when limits, stops and faults did something, and what, the newest first."""
    with console.transaction() as transaction:
        rows = risk.risk_events_of(transaction, the_user(transaction, email).id, limit)
    if as_json:
        print_json(rows)
        return
    columns = ("created_at", "kind", "bot", "threshold", "actual", "state", "action_taken", "sentence")
    print_table(rows, columns, "Nothing happened.")
