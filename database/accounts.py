"""Accounts: who they are, signing up, invitations and reset links; `database/sign_in.py` lets them in.

Passwords are hashed with argon2id. Session tokens and one-time codes are 256 random bits, so that
their plain SHA-256 is stored and nothing can be guessed from it.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from argon2 import PasswordHasher

from core.bot import TradingState
from database.keys import is_sign_up_code
from database.pool import Row, Transaction
from database.second_factor import drop_second_factor
from encryption import Vault

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000
INVITATION_LIFE = timedelta(days=7)
RESET_LIFE = timedelta(hours=24)

HASHER = PasswordHasher()
_email = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+|[^@\s]+@localhost")


class AccountError(Exception):
    """Show the sentence: it says what cannot be done with an account and what is allowed."""


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class SignUp(StrEnum):
    """Who may make an account once there is one."""

    INVITATION = "invitation"
    OPEN = "open"
    CLOSED = "closed"


class LinkKind(StrEnum):
    INVITE = "invite"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One account, without its password; `flatten` says that the kill switch is closing everything."""

    id: int
    email: str
    role: Role
    time_zone: str
    trading_state: TradingState
    flatten: bool
    is_active: bool
    created_at: datetime

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


def user_from(row: Mapping[str, Any]) -> User:
    """Make a `User` of a row of users; its password stays behind."""
    return User(
        id=row["id"],
        email=row["email"],
        role=Role(row["role"]),
        time_zone=row["time_zone"],
        trading_state=TradingState(row["trading_state"]),
        flatten=row["flatten"],
        is_active=row["is_active"],
        created_at=row["created_at"],
    )


def create_user(transaction: Transaction, email: str, password: str, *, role: Role = Role.USER) -> User:
    """Make an account; the first one is an admin whatever `role` says. Raise `AccountError`."""
    address = checked_email(email)
    check_password(password, address)
    # Two first accounts at once must not both become admin.
    transaction.one("SELECT only_row FROM server_settings FOR UPDATE")
    if not there_is_an_account(transaction):
        role = Role.ADMIN
    row = transaction.maybe(
        """
        INSERT INTO users (email, password_hash, role) VALUES (%s, %s, %s)
        ON CONFLICT (lower(email)) DO NOTHING RETURNING *
        """,
        (address, HASHER.hash(password), role),
    )
    if row is None:
        raise AccountError(f"There is an account {address} already.")
    transaction.execute("UPDATE server_settings SET sign_up_code_hash = NULL")
    return user_from(row)


def there_is_an_account(transaction: Transaction) -> bool:
    """Tell whether anybody has signed up yet."""
    return transaction.value("SELECT EXISTS (SELECT FROM users)") is True


def user(transaction: Transaction, user_id: int) -> User | None:
    """Return an account by its id."""
    row = transaction.maybe("SELECT * FROM users WHERE id = %s", (user_id,))
    return None if row is None else user_from(row)


def user_by_email(transaction: Transaction, email: str) -> User | None:
    """Return an account by its address, in any case of letters."""
    row = transaction.maybe("SELECT * FROM users WHERE lower(email) = lower(%s)", (email.strip(),))
    return None if row is None else user_from(row)


def all_users(transaction: Transaction) -> list[User]:
    """Return every account, oldest first."""
    return [user_from(row) for row in transaction.all("SELECT * FROM users ORDER BY id")]


def accounts_page(transaction: Transaction, text: str, *, limit: int, offset: int) -> list[Row]:
    """Return a page of the accounts whose address holds `text`, oldest first, with what each has.

    `total` is how many there are, on every row.
    """
    return transaction.all(
        """
        SELECT users.id, email, role, is_active, trading_state, flatten, created_at,
               totp_sealed IS NOT NULL AS has_second_factor, count(*) OVER () AS total,
               (SELECT max(last_seen_at) FROM user_sessions WHERE user_id = users.id) AS last_seen_at,
               (SELECT count(*) FROM user_bot_configs
                 WHERE user_id = users.id AND archived_at IS NULL) AS bots
          FROM users WHERE strpos(lower(email), lower(%(text)s)) > 0
         ORDER BY users.id LIMIT %(limit)s OFFSET %(offset)s
        """,
        {"text": text.strip(), "limit": limit, "offset": offset},
    )


def checked_email(text: str) -> str:
    """Return an address without spaces around it; raise `AccountError` for what is none."""
    address = text.strip()
    if len(address) > 254 or not address.isprintable() or not _email.fullmatch(address):
        raise AccountError(f"{address[:80]!r} is not an e-mail address; allowed: name@example.com.")
    return address


def check_password(password: str, email: str) -> None:
    """Raise `AccountError` for a password that is too short, too long or the address itself."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError(f"The password must have at least {SHORTEST_PASSWORD} characters.")
    if password.strip().lower() == email.lower():
        raise AccountError("The password must not be the e-mail address.")


def set_password(transaction: Transaction, user_id: int, password: str) -> None:
    """Change a password and end every session of the account; raise `AccountError` for a bad one."""
    change_password(transaction, user_id, password)
    end_sessions_of(transaction, user_id)


def change_password(transaction: Transaction, user_id: int, password: str) -> None:
    """Change a password and let sessions live; raise `AccountError` for a bad one."""
    email = transaction.one("SELECT email FROM users WHERE id = %s FOR UPDATE", (user_id,))["email"]
    check_password(password, email)
    transaction.execute("UPDATE users SET password_hash = %s WHERE id = %s", (HASHER.hash(password), user_id))


def set_time_zone(transaction: Transaction, user_id: int, zone: str) -> None:
    """Set in which time zone an account sees times."""
    transaction.execute("UPDATE users SET time_zone = %s WHERE id = %s", (zone, user_id))


def set_active(transaction: Transaction, user_id: int, *, active: bool) -> None:
    """Open or close an account; a closed one cannot sign in, and its webhook tokens are invalid."""
    transaction.execute("UPDATE users SET is_active = %s WHERE id = %s", (active, user_id))
    if not active:
        end_sessions_of(transaction, user_id)


def set_role(transaction: Transaction, user_id: int, role: Role) -> None:
    """Make an account an admin's or a user's."""
    transaction.execute("UPDATE users SET role = %s WHERE id = %s", (role, user_id))


def lock_admins(transaction: Transaction) -> list[int]:
    """Return the admins that can sign in; nobody else changes who is one until the transaction ends."""
    transaction.one("SELECT only_row FROM server_settings FOR UPDATE")
    rows = transaction.all("SELECT id FROM users WHERE role = 'admin' AND is_active ORDER BY id")
    return [row["id"] for row in rows]


def sign_up(
    transaction: Transaction, vault: Vault, email: str, password: str, *, code: str, now: datetime
) -> User:
    """Make an account for whoever may have one; raise `AccountError` for anybody else.

    The first account needs the code that `run.py` printed, later ones what `server_settings.sign_up` asks.
    """
    if not there_is_an_account(transaction):
        if not is_sign_up_code(transaction, vault, code):
            raise AccountError("This is not the code that was printed when DashTrade started.")
        return create_user(transaction, email, password)
    setting = sign_up_setting(transaction)
    if setting is SignUp.CLOSED:
        raise AccountError("Nobody can sign up here. Ask whoever runs this server.")
    if setting is SignUp.INVITATION:
        _use_link(transaction, LinkKind.INVITE, code, now)
    return create_user(transaction, email, password)


def sign_up_setting(transaction: Transaction) -> SignUp:
    """Return who may make an account."""
    return SignUp(transaction.value("SELECT sign_up FROM server_settings"))


def set_sign_up(transaction: Transaction, setting: SignUp) -> None:
    """Decide who may make an account."""
    transaction.execute("UPDATE server_settings SET sign_up = %s", (setting,))


def invite(transaction: Transaction, now: datetime) -> str:
    """Return a code that makes one account within a week."""
    return _new_link(transaction, LinkKind.INVITE, None, now + INVITATION_LIFE)


def allow_reset(transaction: Transaction, user_id: int, now: datetime) -> str:
    """Return a code that sets a new password once within a day; codes given out before die."""
    transaction.execute("DELETE FROM user_invites WHERE kind = 'reset' AND user_id = %s", (user_id,))
    return _new_link(transaction, LinkKind.RESET, user_id, now + RESET_LIFE)


def reset_password(transaction: Transaction, code: str, password: str, now: datetime) -> User:
    """Set the new password of whom the code was made for; raise `AccountError` for a dead code.

    The second factor goes too: who lost it comes in by this link alone.
    """
    user_id = _use_link(transaction, LinkKind.RESET, code, now)
    set_password(transaction, user_id, password)
    drop_second_factor(transaction, user_id)
    return user_from(transaction.one("SELECT * FROM users WHERE id = %s", (user_id,)))


def is_link_alive(transaction: Transaction, kind: LinkKind, code: str, now: datetime) -> bool:
    """Tell whether a code could still be used."""
    row = transaction.maybe(
        """
        SELECT 1 FROM user_invites
         WHERE kind = %s AND code_hash = %s AND used_at IS NULL AND expires_at > %s
        """,
        (kind, digest(code), now),
    )
    return row is not None


def _new_link(transaction: Transaction, kind: LinkKind, user_id: int | None, expires_at: datetime) -> str:
    code = secrets.token_urlsafe(32)
    transaction.execute(
        "INSERT INTO user_invites (kind, user_id, code_hash, expires_at) VALUES (%s, %s, %s, %s)",
        (kind, user_id, digest(code), expires_at),
    )
    return code


def end_sessions_of(transaction: Transaction, user_id: int) -> int:
    """End every session of an account; return how many those were."""
    return transaction.execute(
        "UPDATE user_sessions SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (user_id,)
    )


def digest(token: str) -> bytes:
    """Return the SHA-256 under which a token of 256 random bits is stored."""
    return hashlib.sha256(token.encode()).digest()


def _use_link(transaction: Transaction, kind: LinkKind, code: str, now: datetime) -> Any:
    row = transaction.maybe(
        """
        UPDATE user_invites SET used_at = %s
         WHERE kind = %s AND code_hash = %s AND used_at IS NULL AND expires_at > %s RETURNING user_id
        """,
        (now, kind, digest(code), now),
    )
    if row is None:
        raise AccountError(
            "This link was used already or is too old. Ask whoever runs this server for a new one."
        )
    return row["user_id"]
