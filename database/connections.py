"""What a user may change about a connection: limits and netting, and how it is labelled."""

from typing import Any

from database.pool import Transaction

EDITABLE = frozenset({"label", "allow_netting", "max_open_positions", "max_position_size"})


def edit_connection(transaction: Transaction, user_id: int, connection_id: int, **changes: Any) -> bool:
    """Change a user's connection; tell whether the user has it. Raise ValueError for other columns."""
    unknown = set(changes) - EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(EDITABLE)}")
    assignments = ", ".join(f"{name} = %({name})s" for name in changes)
    sql = f"""
        UPDATE user_api_keys SET {assignments}, updated_at = now()
         WHERE id = %(connection_id)s AND user_id = %(user_id)s
    """
    return transaction.execute(sql, {**changes, "connection_id": connection_id, "user_id": user_id}) == 1
