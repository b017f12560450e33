"""Stops and targets that rest at the broker: placed, followed, shrunk, lifted before we exit ourselves.

While one rests the engine watches the same prices (`engine.monitor`), so a position is never without
protection between two steps here. Only one bot of a lane may have its protection at the broker: one that
closes what it finds would close the others' as well.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from bot_database import (
    Row,
    Session,
    Transaction,
    bots,
    lanes,
    orders,
    protections,
    risk,
    work,
)
from brokers.base import ProtectingBroker, ProtectionIntent
from core.checks import check_exit
from core.errors import BrokerError, DuplicateOrder, Rejected
from core.identity import protection_client_id
from core.instrument import Instrument
from core.order import Side
from core.plan import Code, LegPurpose, LegState, Refusal
from core.wording import seconds
from database.notifications import NotificationKind
from database.protections import ProtectionRecord
from engine import sending
from engine.adoption import adopt
from engine.desk import Desk
from engine.footprint import Standing, Triggered, footprint, standing, unseen_exit
from engine.news import note_and_tell
from engine.rate import spend

LOOK_SECONDS = 30.0
LEAVING_SECONDS = 5.0
SILENCE_SECONDS = 10.0
CALLS_OF_A_LOOK = 2
# What an entry carries along appears at the broker a moment after its fill
APPEARS_WITHIN = timedelta(seconds=10)
# An exit waits so long for what concerns protection only, and then goes: it is reduce-only
PATIENCE = timedelta(seconds=10)
# The order that a stop has sent is filled and shown within that time, or never will be
SHOWN_WITHIN = timedelta(seconds=60)
# A trailing stop is moved at the broker by such a share of its distance; the engine watches it to the tick
LAG = Decimal("0.1")


def look(desk: Desk, session: Session, bot_id: int) -> bool:
    """Bring what rests at the broker in line with what should; tell whether the lane went on."""
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, bot_id)
        row = bots.bot_row(transaction, bot_id)
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
        alone = not lanes.others_in_lane(transaction, row["lane_id"], bot_id)
        halted = check_exit(bots.trading_states(transaction, bot_id))
        under_way = _under_way(transaction, row)
    if LegPurpose.CLOSE in under_way:
        return _look_again(desk, session, bot_id, LEAVING_SECONDS)
    if record is None or lane.is_dust(row["quantity"]):
        return _look_again(desk, session, bot_id, LOOK_SECONDS)
    try:
        broker = _broker(desk, session, row)
        found = _standing(session, broker, record, row)
        if found.triggered is not None:
            return _take_triggered(desk, session, record, found.triggered, lane)
        if halted is not None:
            return _look_again(desk, session, bot_id, LOOK_SECONDS)
        if not alone:
            return _leave_to_engine(desk, session, broker, record, row, found)
        return _correct(desk, session, broker, record, row, found, filling=bool(under_way))
    except BrokerError:
        return _look_again(desk, session, bot_id, SILENCE_SECONDS)


def _under_way(transaction: Transaction, row: Row) -> set[LegPurpose]:
    """Return OPEN where an entry of a bot is being filled, CLOSE where an exit is or will be."""
    return {
        leg.purpose
        for plan in work.unfinished_plans(transaction, row["lane_id"])
        if plan.bot_id == row["id"]
        for leg in work.legs_of(transaction, plan.id)
        if leg.state is LegState.WORKING or (leg.purpose is LegPurpose.CLOSE and not leg.state.is_final)
    }


def settle(desk: Desk, session: Session, bot_id: int, since: datetime) -> bool | None:
    """Book an exit that the broker has made already; None where there is none to wait for.

    True where one was booked, False where it must be waited for: its order has not come to its end, or
    the broker cannot be asked, and the exit that asks has not waited `PATIENCE` since `since` yet.
    """
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, bot_id)
        if record is None or not record.at_broker:
            return None
        row = bots.bot_row(transaction, bot_id)
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
    if lane.is_dust(row["quantity"]):
        return None
    try:
        found = _standing(session, _broker(desk, session, row), record, row)
    except BrokerError:
        return _wait_or_go(desk, since)
    if found.triggered is not None:
        return _take_triggered(desk, session, record, found.triggered, lane) or _wait_or_go(desk, since)
    if found.ids != record.broker_ids:
        with session.transaction() as transaction:
            protections.note_resting(transaction, bot_id, found.ids, desk.after(LOOK_SECONDS))
    return None


def lift(desk: Desk, session: Session, bot_id: int, since: datetime) -> bool | None:
    """Take away what rests at the broker before the bot leaves by itself; None where the exit may go.

    True where something triggered meanwhile and is booked instead, False where it must be waited for, both
    as in `settle`, which goes before. What cannot be taken away is left to `engine.leftovers`.
    """
    desk.step("exit to be freed")
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, bot_id)
        if record is None or not record.at_broker:
            return None
        row = bots.bot_row(transaction, bot_id)
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
    try:
        broker = _broker(desk, session, row)
        for each in record.broker_ids:
            broker.cancel_protection(row["symbol"], each)
        desk.step("protection lifted")
        found = _standing(session, broker, record, row)
    except BrokerError:
        return _wait_or_go(desk, since)
    if found.triggered is not None:
        return _take_triggered(desk, session, record, found.triggered, lane) or _wait_or_go(desk, since)
    with session.transaction() as transaction:
        if found.ids:
            protections.note_resting(transaction, bot_id, found.ids, desk.after(LOOK_SECONDS))
            return _wait_or_go(desk, since)
        protections.note_lifted(transaction, bot_id, desk.after(LOOK_SECONDS))
    return None


def _wait_or_go(desk: Desk, since: datetime) -> bool | None:
    """Tell an exit to wait, or to go all the same; a call that took its time has counted by now."""
    return False if desk.now() < since + PATIENCE else None


def _broker(desk: Desk, session: Session, row: Row) -> ProtectingBroker:
    spend(desk, session, row["connection_id"], CALLS_OF_A_LOOK)
    return cast(ProtectingBroker, desk.broker(row["connection_id"]))


def _standing(session: Session, broker: ProtectingBroker, record: ProtectionRecord, row: Row) -> Standing:
    ours = footprint(record, Side.SELL if row["quantity"] > 0 else Side.BUY)
    found = standing(broker, row["symbol"], ours)
    if found.resting or found.triggered is not None:
        return found

    def is_booked(broker_order_id: str) -> bool:
        with session.autocommit() as transaction:
            return orders.is_known(transaction, row["lane_id"], broker_order_id)

    return replace(found, triggered=unseen_exit(broker, row["symbol"], ours, is_booked))


def _correct(
    desk: Desk,
    session: Session,
    broker: ProtectingBroker,
    record: ProtectionRecord,
    row: Row,
    found: Standing,
    *,
    filling: bool,
) -> bool:
    wanted = _wanted(record, row, broker.instrument(row["symbol"]))
    lag = (record.protection.trail_distance or Decimal(0)) * LAG
    if _is_as_wanted(found, wanted, lag, filling=filling):
        return _note(desk, session, record, found.ids)
    if not found.resting and desk.now() - record.created_at < APPEARS_WITHIN and not record.version:
        return _look_again(desk, session, record.bot_id, desk.timing.poll)
    return _place(desk, session, broker, record, wanted, found)


def _wanted(record: ProtectionRecord, row: Row, instrument: Instrument) -> ProtectionIntent:
    protection = record.protection
    single_target = None if protection.targets else protection.target_price
    stop = protection.stop_price
    with_room = instrument.round_quantity(abs(row["quantity"]))
    return ProtectionIntent(
        client_id=protection_client_id(record.event_uuid, record.leg_number, record.version + 1),
        symbol=instrument.symbol,
        side=Side.SELL if row["quantity"] > 0 else Side.BUY,
        quantity=with_room,
        stop_price=None if stop is None else instrument.round_price(stop),
        target_price=None if single_target is None else instrument.round_price(single_target),
        margin_mode=record.margin_mode,
    )


def _is_as_wanted(found: Standing, wanted: ProtectionIntent, lag: Decimal, *, filling: bool) -> bool:
    """Tell whether what rests covers the holding at the wanted prices, in one piece or several.

    The stop may lie behind by less than `lag`. While the entry is `filling` the broker may know of more than
    we have booked, and covers it.
    """
    if not found.resting or any(each.target_price != wanted.target_price for each in found.resting):
        return False
    if any(not _is_near(each.stop_price, wanted.stop_price, lag, wanted.side) for each in found.resting):
        return False
    if any(each.quantity is None for each in found.resting):
        return True
    covered = sum((each.quantity for each in found.resting if each.quantity is not None), Decimal(0))
    return covered == wanted.quantity or (filling and covered > wanted.quantity)


def _is_near(stop: Decimal | None, wanted: Decimal | None, lag: Decimal, closing: Side) -> bool:
    if stop is None or wanted is None or stop == wanted:
        return stop == wanted
    return 0 < (stop - wanted) * closing.sign < lag


def _place(
    desk: Desk,
    session: Session,
    broker: ProtectingBroker,
    record: ProtectionRecord,
    wanted: ProtectionIntent,
    found: Standing,
) -> bool:
    """Put the wanted protection beside what rests, then take the old away: the holding is never bare."""
    if wanted.stop_price is None and wanted.target_price is None:
        for old in found.resting:
            broker.cancel_protection(wanted.symbol, old.id)
        return _note(desk, session, record, found.ids)
    with session.transaction() as transaction:
        protections.count_placing(transaction, record.bot_id)
    desk.step("protection counted")
    try:
        placed = broker.protect(wanted)
    except DuplicateOrder:
        # An earlier try arrived: the next look finds it among what rests
        return _look_again(desk, session, record.bot_id, desk.timing.poll)
    except Rejected as error:
        return _tell_missing(desk, session, record, error.message)
    desk.step("protection placed")
    with session.transaction() as transaction:
        ids = (placed, *found.ids)
        protections.note_resting(transaction, record.bot_id, ids, desk.after(desk.timing.poll))
        if not found.resting:
            _note_missing(transaction, desk, record, "placed again")
    for old in found.resting:
        broker.cancel_protection(wanted.symbol, old.id)
    # Whether the old one was cancelled or triggered just before, the next look sees
    with session.transaction() as transaction:
        protections.note_seen(transaction, record.bot_id, desk.now())
    return False


def _note(desk: Desk, session: Session, record: ProtectionRecord, ids: tuple[str, ...]) -> bool:
    with session.transaction() as transaction:
        protections.note_resting(transaction, record.bot_id, ids, desk.after(LOOK_SECONDS))
        protections.note_seen(transaction, record.bot_id, desk.now())
    return False


def _leave_to_engine(
    desk: Desk,
    session: Session,
    broker: ProtectingBroker,
    record: ProtectionRecord,
    row: Row,
    found: Standing,
) -> bool:
    """Take the protection back to the engine, since others hold the symbol as well."""
    if not found.resting:
        with session.transaction() as transaction:
            protections.hold_by_engine(transaction, record.bot_id)
        return False
    with session.transaction() as transaction:
        protections.note_resting(transaction, record.bot_id, found.ids, desk.after(desk.timing.poll))
    for each in found.resting:
        broker.cancel_protection(row["symbol"], each.id)
    return False


def _take_triggered(
    desk: Desk, session: Session, record: ProtectionRecord, triggered: Triggered, lane: Instrument
) -> bool:
    """Book an exit that the broker made; False while its order has not come to its end there.

    One that never is shown at its end is asked for as an exit of our own, which finds out what is left.
    """
    known = triggered.outcome.order
    if known is None or not known.state.is_final:
        if desk.now() - record.seen_at > SHOWN_WITHIN:
            _ask_exit(desk, session, record)
        return _look_again(desk, session, record.bot_id, desk.timing.poll)
    _cancel_entries(desk, session, record)
    is_stop = triggered.outcome.is_stop is not False
    adopt(desk, session, record, known, triggered=triggered.id, is_stop=is_stop, lane=lane)
    return True


def _ask_exit(desk: Desk, session: Session, record: ProtectionRecord) -> None:
    sentence = "The broker's stop or target has triggered, and it does not show what became of it."
    with session.transaction() as transaction:
        risk.ask_exit(transaction, record.bot_id, "STOP", sentence=sentence)


def _cancel_entries(desk: Desk, session: Session, record: ProtectionRecord) -> None:
    """Cancel what of the entry has not filled: its trade is over."""
    words = "What had filled of the entry was closed by its stop or target, and the rest was cancelled."
    with session.autocommit() as transaction:
        lane_id = bots.bot_row(transaction, record.bot_id)["lane_id"]
        entries = [
            order
            for order in orders.open_orders_in_lane(transaction, lane_id)
            if order.bot_id == record.bot_id and order.purpose is LegPurpose.OPEN and order.is_at_broker
        ]
    for order in entries:
        reason = Refusal(code=Code.ENTRY_EXPIRED, sentence=words)
        sending.cancel(desk, session, order, reason if order.cancel_asked_at is None else None)
        with session.transaction() as transaction:
            work.let_leg_sleep(transaction, order.leg_id, desk.after(desk.timing.poll / 2))


def _look_again(desk: Desk, session: Session, bot_id: int, wait: float) -> bool:
    with session.transaction() as transaction:
        protections.ask_look(transaction, bot_id, desk.after(wait))
    return False


def _tell_missing(desk: Desk, session: Session, record: ProtectionRecord, words: str) -> bool:
    """Say that the broker does not take the protection; the engine watches it all the while."""
    with session.transaction() as transaction:
        _note_missing(transaction, desk, record, f"the engine watches it; the broker said: {words}")
    return _look_again(desk, session, record.bot_id, LOOK_SECONDS)


def _note_missing(transaction: Transaction, desk: Desk, record: ProtectionRecord, action: str) -> None:
    missing = desk.now() - record.seen_at
    if risk.was_noted(transaction, record.bot_id, "PROTECTION_MISSING", record.seen_at):
        return
    bot = bots.bot_from(bots.bot_row(transaction, record.bot_id))
    sentence = f"The stop or target of bot {bot.name} did not rest at the broker for {seconds(missing)}."
    note_and_tell(
        transaction,
        bot,
        NotificationKind.PROTECTION_MISSING,
        sentence,
        actual=Decimal(int(missing.total_seconds())),
        action_taken=action,
    )
