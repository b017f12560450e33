"""Webhook tokens of users and keys of services: looked up by a keyed hash, never by their text.

A webhook token is kept besides as a sealed copy, so that its full address can be shown again. A
service key is shown once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from database.keys import hash_key
from database.pool import Transaction
from encryption import Vault, keyed_hash, new_token

TOKEN_PREFIX = "usr_"  # noqa: S105  the beginning of every token, not one of them
KEY_PREFIX = "svc_"
SHOWN = 8
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One webhook token of a user; `connection_id` narrows it to one connection. `prefix` may be shown."""

    id: int
    user_id: int
    name: str
    prefix: str
    connection_id: int | None
    is_active: bool
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """One service's key; None as allowed users or channels means all of them."""

    id: int
    name: str
    allowed_users: tuple[int, ...] | None
    allowed_channels: tuple[str, ...] | None
    is_active: bool
    last_used_at: datetime | None
    created_at: datetime


def create_token(
    transaction: Transaction,
    vault: Vault,
    user_id: int,
    *,
    name: str = "TradingView",
    connection_id: int | None = None,
) -> str:
    """Make another webhook token of a user and return its text; those made before stay valid.

    Raises ValueError where the connection is not the user's.
    """
    text = new_token(TOKEN_PREFIX)
    made = transaction.execute(
        """
        INSERT INTO user_webhook_tokens
               (user_id, token_hash, token_sealed, sealed_with, prefix, name, connection_id)
        SELECT %(user)s, %(hash)s, %(sealed)s, %(key)s, %(prefix)s, %(name)s, %(connection)s
         WHERE %(connection)s::bigint IS NULL
            OR EXISTS (SELECT FROM user_api_keys WHERE id = %(connection)s AND user_id = %(user)s)
        """,
        {
            **_secret_columns(transaction, vault, text),
            "user": user_id,
            "name": name,
            "connection": connection_id,
        },
    )
    if made != 1:
        raise ValueError(f"connection {connection_id} is not one of this user's")
    return text


def find_token(transaction: Transaction, key: bytes, text: str) -> Token | None:
    """Return the active token of an active user that has this text, or None.

    `key` is `database.keys.hash_key`, which never changes: a server fetches it once.
    """
    row = transaction.maybe(
        """
        SELECT tokens.* FROM user_webhook_tokens AS tokens JOIN users ON users.id = tokens.user_id
         WHERE token_hash = %s AND tokens.is_active AND users.is_active
        """,
        (keyed_hash(key, text),),
    )
    return None if row is None else _token_from(row)


def note_token_use(transaction: Transaction, token_id: int, now: datetime) -> None:
    """Note the use of a token, at most once a minute and never waiting for another who notes it."""
    _note_use(transaction, "user_webhook_tokens", token_id, now)


def tokens_of(transaction: Transaction, user_id: int) -> list[Token]:
    """Return a user's tokens, revoked ones too, oldest first."""
    rows = transaction.all("SELECT * FROM user_webhook_tokens WHERE user_id = %s ORDER BY id", (user_id,))
    return [_token_from(row) for row in rows]


def reveal_token(transaction: Transaction, vault: Vault, user_id: int, token_id: int) -> str | None:
    """Return the text of a user's active token, None where there is no such token."""
    row = transaction.maybe(
        """
        SELECT token_sealed, sealed_with FROM user_webhook_tokens
         WHERE id = %s AND user_id = %s AND is_active
        """,
        (token_id, user_id),
    )
    return None if row is None else vault.open(row["token_sealed"], row["sealed_with"])


def rotate_token(transaction: Transaction, vault: Vault, user_id: int, token_id: int) -> str | None:
    """Give a user's token a new text, under which it is active, and return it; the old text is dead."""
    text = new_token(TOKEN_PREFIX)
    changed = transaction.execute(
        """
        UPDATE user_webhook_tokens
           SET token_hash = %(hash)s, token_sealed = %(sealed)s, sealed_with = %(key)s, prefix = %(prefix)s,
               is_active = true, last_used_at = NULL
         WHERE id = %(id)s AND user_id = %(user)s
        """,
        {**_secret_columns(transaction, vault, text), "id": token_id, "user": user_id},
    )
    return text if changed == 1 else None


def revoke_token(transaction: Transaction, user_id: int, token_id: int) -> bool:
    """Make a user's token invalid for good; tell whether there was such an active token."""
    return (
        transaction.execute(
            "UPDATE user_webhook_tokens SET is_active = false WHERE id = %s AND user_id = %s AND is_active",
            (token_id, user_id),
        )
        == 1
    )


def create_service_key(
    transaction: Transaction,
    vault: Vault,
    name: str,
    *,
    allowed_users: Sequence[int] | None = None,
    allowed_channels: Sequence[str] | None = None,
) -> str:
    """Make a service's key and return its text, which cannot be shown again.

    Raises ValueError for a name that is taken.
    """
    text = new_token(KEY_PREFIX)
    made = transaction.execute(
        """
        INSERT INTO service_keys (name, key_hash, allowed_users, allowed_channels) VALUES (%s, %s, %s, %s)
        ON CONFLICT (name) DO NOTHING
        """,
        (name, keyed_hash(hash_key(transaction, vault), text), _list(allowed_users), _list(allowed_channels)),
    )
    if made != 1:
        raise ValueError(f"there is a service key named {name} already; rotate it or take another name")
    return text


def find_service_key(transaction: Transaction, key: bytes, text: str) -> ServiceKey | None:
    """Return the active service key that has this text, or None; `key` as for `find_token`."""
    row = transaction.maybe(
        "SELECT * FROM service_keys WHERE key_hash = %s AND is_active", (keyed_hash(key, text),)
    )
    return None if row is None else _service_key_from(row)


def note_service_key_use(transaction: Transaction, key_id: int, now: datetime) -> None:
    """Note the use of a service key, as `note_token_use` does."""
    _note_use(transaction, "service_keys", key_id, now)


def service_keys(transaction: Transaction) -> list[ServiceKey]:
    """Return every service key, revoked ones too, by name."""
    return [_service_key_from(row) for row in transaction.all("SELECT * FROM service_keys ORDER BY name")]


def rotate_service_key(transaction: Transaction, vault: Vault, name: str) -> str | None:
    """Give a service's key a new text and return it, None where there is no such service."""
    text = new_token(KEY_PREFIX)
    changed = transaction.execute(
        "UPDATE service_keys SET key_hash = %s, is_active = true WHERE name = %s",
        (keyed_hash(hash_key(transaction, vault), text), name),
    )
    return text if changed == 1 else None


def revoke_service_key(transaction: Transaction, name: str) -> bool:
    """Make a service's key invalid; tell whether there was such an active key."""
    sql = "UPDATE service_keys SET is_active = false WHERE name = %s AND is_active"
    return transaction.execute(sql, (name,)) == 1


def _secret_columns(transaction: Transaction, vault: Vault, text: str) -> dict[str, Any]:
    return {
        "hash": keyed_hash(hash_key(transaction, vault), text),
        "sealed": vault.seal(text),
        "key": vault.key_id,
        "prefix": text[:SHOWN],
    }


def _note_use(transaction: Transaction, table: str, row_id: int, now: datetime) -> None:
    transaction.execute(
        f"""
        UPDATE {table} SET last_used_at = %(now)s
         WHERE id = (SELECT id FROM {table}
                      WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(stale)s)
                        FOR UPDATE SKIP LOCKED)
        """,
        {"id": row_id, "now": now, "stale": now - NOTED_EVERY},
    )


def _token_from(row: Mapping[str, Any]) -> Token:
    return Token(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        prefix=row["prefix"],
        connection_id=row["connection_id"],
        is_active=row["is_active"],
        last_used_at=row["last_used_at"],
        created_at=row["created_at"],
    )


def _service_key_from(row: Mapping[str, Any]) -> ServiceKey:
    return ServiceKey(
        id=row["id"],
        name=row["name"],
        allowed_users=_tuple(row["allowed_users"]),
        allowed_channels=_tuple(row["allowed_channels"]),
        is_active=row["is_active"],
        last_used_at=row["last_used_at"],
        created_at=row["created_at"],
    )


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
