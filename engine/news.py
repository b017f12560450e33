"""What happened to a bot beside its trades: a row among the risk events, and its user's news."""

from decimal import Decimal
from uuid import UUID

from bot_database import Transaction, notifications, risk
from core.bot import Bot
from database.notifications import NotificationKind


def note_and_tell(
    transaction: Transaction,
    bot: Bot,
    kind: NotificationKind,
    sentence: str,
    *,
    event: UUID | None = None,
    actual: Decimal | None = None,
    action_taken: str = "",
) -> None:
    """Note something that needs no exit but must be seen, and tell the bot's user in the same words.

    `event` is the signal or risk event that it came of, where it came of one.
    """
    risk.note_event(
        transaction,
        user_id=bot.user_id,
        connection_id=bot.connection_id,
        lane_id=bot.lane_id,
        bot_id=bot.id,
        kind=kind,
        actual=actual,
        sentence=sentence,
        action_taken=action_taken,
    )
    came_of = {} if event is None else {"event": str(event)}
    notifications.notify(transaction, bot.user_id, kind, **came_of, bot=bot.name, sentence=sentence)
