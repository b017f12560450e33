"""The demo's signals: dated to when they were found, and noted as delivered, though nobody was written to."""

from datetime import datetime

from database.pool import Transaction


def newest_signal(transaction: Transaction, user_id: int) -> int:
    """Return the number of the signal that a user was sent last."""
    return int(transaction.value("SELECT max(id) FROM signal_notifications WHERE user_id = %s", (user_id,)))


def note_sent(transaction: Transaction, signal_id: int, at: datetime) -> None:
    """Note a signal as one that Discord took at a time."""
    transaction.execute(
        "UPDATE signal_notifications SET attempts = 1, next_attempt_at = NULL, sent_at = %s WHERE id = %s",
        (at, signal_id),
    )


def note_failed(transaction: Transaction, signal_id: int, at: datetime, because: str) -> None:
    """Note a signal as one that Discord refused for good."""
    transaction.execute(
        """
        UPDATE signal_notifications SET attempts = 1, next_attempt_at = NULL, failed_at = %s, last_error = %s
         WHERE id = %s
        """,
        (at, because, signal_id),
    )
