"""Bringing a connection's orders and positions into line with what the broker says."""

from decimal import Decimal

from bot_database import (
    Session,
    Transaction,
    bells,
    bots,
    kill_switch,
    lanes,
    ledger,
    notifications,
    orders,
    risk,
)
from brokers.base import Account, AccountPosition, Broker
from core.bot import Connection, ConnectionStatus
from core.errors import BrokerError, Rejected
from core.instrument import symbol_key
from core.money import ZERO
from core.order import Order
from database.lanes import LaneHolding
from database.notifications import NotificationKind
from engine.account import fee_estimates, gap_stands, may_be_a_stop
from engine.desk import Desk
from engine.mismatch import note_mismatch
from engine.sending import poll

FEE_STEP = Decimal("0.000000001")


def reconcile(desk: Desk, session: Session, connection_id: int) -> bool:
    """Compare everything of one connection with the broker; tell whether the broker could be asked.

    Every order that is not final is brought up to date, orders of ours that the broker holds and
    we do not know as sent are adopted, everything unfinished is rung, and positions are compared
    where no order is in flight. A connection that cannot be reconciled takes no entries.
    """
    try:
        broker = desk.broker(connection_id)
        account, positions = broker.account(), broker.positions()
        _adopt(desk, session, broker, connection_id)
        desk.step("orders adopted")
        _bring_up_to_date(desk, session, broker, connection_id)
        desk.step("orders brought up to date")
    except Rejected as error:
        note_status(desk, session, connection_id, error.message)
        return False
    except BrokerError as error:
        _note_silence(desk, session, connection_id, error.message)
        return False
    _store(desk, session, connection_id, account, positions)
    _compare(desk, session, connection_id, broker)
    desk.step("positions compared")
    with session.transaction() as transaction:
        bells.ring(transaction, lanes.unfinished_lanes(transaction, connection_id))
        bots.note_reconciled(transaction, connection_id, desk.now())
        kill_switch.lift_after_reconcile(transaction, connection_id)
    note_status(desk, session, connection_id, account.problem)
    return True


def _adopt(desk: Desk, session: Session, broker: Broker, connection_id: int) -> None:
    """Book every open order at the broker that carries an id of ours."""
    for known in broker.open_orders():
        with session.transaction() as transaction:
            order = orders.order_by_client_id(transaction, known.client_order_id)
        if order is None or order.connection_id != connection_id:
            continue
        with session.transaction() as transaction:
            ledger.book_order(transaction, known, source="reconcile", now=desk.now())
        if order.is_final:
            _cancel_late(broker, known)


def _cancel_late(broker: Broker, known: Order) -> None:
    """Take back an order that came to life after we had given it up."""
    broker.cancel(known.broker_order_id)


def _bring_up_to_date(desk: Desk, session: Session, broker: Broker, connection_id: int) -> None:
    with session.transaction() as transaction:
        open_orders = orders.open_orders_of_connection(transaction, connection_id)
    for order in open_orders:
        if order.is_at_broker:
            poll(desk, session, order, broker, "reconcile")


def _store(
    desk: Desk,
    session: Session,
    connection_id: int,
    account: Account,
    positions: tuple[AccountPosition, ...],
) -> None:
    with session.transaction() as transaction:
        risk.store_account(transaction, connection_id, account, curve=True)
        bots.note_warning(transaction, connection_id, account.warning)
        risk.store_positions(transaction, connection_id, positions, desk.now())


def _compare(desk: Desk, session: Session, connection_id: int, broker: Broker) -> None:
    """Look for holdings that nobody explains, on symbols where nothing moved while we looked."""
    with session.transaction() as transaction:
        before = lanes.quiet_lanes(transaction, connection_id)
    try:
        held = {symbol_key(position.symbol): position.quantity for position in broker.positions()}
    except BrokerError:
        return
    with session.transaction() as transaction:
        after = lanes.quiet_lanes(transaction, connection_id)
    for lane in before:
        if lane in after:
            _judge(desk, session, connection_id, lane, held.get(symbol_key(lane.symbol), ZERO))


def _judge(
    desk: Desk, session: Session, connection_id: int, lane: LaneHolding, account_quantity: Decimal
) -> None:
    gap = account_quantity - lane.explained
    if abs(gap) < lane.dust_below:
        with session.transaction() as transaction:
            lanes.note_mismatch(transaction, lane.id, None)
        gap_stands(desk, session, lane.id, ZERO)
        return
    if not gap_stands(desk, session, lane.id, gap):
        return
    desk.step("gap stands")
    if may_be_a_stop(desk, session, lane.id):
        return
    estimates = fee_estimates(desk, session, lane.id)
    with session.transaction() as transaction:
        if lanes.lane_holding(transaction, lane.id) != lane:
            # Booked since it was compared: the gap may be gone, and the next look tells
            return
        if abs(gap) <= sum(estimates.values(), ZERO):
            _correct_fees(transaction, desk, estimates, gap)
        else:
            note_mismatch(transaction, desk, connection_id, lane, account_quantity)


def _correct_fees(transaction: Transaction, desk: Desk, estimates: dict[int, Decimal], gap: Decimal) -> None:
    """Share what the broker took more or less than estimated among the bots, by their estimates."""
    total = sum(estimates.values(), ZERO)
    left = gap
    for index, (bot_id, estimate) in enumerate(estimates.items(), start=1):
        share = left if index == len(estimates) else (gap * estimate / total).quantize(FEE_STEP)
        left -= share
        if share:
            ledger.book_fee_correction(transaction, bot_id, change=share, activity_id=None, now=desk.now())


def note_status(desk: Desk, session: Session, connection_id: int, problem: str | None) -> None:
    """Record whether a connection can be used, and tell its user when that changes."""
    status = ConnectionStatus.OK if problem is None else ConnectionStatus.PROBLEM
    with session.transaction() as transaction:
        before = bots.note_connection(transaction, connection_id, status, problem, desk.now())
        if status is ConnectionStatus.PROBLEM and before is not status:
            connection = bots.connection(transaction, connection_id)
            _tell_broken(transaction, connection, problem or "")


def _note_silence(desk: Desk, session: Session, connection_id: int, words: str) -> None:
    """Note a look that the broker did not answer; only a second one in a row is a problem."""
    with session.transaction() as transaction:
        before = bots.connection(transaction, connection_id)
        if before.status is not ConnectionStatus.PROBLEM and before.last_error is None:
            bots.note_connection(transaction, connection_id, before.status, words, desk.now())
            return
    note_status(desk, session, connection_id, words)


def _tell_broken(transaction: Transaction, connection: Connection, problem: str) -> None:
    risk.note_event(
        transaction,
        user_id=connection.user_id,
        connection_id=connection.id,
        kind="CONNECTION_PROBLEM",
        sentence=problem,
        action_taken="no entries until it works again",
    )
    notifications.notify(
        transaction,
        connection.user_id,
        NotificationKind.CONNECTION_BROKEN,
        connection=connection.label,
        sentence=problem,
    )
