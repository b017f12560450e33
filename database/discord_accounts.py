"""Whose Discord account is whose, the one-time codes that prove it, and what a user wants from Discord."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg2.extras import Json

from database import audit
from database.pool import Row, Transaction

CODE_LIFE = timedelta(minutes=10)
STATE_LIFE = timedelta(minutes=10)
GUESS_WINDOW = timedelta(minutes=15)
MOST_GUESSES = 5
CODE_LENGTH = 10
# Without letters and digits that are taken for each other.
ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
GUESS_LOCK = 8
CHANNEL = "notification_channel_id"
EDITABLE = frozenset(
    {
        *("notifications_enabled", "enabled_timeframes", "preferred_pairs", "min_confidence"),
        *("only_ml_enhanced", "max_notifications_per_day", "notification_cooldown_minutes"),
        *("only_with_edge", "running_update_minutes", "trade_limit_hours", "account_currency"),
        CHANNEL,
    }
)


class CodeKind(StrEnum):
    """CODE is typed in Discord, OAUTH is the state of a visit to Discord's own page."""

    CODE = "CODE"
    OAUTH = "OAUTH"


class Linking(StrEnum):
    """What came of an attempt to link: WRONG also for a code that is used or expired, TAKEN for an account of
    Discord that is linked to another account here."""

    LINKED = "LINKED"
    WRONG = "WRONG"
    TOO_MANY = "TOO_MANY"
    TAKEN = "TAKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """An attempt's result; whose account it is now, where it is LINKED."""

    result: Linking
    user_id: int | None = None
    email: str | None = None


def new_code() -> str:
    """Return a code that a person types: 10 letters and digits, about 49 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def code_hash(text: str) -> bytes:
    """Return what a typed code is looked up by; capitals, spaces and hyphens make no difference."""
    return hashlib.sha256("".join(text.upper().replace("-", " ").split()).encode()).digest()


def state_hash(text: str) -> bytes:
    """Return what the state of a visit to Discord is looked up by."""
    return hashlib.sha256(text.encode()).digest()


def store_code(transaction: Transaction, user_id: int, hashed: bytes, now: datetime) -> None:
    """Keep a new code for a user; codes made before are dead."""
    transaction.execute(
        "UPDATE link_codes SET used_at = %s WHERE user_id = %s AND kind = 'CODE' AND used_at IS NULL",
        (now, user_id),
    )
    _store(transaction, CodeKind.CODE, user_id, None, hashed, now, now + CODE_LIFE)


def store_state(
    transaction: Transaction,
    user_id: int,
    session_id: int,
    hashed: bytes,
    now: datetime,
    *,
    dashboard: str | None = None,
) -> None:
    """Keep the state of a visit to Discord that began in a session of the `dashboard` at that address."""
    _store(transaction, CodeKind.OAUTH, user_id, session_id, hashed, now, now + STATE_LIFE, dashboard)


def take_state(transaction: Transaction, hashed: bytes, session_id: int, now: datetime) -> Row | None:
    """Use up a state and return its `user_id`, `email` and `dashboard`.

    None where it is unknown, used, expired, of another session or of a closed account.
    """
    return transaction.maybe(
        """
        UPDATE link_codes SET used_at = %(now)s FROM users
         WHERE code_hash = %(hash)s AND kind = 'OAUTH' AND session_id = %(session)s AND used_at IS NULL
           AND link_codes.expires_at > %(now)s AND users.id = link_codes.user_id AND users.is_active
        RETURNING users.id AS user_id, users.email, link_codes.dashboard
        """,
        {"hash": hashed, "session": session_id, "now": now},
    )


def redeem_code(
    transaction: Transaction, hashed: bytes, discord_user_id: int, discord_username: str, now: datetime
) -> Linked:
    """Link a Discord account by a code from the dashboard; every wrong guess counts against the account.

    Commit whatever comes back: a guess that is rolled back was not counted. Five wrong ones in 15 minutes
    are the limit. The code stays good where the Discord account is TAKEN.
    """
    transaction.execute(
        "SELECT pg_advisory_xact_lock(%s, hashint8(%s::bigint))", (GUESS_LOCK, discord_user_id)
    )
    if _guesses(transaction, discord_user_id, now) >= MOST_GUESSES:
        return Linked(result=Linking.TOO_MANY)
    row = transaction.maybe(
        """
        SELECT link_codes.id, users.id AS user_id, users.email
          FROM link_codes JOIN users ON users.id = link_codes.user_id AND users.is_active
         WHERE code_hash = %s AND kind = 'CODE' AND used_at IS NULL AND expires_at > %s
           FOR UPDATE OF link_codes
        """,
        (hashed, now),
    )
    if row is None:
        sql = "INSERT INTO link_attempts (discord_user_id, attempted_at) VALUES (%s, %s)"
        transaction.execute(sql, (discord_user_id, now))
        return Linked(result=Linking.WRONG)
    done = link(transaction, row["user_id"], discord_user_id, discord_username, now, actor="discord /link")
    if not done:
        return Linked(result=Linking.TAKEN)
    transaction.execute("UPDATE link_codes SET used_at = %s WHERE id = %s", (now, row["id"]))
    transaction.execute("DELETE FROM link_attempts WHERE discord_user_id = %s", (discord_user_id,))
    return Linked(result=Linking.LINKED, user_id=row["user_id"], email=row["email"])


def link(
    transaction: Transaction,
    user_id: int,
    discord_user_id: int,
    discord_username: str,
    now: datetime,
    *,
    actor: str,
    address: str | None = None,
) -> bool:
    """Join a Discord account to a user's, in place of the one before; False where it is another user's."""
    # Two accounts that are linked to one Discord account at once wait for each other here.
    transaction.execute(
        "SELECT pg_advisory_xact_lock(%s, hashint8(%s::bigint))", (GUESS_LOCK, discord_user_id)
    )
    owner = user_of_discord(transaction, discord_user_id, closed_too=True)
    if owner not in (None, user_id):
        return False
    before = settings_of(transaction, user_id)
    transaction.execute(
        """
        INSERT INTO user_discord_settings (user_id, discord_user_id, discord_username, linked_at)
        VALUES (%(user)s, %(discord)s, %(name)s, %(now)s)
        ON CONFLICT (user_id) DO UPDATE
           SET discord_user_id = %(discord)s, discord_username = %(name)s, linked_at = %(now)s
        """,
        {"user": user_id, "discord": discord_user_id, "name": discord_username[:100], "now": now},
    )
    audit.record(
        transaction, actor=actor, action="discord link", subject=f"user {user_id}", user_id=user_id,
        address=address,
        before={"account": before["discord_username"], "id": before["discord_user_id"]},
        after={"account": discord_username[:100], "id": discord_user_id},
    )  # fmt: skip
    return True


def unlink(transaction: Transaction, user_id: int) -> Row | None:
    """Part a user's account from Discord; return what it was joined to, None where it was to nothing."""
    return transaction.maybe(
        """
        UPDATE user_discord_settings AS settings SET discord_user_id = NULL, discord_username = NULL, linked_at = NULL
          FROM (SELECT user_id, discord_user_id, discord_username FROM user_discord_settings
                 WHERE user_id = %s FOR UPDATE) AS before
         WHERE settings.user_id = before.user_id AND before.discord_user_id IS NOT NULL
        RETURNING before.discord_user_id, before.discord_username
        """,
        (user_id,),
    )


def user_of_discord(
    transaction: Transaction, discord_user_id: int, *, closed_too: bool = False
) -> int | None:
    """Return the user to whom a Discord account is linked; None without one, or where the account is closed."""
    found: int | None = transaction.value(
        """
        SELECT users.id FROM user_discord_settings AS settings JOIN users ON users.id = settings.user_id
         WHERE settings.discord_user_id = %s AND (users.is_active OR %s)
        """,
        (discord_user_id, closed_too),
    )
    return found


def settings_of(transaction: Transaction, user_id: int) -> Row:
    """Return what a user wants from Discord and which account is linked; the defaults where nothing is stored."""
    transaction.execute(
        "INSERT INTO user_discord_settings (user_id) VALUES (%s) ON CONFLICT (user_id) DO NOTHING", (user_id,)
    )
    return transaction.one("SELECT * FROM user_discord_settings WHERE user_id = %s", (user_id,))


def change_settings(transaction: Transaction, user_id: int, changes: Mapping[str, Any]) -> Row:
    """Change what a user wants from Discord and return it. Raises ValueError for another column.

    A channel that is named is tried again, also where it was switched off.
    """
    unknown = set(changes) - EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(EDITABLE)}")
    settings_of(transaction, user_id)
    values = {name: Json(value) if isinstance(value, list) else value for name, value in changes.items()}
    assignments = ", ".join(f"{name} = %({name})s" for name in values)
    if CHANNEL in values:
        assignments += ", notification_channel_off_at = NULL, notification_channel_off_because = NULL"
    if values:
        transaction.execute(
            f"UPDATE user_discord_settings SET {assignments} WHERE user_id = %(user)s",
            {**values, "user": user_id},
        )
    return settings_of(transaction, user_id)


def switch_channel_off(
    transaction: Transaction, user_id: int, channel_id: int, because: str, now: datetime
) -> None:
    """Send a user nothing more to the channel they chose, where it still is that one."""
    transaction.execute(
        """
        UPDATE user_discord_settings SET notification_channel_off_at = %s, notification_channel_off_because = %s
         WHERE user_id = %s AND notification_channel_id = %s
        """,
        (now, because, user_id, channel_id),
    )


def _guesses(transaction: Transaction, discord_user_id: int, now: datetime) -> int:
    transaction.execute("DELETE FROM link_attempts WHERE attempted_at < %s", (now - GUESS_WINDOW,))
    return int(
        transaction.value(
            "SELECT count(*) FROM link_attempts WHERE discord_user_id = %s AND attempted_at >= %s",
            (discord_user_id, now - GUESS_WINDOW),
        )
    )


def _store(
    transaction: Transaction,
    kind: CodeKind,
    user_id: int,
    session_id: int | None,
    hashed: bytes,
    now: datetime,
    until: datetime,
    dashboard: str | None = None,
) -> None:
    transaction.execute("DELETE FROM link_codes WHERE expires_at < %s", (now - timedelta(days=1),))
    transaction.execute(
        """
        INSERT INTO link_codes (kind, user_id, session_id, code_hash, created_at, expires_at, dashboard)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (kind, user_id, session_id, hashed, now, until, dashboard),
    )
