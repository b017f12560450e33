"""An account that does not hold what the bots do: said once, and entries stop."""

from decimal import Decimal

from bot_database import Transaction, lanes, notifications, risk
from core.wording import number
from database.lanes import LaneHolding
from database.notifications import NotificationKind
from engine.desk import Desk


def note_mismatch(
    transaction: Transaction, desk: Desk, connection_id: int, lane: LaneHolding, account_quantity: Decimal
) -> None:
    """Stop a lane's entries until the user decides whose the difference is; tell it once."""
    if not lanes.note_mismatch(transaction, lane.id, desk.now()):
        return
    sentence = (
        f"The account holds {number(account_quantity)} {lane.symbol}, the bots and your own holdings"
        f" add up to {number(lane.explained)}. Entries on {lane.symbol} stop until you say whose the difference is."
    )
    risk.note_event(
        transaction,
        user_id=lane.user_id,
        connection_id=connection_id,
        lane_id=lane.id,
        kind="ACCOUNT_MISMATCH",
        threshold=lane.explained,
        actual=account_quantity,
        sentence=sentence,
        action_taken="entries stopped on this symbol",
    )
    notifications.notify(
        transaction, lane.user_id, NotificationKind.ACCOUNT_MISMATCH, symbol=lane.symbol, sentence=sentence
    )
