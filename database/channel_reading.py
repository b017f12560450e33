"""What the Discord bot reads of a signal channel beside its messages' own life."""

from datetime import datetime
from uuid import UUID

from database.pool import Row, Transaction


def rows_of_message(transaction: Transaction, message_id: int) -> list[Row]:
    """Return what is known of a message, one row per registration, oldest first; edits and deletions left out.

    Columns: id, state, sentence, signal_uuid, reply_id, answered_at, and of the signal `signal_state` (None
    where it is gone) and `finished_at`.
    """
    return transaction.all(
        """
        SELECT messages.id, messages.state, messages.sentence, messages.signal_uuid, messages.reply_id,
               messages.answered_at, signals.state AS signal_state, signals.finished_at
          FROM channel_messages AS messages LEFT JOIN signals ON signals.uuid = messages.signal_uuid
         WHERE messages.message_id = %s AND messages.state NOT IN ('EDITED', 'DELETED') ORDER BY messages.id
        """,
        (message_id,),
    )


def edit_was_told(transaction: Transaction, message_id: int) -> bool:
    """Tell whether it was said already that an edit of a message changed nothing."""
    sql = """
        SELECT EXISTS (SELECT FROM channel_messages
                        WHERE message_id = %s AND state = 'EDITED' AND answered_at IS NOT NULL)
    """
    return bool(transaction.value(sql, (message_id,)))


def stored_signal(transaction: Transaction, registration: int, message_id: int) -> UUID | None:
    """Return the uuid of the signal that a message became for a registration, None without one."""
    sql = "SELECT uuid FROM signals WHERE signal_channel_id = %s AND sender_id = %s"
    found: UUID | None = transaction.value(sql, (registration, str(message_id)))
    return found


def away_since(transaction: Transaction, part: str, process: str) -> datetime | None:
    """Return since when no process was the bot: its clean end, or a killed one's last sign of life.

    None where it never ran, or nothing is left of when it did.
    """
    row = transaction.one("SELECT is_connected, changed_at FROM discord_bot_status")
    if not row["is_connected"]:
        at: datetime | None = row["changed_at"]
        return at
    last: datetime | None = transaction.value(
        "SELECT max(beat_at) FROM heartbeats WHERE part = %s AND process <> %s", (part, process)
    )
    return last


def counts(transaction: Transaction, channel_id: int, since: datetime) -> dict[str, int]:
    """Return how many messages in a Discord channel became what since a moment, whosever registration it is."""
    rows = transaction.all(
        """
        SELECT coalesce(signals.state, messages.state) AS name, count(DISTINCT messages.message_id)
          FROM channel_messages AS messages
          JOIN signal_channels AS channels ON channels.id = messages.signal_channel_id
          LEFT JOIN signals ON signals.uuid = messages.signal_uuid AND messages.state = 'STORED'
         WHERE channels.channel_id = %s AND messages.posted_at >= %s GROUP BY 1 ORDER BY 1
        """,
        (channel_id, since),
    )
    return {row["name"]: row["count"] for row in rows}


def connection_states(transaction: Transaction, channel_id: int) -> dict[str, int]:
    """Return how many of the accounts that a Discord channel trades at stand how."""
    rows = transaction.all(
        """
        SELECT connections.status AS name, count(DISTINCT connections.id)
          FROM signal_channels AS channels JOIN user_api_keys AS connections ON connections.id = channels.connection_id
         WHERE channels.channel_id = %s AND channels.is_active AND channels.archived_at IS NULL
         GROUP BY 1 ORDER BY 1
        """,
        (channel_id,),
    )
    return {row["name"]: row["count"] for row in rows}
