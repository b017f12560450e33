"""What the page of alerts shows beside the channels: why something waits, and the operator's channels."""

from datetime import datetime

from database.pool import Row, Transaction

_STANDING = """
    SELECT channels.id, channels.transport, channels.shown, channels.is_active, channels.switched_off_because,
           channels.switched_off_at, channels.last_sent_at, waiting.due, waiting.later, waiting.later_at,
           waiting.error, greatest(channels.quiet_until, pause.until, waiting.next_attempt_at) AS next_attempt_at
      FROM alert_channels AS channels
      LEFT JOIN alert_pauses AS pause ON pause.transport = channels.transport
      CROSS JOIN LATERAL (
          SELECT count(*) FILTER (WHERE not_before <= %(now)s) AS due,
                 count(*) FILTER (WHERE not_before > %(now)s) AS later,
                 min(not_before) FILTER (WHERE not_before > %(now)s) AS later_at,
                 max(next_attempt_at) AS next_attempt_at,
                 (array_agg(error ORDER BY id) FILTER (WHERE error IS NOT NULL))[1] AS error
            FROM alert_deliveries WHERE channel_id = channels.id AND state = 'WAITING') AS waiting
"""


def standing(transaction: Transaction, user_id: int, now: datetime) -> list[Row]:
    """Return how a user's channels stand, the address of none.

    `due` alerts wait to be sent, the first of them because of `error` and until `next_attempt_at`; `later`
    ones wait for `later_at`, to go together.
    """
    sql = f"{_STANDING} WHERE channels.user_id = %(user)s AND channels.address_sealed IS NOT NULL"
    return transaction.all(f"{sql} ORDER BY channels.transport", {"user": user_id, "now": now})


def switched_off(transaction: Transaction, user_id: int) -> list[Row]:
    """Return a user's channels whose service takes nothing any more, each with the reason."""
    return transaction.all(
        """
        SELECT transport, switched_off_because, switched_off_at FROM alert_channels
         WHERE coalesce(user_id, 0) = %s AND address_sealed IS NOT NULL AND NOT is_active ORDER BY transport
        """,
        (user_id,),
    )


def operators_standing(transaction: Transaction, now: datetime) -> list[Row]:
    """Return how the channels of whoever runs the server stand, switched-off ones too."""
    sql = f"{_STANDING} WHERE channels.user_id IS NULL AND channels.address_hash IS NOT NULL"
    return transaction.all(f"{sql} ORDER BY channels.transport", {"now": now})
