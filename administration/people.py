"""Accounts, webhook tokens and the keys of services."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from actions import people
from actions import tokens as token_actions
from actions.acting import Acting
from actions.people import Operator
from actions.tokens import NoSuchToken
from administration import inputs
from administration.console import (
    ACTOR,
    Console,
    Problem,
    acting_for,
    note,
    pass_console,
    the_connection,
    the_user,
)
from administration.output import print_json, print_table
from database import accounts, tokens
from database.accounts import Role, SignUp

SERVER = Operator(actor=ACTOR)


@click.group()
def user() -> None:
    """Make accounts, webhook tokens and links for new passwords."""


@user.command("add")
@click.argument("email")
@click.option("--admin", is_flag=True, help="An admin; the first account is one anyway.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@pass_console
def add_user(console: Console, email: str, admin: bool, password_stdin: bool) -> None:
    """Make an account and print its id."""
    password = inputs.password(password_stdin)
    with console.transaction() as transaction:
        made = accounts.create_user(transaction, email, password, role=Role.ADMIN if admin else Role.USER)
        note(transaction, made.id, "user add", f"user {made.id}", email=made.email, role=made.role)
    click.echo(made.id)


@user.command("list")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def list_users(console: Console, as_json: bool) -> None:
    """Show the accounts."""
    with console.transaction() as transaction:
        users = accounts.all_users(transaction)
    rows = [
        {
            "id": each.id,
            "email": each.email,
            "role": each.role,
            "active": "yes" if each.is_active else "no",
            "trading": each.trading_state,
            "created": each.created_at,
        }
        for each in users
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, ("id", "email", "role", "active", "trading", "created"), "There is no account yet.")


@user.command("token")
@click.argument("email")
@click.option("--name", default="TradingView", show_default=True, help="What the token is for.")
@click.option("--connection", help="Bind the token to one connection, by label or id.")
@pass_console
def add_token(console: Console, email: str, name: str, connection: str | None) -> None:
    """Make another webhook token and print the address to paste into alerts."""
    with console.transaction() as transaction:
        owner = the_user(transaction, email)
        bound = the_connection(transaction, owner, connection).id if connection else None
    text = token_actions.generate(console, acting_for(owner.id), name=name, connection_id=bound)
    click.echo(webhook_url(console, text))


@user.command("reset")
@click.argument("email")
@pass_console
def reset_user(console: Console, email: str) -> None:
    """Print a link that sets a new password, once within a day, and takes the second factor away."""
    with console.transaction() as transaction:
        owner = the_user(transaction, email)
    click.echo(people.reset_link(console, SERVER, owner.id, datetime.now(UTC)))


@user.command("invite")
@pass_console
def invite_user(console: Console) -> None:
    """Print a link with which somebody makes an account, once within a week."""
    click.echo(people.invite(console, SERVER, datetime.now(UTC)))


@user.command("sign-up")
@click.argument("who", type=click.Choice([each.value for each in SignUp]))
@pass_console
def sign_up(console: Console, who: str) -> None:
    """Decide who may make an account: by invitation (default), open to all, or closed."""
    people.set_sign_up(console, SERVER, SignUp(who))
    click.echo(f"Sign-up is {who} now.")


@click.group()
def token() -> None:
    """Show, renew and revoke webhook tokens."""


@token.command("list")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
@pass_console
def list_tokens(console: Console, email: str, as_json: bool) -> None:
    """Show a user's tokens by their beginnings."""
    with console.transaction() as transaction:
        found = tokens.tokens_of(transaction, the_user(transaction, email).id)
    rows = [
        {
            "id": each.id,
            "name": each.name,
            "prefix": each.prefix,
            "connection": each.connection_id,
            "active": "yes" if each.is_active else "no",
            "last_used": each.last_used_at,
            "created": each.created_at,
        }
        for each in found
    ]
    if as_json:
        print_json(rows)
    else:
        columns = ("id", "name", "prefix", "connection", "active", "last_used", "created")
        print_table(rows, columns, f"No token yet. Make one: manage.py user token {email}")


@token.command("show")
@click.argument("email")
@click.argument("token_id", type=int)
@pass_console
def show_token(console: Console, email: str, token_id: int) -> None:
    """Print the whole address of a token again."""
    with _owner_of(console, email, token_id) as acting:
        text = token_actions.show(console, acting, token_id)
    click.echo(webhook_url(console, text))


@token.command("rotate")
@click.argument("email")
@click.argument("token_id", type=int)
@pass_console
def rotate_token(console: Console, email: str, token_id: int) -> None:
    """Give a token a new address and print it; the old address is dead."""
    with _owner_of(console, email, token_id) as acting:
        text = token_actions.rotate(console, acting, token_id)
    click.echo(webhook_url(console, text))


@token.command("revoke")
@click.argument("email")
@click.argument("token_id", type=int)
@pass_console
def revoke_token(console: Console, email: str, token_id: int) -> None:
    """Make a token invalid; alerts that carry it are refused from now on."""
    with _owner_of(console, email, token_id) as acting:
        token_actions.revoke(console, acting, token_id)
    click.echo(f"Token {token_id} is revoked.")


def webhook_url(console: Console, text: str) -> str:
    """Return the address that alerts are sent to."""
    return token_actions.webhook_url(console.settings, text)


@contextmanager
def _owner_of(console: Console, email: str, token_id: int) -> Iterator[Acting]:
    """Act for the user of an address; say in the command line's words that there is no such token."""
    with console.transaction() as transaction:
        owner = the_user(transaction, email)
    try:
        yield acting_for(owner.id)
    except NoSuchToken:
        words = f"{owner.email} has no such token {token_id} in use. See: manage.py token list {owner.email}"
        raise Problem(words) from None
