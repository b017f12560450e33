"""What a user may change about a connection, and what Setup shows of it; the credentials never leave."""

from typing import Any

from database.pool import Row, Transaction

EDITABLE = frozenset({"label", "allow_netting", "max_open_positions", "max_position_size"})

_SHOWN = """
    SELECT connections.id, broker, mode, label, credentials_prefix, credentials_sealed IS NOT NULL AS has_keys,
           status, last_checked_at, last_error, warning, trading_state, flatten, allow_netting, max_open_positions,
           max_position_size, connections.created_at,
           (SELECT count(*) FROM user_bot_configs AS bots
             WHERE bots.connection_id = connections.id AND bots.archived_at IS NULL) AS bots
      FROM user_api_keys AS connections
     WHERE connections.user_id = %(user)s AND connections.archived_at IS NULL
"""


def shown_connections(transaction: Transaction, user_id: int) -> list[Row]:
    """Return a user's connections that are in use, oldest first, each with how many bots trade there."""
    return transaction.all(f"{_SHOWN} ORDER BY connections.id", {"user": user_id})


def shown_connection(
    transaction: Transaction, user_id: int, connection_id: int, *, lock: bool = False
) -> Row | None:
    """Return one of a user's connections, None where the user has no such one in use."""
    end = "FOR NO KEY UPDATE OF connections" if lock else ""
    sql = f"{_SHOWN} AND connections.id = %(id)s {end}"
    return transaction.maybe(sql, {"user": user_id, "id": connection_id})


def edit_connection(transaction: Transaction, user_id: int, connection_id: int, **changes: Any) -> bool:
    """Change a user's connection; tell whether the user has it. Raise ValueError for other columns."""
    unknown = set(changes) - EDITABLE
    if unknown:
        raise ValueError(f"not to be set: {sorted(unknown)}; allowed: {sorted(EDITABLE)}")
    assignments = ", ".join(f"{name} = %({name})s" for name in changes)
    sql = f"""
        UPDATE user_api_keys SET {assignments}, updated_at = now()
         WHERE id = %(connection_id)s AND user_id = %(user_id)s AND archived_at IS NULL
    """
    return transaction.execute(sql, {**changes, "connection_id": connection_id, "user_id": user_id}) == 1


def held_at(transaction: Transaction, connection_id: int) -> list[Row]:
    """Return what the bots of a connection hold together, by symbol; dust and nothing are left out."""
    return transaction.all(
        """
        SELECT lanes.symbol, sum(bots.quantity) AS quantity, string_agg(bots.name, ', ' ORDER BY bots.id) AS bots
          FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
         WHERE bots.connection_id = %s AND bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below
         GROUP BY lanes.symbol ORDER BY lanes.symbol
        """,
        (connection_id,),
    )


def has_open_orders(transaction: Transaction, connection_id: int) -> bool:
    """Tell whether an order of a connection is not final yet."""
    sql = "SELECT EXISTS (SELECT FROM orders WHERE connection_id = %s AND finished_at IS NULL)"
    return transaction.value(sql, (connection_id,)) is True


def remove_connection(transaction: Transaction, connection_id: int) -> bool:
    """Forget a connection's credentials and take it out of use; tell whether trades of it stay.

    One on which no bot was ever made is deleted with everything. Its bots must be archived before.
    """
    had_bots = transaction.value(
        "SELECT EXISTS (SELECT FROM user_bot_configs WHERE connection_id = %s)", (connection_id,)
    )
    if not had_bots:
        transaction.execute("DELETE FROM user_api_keys WHERE id = %s", (connection_id,))
        return False
    transaction.execute(
        """
        UPDATE user_api_keys SET archived_at = now(), credentials_sealed = NULL, credentials_prefix = NULL,
               sealed_with = NULL, updated_at = now() WHERE id = %s
        """,
        (connection_id,),
    )
    transaction.execute(
        "UPDATE user_webhook_tokens SET is_active = false WHERE connection_id = %s", (connection_id,)
    )
    return True
