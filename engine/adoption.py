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
from database.protections import ProtectionRecord, hold_by_engine
from database.work import LegRecord, PlanRecord
from engine.desk import Desk


def adopt(
    desk: Desk, session: Session, record: ProtectionRecord, known: Order, *, is_stop: bool, lane: Instrument
) -> None:
    """Book the exit that a resting stop or target made, as if our own event had asked for it.

    Plan, leg, order and fills come in one transaction, so that it happens once or not at all: the
    protection says no more that it rests at the broker.
    """
    kind = "STOP" if is_stop else "TARGET"
    with session.transaction() as transaction:
        row = bots.bot_row(transaction, record.bot_id, lock=True)
        held = abs(row["quantity"])
        hold_by_engine(transaction, record.bot_id)
        if lane.is_dust(held):
            return
        level = record.protection.stop_price if is_stop else record.protection.target_price
        sentence = (
            f"The broker's {kind.lower()}{'' if level is None else f' at {grouped(level)}'} has triggered."
        )
        event = risk.take_over_exit(transaction, record.bot_id, kind, threshold=level, sentence=sentence)
        exit_order = _no_more_than(known, held)
        plan, leg = _plan(transaction, desk, record, event, exit_order)
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
    transaction: Transaction, desk: Desk, record: ProtectionRecord, event: Row, known: Order
) -> tuple[PlanRecord, LegRecord]:
    row = bots.bot_row(transaction, record.bot_id)
    plan_id = work.create_plan(
        transaction,
        lane_id=row["lane_id"],
        bot_id=record.bot_id,
        event_uuid=event["uuid"],
        signal_id=None,
        risk_event_id=event["id"],
        own_exit=True,
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
        expected_price=record.protection.stop_price,
        closes_account=True,
        now=desk.now(),
    )
    trades.write_trade(transaction, plan, leg, "SUBMITTED", None)
    return plan, leg


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
