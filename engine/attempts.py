"""The next order of a leg: its identity, its intent, its row."""

from decimal import Decimal

from bot_database import Transaction, bots, orders
from core.bot import BotStatus
from core.identity import client_order_id
from core.money import ZERO
from core.order import OrderIntent
from core.plan import LegPurpose
from database.orders import OrderRecord
from database.work import LegRecord, PlanRecord
from engine.desk import Desk


def commit_order(
    transaction: Transaction,
    desk: Desk,
    plan: PlanRecord,
    leg: LegRecord,
    *,
    connection_id: int,
    symbol: str,
    part: int,
    attempt: int,
    quantity: Decimal,
    reserved: Decimal = ZERO,
) -> OrderRecord:
    """Write down an order that is to be sent as soon as the transaction has committed."""
    intent = OrderIntent(
        client_order_id=client_order_id(plan.event_uuid, leg.number, part, attempt),
        symbol=symbol,
        side=leg.side,
        quantity=quantity,
        order_type=leg.order_type,
        limit_price=leg.limit_price,
        closes_account_position=_closes_account(leg, part, attempt),
        # The first part brings the account to zero at most, so it may never open anything
        reduce_only=leg.purpose is LegPurpose.CLOSE and leg.closes_account and part == 1,
        leverage=leg.leverage,
        margin_mode=leg.margin_mode,
        stop_loss=leg.attached_stop,
        take_profit=leg.attached_target,
    )
    bots.set_status(transaction, plan.bot_id, BotStatus.ORDER_SUBMITTED)
    return orders.create_order(
        transaction,
        intent=intent,
        leg=leg,
        part=part,
        attempt=attempt,
        plan=plan,
        connection_id=connection_id,
        reserved=reserved,
        send_by=desk.after(desk.timing.send_window),
        now=desk.now(),
    )


def _closes_account(leg: LegRecord, part: int, attempt: int) -> bool | None:
    """Say what an order does to the account, and nothing where the account may have changed since it was read.

    An exit must never be refused for what was said about it.
    """
    if leg.closes_account and part == 1 and attempt == 1:
        return True
    return None if leg.purpose is LegPurpose.CLOSE or leg.closes_account else False
