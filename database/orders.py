"""Orders as rows: what was asked, how often it was sent, what the broker answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

from core.order import AT_BROKER, MarginMode, Order, OrderIntent, OrderState, OrderType, Side
from core.plan import Code, LegPurpose, Refusal
from database.pool import Transaction
from database.prepared import Prepared, prepared
from database.work import LegRecord, PlanRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One attempt at one part of a leg: what was asked, apart from what the broker answered."""

    id: int
    intent: OrderIntent
    leg_id: int
    part: int
    attempt: int
    user_id: int
    connection_id: int
    lane_id: int
    bot_id: int
    purpose: LegPurpose
    expected_price: Decimal | None
    send_by: datetime
    sends: int
    next_send_at: datetime | None
    state: OrderState
    in_doubt_since: datetime | None
    not_found_count: int
    next_look_up_at: datetime | None
    cancel_asked_at: datetime | None
    broker_order_id: str | None
    broker_code: str | None
    broker_message: str | None
    filled_quantity: Decimal
    created_at: datetime
    sent_at: datetime | None
    polled_at: datetime | None
    cancelled_for: Refusal | None

    @property
    def is_protected_at_broker(self) -> bool:
        """Tell whether the broker was asked to watch a stop or a target for what this order fills."""
        return self.intent.stop_loss is not None or self.intent.take_profit is not None

    @property
    def is_final(self) -> bool:
        return self.state.is_final

    @property
    def is_at_broker(self) -> bool:
        return self.state in AT_BROKER

    def is_same(self, known: Order) -> bool:
        """Tell whether what the broker has under our id is what we asked for."""
        asked = self.intent
        return (known.symbol, known.side, known.quantity) == (asked.symbol, asked.side, asked.quantity)


def order_from(row: Mapping[str, Any]) -> OrderRecord:
    """Make an `OrderRecord` of a row of orders."""
    return OrderRecord(
        id=row["id"],
        intent=OrderIntent(
            client_order_id=row["client_order_id"],
            symbol=row["symbol"],
            side=Side(row["side"]),
            quantity=row["quantity"],
            order_type=OrderType(row["order_type"]),
            limit_price=row["limit_price"],
            closes_account_position=row["closes_account_position"],
            reduce_only=row["reduce_only"],
            leverage=row["leverage"],
            margin_mode=MarginMode(row["margin_mode"]) if row["margin_mode"] else None,
            stop_loss=row["stop_loss"],
            take_profit=row["take_profit"],
        ),
        leg_id=row["leg_id"],
        part=row["part"],
        attempt=row["attempt"],
        user_id=row["user_id"],
        connection_id=row["connection_id"],
        lane_id=row["lane_id"],
        bot_id=row["bot_config_id"],
        purpose=LegPurpose(row["purpose"]),
        expected_price=row["expected_price"],
        send_by=row["send_by"],
        sends=row["sends"],
        next_send_at=row["next_send_at"],
        state=OrderState(row["state"]),
        in_doubt_since=row["in_doubt_since"],
        not_found_count=row["not_found_count"],
        next_look_up_at=row["next_look_up_at"],
        cancel_asked_at=row["cancel_asked_at"],
        broker_order_id=row["broker_order_id"],
        broker_code=row["broker_code"],
        broker_message=row["broker_message"],
        filled_quantity=row["filled_quantity"],
        created_at=row["created_at"],
        sent_at=row["sent_at"],
        polled_at=row["polled_at"],
        cancelled_for=_cancelled_for(row),
    )


def _cancelled_for(row: Mapping[str, Any]) -> Refusal | None:
    if row["cancel_code"] is None:
        return None
    return Refusal(code=Code(row["cancel_code"]), sentence=row["cancel_sentence"])


def orders_of(transaction: Transaction, leg_id: int) -> list[OrderRecord]:
    """Return a leg's orders, by part and attempt."""
    rows = transaction.all(
        prepared("SELECT * FROM orders WHERE leg_id = %s ORDER BY part, attempt", "bigint"), (leg_id,)
    )
    return [order_from(row) for row in rows]


def open_orders_in_lane(transaction: Transaction, lane_id: int) -> list[OrderRecord]:
    """Return the lane's orders that are not final."""
    rows = transaction.all(
        prepared("SELECT * FROM orders WHERE lane_id = %s AND finished_at IS NULL ORDER BY id", "bigint"),
        (lane_id,),
    )
    return [order_from(row) for row in rows]


def open_orders_of_connection(transaction: Transaction, connection_id: int) -> list[OrderRecord]:
    """Return the connection's orders that are not final."""
    rows = transaction.all(
        "SELECT * FROM orders WHERE connection_id = %s AND finished_at IS NULL ORDER BY id", (connection_id,)
    )
    return [order_from(row) for row in rows]


def order_by_client_id(
    transaction: Transaction, client_order_id: str, *, lock: bool = False
) -> OrderRecord | None:
    """Return the order that carries our id, None where we never made one."""
    sql = "SELECT * FROM orders WHERE client_order_id = %s" + (" FOR NO KEY UPDATE" if lock else "")
    row = transaction.maybe(prepared(sql, "text"), (client_order_id,))
    return None if row is None else order_from(row)


def is_known(transaction: Transaction, lane_id: int, broker_order_id: str) -> bool:
    """Tell whether an order of the broker's is one of ours in a lane."""
    sql = "SELECT EXISTS (SELECT FROM orders WHERE lane_id = %s AND broker_order_id = %s)"
    return bool(transaction.value(sql, (lane_id, broker_order_id)))


def create_order(
    transaction: Transaction,
    *,
    intent: OrderIntent,
    leg: LegRecord,
    part: int,
    attempt: int,
    plan: PlanRecord,
    connection_id: int,
    reserved: Decimal,
    send_by: datetime,
    now: datetime | None = None,
) -> OrderRecord:
    """Commit an order before it is sent; the id is unique for ever.

    `now` is the moment of its creation by the clock that its age is measured with.
    """
    values = {
        "client_order_id": intent.client_order_id,
        "leg_id": leg.id,
        "part": part,
        "attempt": attempt,
        "user_id": plan.user_id,
        "connection_id": connection_id,
        "lane_id": plan.lane_id,
        "bot_config_id": plan.bot_id,
        "purpose": leg.purpose,
        "symbol": intent.symbol,
        "side": intent.side,
        "quantity": intent.quantity,
        "order_type": intent.order_type,
        "limit_price": intent.limit_price,
        "closes_account_position": intent.closes_account_position,
        "reduce_only": intent.reduce_only,
        "leverage": intent.leverage,
        "margin_mode": intent.margin_mode,
        "stop_loss": intent.stop_loss,
        "take_profit": intent.take_profit,
        "expected_price": leg.expected_price,
        "reserved": reserved,
        "send_by": send_by,
        "sends": 1,
        **({} if now is None else {"created_at": now}),
    }
    return order_from(transaction.one(_insertion(*values), values))


@cache
def _insertion(*names: str) -> Prepared:
    places = ", ".join(f"%({name})s" for name in names)
    sql = f"INSERT INTO orders ({', '.join(names)}) VALUES ({places}) RETURNING *"
    return prepared(sql, **{name: _TYPES[name] for name in names})


_TYPES = {
    "client_order_id": "text",
    "leg_id": "bigint",
    "part": "integer",
    "attempt": "integer",
    "user_id": "bigint",
    "connection_id": "bigint",
    "lane_id": "bigint",
    "bot_config_id": "bigint",
    "purpose": "text",
    "symbol": "text",
    "side": "text",
    "quantity": "numeric",
    "order_type": "text",
    "limit_price": "numeric",
    "closes_account_position": "boolean",
    "reduce_only": "boolean",
    "leverage": "integer",
    "margin_mode": "text",
    "stop_loss": "numeric",
    "take_profit": "numeric",
    "expected_price": "numeric",
    "reserved": "numeric",
    "send_by": "timestamptz",
    "sends": "integer",
    "created_at": "timestamptz",
}


def renew_send(transaction: Transaction, order_id: int, send_by: datetime) -> OrderRecord:
    """Allow another sending of an order that certainly did not arrive."""
    return order_from(
        transaction.one(
            """
            UPDATE orders SET send_by = %s, sends = sends + 1, next_send_at = NULL, state = 'NEW',
                   in_doubt_since = NULL, not_found_count = 0
             WHERE id = %s AND state IN ('NEW', 'IN_DOUBT') RETURNING *
            """,
            (send_by, order_id),
        )
    )


def postpone_send(transaction: Transaction, order_id: int, until: datetime, words: str) -> None:
    """Note that the broker could not be reached and when to send the same order again."""
    transaction.execute(
        "UPDATE orders SET next_send_at = %s, broker_message = %s WHERE id = %s AND state = 'NEW'",
        (until, words, order_id),
    )


def put_in_doubt(
    transaction: Transaction, order_id: int, words: str, now: datetime, look_up: datetime
) -> None:
    """Note that nobody knows whether the broker has the order."""
    transaction.execute(
        """
        UPDATE orders SET state = 'IN_DOUBT', in_doubt_since = %s, next_look_up_at = %s, not_found_count = 0,
               broker_message = %s WHERE id = %s AND state = 'NEW'
        """,
        (now, look_up, words, order_id),
    )


def count_not_found(transaction: Transaction, order_id: int, *, counts: bool, look_up: datetime) -> None:
    """Note a look-up: `counts` where the broker answered that it has no such order."""
    transaction.execute(
        """
        UPDATE orders SET not_found_count = not_found_count + %s, next_look_up_at = %s
         WHERE id = %s AND state = 'IN_DOUBT'
        """,
        (int(counts), look_up, order_id),
    )


def believe_unsent(transaction: Transaction, order_id: int, now: datetime) -> None:
    """Let an order go again that the broker has denied for good."""
    transaction.execute(
        """
        UPDATE orders SET state = 'NEW', in_doubt_since = NULL, not_found_count = 0, next_send_at = %s
         WHERE id = %s AND state = 'IN_DOUBT'
        """,
        (now, order_id),
    )


def end_order(
    transaction: Transaction,
    order_id: int,
    state: OrderState,
    words: str | None,
    code: str | None,
    now: datetime,
) -> None:
    """Bring an order that the broker does not hold to its end."""
    transaction.execute(
        """
        UPDATE orders SET state = %s, broker_message = coalesce(%s, broker_message), broker_code = %s,
               finished_at = %s, reserved = 0
         WHERE id = %s AND finished_at IS NULL
        """,
        (state, words, code, now, order_id),
    )


def note_cancel(
    transaction: Transaction, order_id: int, now: datetime, reason: Refusal | None = None
) -> None:
    """Note that we asked the broker to cancel an order, and why where it is not for a newer decision."""
    transaction.execute(
        "UPDATE orders SET cancel_asked_at = %s, cancel_code = %s, cancel_sentence = %s WHERE id = %s",
        (now, reason and reason.code, reason and reason.sentence, order_id),
    )


def took_entry_back(transaction: Transaction, bot_id: int, since: datetime) -> bool:
    """Tell whether an entry of a bot was cancelled for a decision since a time."""
    return bool(
        transaction.value(
            """
            SELECT EXISTS (SELECT FROM orders WHERE bot_config_id = %s AND purpose = 'OPEN'
                              AND cancel_asked_at >= %s AND cancel_code IS NULL)
            """,
            (bot_id, since),
        )
    )


def note_poll(transaction: Transaction, order_id: int, now: datetime) -> None:
    """Note that the broker was asked how an order stands."""
    transaction.execute(
        prepared("UPDATE orders SET polled_at = %s WHERE id = %s", "timestamptz, bigint"), (now, order_id)
    )


def update_order(transaction: Transaction, order_id: int, known: Order, now: datetime) -> OrderRecord:
    """Store what the broker says of an order, beside what we asked; return how it stands then.

    A final order is not opened again by late news, only put right by them: what filled late counts.
    One that we had given up as never received lives on as the broker says.
    """
    said = {
        "id": order_id,
        "state": known.state,
        "broker_order_id": known.broker_order_id,
        "filled": known.filled_quantity,
        "average": known.average_price,
        "fee": known.fee,
        "fee_asset": known.fee_asset,
        "words": known.message,
        "sent_at": known.submitted_at,
        "final": known.state.is_final,
        "now": now,
    }
    return order_from(transaction.one(_UPDATE, said))


def event_of(transaction: Transaction, order_id: int) -> UUID | None:
    """Return the id of the signal, or of the risk event, that an order is for."""
    found: UUID | None = transaction.value(
        prepared(
            """
            SELECT plans.event_uuid FROM orders JOIN legs ON legs.id = orders.leg_id
              JOIN plans ON plans.id = legs.plan_id WHERE orders.id = %s
            """,
            "bigint",
        ),
        (order_id,),
    )
    return found


_UPDATE = prepared(
    """
    UPDATE orders
       SET state = CASE WHEN finished_at IS NULL OR state = 'NOT_RECEIVED' OR %(final)s
                        THEN %(state)s ELSE state END, broker_order_id = %(broker_order_id)s,
           filled_quantity = greatest(filled_quantity, %(filled)s),
           average_price = CASE WHEN %(filled)s >= filled_quantity
                                THEN coalesce(%(average)s, average_price) ELSE average_price END,
           fee = greatest(fee, %(fee)s), fee_asset = coalesce(%(fee_asset)s, fee_asset),
           broker_message = coalesce(%(words)s, broker_message),
           acknowledged_at = coalesce(acknowledged_at, %(now)s),
           sent_at = coalesce(sent_at, %(sent_at)s),
           finished_at = CASE WHEN %(final)s THEN coalesce(finished_at, %(now)s)
                              WHEN state <> 'NOT_RECEIVED' THEN finished_at END,
           in_doubt_since = NULL, next_send_at = NULL
     WHERE id = %(id)s RETURNING *
    """,
    id="bigint",
    state="text",
    broker_order_id="text",
    filled="numeric",
    average="numeric",
    fee="numeric",
    fee_asset="text",
    words="text",
    sent_at="timestamptz",
    final="boolean",
    now="timestamptz",
)
