"""The kill switch."""

import click

from administration.console import ACTOR, Console, Problem, pass_console
from database import accounts, kill_switch
from database.kill_switch import Change, NoSuchScope, Scope, Wanted
from database.pool import Transaction


@click.command("kill-switch")
@click.argument("scope", type=click.Choice([scope.value for scope in Scope]))
@click.argument("what", nargs=-1, required=True, metavar="[ID] active|reducing|halted|flatten")
@pass_console
def set_kill_switch(console: Console, scope: str, what: tuple[str, ...]) -> None:
    """Stop trading, let it go on, or close everything.

    reducing: only exits go. halted: nothing goes, not even protection. flatten: everything is closed,
    then halted. The server needs no ID; a user may be named by e-mail address.
    """
    *ids, state = what
    wanted = _wanted(state)
    if len(ids) != (0 if scope == Scope.SERVER else 1):
        if scope == Scope.SERVER:
            raise Problem(f"The server has no number: manage.py kill-switch server {state}")
        raise Problem(f"Say which {scope}, then the state: manage.py kill-switch {scope} ID {state}")
    with console.transaction() as transaction:
        scope_id = None if scope == Scope.SERVER else _id(transaction, scope, ids[0])
        try:
            change = kill_switch.set_switch(transaction, Scope(scope), scope_id, wanted, actor=ACTOR)
        except NoSuchScope as error:
            raise Problem(f"Nothing was changed: {error}") from None
    for line in _told(change):
        click.echo(line)


def _wanted(text: str) -> Wanted:
    try:
        return Wanted(text.upper())
    except ValueError:
        allowed = ", ".join(each.lower() for each in Wanted)
        raise Problem(f"{text!r} is not a state; allowed: {allowed}") from None


def _id(transaction: Transaction, scope: str, text: str) -> int:
    if scope == Scope.USER and "@" in text:
        user = accounts.user_by_email(transaction, text)
        if user is not None:
            return user.id
    if not text.isascii() or not text.isdigit():
        raise Problem(f"There is no {scope} {text}; allowed: the number of one")
    return int(text)


def _told(change: Change) -> list[str]:
    name = change.scope if change.id is None else f"{change.scope} {change.id}"
    lines = [f"{name}: {change.before.lower()} before, {change.after.lower()} now."]
    if change.after is Wanted.FLATTEN:
        bots = ", ".join(map(str, change.closing))
        lines.append(f"Closing bots {bots}; halted when all closes are final." if bots else
                     "Nothing is held; it turns halted at once.")  # fmt: skip
    if change.held_back:
        held = ", ".join(map(str, change.held_back))
        lines.append(f"Bots {held} cannot close: a switch above or below is halted. Set it to reducing.")
    if change.waits_for_reconcile:
        lines.append("The connection stays halted until it is reconciled after the restore.")
    return lines
