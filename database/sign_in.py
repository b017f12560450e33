"""Let people in: passwords, second factors, the limits on wrong ones, and the sessions of browsers."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from argon2.exceptions import InvalidHashError, VerificationError

from core.addresses import counted_as
from database import second_factor
from database.accounts import HASHER, LONGEST_PASSWORD, User, digest, user_from
from database.pool import Database, Row, Transaction
from encryption import Vault, WrongKey

SESSION_LIFE = timedelta(days=30)
SEEN_EVERY = timedelta(minutes=1)

ATTEMPT_WINDOW = timedelta(minutes=15)
FAILURES_PER_ACCOUNT = 10
FAILURES_PER_ADDRESS = 50
TICKET_LIFE = timedelta(minutes=5)
KNOWN_ADDRESS_FOR = timedelta(days=30)
ATTEMPTS_KEPT = timedelta(days=90)
ATTEMPT_LOCK = 3

WRONG = "The e-mail address or the password is wrong."
WRONG_CODE = "That code is not right, or was used before. Wait for the next one and type it."
TICKET_DEAD = "That took too long. Begin again with your password."
WRONG_PASSWORD = "That is not your password."  # noqa: S105  a sentence, not one
TOO_MANY = f"Too many wrong attempts. Wait {ATTEMPT_WINDOW.seconds // 60} minutes and try again."

# Verified for unknown accounts, so that they take as long as known ones.
_nobody = HASHER.hash(secrets.token_hex())


class SignInRefused(Exception):
    """Show the sentence: it is the same for an unknown account, a wrong password and a closed account."""


class TooManyAttempts(SignInRefused):
    """Wait: too many wrong passwords came for this account or from this address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeNeeded:
    """The password was right and a code is wanted; the sealed ticket says so for five minutes."""

    ticket: str


def sign_in(
    database: Database, vault: Vault, email: str, password: str, *, address: str, now: datetime
) -> User | CodeNeeded:
    """Return the account of that e-mail address and password, or what leads on to its second factor.

    Every attempt counts as failed before the password is looked at, so that attempts made at once
    cannot exceed the limits; with a second factor it does until the code was right too. Raises
    `TooManyAttempts` and `SignInRefused`.
    """
    attempt, row = _checked(database, email.strip(), password, address, now)
    if row["totp_sealed"] is not None:
        return CodeNeeded(ticket=_ticket(vault, row, attempt, now))
    with database.transaction() as transaction:
        _note_success(transaction, [attempt])
        if HASHER.check_needs_rehash(row["password_hash"]):
            transaction.execute(
                "UPDATE users SET password_hash = %s WHERE id = %s AND password_hash = %s",
                (HASHER.hash(password), row["id"], row["password_hash"]),
            )
    return user_from(row)


def sign_in_with_code(
    database: Database, vault: Vault, ticket: str, code: str, *, address: str, now: datetime
) -> User:
    """Return the account of a ticket whose code is right; each code is good once.

    A wrong one counts like a wrong password. Raises `TooManyAttempts` and `SignInRefused`.
    """
    given = _read_ticket(vault, ticket, now)
    with database.transaction() as transaction:
        row = transaction.maybe("SELECT * FROM users WHERE id = %s AND is_active", (given["user"],))
        if row is None or given["password"] != _mark_of(row):
            raise SignInRefused(TICKET_DEAD)
        attempt = _begin_attempt(transaction, row["email"], address, now)
    with database.transaction() as transaction:
        if not second_factor.take_code(transaction, vault, row["id"], code, now):
            raise SignInRefused(WRONG_CODE)
        _note_success(transaction, [attempt, given["attempt"]])
    return user_from(row)


def confirm_password(database: Database, user: User, password: str, *, address: str, now: datetime) -> None:
    """Make sure that it is the user who sits there; raise `TooManyAttempts` and `SignInRefused`.

    A wrong password counts as one at the door does.
    """
    try:
        attempt, row = _checked(database, user.email, password, address, now)
    except TooManyAttempts:
        raise
    except SignInRefused:
        raise SignInRefused(WRONG_PASSWORD) from None
    with database.transaction() as transaction:
        _note_success(transaction, [attempt])
    if row["id"] != user.id:
        raise SignInRefused(WRONG_PASSWORD)


def _checked(database: Database, email: str, password: str, address: str, now: datetime) -> tuple[int, Row]:
    with database.transaction() as transaction:
        attempt = _begin_attempt(transaction, email, address, now)
        row = transaction.maybe("SELECT * FROM users WHERE lower(email) = lower(%s)", (email,))
    # Hashing takes long: no connection is held meanwhile.
    if not _password_fits(row, password) or row is None or not row["is_active"]:
        raise SignInRefused(WRONG)
    return attempt, row


def _note_success(transaction: Transaction, attempts: list[int]) -> None:
    transaction.execute("UPDATE sign_in_attempts SET succeeded = true WHERE id = ANY(%s)", (attempts,))


def _ticket(vault: Vault, row: Row, attempt: int, now: datetime) -> str:
    """Seal that the password was right; it dies with the password."""
    until = (now + TICKET_LIFE).isoformat()
    said = {"user": row["id"], "attempt": attempt, "until": until, "password": _mark_of(row)}
    return vault.seal(json.dumps(said)).decode()


def _read_ticket(vault: Vault, ticket: str, now: datetime) -> Row:
    try:
        said: Row = json.loads(vault.open(ticket.encode()))
        until = datetime.fromisoformat(said["until"]).astimezone(UTC)
    except (WrongKey, ValueError, KeyError, TypeError):
        raise SignInRefused(TICKET_DEAD) from None
    if until < now:
        raise SignInRefused(TICKET_DEAD)
    return said


def _mark_of(row: Row) -> str:
    return digest(row["password_hash"]).hex()


def open_session(transaction: Transaction, user_id: int, *, agent: str, now: datetime) -> str:
    """Return the token of a new session, which only the browser keeps."""
    token = secrets.token_urlsafe(32)
    transaction.execute(
        """
        INSERT INTO user_sessions (user_id, token_hash, agent, created_at, last_seen_at, expires_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (user_id, digest(token), agent[:200], now, now, now + SESSION_LIFE),
    )
    return token


def user_of_session(transaction: Transaction, token: str, now: datetime) -> User | None:
    """Return whose session it is; None when it ended, expired, or the account is closed."""
    row = transaction.maybe(
        """
        SELECT users.*, user_sessions.id AS session_id, last_seen_at
          FROM user_sessions JOIN users ON users.id = user_sessions.user_id
         WHERE token_hash = %s AND revoked_at IS NULL AND expires_at > %s AND users.is_active
        """,
        (digest(token), now),
    )
    if row is None:
        return None
    if now - row["last_seen_at"] > SEEN_EVERY:
        transaction.execute(
            "UPDATE user_sessions SET last_seen_at = %s WHERE id = %s", (now, row["session_id"])
        )
    return user_from(row)


def living_sessions(transaction: Transaction, tokens: Collection[str], now: datetime) -> set[str]:
    """Return which of these sessions are still open."""
    by_digest = {digest(token): token for token in tokens}
    rows = transaction.all(
        """
        SELECT token_hash FROM user_sessions JOIN users ON users.id = user_sessions.user_id
         WHERE token_hash = ANY(%s) AND revoked_at IS NULL AND expires_at > %s AND users.is_active
        """,
        (list(by_digest), now),
    )
    return {by_digest[bytes(row["token_hash"])] for row in rows}


def end_session(transaction: Transaction, token: str) -> User | None:
    """End a session and return whose it was, None where there was none."""
    row = transaction.maybe(
        """
        UPDATE user_sessions SET revoked_at = now() FROM users
         WHERE token_hash = %s AND revoked_at IS NULL AND users.id = user_sessions.user_id RETURNING users.*
        """,
        (digest(token),),
    )
    return None if row is None else user_from(row)


def session_id(transaction: Transaction, token: str) -> int | None:
    """Return the number of the session of a token."""
    found: int | None = transaction.value(
        "SELECT id FROM user_sessions WHERE token_hash = %s", (digest(token),)
    )
    return found


def end_session_of(transaction: Transaction, user_id: int, session: int) -> bool:
    """End one session of an account by its number; tell whether the account had it open."""
    sql = "UPDATE user_sessions SET revoked_at = now() WHERE id = %s AND user_id = %s AND revoked_at IS NULL"
    return transaction.execute(sql, (session, user_id)) == 1


def end_other_sessions(transaction: Transaction, user_id: int, token: str) -> int:
    """End every session of an account but the one of this token; return how many those were."""
    return transaction.execute(
        """
        UPDATE user_sessions SET revoked_at = now()
         WHERE user_id = %s AND token_hash <> %s AND revoked_at IS NULL AND expires_at > now()
        """,
        (user_id, digest(token)),
    )


def sessions_of(transaction: Transaction, user_id: int, now: datetime) -> list[Row]:
    """Return the open sessions of an account, the one last seen first."""
    return transaction.all(
        """
        SELECT id, agent, created_at, last_seen_at, expires_at FROM user_sessions
         WHERE user_id = %s AND revoked_at IS NULL AND expires_at > %s ORDER BY last_seen_at DESC
        """,
        (user_id, now),
    )


def _begin_attempt(transaction: Transaction, email: str, sender: str, now: datetime) -> int:
    address = counted_as(sender)
    transaction.execute("SELECT pg_advisory_xact_lock(%s, hashtext(lower(%s)))", (ATTEMPT_LOCK, email))
    if _is_over_limit(transaction, email, address, now):
        raise TooManyAttempts(TOO_MANY)
    transaction.execute("DELETE FROM sign_in_attempts WHERE attempted_at < %s", (now - ATTEMPTS_KEPT,))
    return int(
        transaction.value(
            """
            INSERT INTO sign_in_attempts (email, address, succeeded, attempted_at)
            VALUES (%s, %s, false, %s) RETURNING id
            """,
            (email[:254], address, now),
        )
    )


def _is_over_limit(transaction: Transaction, email: str, address: str, now: datetime) -> bool:
    """Count what failed lately.

    A stranger's guesses must not keep the owner out: where the account signed in from this address
    before, only what failed from here counts against it.
    """
    row = transaction.one(
        """
        SELECT count(*) FILTER (WHERE of_account AND recent) AS account,
               count(*) FILTER (WHERE from_here AND recent) AS address,
               count(*) FILTER (WHERE of_account AND from_here AND recent) AS both,
               coalesce(bool_or(of_account AND from_here AND succeeded), false) AS is_known
          FROM (SELECT succeeded, lower(email) = lower(%(email)s) AS of_account,
                       address = %(address)s AS from_here,
                       NOT succeeded AND attempted_at > %(recent)s AS recent
                  FROM sign_in_attempts
                 WHERE (lower(email) = lower(%(email)s) OR address = %(address)s)
                   AND attempted_at > %(known)s) AS attempts
        """,
        {
            "email": email,
            "address": address,
            "recent": now - ATTEMPT_WINDOW,
            "known": now - KNOWN_ADDRESS_FOR,
        },
    )
    against_account = row["both"] if row["is_known"] else row["account"]
    return bool(against_account >= FAILURES_PER_ACCOUNT or row["address"] >= FAILURES_PER_ADDRESS)


def _password_fits(row: Row | None, password: str) -> bool:
    try:
        return HASHER.verify(_nobody if row is None else row["password_hash"], password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
