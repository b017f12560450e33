"""Taking away what still rests at the broker of a position that is closed: it would close the next one."""

from typing import cast

from bot_database import Session, bots, protections
from brokers.base import Broker, ProtectingBroker
from core.checks import check_exit
from core.errors import BrokerError
from database.protections import Leftover
from engine.desk import Desk
from engine.footprint import footprint
from engine.rate import spend

LOOK_SECONDS = 10.0


def sweep(desk: Desk, session: Session, lane_id: int) -> None:
    """Cancel what closed positions left, and forget what is seen to be gone."""
    with session.autocommit() as transaction:
        due = protections.leftovers_due(transaction, lane_id, desk.now())
    for leftover in due:
        try:
            gone = not leftover.opened_again and _take_away(desk, session, leftover)
        except BrokerError:
            gone = False
        with session.transaction() as transaction:
            if gone:
                protections.forget_leftover(transaction, leftover.leg_id)
            else:
                protections.delay_leftover(transaction, leftover.leg_id, desk.after(LOOK_SECONDS))
        desk.step("leftover looked at")


def is_in_the_way(session: Session, lane_id: int, broker: Broker) -> bool:
    """Tell whether an entry must wait, since something that rests could close what it opens."""
    if not broker.capabilities.holds_protection:
        return False
    with session.autocommit() as transaction:
        return protections.has_leftovers(transaction, lane_id)


def _take_away(desk: Desk, session: Session, leftover: Leftover) -> bool:
    with session.autocommit() as transaction:
        halted = check_exit(bots.trading_states(transaction, leftover.bot_id))
    if halted is not None:
        return False
    spend(desk, session, leftover.connection_id, 1)
    broker = cast(ProtectingBroker, desk.broker(leftover.connection_id))
    ours = footprint(leftover, leftover.side)
    resting = ours.among(broker, leftover.symbol)
    for each in resting:
        spend(desk, session, leftover.connection_id, 1)
        broker.cancel_protection(leftover.symbol, each.id)
    # A list that does not show it any more is what counts, not the answer to the cancel
    return not resting or not ours.among(broker, leftover.symbol)
