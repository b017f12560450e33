"""Which bots are watched: each is a prefix of topics that belongs to one user."""

from database import alert_deliveries
from database.pool import Row, Transaction

# Two prefixes that overlap must not be added at the same time.
ADDING_LOCK = 7_300_101


def only_adder(transaction: Transaction) -> None:
    """Let nobody else add a watched bot until this transaction ends."""
    transaction.execute("SELECT pg_advisory_xact_lock(%s)", (ADDING_LOCK,))


def is_taken(transaction: Transaction, prefix: str) -> bool:
    """Tell whether a prefix is the same as, inside, or around one that is watched for anybody."""
    sql = "SELECT 1 FROM watched_bots WHERE starts_with(prefix, %(one)s) OR starts_with(%(one)s, prefix) LIMIT 1"
    return transaction.value(sql, {"one": prefix}) is not None


def count(transaction: Transaction, user_id: int) -> int:
    """Return how many bots a user watches."""
    return int(transaction.value("SELECT count(*) FROM watched_bots WHERE user_id = %s", (user_id,)))


def is_named(transaction: Transaction, user_id: int, name: str, *, besides: int | None = None) -> bool:
    """Tell whether a user watches a bot of that name, in capitals or not; `besides` leaves one out."""
    sql = "SELECT 1 FROM watched_bots WHERE user_id = %s AND lower(name) = lower(%s) AND id IS DISTINCT FROM %s LIMIT 1"
    return transaction.value(sql, (user_id, name, besides)) is not None


def add(transaction: Transaction, user_id: int, name: str, prefix: str) -> int:
    """Watch what is reported below a prefix; return the bot's number."""
    sql = "INSERT INTO watched_bots (user_id, name, prefix) VALUES (%s, %s, %s) RETURNING id"
    return int(transaction.value(sql, (user_id, name, prefix)))


def locked(transaction: Transaction, user_id: int, bot_id: int) -> Row | None:
    """Return name, prefix and whether it is the default bot; nobody changes it until the transaction ends."""
    sql = "SELECT id, name, prefix, is_default FROM watched_bots WHERE id = %s AND user_id = %s FOR UPDATE"
    return transaction.maybe(sql, (bot_id, user_id))


def rename(transaction: Transaction, user_id: int, bot_id: int, name: str) -> None:
    """Give a watched bot another name."""
    sql = "UPDATE watched_bots SET name = %s WHERE id = %s AND user_id = %s"
    transaction.execute(sql, (name, bot_id, user_id))


def remove(transaction: Transaction, user_id: int, bot_id: int) -> None:
    """Watch a bot no longer, forget all that it reported, and tell nothing more of it."""
    alert_deliveries.withdraw(transaction, user_id, bot_id)
    transaction.execute("DELETE FROM watched_bots WHERE id = %s AND user_id = %s", (bot_id, user_id))
