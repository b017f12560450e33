"""The demo: an account with weeks of trading, made by the engine itself on simulated prices."""

import secrets
from contextlib import ExitStack
from datetime import UTC, datetime

import click
from psycopg2.extensions import make_dsn

from actions import tokens as token_actions
from administration import demo_channel
from administration.console import ACTOR, Console, Problem, acting_for, pass_console
from administration.demo_history import live_through, midnight, open_past
from administration.demo_watched import watch_a_bot
from alerts.kinds import defaults
from database import accounts, demo
from database.accounts import User
from database.keys import hash_key
from database.pool import Database
from encryption import keyed_hash

EMAIL = "demo@dashtrade.local"
WEEKS = 6
MOST_SECONDS = 50
SENDS_NOTHING = "This is the demo: its alerts are listed, and sent to nobody. Enter an address of your own."
# One for each lane, one for the lease, some for what the inbox needs.
DATABASE_CONNECTIONS = 16


@click.command("demo")
@click.option("--weeks", type=click.IntRange(1, 12), default=WEEKS, show_default=True, help="So far back.")
@click.option(
    "--seconds",
    type=click.IntRange(10, 3600),
    default=MOST_SECONDS,
    show_default=True,
    help="So long at most; a slow machine leaves weeks out.",
)
@click.option("--again", is_flag=True, help="Take the demo away first, with everything done in it.")
@pass_console
def make_demo(console: Console, weeks: int, seconds: int, again: bool) -> None:
    """Make an account with bots and weeks of trades on the paper broker, to look around in.

    The trades are made by the engine itself on simulated prices. Takes a minute or so, and may be done
    while DashTrade runs.
    """
    user = _left_from_before(console, again=again)
    if user is not None:
        click.echo(
            f"The demo is there already: {user.email}. A new password: manage.py user reset {user.email}"
        )
        return
    password = secrets.token_urlsafe(12)
    with console.transaction() as transaction:
        if not accounts.there_is_an_account(transaction):
            raise Problem("Make your own account first: the first one is the administrator's")
        user = accounts.create_user(transaction, EMAIL, password)
    signals = _fill(console, user, weeks, seconds)
    click.echo(f"Made: {signals} signals in {weeks} weeks. Sign in as {EMAIL} with the password {password}")


def _left_from_before(console: Console, *, again: bool) -> User | None:
    """Return the demo's user where it was made to its end; what was broken off is taken away."""
    with console.transaction() as transaction:
        user = accounts.user_by_email(transaction, EMAIL)
        if user is not None and (again or not demo.is_made(transaction, user.id)):
            demo.forget(transaction, user.id)
            return None
    return user


def _fill(console: Console, user: User, weeks: int, seconds: float) -> int:
    text = token_actions.generate(console, acting_for(user.id), name="TradingView")
    with console.transaction() as transaction:
        token_hash = keyed_hash(hash_key(transaction, console.vault), text)
        channel_id = demo.deliver_nothing(transaction, console.vault, user.id, SENDS_NOTHING)
    now = datetime.now(UTC)
    start = midnight(now, weeks)
    # Thousands of small commits: what a power cut takes of a demo is made again.
    address = make_dsn(console.settings.database, options="-c synchronous_commit=off")
    with ExitStack() as stack:
        database = Database(address, size=DATABASE_CONNECTIONS, application_name=ACTOR)
        stack.callback(database.close)
        paper_database = Database(address, size=2, application_name=f"{ACTOR} paper")
        stack.callback(paper_database.close)
        past = open_past(stack, database, paper_database, user.id, token_hash, start)
        channel = demo_channel.register(console, past, stack, start, now)
        calls = list(demo_channel.events(console, past, channel, now))
        with click.progressbar(length=1000, label=f"Trading through {weeks} weeks") as bar:
            shown = 0
            for share in live_through(past, start, now, calls, seconds=seconds):
                bar.update(int(share * 1000) - shown)
                shown = int(share * 1000)
    demo_channel.retire(console, channel)
    watch_a_bot(console, acting_for(user.id), datetime.now(UTC))
    # It loads what scores, which no other command needs
    from administration.demo_reversal import make_signals

    make_signals(console, user.id, start, datetime.now(UTC))
    with console.transaction() as transaction:
        demo.note_deliveries(transaction, user.id, channel_id, defaults())
        signals = demo.count_signals(transaction, user.id)
        demo.note_made(transaction, user.id, ACTOR, signals)
    return signals
