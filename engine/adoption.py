"""An exit that the broker made for us: its stop or target triggered, and the ledger takes it over."""

from dataclasses import replace
from decimal import Decimal

from bot_database import Row, Session, Transaction, bots, ledger, notifications, orders, risk, trades, work
from core.identity import client_order_id
from core.instrument import Instrument
from core.money import ZERO
from core.order import Order, OrderIntent
from core.plan import Leg, LegPurpose
from core.wording import grouped
from database.notifications import NotificationKind
from database.protections import ProtectionRecord, note_triggered
from database.work import LegRecord, PlanRecord
from engine.desk import Desk


def adopt(
    desk: Desk,
    session: Session,
    record: ProtectionRecord,
    known: Order,
    *,
    triggered: str,
    is_stop: bool,
    lane: Instrument,
) -> None:
    """Book the exit that a resting stop or target made, as if our own event had asked for it.

    Plan, leg, order and fills come in one transaction, so that it happens once or not at all: the
    protection does not know the id `triggered` any more. Others of the same position stay as they are.
    """
    kind = "STOP" if is_stop else "TARGET"
    with session.transaction() as transaction:
        row = bots.bot_row(transaction, record.bot_id, lock=True)
        held = abs(row["quantity"])
        note_triggered(transaction, record.bot_id, triggered, desk.now())
        if lane.is_dust(held):
            return
        level = record.protection.stop_price if is_stop else record.protection.target_price
        sentence = (
            f"The broker's {kind.lower()}{'' if level is None else f' at {grouped(level)}'} has triggered."
        )
        event = risk.take_over_exit(transaction, record.bot_id, kind, threshold=level, sentence=sentence)
        exit_order = _no_more_than(known, held)
        plan, leg = _plan(transaction, desk, record, event, exit_order, level)
        _book(transaction, desk, plan, leg, exit_order, row["connection_id"])
        notifications.notify(
            transaction,
            row["user_id"],
            NotificationKind.RISK_LIMIT_HIT,
            bot=row["name"],
            event=kind,
            sentence=sentence,
        )
    desk.step("exit adopted")


def _no_more_than(known: Order, held: Decimal) -> Order:
    """Return the broker's order cut to what the bot holds; what goes beyond is somebody else's."""
    quantity = min(known.quantity, held)
    return replace(known, quantity=quantity, filled_quantity=min(known.filled_quantity, quantity))


def _plan(
    transaction: Transaction,
    desk: Desk,
    record: ProtectionRecord,
    event: Row,
    known: Order,
    level: Decimal | None,
) -> tuple[PlanRecord, LegRecord]:
    row = bots.bot_row(transaction, record.bot_id)
    plan_id = work.create_plan(
        transaction,
        lane_id=row["lane_id"],
        bot_id=record.bot_id,
        event_uuid=event["uuid"],
        signal_id=None,
        risk_event_id=event["id"],
        own_exit=not _strategy_leaves(transaction, row),
        position_before=row["quantity"],
        legs=(Leg(purpose=LegPurpose.CLOSE, side=known.side, quantity=known.quantity),),
        note=None,
        now=desk.now(),
    )
    plan = next(each for each in work.unfinished_plans(transaction, row["lane_id"]) if each.id == plan_id)
    leg = work.start_leg(
        transaction,
        work.legs_of(transaction, plan_id)[0].id,
        parts=(known.quantity,),
        expected_price=level,
        closes_account=True,
        now=desk.now(),
    )
    trades.write_trade(transaction, plan, leg, "SUBMITTED", None)
    return plan, leg


def _strategy_leaves(transaction: Transaction, row: Row) -> bool:
    """Tell whether a signal is about to close the whole position, and the broker was only quicker."""
    return any(
        leg.purpose is LegPurpose.CLOSE
        and not leg.state.is_final
        and (leg.quantity is None or leg.quantity >= abs(row["quantity"]))
        for plan in work.unfinished_plans(transaction, row["lane_id"])
        if plan.bot_id == row["id"] and plan.signal_id is not None
        for leg in work.legs_of(transaction, plan.id)
    )


def _book(
    transaction: Transaction, desk: Desk, plan: PlanRecord, leg: LegRecord, known: Order, connection_id: int
) -> None:
    ours = client_order_id(plan.event_uuid, leg.number, 1, 1)
    orders.create_order(
        transaction,
        intent=OrderIntent(
            client_order_id=ours,
            symbol=known.symbol,
            side=known.side,
            quantity=known.quantity,
            reduce_only=True,
        ),
        leg=leg,
        part=1,
        attempt=1,
        plan=plan,
        connection_id=connection_id,
        reserved=ZERO,
        send_by=desk.now(),
        now=desk.now(),
    )
    ledger.book_order(transaction, replace(known, client_order_id=ours), source="protection", now=desk.now())
