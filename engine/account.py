"""What the whole account holds of a symbol, read so that it can be compared with the bots."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from bot_database import Session, bells, lanes, orders, protections
from brokers.base import Broker
from core.money import ZERO
from core.order import Side
from engine.desk import Desk
from engine.sending import poll

READ_TRIES = 3
FEES_SETTLE_WITHIN = timedelta(days=3)
# So long a gap may be what a stop at the broker has closed, while nobody could look
STOP_EXPLAINED_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """A symbol's signed quantity in the account, and what of it nobody explains.

    `gap` = account − sum of the bots − foreign holdings that the user acknowledged. A gap no
    larger than `fees`, what fees in the base asset were lately estimated at, is an estimate to be
    put right; beyond it somebody else traded.
    """

    account: Decimal
    gap: Decimal
    fees: Decimal

    @property
    def unexplained(self) -> Decimal:
        return ZERO if abs(self.gap) <= self.fees else self.gap

    def only_shrinks(self, side: Side, quantity: Decimal) -> bool:
        """Tell whether an order brings the account nearer to zero and not beyond."""
        return self.account * side.sign < 0 and quantity <= abs(self.account)


def read_account(
    desk: Desk, session: Session, broker: Broker, lane_id: int, symbol: str
) -> AccountReading | None:
    """Read the account's holding at a moment when it can be compared with the bots.

    None while an order of the lane is in doubt or fills keep coming in between: then nobody can
    tell what the account should hold. Raises what the broker raises.
    """
    for _ in range(READ_TRIES):
        if not _bring_up_to_date(desk, session, broker, lane_id):
            return None
        before = _explained(session, lane_id)
        account = broker.position(symbol).quantity
        if _bring_up_to_date(desk, session, broker, lane_id) and _explained(session, lane_id) == before:
            fees = sum(fee_estimates(desk, session, lane_id).values(), ZERO)
            return AccountReading(account=account, gap=account - before, fees=fees)
    return None


def _bring_up_to_date(desk: Desk, session: Session, broker: Broker, lane_id: int) -> bool:
    with session.autocommit() as transaction:
        open_orders = orders.open_orders_in_lane(transaction, lane_id)
    if not all(order.is_at_broker for order in open_orders):
        return False
    for order in open_orders:
        poll(desk, session, order, broker, "poll")
    return True


def _explained(session: Session, lane_id: int) -> Decimal:
    with session.autocommit() as transaction:
        return lanes.lane_holding(transaction, lane_id).explained


def fee_estimates(desk: Desk, session: Session, lane_id: int) -> dict[int, Decimal]:
    """Return what the bots' fees in the base asset were lately estimated at, by bot."""
    with session.autocommit() as transaction:
        return lanes.fee_estimates(transaction, lane_id, desk.now() - FEES_SETTLE_WITHIN)


def gap_stands(desk: Desk, session: Session, lane_id: int, gap: Decimal) -> bool:
    """Tell whether the same gap was seen before, long enough ago to be believed.

    A gap of zero is never believed and makes an earlier one forgotten: to be told at each look
    that finds none, or two lags of the same size would pass for one gap that stood.
    """
    span = timedelta(seconds=desk.timing.gap_confirmation)
    with session.autocommit() as transaction:
        return lanes.gap_is_confirmed(transaction, lane_id, gap, span=span, now=desk.now())


def may_be_a_stop(desk: Desk, session: Session, lane_id: int) -> bool:
    """Have the lane look at what rests at the broker, if that was not seen there since the gap began; tell so.

    A stop that triggered leaves the same gap as a hand at the broker's page, until it is looked at and booked.
    """
    with session.transaction() as transaction:
        asked = protections.ask_look_at_gap(transaction, lane_id, desk.now(), STOP_EXPLAINED_WITHIN)
        bells.ring(transaction, [lane_id] if asked else [])
    return asked
