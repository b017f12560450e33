"""Write down who did what to which thing; secrets appear as prefixes only."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from psycopg2.extras import Json

from database.pool import Row, Transaction


def record(
    transaction: Transaction,
    *,
    actor: str,
    action: str,
    subject: str,
    user_id: int | None = None,
    address: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record an action in the transaction that carries it out.

    `actor` is an e-mail address or the tool used, `user_id` whose things were touched, `subject` the
    thing itself, such as `bot 7`.
    """
    transaction.execute(
        """
        INSERT INTO audit_log (user_id, actor, action, subject, address, before, after)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (user_id, actor, action, subject, address, _json(before), _json(after)),
    )


def newest(transaction: Transaction, *, user_id: int | None = None, limit: int = 100) -> list[Row]:
    """Return the newest records, of one user's things or (None) of the whole server."""
    return transaction.all(
        """
        SELECT * FROM audit_log WHERE %(user)s::bigint IS NULL OR user_id = %(user)s
         ORDER BY id DESC LIMIT %(limit)s
        """,
        {"user": user_id, "limit": limit},
    )


def page(
    transaction: Transaction, *, before: int | None = None, text: str = "", limit: int = 50
) -> list[Row]:
    """Return a page of the whole server's records, newest first, with whose things were touched.

    `before` is the id of the last row of the page before; `text` is looked for in actor, action, subject.
    """
    return transaction.all(
        """
        SELECT audit_log.*, users.email AS owner FROM audit_log LEFT JOIN users ON users.id = audit_log.user_id
         WHERE (%(before)s::bigint IS NULL OR audit_log.id < %(before)s)
           AND (%(text)s = '' OR strpos(lower(actor || ' ' || action || ' ' || subject), lower(%(text)s)) > 0)
         ORDER BY audit_log.id DESC LIMIT %(limit)s
        """,
        {"before": before, "text": text.strip(), "limit": limit},
    )


def _json(values: Mapping[str, Any] | None) -> Json | None:
    return None if values is None else Json({name: _plain(value) for name, value in values.items()})


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else _text(value)


def _text(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)
