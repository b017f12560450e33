"""What the Discord bot's commands show: watched bots, and the caller's own trading."""

from typing import Any

from database import figures, watched_reading
from database.pool import Row, Transaction


def watched_bots(transaction: Transaction, user_id: int | None) -> list[Row]:
    """Return the bots a user watches, or where that is nobody or they watch none, the one of MQTT_TOPIC_PREFIX.

    Each as `watched_reading.bots_of` gives it, with `user_id`, under which its balance and trades are read.
    """
    own = [] if user_id is None else watched_reading.bots_of(transaction, user_id)
    if own:
        return [{**row, "user_id": user_id} for row in own]
    default = transaction.maybe(
        "SELECT id, user_id FROM watched_bots WHERE is_default AND user_id IS NOT NULL LIMIT 1"
    )
    if default is None:
        return []
    row = watched_reading.bot(transaction, default["user_id"], default["id"])
    return [] if row is None else [{**row, "user_id": default["user_id"]}]


def own_trading(transaction: Transaction, user_id: int) -> dict[str, Any]:
    """Return the totals of a user's own bots, as `figures.performance_of` names them, and `bots` in use."""
    found = figures.performance_of(transaction, user_id, most_bots=1)
    bots = transaction.value(
        "SELECT count(*) FROM user_bot_configs WHERE user_id = %s AND archived_at IS NULL", (user_id,)
    )
    return {**found["total"], "bots": bots}
