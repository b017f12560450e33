"""Stops and targets that rest at the broker: placed, followed, shrunk, lifted before we exit ourselves.

While one rests the engine watches the same prices (`engine.monitor`), so a position is never without
protection between two steps here. Only one bot of a lane may have its protection at the broker: one that
closes what it finds would close the others' as well.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import cast

from bot_database import Row, Session, Transaction, bots, lanes, notifications, protections, risk, work
from brokers.base import (
    ProtectingBroker,
    ProtectionIntent,
    ProtectionOutcome,
    ProtectionState,
    RestingProtection,
)
from core.errors import BrokerError, DuplicateOrder, Rejected
from core.identity import protection_client_id
from core.instrument import Instrument
from core.order import Side
from core.plan import LegPurpose
from core.wording import seconds
from database.notifications import NotificationKind
from database.protections import ProtectionRecord
from engine.adoption import adopt
from engine.desk import Desk
from engine.rate import spend

LOOK_SECONDS = 30.0
CALLS_OF_A_LOOK = 2
CLOCK_TOLERANCE = timedelta(minutes=2)
# What an entry carries along appears at the broker a moment after its fill
APPEARS_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of a bot's protection rests at the broker, and what the broker did by it already."""

    resting: tuple[RestingProtection, ...]
    triggered: ProtectionOutcome | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(each.id for each in self.resting)


def look(desk: Desk, session: Session, bot_id: int) -> bool:
    """Bring what rests at the broker in line with what should; tell whether the lane went on."""
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, bot_id)
        row = bots.bot_row(transaction, bot_id)
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
        alone = not lanes.others_in_lane(transaction, row["lane_id"], bot_id)
        leaving = any(
            leg.purpose is LegPurpose.CLOSE and not leg.state.is_final
            for plan in work.unfinished_plans(transaction, row["lane_id"])
            if plan.bot_id == bot_id
            for leg in work.legs_of(transaction, plan.id)
        )
    if record is None or leaving or lane.is_dust(row["quantity"]):
        return _look_again(desk, session, bot_id, LOOK_SECONDS)
    try:
        return _look(desk, session, record, row, lane, alone=alone)
    except BrokerError:
        return _look_again(desk, session, bot_id, desk.timing.poll)


def book_triggered(desk: Desk, session: Session, bot_id: int) -> bool | None:
    """Book an exit that the broker has made already; None where it has made none, or cannot be asked.

    Else whether it could be booked: False while its order has not come to its end.
    """
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, bot_id)
        row = bots.bot_row(transaction, bot_id)
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
    if record is None or not record.at_broker or lane.is_dust(row["quantity"]):
        return None
    try:
        triggered = _standing(_broker(desk, session, row), record, row).triggered
    except BrokerError:
        return None
    return None if triggered is None else _take_triggered(desk, session, record, triggered, lane)


def lift(desk: Desk, session: Session, row: Row) -> bool:
    """Take away what rests at the broker before the bot leaves by itself; tell whether nothing rests.

    What triggered meanwhile is booked instead. Raises what the broker raises.
    """
    with session.autocommit() as transaction:
        record = protections.protection_of(transaction, row["id"])
        lane = lanes.instrument_of_lane(transaction, row["lane_id"])
    if record is None or not record.at_broker:
        return True
    broker = _broker(desk, session, row)
    found = _standing(broker, record, row)
    for each in found.resting:
        broker.cancel_protection(row["symbol"], each.id)
    if found.resting:
        desk.step("protection lifted")
        found = _standing(broker, record, row)
    if found.triggered is not None:
        return _take_triggered(desk, session, record, found.triggered, lane)
    if found.resting:
        return False
    with session.transaction() as transaction:
        # Should the exit come to nothing, the next look places it again
        protections.note_resting(transaction, record.bot_id, (), desk.after(LOOK_SECONDS))
    return True


def _broker(desk: Desk, session: Session, row: Row) -> ProtectingBroker:
    spend(desk, session, row["connection_id"], CALLS_OF_A_LOOK)
    return cast(ProtectingBroker, desk.broker(row["connection_id"]))


def _look(
    desk: Desk, session: Session, record: ProtectionRecord, row: Row, lane: Instrument, *, alone: bool
) -> bool:
    broker = _broker(desk, session, row)
    found = _standing(broker, record, row)
    if found.triggered is not None:
        return _take_triggered(desk, session, record, found.triggered, lane)
    if not alone:
        return _leave_to_engine(desk, session, broker, record, row, found)
    wanted = _wanted(record, row, broker.instrument(row["symbol"]))
    if _is_as_wanted(found, wanted):
        return _note(desk, session, record, found.ids)
    if not found.resting and desk.now() - record.created_at < APPEARS_WITHIN and not record.version:
        return _look_again(desk, session, record.bot_id, desk.timing.poll)
    return _place(desk, session, broker, record, wanted, found)


def _standing(broker: ProtectingBroker, record: ProtectionRecord, row: Row) -> Standing:
    """Read what is ours of what rests, and what became of what rested before."""
    side = Side.SELL if row["quantity"] > 0 else Side.BUY
    resting = tuple(each for each in broker.protections(row["symbol"]) if _is_ours(each, record, side))
    seen = {each.id for each in resting}
    for gone in record.broker_ids:
        if gone not in seen:
            outcome = broker.protection_outcome(row["symbol"], gone)
            if outcome.state is ProtectionState.TRIGGERED:
                return Standing(resting=resting, triggered=outcome)
    return Standing(resting=resting)


def _is_ours(each: RestingProtection, record: ProtectionRecord, side: Side) -> bool:
    if each.id in record.broker_ids:
        return True
    if each.side is not side:
        return False
    ours = {
        protection_client_id(record.event_uuid, record.leg_number, version + 1)
        for version in range(record.version)
    }
    if each.client_id in ours:
        return True
    came_with_entry = (each.stop_price, each.target_price) == (record.attached_stop, record.attached_target)
    return came_with_entry and each.created_at >= record.created_at - CLOCK_TOLERANCE


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
        target_price=single_target,
        margin_mode=record.margin_mode,
    )


def _is_as_wanted(found: Standing, wanted: ProtectionIntent) -> bool:
    """Tell whether what rests covers the holding at the wanted prices, in one piece or several."""
    prices = {(each.stop_price, each.target_price) for each in found.resting}
    if prices != {(wanted.stop_price, wanted.target_price)}:
        return False
    if any(each.quantity is None for each in found.resting):
        return True
    covered = sum((each.quantity for each in found.resting if each.quantity is not None), Decimal(0))
    return covered == wanted.quantity


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
        return _clear(desk, session, broker, record, wanted.symbol, found)
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
    return _note(desk, session, record, (placed,))


def _clear(
    desk: Desk,
    session: Session,
    broker: ProtectingBroker,
    record: ProtectionRecord,
    symbol: str,
    found: Standing,
) -> bool:
    for old in found.resting:
        broker.cancel_protection(symbol, old.id)
    return _note(desk, session, record, ())


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
    for each in found.resting:
        broker.cancel_protection(row["symbol"], each.id)
    if found.resting and _standing(broker, record, row).ids:
        return _look_again(desk, session, record.bot_id, desk.timing.poll)
    with session.transaction() as transaction:
        protections.hold_by_engine(transaction, record.bot_id)
    return False


def _take_triggered(
    desk: Desk, session: Session, record: ProtectionRecord, outcome: ProtectionOutcome, lane: Instrument
) -> bool:
    """Book an exit that the broker made; False while its order has not come to its end there."""
    known = outcome.order
    if known is None or not known.state.is_final:
        return _look_again(desk, session, record.bot_id, desk.timing.poll / 2)
    adopt(desk, session, record, known, is_stop=outcome.is_stop is not False, lane=lane)
    return True


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
    row = bots.bot_row(transaction, record.bot_id)
    missing = desk.now() - record.seen_at
    if risk.was_noted(transaction, record.bot_id, "PROTECTION_MISSING", record.seen_at):
        return
    sentence = f"The stop or target of bot {row['name']} did not rest at the broker for {seconds(missing)}."
    risk.note_event(
        transaction,
        user_id=row["user_id"],
        connection_id=row["connection_id"],
        lane_id=row["lane_id"],
        bot_id=row["id"],
        kind="PROTECTION_MISSING",
        actual=Decimal(int(missing.total_seconds())),
        sentence=sentence,
        action_taken=action,
    )
    notifications.notify(
        transaction,
        row["user_id"],
        NotificationKind.PROTECTION_MISSING,
        bot=row["name"],
        sentence=sentence,
    )
