"""What is under way: signals to decide, risk exits, plans and their legs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg2.extras import Json

from core.order import MarginMode, OrderType, Side
from core.plan import Code, Leg, LegPurpose, LegState, Refusal
from core.protection import Protection, terms_of
from core.signal import Signal
from core.signal_json import from_json
from database.pool import Transaction
from database.prepared import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignal:
    """A signal of the inbox that is not finished."""

    id: int
    uuid: UUID
    user_id: int
    lane_id: int
    bot_id: int
    state: str
    signal: Signal
    received_at: datetime
    sent_at: datetime | None
    wake_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskExit:
    """A risk event whose exit is not planned yet."""

    id: int
    uuid: UUID
    user_id: int
    lane_id: int
    bot_id: int
    kind: str
    opening_fill_id: int | None
    target_number: int | None
    sentence: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """A plan that is not finished; `signal_id` or `risk_event_id` says what it is for."""

    id: int
    user_id: int
    lane_id: int
    bot_id: int
    signal_id: int | None
    risk_event_id: int | None
    event_uuid: UUID
    own_exit: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRecord:
    """One leg of a plan; `parts` are the quantities its orders are split into, once it is sized."""

    id: int
    plan_id: int
    number: int
    purpose: LegPurpose
    side: Side
    quantity: Decimal | None
    parts: tuple[Decimal, ...]
    order_type: OrderType
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    expected_price: Decimal | None
    closes_account: bool
    leverage: int | None
    margin_mode: MarginMode | None
    attached_stop: Decimal | None
    attached_target: Decimal | None
    entry_valid_until: datetime | None
    target_number: int | None
    state: LegState
    code: Code | None
    sentence: str | None
    wake_at: datetime | None


def _signal_from(row: Mapping[str, Any]) -> StoredSignal:
    return StoredSignal(
        id=row["id"],
        uuid=row["uuid"],
        user_id=row["user_id"],
        lane_id=row["lane_id"],
        bot_id=row["bot_config_id"],
        state=row["state"],
        signal=from_json(row["understood"]),
        received_at=row["received_at"],
        sent_at=row["sent_at"],
        wake_at=row["wake_at"],
    )


def _leg_from(row: Mapping[str, Any]) -> LegRecord:
    return LegRecord(
        id=row["id"],
        plan_id=row["plan_id"],
        number=row["number"],
        purpose=LegPurpose(row["purpose"]),
        side=Side(row["side"]),
        quantity=row["quantity"],
        parts=tuple(row["parts"]),
        order_type=OrderType(row["order_type"]),
        limit_price=row["limit_price"],
        stop_price=row["stop_price"],
        target_price=row["target_price"],
        expected_price=row["expected_price"],
        closes_account=row["closes_account"],
        leverage=row["leverage"],
        margin_mode=MarginMode(row["margin_mode"]) if row["margin_mode"] else None,
        attached_stop=row["attached_stop"],
        attached_target=row["attached_target"],
        entry_valid_until=row["entry_valid_until"],
        target_number=row["target_number"],
        state=LegState(row["state"]),
        code=Code(row["code"]) if row["code"] else None,
        sentence=row["sentence"],
        wake_at=row["wake_at"],
    )


def undecided_signals(transaction: Transaction, lane_id: int) -> list[StoredSignal]:
    """Return the lane's signals that are not decided, in the order of their numbers."""
    rows = transaction.all(
        prepared(
            "SELECT * FROM signals WHERE lane_id = %s AND state IN ('STORED', 'WAITING_FOR_OPEN') ORDER BY number",
            "bigint",
        ),
        (lane_id,),
    )
    return [_signal_from(row) for row in rows]


def stored_signal(transaction: Transaction, signal_id: int) -> StoredSignal:
    """Return one signal that has a lane."""
    return _signal_from(
        transaction.one(prepared("SELECT * FROM signals WHERE id = %s", "bigint"), (signal_id,))
    )


def open_risk_exits(transaction: Transaction, lane_id: int) -> list[RiskExit]:
    """Return the lane's risk events that ask for an exit and have no plan yet, oldest first."""
    rows = transaction.all(
        prepared(
            """
            SELECT id, uuid, user_id, lane_id, bot_config_id AS bot_id, kind, opening_fill_id, target_number,
                   sentence, created_at
              FROM bot_risk_events
             WHERE lane_id = %s AND state = 'OPEN' AND bot_config_id IS NOT NULL ORDER BY id
            """,
            "bigint",
        ),
        (lane_id,),
    )
    return [RiskExit(**row) for row in rows]


def unfinished_plans(transaction: Transaction, lane_id: int) -> list[PlanRecord]:
    """Return the lane's plans that are not finished, oldest first."""
    rows = transaction.all(
        prepared(
            """
            SELECT plans.id, bots.user_id, plans.lane_id, bot_config_id AS bot_id, signal_id, risk_event_id,
                   event_uuid, plans.own_exit, plans.created_at
              FROM plans JOIN user_bot_configs AS bots ON bots.id = plans.bot_config_id
             WHERE plans.lane_id = %s AND finished_at IS NULL ORDER BY plans.id
            """,
            "bigint",
        ),
        (lane_id,),
    )
    return [PlanRecord(**row) for row in rows]


def legs_of(transaction: Transaction, plan_id: int) -> list[LegRecord]:
    """Return a plan's legs in their order."""
    rows = transaction.all(
        prepared("SELECT * FROM legs WHERE plan_id = %s ORDER BY number", "bigint"), (plan_id,)
    )
    return [_leg_from(row) for row in rows]


def create_plan(
    transaction: Transaction,
    *,
    lane_id: int,
    bot_id: int,
    event_uuid: UUID,
    signal_id: int | None,
    risk_event_id: int | None,
    own_exit: bool,
    position_before: Decimal,
    legs: Iterable[Leg],
    note: Refusal | None,
    now: datetime | None = None,
) -> int:
    """Commit what was decided: the plan and its legs, in the transaction that decided.

    `now` is the moment of the decision by the clock that its age is measured with.
    """
    plan_id = transaction.value(
        prepared(
            """
            INSERT INTO plans (lane_id, bot_config_id, signal_id, risk_event_id, event_uuid, own_exit,
                               position_before, code, sentence, created_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, clock_timestamp())) RETURNING id
            """,
            "bigint, bigint, bigint, bigint, uuid, boolean, numeric, text, text, timestamptz",
        ),
        (
            lane_id,
            bot_id,
            signal_id,
            risk_event_id,
            event_uuid,
            own_exit,
            position_before,
            note and note.code,
            note and note.sentence,
            now,
        ),
    )
    for number, leg in enumerate(legs, start=1):
        transaction.execute(
            prepared(
                """
                INSERT INTO legs (plan_id, number, purpose, side, quantity, order_type, limit_price, target_number)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
                """,
                "bigint, integer, text, text, numeric, text, numeric, integer",
            ),
            (
                plan_id,
                number,
                leg.purpose,
                leg.side,
                leg.quantity,
                leg.order_type,
                leg.limit_price,
                leg.target_number,
            ),
        )
    return int(plan_id)


def has_unfinished_plan(transaction: Transaction, bot_id: int) -> bool:
    """Tell whether something of the bot is still under way."""
    sql = prepared("SELECT 1 FROM plans WHERE bot_config_id = %s AND finished_at IS NULL LIMIT 1", "bigint")
    return transaction.value(sql, (bot_id,)) is not None


def something_newer_waits(transaction: Transaction, bot_id: int) -> bool:
    """Tell whether a signal or an exit of our own came for the bot that is not decided yet."""
    return bool(
        transaction.value(
            prepared(
                """
                SELECT EXISTS (SELECT FROM signals WHERE bot_config_id = %(bot)s AND state = 'STORED')
                    OR EXISTS (SELECT FROM bot_risk_events WHERE bot_config_id = %(bot)s AND state = 'OPEN')
                """,
                bot="bigint",
            ),
            {"bot": bot_id},
        )
    )


def finish_plan(transaction: Transaction, plan_id: int, now: datetime) -> None:
    """Close a plan whose legs are all final."""
    transaction.execute(
        prepared("UPDATE plans SET finished_at = %s WHERE id = %s", "timestamptz, bigint"), (now, plan_id)
    )


def start_leg(
    transaction: Transaction,
    leg_id: int,
    *,
    parts: tuple[Decimal, ...],
    expected_price: Decimal | None,
    now: datetime,
    closes_account: bool = False,
    protection: Protection | None = None,
    at_broker: bool = False,
    leverage: int | None = None,
    margin_mode: MarginMode | None = None,
    entry_valid_until: datetime | None = None,
) -> LegRecord:
    """Fix a leg's size and parts; from here on it is worked to its end.

    `closes_account` says that its first part only reduces what the whole account holds, `at_broker` that
    the broker is to watch the stop, and the target where there is only one.
    """
    terms = terms_of(protection) if protection else None
    row = transaction.one(
        prepared(
            """
            UPDATE legs SET state = 'WORKING', quantity = %s, parts = %s, expected_price = %s,
                   closes_account = %s, stop_price = %s, target_price = %s, terms = %s,
                   attached_stop = %s, attached_target = %s, leverage = %s, margin_mode = %s,
                   entry_valid_until = %s, started_at = %s, wake_at = NULL, sentence = NULL
             WHERE id = %s RETURNING *
            """,
            "numeric, numeric[], numeric, boolean, numeric, numeric, jsonb, numeric, numeric, integer, text,"
            " timestamptz, timestamptz, bigint",
        ),
        (
            sum(parts),
            list(parts),
            expected_price,
            closes_account,
            protection and protection.stop_price,
            protection and protection.target_price,
            Json(terms) if terms else None,
            protection.stop_price if protection and at_broker else None,
            protection.target_price if protection and at_broker and not protection.targets else None,
            leverage,
            margin_mode,
            entry_valid_until,
            now,
            leg_id,
        ),
    )
    return _leg_from(row)


def margin_mode_of_position(transaction: Transaction, bot_id: int) -> MarginMode | None:
    """Return the margin mode that a bot's newest entry was made in, None where nothing is lent."""
    mode = transaction.value(
        prepared(
            """
            SELECT legs.margin_mode FROM legs JOIN plans ON plans.id = legs.plan_id
             WHERE plans.bot_config_id = %s AND purpose = 'OPEN' AND started_at IS NOT NULL
             ORDER BY legs.id DESC LIMIT 1
            """,
            "bigint",
        ),
        (bot_id,),
    )
    return MarginMode(mode) if mode else None


def finish_leg(
    transaction: Transaction, leg_id: int, state: LegState, reason: Refusal | None, now: datetime
) -> None:
    """Bring a leg to its end, with the reason where it did not do all it should."""
    transaction.execute(
        prepared(
            """
            UPDATE legs SET state = %s, code = %s, sentence = %s, wake_at = NULL, finished_at = %s WHERE id = %s
            """,
            "text, text, text, timestamptz, bigint",
        ),
        (state, reason and reason.code, reason and reason.sentence, now, leg_id),
    )


def supersede_unsent(transaction: Transaction, bot_id: int, sentence: str, now: datetime) -> int:
    """End the legs of the bot's unfinished plans that sent nothing; return how many those were.

    An exit of our own stays: no signal takes a stop or a limit back.
    """
    return transaction.execute(
        prepared(
            """
            UPDATE legs SET state = 'SUPERSEDED', code = 'SUPERSEDED', sentence = %s, finished_at = %s
              FROM plans
             WHERE plans.id = legs.plan_id AND plans.bot_config_id = %s AND plans.finished_at IS NULL
               AND NOT plans.own_exit AND legs.state = 'PLANNED'
            """,
            "text, timestamptz, bigint",
        ),
        (sentence, now, bot_id),
    )


def let_leg_sleep(
    transaction: Transaction, leg_id: int, until: datetime, sentence: str | None = None
) -> None:
    """Look at a leg again at `until`; a bell wakes it earlier."""
    transaction.execute(
        prepared(
            "UPDATE legs SET wake_at = %s, sentence = coalesce(%s, sentence) WHERE id = %s",
            "timestamptz, text, bigint",
        ),
        (until, sentence, leg_id),
    )


def finish_signal(
    transaction: Transaction, signal_id: int, state: str, reason: Refusal, now: datetime
) -> None:
    """Give a signal its one outcome."""
    transaction.execute(
        prepared(
            """
            UPDATE signals SET state = %s, code = %s, sentence = %s, finished_at = %s,
                   decided_at = coalesce(decided_at, %s), wake_at = NULL
             WHERE id = %s AND finished_at IS NULL
            """,
            "text, text, text, timestamptz, timestamptz, bigint",
        ),
        (state, reason.code, reason.sentence, now, now, signal_id),
    )


def mark_planned(transaction: Transaction, signal_id: int, now: datetime) -> None:
    """Say that a signal is decided and its plan under way."""
    transaction.execute(
        prepared(
            "UPDATE signals SET state = 'PLANNED', decided_at = %s, wake_at = NULL WHERE id = %s",
            "timestamptz, bigint",
        ),
        (now, signal_id),
    )


def keep_for_open(transaction: Transaction, signal_id: int, until: datetime, sentence: str) -> None:
    """Keep an exit until the market opens; a newer signal of the bot replaces it."""
    transaction.execute(
        """
        UPDATE signals SET state = 'WAITING_FOR_OPEN', code = 'MARKET_CLOSED', sentence = %s, wake_at = %s
         WHERE id = %s
        """,
        (sentence, until, signal_id),
    )


def delay_risk_exit(transaction: Transaction, event_id: int, until: datetime, sentence: str) -> None:
    """Look at an exit of our own again at `until`."""
    transaction.execute(
        "UPDATE bot_risk_events SET wake_at = %s, action_taken = %s WHERE id = %s",
        (until, sentence, event_id),
    )


def add_to_plan(transaction: Transaction, plan_id: int, sentences: Iterable[str]) -> None:
    """Add what the user must know of an order that does not do quite what was asked for."""
    words = " ".join(sentences)
    if words:
        transaction.execute(
            """
            UPDATE plans SET code = coalesce(code, 'EXECUTED'), sentence = concat_ws(' ', sentence, %s::text)
             WHERE id = %s
            """,
            (words, plan_id),
        )


def note_of_plan(transaction: Transaction, plan_id: int) -> Refusal | None:
    """Return why a plan does less than its signal asked for, None where it does all."""
    row = transaction.one(prepared("SELECT code, sentence FROM plans WHERE id = %s", "bigint"), (plan_id,))
    return Refusal(code=Code(row["code"]), sentence=row["sentence"]) if row["code"] else None


def kind_of_event(transaction: Transaction, event_id: int | None) -> str:
    """Return what kind of risk event this is."""
    return str(transaction.value("SELECT kind FROM bot_risk_events WHERE id = %s", (event_id,)))


def set_risk_event(
    transaction: Transaction, event_id: int | None, state: str, action_taken: str | None, now: datetime
) -> None:
    """Move a risk event on; a final state gets its time."""
    transaction.execute(
        """
        UPDATE bot_risk_events
           SET state = %(state)s, action_taken = coalesce(%(action)s, action_taken), wake_at = NULL,
               finished_at = CASE WHEN %(state)s IN ('DONE', 'FAILED', 'NOTED') THEN %(now)s END
         WHERE id = %(id)s
        """,
        {"state": state, "action": action_taken, "now": now, "id": event_id},
    )
