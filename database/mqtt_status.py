"""How the MQTT listener stands with its broker, and who is the listener: one row."""

from dataclasses import dataclass
from datetime import datetime

from database.pool import Transaction

LISTENER_LOCK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttStatus:
    """The listener's name at the broker and since when it is connected or not; `told_at` says that it was told."""

    client_id: str
    broker: str | None
    is_connected: bool
    changed_at: datetime | None
    words: str | None
    told_at: datetime | None
    claims: int


def status(transaction: Transaction) -> MqttStatus:
    """Return how it stands."""
    row = transaction.one(
        "SELECT client_id, broker, is_connected, changed_at, words, told_at, claims FROM mqtt_status"
    )
    return MqttStatus(**row)


def claim(transaction: Transaction) -> bool:
    """Become the listener, for as long as the session's connection lives; return whether nobody else is it."""
    return bool(transaction.value("SELECT pg_try_advisory_lock(%s, 0)", (LISTENER_LOCK,)))


def release(transaction: Transaction) -> None:
    """Let another be the listener."""
    transaction.execute("SELECT pg_advisory_unlock(%s, 0)", (LISTENER_LOCK,))


def count_claim(transaction: Transaction) -> int:
    """Return the number of this claim."""
    return int(transaction.value("UPDATE mqtt_status SET claims = claims + 1 RETURNING claims"))


def note(
    transaction: Transaction, *, broker: str, is_connected: bool, words: str | None, now: datetime
) -> MqttStatus:
    """Note how it stands and return it; the time changes only where the connection does."""
    transaction.execute(
        """
        UPDATE mqtt_status SET broker = %(broker)s, words = %(words)s, is_connected = %(connected)s,
               changed_at = CASE WHEN is_connected = %(connected)s THEN coalesce(changed_at, %(now)s)
                                 ELSE %(now)s END
        """,
        {"broker": broker, "words": words, "connected": is_connected, "now": now},
    )
    return status(transaction)


def subscribed(transaction: Transaction) -> set[str]:
    """Return the prefixes that the broker may remember for us."""
    return set(transaction.value("SELECT subscribed FROM mqtt_status"))


def subscribe(transaction: Transaction, prefixes: set[str]) -> None:
    """Note the prefixes that the broker may remember for us, before it is asked to."""
    sql = "UPDATE mqtt_status SET subscribed = %(all)s WHERE subscribed <> %(all)s"
    transaction.execute(sql, {"all": sorted(prefixes)})


def begin(transaction: Transaction, now: datetime) -> None:
    """Count the time without a connection from now, where nobody was missing one already."""
    transaction.execute(
        """
        UPDATE mqtt_status SET is_connected = false, changed_at = %s, words = NULL
         WHERE is_connected OR changed_at IS NULL OR words = %s
        """,
        (now, STOPPED),
    )


STOPPED = "the listener is stopped"


def end(transaction: Transaction, now: datetime) -> None:
    """Note that the listener stopped, which is nobody's fault."""
    transaction.execute(
        "UPDATE mqtt_status SET is_connected = false, changed_at = %s, words = %s", (now, STOPPED)
    )


def tell(transaction: Transaction, at: datetime | None) -> None:
    """Note that the outage was told, or None that it is over."""
    transaction.execute("UPDATE mqtt_status SET told_at = %s", (at,))
