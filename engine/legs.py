"""Working one leg of a plan to its end, one order at a time."""

from datetime import datetime, timedelta
from decimal import Decimal

from bot_database import Session, Transaction, bots, lanes, notifications, orders, risk, trades, work
from core.bot import Bot, BotStatus
from core.checks import check_exit, check_switches
from core.errors import BrokerError
from core.money import ZERO
from core.order import OrderState, OrderType
from core.plan import Code, LegPurpose, LegState, Refusal
from core.size import reserve_per_unit
from core.wording import number
from database.notifications import NotificationKind
from database.orders import OrderRecord
from database.work import LegRecord, PlanRecord
from engine import expiry, sending
from engine.attempts import commit_order
from engine.desk import Desk
from engine.entries import start_entry
from engine.exits import start_exit, write_off_missing
from engine.news import note_and_tell

ENTRY_ATTEMPTS = 3
TELL_AGAIN = timedelta(minutes=10)
POLL_AGES = ((5.0, 1.0), (30.0, 2.5), (300.0, 7.5))
SLOW_POLL = 30.0
# An entry that ends when its stop or target trades first is looked at this often
WATCHED_POLL = 5.0


def work_leg(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord) -> bool:
    """Take the next step of a leg; tell whether anything went on, or it must wait."""
    if leg.state is LegState.PLANNED:
        if leg.wake_at is not None and desk.now() < leg.wake_at:
            return False
        start = start_entry if leg.purpose is LegPurpose.OPEN else start_exit
        order = start(desk, session, plan, leg)
        if isinstance(order, OrderRecord):
            desk.step("leg started")
            sending.send(desk, session, order)
            return True
        return order
    with session.autocommit() as transaction:
        sent = orders.orders_of(transaction, leg.id)
    part = _current_part(leg, sent)
    if part is None:
        return _finish(desk, session, plan, leg, LegState.DONE, None)
    attempts = [order for order in sent if order.part == part]
    if attempts and not attempts[-1].is_final:
        return _carry_on(desk, session, plan, leg, attempts[-1])
    return _next_attempt(desk, session, plan, leg, part, sent)


def _current_part(leg: LegRecord, sent: list[OrderRecord]) -> int | None:
    for part, quantity in enumerate(leg.parts, start=1):
        if _filled(sent, part) < quantity:
            return part
    return None


def _filled(sent: list[OrderRecord], part: int) -> Decimal:
    return sum((order.filled_quantity for order in sent if order.part == part), ZERO)


def _carry_on(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord, order: OrderRecord) -> bool:
    """Move an order on that is not final: send it, look it up, or wait for it."""
    if order.state is OrderState.NEW:
        return _carry_on_new(desk, session, plan, leg, order)
    if order.state is OrderState.IN_DOUBT:
        if order.next_look_up_at is not None and desk.now() < order.next_look_up_at:
            return _sleep_until(desk, session, leg, order.next_look_up_at)
        sending.look_up(desk, session, order)
        return True
    return _await_end(desk, session, leg, order)


def _carry_on_new(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord, order: OrderRecord) -> bool:
    if order.next_send_at is None:
        try:
            silent_until = sending.adopt_silence(desk, session, order)
        except BrokerError:
            silent_until = desk.after(desk.timing.poll)
        return True if silent_until is None else _sleep_until(desk, session, leg, silent_until)
    if desk.now() < order.next_send_at:
        return _sleep_until(desk, session, leg, order.next_send_at)
    stopped = _must_not_go(desk, session, plan, leg) or _too_old(desk, session, plan, order)
    if stopped is None:
        sending.resend(desk, session, order)
    elif order.purpose is LegPurpose.CLOSE:
        return _sleep_until(desk, session, leg, desk.after(desk.timing.poll))
    else:
        with session.transaction() as transaction:
            state = OrderState.NOT_RECEIVED
            orders.end_order(transaction, order.id, state, stopped.sentence, stopped.code, desk.now())
    return True


def _must_not_go(desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord) -> Refusal | None:
    """Look again before anything more is sent: the kill switch, and for an entry whether something newer came."""
    with session.transaction() as transaction:
        states = bots.trading_states(transaction, plan.bot_id)
        if leg.purpose is LegPurpose.CLOSE:
            return check_exit(states)
        newer = work.something_newer_waits(transaction, plan.bot_id)
    switched = check_switches(states)
    if switched is not None or not newer:
        return switched
    return Refusal(
        code=Code.SUPERSEDED, sentence="Something newer came for this bot before the rest was sent."
    )


def _too_old(desk: Desk, session: Session, plan: PlanRecord, order: OrderRecord) -> Refusal | None:
    if order.purpose is LegPurpose.CLOSE:
        return None
    with session.autocommit() as transaction:
        bot = bots.bot_from(bots.bot_row(transaction, plan.bot_id))
    limit = timedelta(seconds=bot.max_signal_age_seconds)
    if desk.now() - plan.created_at <= limit:
        return None
    sentence = f"The broker could not be reached for {bot.max_signal_age_seconds} s: {order.broker_message}"
    return Refusal(code=Code.NOT_RECEIVED, sentence=sentence)


def _await_end(desk: Desk, session: Session, leg: LegRecord, order: OrderRecord) -> bool:
    """Wait for an order at the broker; fills ring the lane, and now and then we ask."""
    if order.cancel_asked_at is not None:
        sending.cancel(desk, session, order)
    due = (order.polled_at or order.sent_at or order.created_at) + _poll_interval(desk, order)
    if leg.entry_valid_until is not None and order.cancel_asked_at is None:
        due = min(due, leg.entry_valid_until, desk.after(desk.timing.poll * WATCHED_POLL))
    if desk.now() < due:
        return _sleep_until(desk, session, leg, due)
    over = expiry.reason_to_cancel(desk, leg, order)
    if over is not None:
        sending.cancel(desk, session, order, over)
    try:
        moved = sending.poll(desk, session, order, desk.broker(order.connection_id), "poll")
    except BrokerError:
        moved = False
        with session.transaction() as transaction:
            orders.note_poll(transaction, order.id, desk.now())
    return moved or _sleep_until(desk, session, leg, desk.now() + _poll_interval(desk, order))


def _poll_interval(desk: Desk, order: OrderRecord) -> timedelta:
    if order.cancel_asked_at is not None:
        return timedelta(seconds=desk.timing.poll / 2)
    age = (desk.now() - order.created_at).total_seconds()
    factor = next((factor for limit, factor in POLL_AGES if age < limit), SLOW_POLL)
    return timedelta(seconds=desk.timing.poll * factor)


def _sleep_until(desk: Desk, session: Session, leg: LegRecord, until: datetime) -> bool:
    with session.transaction() as transaction:
        work.let_leg_sleep(transaction, leg.id, until)
    return False


def _next_attempt(
    desk: Desk,
    session: Session,
    plan: PlanRecord,
    leg: LegRecord,
    part: int,
    sent: list[OrderRecord],
) -> bool:
    """Send what is left of a part as its next attempt, or end the leg with the reason."""
    attempts = [order for order in sent if order.part == part]
    traded = sum((order.filled_quantity for order in sent), ZERO)
    end = _end_of_leg(leg, attempts, traded) if attempts else None
    if end is not None:
        return _finish(desk, session, plan, leg, *end)
    if attempts and _rests(desk, attempts[-1]):
        return _await_blocker(desk, session, leg, attempts[-1])
    stopped = _must_not_go(desk, session, plan, leg)
    if stopped is not None and leg.purpose is LegPurpose.OPEN:
        return _finish(desk, session, plan, leg, *_ended(traded, stopped))
    if stopped is not None:
        return _sleep_until(desk, session, leg, desk.after(desk.timing.poll))
    if leg.purpose is LegPurpose.CLOSE and attempts and not write_off_missing(desk, session, plan, leg):
        return False
    with session.transaction() as transaction:
        order = _commit_attempt(transaction, desk, plan, leg, part, attempts)
    if order is None:
        return _finish(desk, session, plan, leg, LegState.DONE, None)
    desk.step("attempt committed")
    sending.send(desk, session, order)
    return True


def _commit_attempt(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    part: int,
    attempts: list[OrderRecord],
) -> OrderRecord | None:
    row = bots.bot_row(transaction, plan.bot_id)
    instrument = lanes.instrument_of_lane(transaction, plan.lane_id)
    left = leg.parts[part - 1] - _filled(attempts, part)
    if leg.purpose is LegPurpose.CLOSE:
        left = min(left, abs(row["quantity"]))
    if instrument.is_dust(left):
        return None
    if leg.purpose is LegPurpose.CLOSE and len(attempts) == ENTRY_ATTEMPTS:
        _tell_trouble(transaction, desk, plan, bots.bot_from(row), attempts[-1])
    return commit_order(
        transaction,
        desk,
        plan,
        leg,
        connection_id=row["connection_id"],
        symbol=instrument.symbol,
        part=part,
        attempt=len(attempts) + 1,
        quantity=left,
        reserved=_reserve(leg) * left,
    )


def _reserve(leg: LegRecord) -> Decimal:
    """Return the money that one more unit of an entry ties up; nothing for an exit."""
    if leg.purpose is LegPurpose.CLOSE or leg.expected_price is None:
        return ZERO
    return reserve_per_unit(leg.side, leg.order_type, leg.expected_price) / (leg.leverage or 1)


def _end_of_leg(
    leg: LegRecord, attempts: list[OrderRecord], traded: Decimal
) -> tuple[LegState, Refusal | None] | None:
    """Say how a leg ends after its last order did; None: what is left goes again.

    `attempts` are those at the part under work, `traded` is what the whole leg has traded.
    """
    last, tries = attempts[-1], len(attempts)
    if last.state is OrderState.FILLED:
        return None
    conflict = last.broker_code == sending.CONFLICT
    if leg.purpose is LegPurpose.CLOSE:
        rejected = last.state is OrderState.REJECTED and not conflict
        return (LegState.FAILED, _rejection(last)) if rejected else None
    if last.state is OrderState.REJECTED and (not conflict or tries >= ENTRY_ATTEMPTS):
        return _ended(traded, _rejection(last))
    if last.state is OrderState.NOT_RECEIVED:
        code = Code(last.broker_code) if last.broker_code in set(Code) else Code.NOT_RECEIVED
        words = last.broker_message or "The broker never received the order."
        return _ended(traded, Refusal(code=code, sentence=words))
    if last.cancel_asked_at is not None:
        words = "The entry was cancelled for a newer decision."
        return _ended(traded, last.cancelled_for or Refusal(code=Code.SUPERSEDED, sentence=words))
    filled = sum((order.filled_quantity for order in attempts), ZERO)
    gone = last.state in {OrderState.CANCELED, OrderState.EXPIRED}
    if gone and (filled == 0 or leg.order_type is not OrderType.MARKET or tries >= ENTRY_ATTEMPTS):
        words = f"The broker ended the order as {last.state} after {number(traded)} had filled."
        return _ended(traded, Refusal(code=Code.PARTLY_FILLED if traded else Code.NOT_FILLED, sentence=words))
    return None


def _ended(traded: Decimal, reason: Refusal) -> tuple[LegState, Refusal]:
    if traded:
        return LegState.DONE, reason
    return (LegState.SUPERSEDED if reason.code is Code.SUPERSEDED else LegState.FAILED), reason


def _rejection(order: OrderRecord) -> Refusal:
    words = order.broker_message or "without a reason"
    return Refusal(code=Code.BROKER_REJECTED, sentence=f"The broker rejected the order: {words}")


def _rests(desk: Desk, last: OrderRecord) -> bool:
    """Tell whether the next attempt must still wait: 1, 2, 4 … seconds after one that did not fill."""
    if last.state is OrderState.FILLED:
        return False
    since = last.created_at + timedelta(seconds=sending.retry_delay(last.attempt, desk.timing.retry_limit))
    return desk.now() < since


def _await_blocker(desk: Desk, session: Session, leg: LegRecord, last: OrderRecord) -> bool:
    """Wait before the next attempt; entries of any bot that stand in the way of an exit are cancelled."""
    if last.broker_code == sending.CONFLICT and last.purpose is LegPurpose.CLOSE:
        with session.autocommit() as transaction:
            open_orders = orders.open_orders_in_lane(transaction, last.lane_id)
        for order in open_orders:
            if order.purpose is LegPurpose.OPEN and order.is_at_broker:
                sending.cancel(desk, session, order)
    wait = sending.retry_delay(last.attempt, desk.timing.retry_limit)
    return _sleep_until(desk, session, leg, last.created_at + timedelta(seconds=wait))


def _tell_trouble(
    transaction: Transaction, desk: Desk, plan: PlanRecord, bot: Bot, last: OrderRecord
) -> None:
    """Tell once that an exit needs more attempts than it should; it goes on all the same."""
    sentence = (
        f"The exit of bot {bot.name} is not done after {ENTRY_ATTEMPTS} orders and goes on:"
        f" {last.broker_message or last.state}"
    )
    _note_exit_failed(transaction, desk, plan, bot, sentence)


def _note_exit_failed(
    transaction: Transaction, desk: Desk, plan: PlanRecord, bot: Bot, sentence: str
) -> None:
    if not risk.was_noted(transaction, bot.id, "EXIT_FAILED", desk.now() - TELL_AGAIN):
        note_and_tell(transaction, bot, NotificationKind.EXIT_FAILED, sentence, event=plan.event_uuid)


def _finish(
    desk: Desk, session: Session, plan: PlanRecord, leg: LegRecord, state: LegState, reason: Refusal | None
) -> bool:
    """Bring a leg to its end: its row, its trade, the bot's status, and the user's news."""
    with session.transaction() as transaction:
        work.finish_leg(transaction, leg.id, state, reason, desk.now())
        trades.write_trade(transaction, plan, leg, _trade_status(state, reason), reason)
        row = bots.bot_row(transaction, plan.bot_id)
        bots.set_status(transaction, plan.bot_id, _bot_status(leg, state, reason))
        if state is LegState.FAILED and leg.purpose is LegPurpose.CLOSE and reason is not None:
            _note_exit_failed(transaction, desk, plan, bots.bot_from(row), reason.sentence)
        elif state is LegState.FAILED and reason is not None:
            notifications.notify(
                transaction,
                plan.user_id,
                NotificationKind.BOT_REJECTED,
                event=str(plan.event_uuid),
                bot=row["name"],
                code=reason.code,
                sentence=reason.sentence,
            )
        else:
            _tell_filled(transaction, plan, leg, row["name"])
    desk.step("leg finished")
    return True


def _trade_status(state: LegState, reason: Refusal | None) -> str:
    if state is LegState.DONE:
        return "FILLED" if reason is None else "PARTIALLY_FILLED"
    if state is LegState.SUPERSEDED:
        return "CANCELED"
    return "REJECTED" if reason is not None and reason.code is Code.BROKER_REJECTED else "FAILED"


def _bot_status(leg: LegRecord, state: LegState, reason: Refusal | None) -> BotStatus:
    if state is LegState.DONE:
        return BotStatus.FILLED if reason is None else BotStatus.PARTIALLY_FILLED
    if state is LegState.SUPERSEDED:
        return BotStatus.READY
    return BotStatus.ERROR if leg.purpose is LegPurpose.CLOSE else BotStatus.REJECTED


def _tell_filled(transaction: Transaction, plan: PlanRecord, leg: LegRecord, bot_name: str) -> None:
    trade = trades.trade_of_leg(transaction, leg.id)
    if trade is not None and trade["filled_qty"]:
        notifications.notify(
            transaction,
            plan.user_id,
            NotificationKind.BOT_FILLED,
            event=str(plan.event_uuid),
            bot=bot_name,
            trade=trade["id"],
            symbol=trade["symbol"],
            action=trade["action"],
            side=leg.side,
            quantity=trade["filled_qty"],
            price=trade["filled_price"],
            realized=trade["realized_pnl"],
            fees=trade["fees"],
        )
