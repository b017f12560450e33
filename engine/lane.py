"""One pass over a lane: plans first, then exits of our own, then signals by number."""

import logging
from datetime import datetime

from bot_database import Row, Session, Transaction, bots, lanes, ledger, orders, protections, work
from core.bot import Bot
from core.checks import check_exit
from core.decide import Holding, OpenOrder, decide, decide_exit
from core.errors import BrokerError
from core.instrument import Instrument
from core.plan import Await, Code, Decision, LegPurpose, LegState, Plan, Refusal
from core.protection import quantity_at_target
from core.signal import PositionSide
from core.wording import moment
from database.work import PlanRecord, RiskExit, StoredSignal
from engine import commitment, leftovers, outcome, resting, sending
from engine.desk import Desk
from engine.legs import work_leg
from log import about_signal

LOOK_AGAIN_SECONDS = 5.0
# What the broker may have done already where it holds the protection
PRICE_EXITS = frozenset({"STOP", "TARGET"})

logger = logging.getLogger("engine")


def work_lane(desk: Desk, session: Session, lane_id: int) -> int:
    """Take every step that can be taken in a lane now; return how often its bell had rung at the last look."""
    while True:
        with session.autocommit() as transaction:
            agenda = lanes.agenda(transaction, lane_id, desk.now())
        if not _take_steps(desk, session, lane_id, agenda):
            desk.step("lane looked over")
            return agenda.bells


def _take_steps(desk: Desk, session: Session, lane_id: int, agenda: lanes.Agenda) -> bool:
    """Take each next step of what is on the agenda; tell whether there was any.

    What a bot's plans have not sent ends first where something newer came for the bot.
    """
    with session.autocommit() as transaction:
        exits = work.open_risk_exits(transaction, lane_id) if agenda.exits else []
        signals = work.undecided_signals(transaction, lane_id) if agenda.signals else []
        plans = work.unfinished_plans(transaction, lane_id) if agenda.plans else []
    if plans and (exits or signals):
        with session.transaction() as transaction:
            _supersede(transaction, desk, exits, signals)
    moved = False
    for plan in plans:
        with about_signal(plan.event_uuid):
            moved = advance_plan(desk, session, plan) or moved
    waiting: set[int] = set()
    for event in exits:
        if event.bot_id not in waiting:
            with about_signal(event.uuid):
                moved = _take_exit(desk, session, event) or moved
            waiting.add(event.bot_id)
    moved = _take_signals(desk, session, signals, waiting) or moved
    return _look_at_protections(desk, session, lane_id, agenda) or moved


def _look_at_protections(desk: Desk, session: Session, lane_id: int, agenda: lanes.Agenda) -> bool:
    if not agenda.protections:
        return False
    with session.autocommit() as transaction:
        due = protections.to_look_at(transaction, lane_id, desk.now())
    moved = [resting.look(desk, session, bot_id) for bot_id in due]
    leftovers.sweep(desk, session, lane_id)
    return any(moved)


def _supersede(
    transaction: Transaction, desk: Desk, exits: list[RiskExit], signals: list[StoredSignal]
) -> None:
    for event in exits:
        work.supersede_unsent(transaction, event.bot_id, f"An exit came after it: {event.kind}.", desk.now())
    for stored in signals:
        if stored.state == "STORED":
            words = f"Signal {stored.uuid} ({stored.signal.action}) came after it."
            work.supersede_unsent(transaction, stored.bot_id, words, desk.now())


def advance_plan(desk: Desk, session: Session, plan: PlanRecord) -> bool:
    """Take the next step of a plan: its first leg that is not final, or its end."""
    with session.autocommit() as transaction:
        legs = work.legs_of(transaction, plan.id)
    for leg in legs:
        if leg.state in {LegState.FAILED, LegState.REFUSED} and leg.purpose is LegPurpose.CLOSE:
            break
        if not leg.state.is_final:
            return work_leg(desk, session, plan, leg)
    outcome.finish(desk, session, plan, legs)
    return True


def _take_signals(desk: Desk, session: Session, signals: list[StoredSignal], waiting: set[int]) -> bool:
    moved = False
    newest = {stored.bot_id: stored.id for stored in signals}
    for stored in signals:
        if stored.state == "WAITING_FOR_OPEN" and newest[stored.bot_id] != stored.id:
            moved = _replace_waiting(desk, session, stored) or moved
        elif stored.bot_id not in waiting and not _sleeps(desk, stored):
            moved = _take_signal(desk, session, stored) or moved
            waiting.add(stored.bot_id)
    return moved


def _sleeps(desk: Desk, stored: StoredSignal) -> bool:
    return stored.wake_at is not None and desk.now() < stored.wake_at


def _replace_waiting(desk: Desk, session: Session, stored: StoredSignal) -> bool:
    sentence = "A newer signal came before the market opened and replaced this one."
    with session.transaction() as transaction:
        reason = Refusal(code=Code.SUPERSEDED, sentence=sentence)
        work.finish_signal(transaction, stored.id, "SKIPPED", reason, desk.now())
    with about_signal(stored.uuid):
        logger.info("ended SKIPPED: %s: %s", reason.code, sentence)
    return True


def _take_signal(desk: Desk, session: Session, stored: StoredSignal) -> bool:
    """Decide about one signal and commit the plan; tell whether the lane went on."""
    with about_signal(stored.uuid):
        return _decide(desk, session, stored)


def _decide(desk: Desk, session: Session, stored: StoredSignal) -> bool:
    with session.autocommit() as transaction:
        row = bots.bot_row(transaction, stored.bot_id)
        lane = lanes.instrument_of_lane(transaction, stored.lane_id)
    bot = bots.bot_from(row)
    no_shorts = _no_shorts(desk, bot, stored)
    opens_at = _opens_at(desk, row, lane)
    desk.step("signal read")
    with session.transaction() as transaction:
        row = bots.bot_row(transaction, stored.bot_id, lock=True)
        decision = decide(
            bot=bots.bot_from(row),
            holding=_holding(row, lane),
            open_orders=_open_orders(transaction, bot),
            signal=stored.signal,
            no_shorts=no_shorts,
        )
        if isinstance(decision, Plan):
            if _must_wait_for_plan(transaction, bot, decision):
                return False
            if opens_at is not None and _begins_with_exit(decision):
                return _keep_for_open(transaction, stored, opens_at)
            commitment.commit_signal(transaction, desk, stored, row, decision)
    logger.info("decided: %s", _in_words(decision))
    desk.step("decision committed")
    return True if isinstance(decision, Plan) else _await(desk, session, bot, decision)


def _in_words(decision: Decision) -> str:
    if isinstance(decision, Await):
        return decision.sentence
    if decision.skip is not None:
        return f"{decision.skip.code}: {decision.skip.sentence}"
    return ", then ".join(f"{leg.purpose} by {leg.side}" for leg in decision.legs)


def _must_wait_for_plan(transaction: Transaction, bot: Bot, decision: Plan) -> bool:
    """Tell whether a decision must wait for what is under way; a pending entry is told at once."""
    pending = decision.skip is not None and decision.skip.code is Code.ENTRY_PENDING
    return not pending and work.has_unfinished_plan(transaction, bot.id)


def _no_shorts(desk: Desk, bot: Bot, stored: StoredSignal) -> Refusal | None:
    """Ask whether broker and asset allow shorts; who cannot answer is asked again before the order."""
    if stored.signal.is_partial_exit or stored.signal.wanted is not PositionSide.SHORT:
        return None
    try:
        broker = desk.broker(bot.connection_id)
        shortable = broker.capabilities.shorts and broker.instrument(bot.symbol).shortable
    except BrokerError:
        return None
    sentence = f"{bot.symbol} cannot be sold short at this broker."
    return None if shortable else Refusal(code=Code.SHORT_NOT_ALLOWED, sentence=sentence)


def _opens_at(desk: Desk, row: Row, lane: Instrument) -> datetime | None:
    """Return when the market opens, None where it is open, unknown, or nothing is held to be closed."""
    if lane.is_dust(row["quantity"]):
        return None
    try:
        clock = desk.broker(row["connection_id"]).clock(lane.asset_class)
    except BrokerError:
        return None
    return None if clock.is_open else clock.next_open


def _begins_with_exit(decision: Plan) -> bool:
    return bool(decision.legs) and decision.legs[0].purpose is LegPurpose.CLOSE


def _keep_for_open(transaction: Transaction, stored: StoredSignal, opens_at: datetime) -> bool:
    words = f"The market is closed; this exit is kept until it opens at {moment(opens_at)}."
    work.keep_for_open(transaction, stored.id, opens_at, words)
    return False


def _holding(row: Row, lane: Instrument) -> Holding:
    side = ledger.position_from(row).tradable_side(lane)
    return Holding(side=side, quantity=row["quantity"])


def _open_orders(transaction: Transaction, bot: Bot) -> tuple[OpenOrder, ...]:
    return tuple(
        OpenOrder(purpose=order.purpose, side=order.intent.side, state=order.state)
        for order in orders.open_orders_in_lane(transaction, bot.lane_id)
        if order.bot_id == bot.id
    )


def _await(desk: Desk, session: Session, bot: Bot, decision: Await) -> bool:
    """Cancel the bot's open entries where the decision says so; tell whether that is news."""
    if not decision.cancel:
        return False
    with session.autocommit() as transaction:
        entries = [
            order
            for order in orders.open_orders_in_lane(transaction, bot.lane_id)
            if order.bot_id == bot.id and order.purpose is LegPurpose.OPEN and order.is_at_broker
        ]
    fresh = [order for order in entries if order.cancel_asked_at is None]
    for order in fresh:
        sending.cancel(desk, session, order)
        with session.transaction() as transaction:
            work.let_leg_sleep(transaction, order.leg_id, desk.after(desk.timing.poll / 2))
    return bool(fresh)


def _decide_exit(transaction: Transaction, event: RiskExit, row: Row, lane: Instrument) -> Decision:
    """Decide about an exit of our own; a target among several leaves its share."""
    bot = bots.bot_from(row)
    record = protections.protection_of(transaction, bot.id) if event.target_number else None
    part = None
    if record is not None and event.target_number is not None:
        part = quantity_at_target(
            record.protection.targets, event.target_number, opened=record.opened, held=abs(row["quantity"])
        )
        if part == 0:
            words = f"Target {event.target_number} was left already."
            return Plan(skip=Refusal(code=Code.ALREADY_FLAT, sentence=words))
    return decide_exit(
        holding=_holding(row, lane),
        open_orders=_open_orders(transaction, bot),
        quantity=part,
        target_number=event.target_number if part is not None else None,
    )


def _take_exit(desk: Desk, session: Session, event: RiskExit) -> bool:
    """Plan an exit of our own on what the bot holds now; tell whether the lane went on."""
    with session.transaction() as transaction:
        halted = check_exit(bots.trading_states(transaction, event.bot_id))
        row = bots.bot_row(transaction, event.bot_id)
        lane = lanes.instrument_of_lane(transaction, event.lane_id)
        if halted is not None:
            work.delay_risk_exit(transaction, event.id, desk.after(LOOK_AGAIN_SECONDS), halted.sentence)
            return False
    if event.kind in PRICE_EXITS:
        booked = resting.settle(desk, session, event.bot_id, event.created_at)
        if booked is not None:
            return booked
    bot = bots.bot_from(row)
    opens_at = _opens_at(desk, row, lane)
    with session.transaction() as transaction:
        row = bots.bot_row(transaction, event.bot_id, lock=True)
        decision = _decide_exit(transaction, event, row, lane)
        if isinstance(decision, Plan):
            if work.has_unfinished_plan(transaction, bot.id):
                return False
            if opens_at is not None and decision.legs:
                words = f"The market is closed; the exit goes when it opens at {moment(opens_at)}."
                work.delay_risk_exit(transaction, event.id, opens_at, words)
                return False
            commitment.commit_exit(transaction, desk, event, row, decision)
    logger.info("decided for %s: %s", event.kind, _in_words(decision))
    desk.step("exit committed")
    return True if isinstance(decision, Plan) else _await(desk, session, bot, decision)
