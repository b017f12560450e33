"""What people do with their own account: time zone, password, sessions, second factor."""

from datetime import datetime
from zoneinfo import available_timezones

from actions.acting import Acting, Refused, Tools
from database import accounts, second_factor, sign_in
from database.accounts import AccountError, User
from database.pool import Row, Transaction
from database.sign_in import SignInRefused

UNKNOWN_ADDRESS = "unknown"


def set_time_zone(tools: Tools, acting: Acting, zone: str) -> None:
    """Show times in another zone from now on."""
    if zone not in available_timezones():
        raise Refused(f"{zone} is no time zone; allowed: a name such as Europe/Berlin or UTC", "zone")
    with tools.database.transaction() as transaction:
        before = _user(transaction, acting).time_zone
        accounts.set_time_zone(transaction, acting.owner, zone)
        acting.note(transaction, "time zone", _subject(acting), before={"zone": before}, after={"zone": zone})


def change_password(
    tools: Tools, acting: Acting, *, current: str, new: str, again: str, token: str, now: datetime
) -> int:
    """Set another password and end every other session; return how many those were.

    `token` is the session that stays. Raises `Refused` for a wrong or a bad password.
    """
    if new != again:
        raise Refused("The two new passwords are not the same.", "again")
    _confirm(tools, acting, current, now)
    with tools.database.transaction() as transaction:
        try:
            accounts.change_password(transaction, acting.owner, new)
        except AccountError as error:
            raise Refused(str(error), "new") from None
        ended = sign_in.end_other_sessions(transaction, acting.owner, token)
        acting.note(transaction, "new password", _subject(acting))
    return ended


def sessions(tools: Tools, acting: Acting, now: datetime) -> list[Row]:
    """Return the open sessions of the account, the one last seen first."""
    with tools.database.transaction() as transaction:
        return sign_in.sessions_of(transaction, acting.owner, now)


def end_session(tools: Tools, acting: Acting, session: int) -> None:
    """End one session: its pages leave within seconds."""
    with tools.database.transaction() as transaction:
        if not sign_in.end_session_of(transaction, acting.owner, session):
            raise Refused("That session has ended already.")
        acting.note(transaction, "session end", f"session {session}")


def end_other_sessions(tools: Tools, acting: Acting, token: str) -> int:
    """End every session but the one of this token; return how many those were."""
    with tools.database.transaction() as transaction:
        ended = sign_in.end_other_sessions(transaction, acting.owner, token)
        acting.note(transaction, "sessions end", _subject(acting), after={"ended": ended})
    return ended


def enable_second_factor(tools: Tools, acting: Acting, *, secret: str, code: str, now: datetime) -> None:
    """Ask for a code at every sign-in from now on; `code` shows that the authenticator has the secret."""
    with tools.database.transaction() as transaction:
        if second_factor.has_second_factor(transaction, acting.owner):
            raise Refused("There is a second factor already: turn it off first.")
        if not second_factor.set_second_factor(transaction, tools.vault, acting.owner, secret, code, now):
            raise Refused("That is not the code of now. Is the phone's clock right?", "code")
        acting.note(transaction, "second factor on", _subject(acting))


def disable_second_factor(tools: Tools, acting: Acting, *, password: str, now: datetime) -> None:
    """Ask for the password alone from now on; raise `Refused` where that is not the password."""
    _confirm(tools, acting, password, now)
    with tools.database.transaction() as transaction:
        second_factor.drop_second_factor(transaction, acting.owner)
        acting.note(transaction, "second factor off", _subject(acting))


def _confirm(tools: Tools, acting: Acting, password: str, now: datetime) -> None:
    with tools.database.transaction() as transaction:
        user = _user(transaction, acting)
    address = acting.address or UNKNOWN_ADDRESS
    try:
        sign_in.confirm_password(tools.database, user, password, address=address, now=now)
    except SignInRefused as error:
        raise Refused(str(error), "current") from None


def _user(transaction: Transaction, acting: Acting) -> User:
    user = accounts.user(transaction, acting.owner)
    if user is None:
        raise Refused("There is no such account.")
    return user


def _subject(acting: Acting) -> str:
    return f"user {acting.owner}"
