"""One order on its way to the broker: sent once, looked up when nobody knows, never resent in doubt."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from bot_database import Session, ledger, orders
from brokers.base import Broker
from core.errors import BrokerError, Conflict, DuplicateOrder, Rejected, Unavailable, Unknown
from core.order import Order, OrderState
from core.plan import LegPurpose, Refusal
from database.orders import OrderRecord
from engine.desk import Desk
from engine.rate import spend

CONFLICT = "CONFLICT"

logger = logging.getLogger("engine")
CLOCK_TOLERANCE = timedelta(minutes=2)


def send(desk: Desk, session: Session, order: OrderRecord) -> None:
    """Hand a committed order to the broker and record what became of it.

    The order's row stands before this begins. A process that dies in here leaves it NEW; whoever
    comes next waits until this process can no longer send and then looks the order up.
    """
    try:
        broker = desk.broker(order.connection_id)
        if desk.now() >= order.send_by:
            raise Unavailable("The time to send this order was over before it was sent.")
        desk.step("order committed")
        known = broker.submit(order.intent)
    except BrokerError as error:
        words = (order.intent.client_order_id, type(error).__name__, error.message)
        logger.warning("order %s was not taken: %s: %s", *words)
        _not_taken(desk, session, order, error)
    else:
        desk.step("order sent")
        with session.transaction() as transaction:
            ledger.book_order(transaction, known, source="submit", now=desk.now())
        asked = order.intent
        logger.info(
            "order %s sent: %s %s %s: %s",
            asked.client_order_id, asked.side, asked.quantity, asked.symbol, known.state,
        )  # fmt: skip
    desk.step("order recorded")


def _not_taken(desk: Desk, session: Session, order: OrderRecord, error: BrokerError) -> None:
    """Do what the error says."""
    match error:
        case DuplicateOrder() | Unknown():
            _doubt(desk, session, order, error)
        case Conflict():
            _end(desk, session, order, OrderState.REJECTED, error, CONFLICT)
        case Rejected():
            _end(desk, session, order, OrderState.REJECTED, error, error.code)
        case Unavailable():
            _postpone(desk, session, order, error)
        case _:
            raise error


def retry_delay(tries: int, limit: float) -> float:
    """Return the wait before try `tries` + 1: 1, 2, 4 … seconds up to `limit`."""
    return min(2.0 ** min(tries - 1, 10), limit)


def _postpone(desk: Desk, session: Session, order: OrderRecord, error: Unavailable) -> None:
    wait = max(retry_delay(order.sends, desk.timing.retry_limit), error.retry_after or 0.0)
    with session.transaction() as transaction:
        orders.postpone_send(transaction, order.id, desk.after(wait), error.message)


def _doubt(desk: Desk, session: Session, order: OrderRecord, error: BrokerError) -> None:
    with session.transaction() as transaction:
        orders.put_in_doubt(transaction, order.id, error.message, desk.now(), desk.now())


def _end(
    desk: Desk,
    session: Session,
    order: OrderRecord,
    state: OrderState,
    error: BrokerError,
    code: str | None,
) -> None:
    with session.transaction() as transaction:
        orders.end_order(transaction, order.id, state, error.message, code, desk.now())


def resend(desk: Desk, session: Session, order: OrderRecord) -> None:
    """Send an order that certainly did not arrive again, with the same id."""
    with session.transaction() as transaction:
        renewed = orders.renew_send(transaction, order.id, desk.after(desk.timing.send_window))
    send(desk, session, renewed)


def adopt_silence(desk: Desk, session: Session, order: OrderRecord) -> datetime | None:
    """Take over an order whose sender died without a word; return until when to wait first."""
    broker = desk.broker(order.connection_id)
    silent_until = order.send_by + timedelta(seconds=broker.capabilities.read_timeout_seconds)
    if desk.now() < silent_until:
        return silent_until
    with session.transaction() as transaction:
        words = "The process that sent this order ended before it could record the answer."
        orders.put_in_doubt(transaction, order.id, words, desk.now(), desk.now())
    return None


def look_up(desk: Desk, session: Session, order: OrderRecord) -> None:
    """Ask the broker whether it has an order in doubt, and draw the conclusion the rules allow.

    "No" means `doubt_look_ups` not-founds over `doubt` seconds: then an exit goes again with the
    same id, an entry ends NOT_RECEIVED.
    """
    try:
        broker = desk.broker(order.connection_id)
        known = broker.find_order(order.intent.client_order_id, order.intent.symbol)
    except BrokerError:
        _look_again(desk, session, order, counts=False)
        return
    desk.step("order looked up")
    if known is None:
        _not_found(desk, session, order)
    elif _is_ours(order, known):
        with session.transaction() as transaction:
            ledger.book_order(transaction, known, source="look-up", now=desk.now())
    else:
        words = (
            f"The broker's order with our id is {known.side} {known.quantity} {known.symbol}: not this one."
        )
        with session.transaction() as transaction:
            orders.end_order(transaction, order.id, OrderState.REJECTED, words, "MISMATCH", desk.now())
    desk.step("look-up recorded")


def _is_ours(order: OrderRecord, known: Order) -> bool:
    return order.is_same(known) and known.submitted_at >= order.created_at - CLOCK_TOLERANCE


def _not_found(desk: Desk, session: Session, order: OrderRecord) -> None:
    since = order.in_doubt_since or desk.now()
    enough = order.not_found_count + 1 >= desk.timing.doubt_look_ups
    if not enough or desk.now() < since + timedelta(seconds=desk.timing.doubt):
        _look_again(desk, session, order, counts=True)
    elif order.purpose is LegPurpose.CLOSE:
        with session.transaction() as transaction:
            orders.believe_unsent(transaction, order.id, desk.now())
    else:
        with session.transaction() as transaction:
            words = "The broker never received this order."
            orders.end_order(transaction, order.id, OrderState.NOT_RECEIVED, words, None, desk.now())


def _look_again(desk: Desk, session: Session, order: OrderRecord, *, counts: bool) -> None:
    wait = desk.timing.doubt / 30 * retry_delay(order.not_found_count + 1, desk.timing.retry_limit)
    with session.transaction() as transaction:
        orders.count_not_found(transaction, order.id, counts=counts, look_up=desk.after(wait))


def poll(desk: Desk, session: Session, order: OrderRecord, broker: Broker, source: str) -> bool:
    """Ask how an order at the broker stands and book what is new; tell whether anything was."""
    spend(desk, session, order.connection_id, 1)
    known = broker.find_order(order.intent.client_order_id, order.intent.symbol)
    with session.transaction() as transaction:
        orders.note_poll(transaction, order.id, desk.now())
        if known is None:
            return False
        after = ledger.book_order(transaction, known, source=source, now=desk.now())
    return after is not None and (after.state, after.filled_quantity) != (order.state, order.filled_quantity)


def cancel(desk: Desk, session: Session, order: OrderRecord, reason: Refusal | None = None) -> None:
    """Ask the broker to cancel an order; its end comes by stream or look-up.

    Our wish is noted first: an end that follows is then known to be ours, whoever sees it, and `reason`
    says why where it is not for a newer decision.
    Asking twice does no harm.
    """
    if order.cancel_asked_at is None:
        with session.transaction() as transaction:
            orders.note_cancel(transaction, order.id, desk.now(), reason)
        desk.step("cancel noted")
    if order.broker_order_id is not None:
        with suppress(BrokerError):
            desk.broker(order.connection_id).cancel(order.broker_order_id)
        desk.step("cancel asked")
