"""What protects each bot's position: stop, targets, trailing, time limit, and what of it rests at the broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.order import MarginMode, Side
from core.protection import Protection, Target
from database.orders import OrderRecord
from database.pool import Row, Transaction
from database.prepared import prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionRecord:
    """The protection of one bot's open position and how it stands.

    `at_broker` says that it is meant to rest at the broker; `broker_ids` are what rests there as far as
    we know, `version` counts what we placed; `seen_at` is when all was last seen there as it should be.
    `attached_stop` and `attached_target` came with the entry. `event_uuid` is the signal's or event's that opened the
    position, `opened` what was first filled.
    """

    bot_id: int
    leg_id: int
    leg_number: int
    event_uuid: Any
    opened: Decimal
    protection: Protection
    at_broker: bool
    broker_ids: tuple[str, ...]
    version: int
    trail_best: Decimal | None
    attached_stop: Decimal | None
    attached_target: Decimal | None
    margin_mode: MarginMode | None
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What may still rest at the broker of a position that was closed by `side`.

    `opened_again` says that the same entry has filled once more since: then what rests protects that.
    """

    leg_id: int
    leg_number: int
    event_uuid: Any
    bot_id: int
    connection_id: int
    symbol: str
    side: Side
    broker_ids: tuple[str, ...]
    version: int
    attached_stop: Decimal | None
    attached_target: Decimal | None
    created_at: datetime
    opened_again: bool


def begin(transaction: Transaction, order: OrderRecord, now: datetime) -> None:
    """Protect what an entry has filled as its leg says; a later fill of the same leg changes nothing."""
    values = {"bot": order.bot_id, "leg": order.leg_id, "at_broker": order.is_protected_at_broker, "now": now}
    if transaction.value(_BEGIN, values):
        return
    forgot_another = transaction.value(_FORGET_OTHER_LEG, values)
    if forgot_another:
        transaction.value(_BEGIN, values)
    elif order.is_protected_at_broker:
        ask_look(transaction, order.bot_id, now)


_END = """
    WITH ended AS (DELETE FROM protections WHERE bot_config_id = %(bot)s {which} RETURNING *), left_over AS (
        INSERT INTO leftover_protections AS kept (leg_id, broker_ids, broker_version, created_at, look_at)
        SELECT leg_id, broker_ids, broker_version, created_at, %(now)s
          FROM ended WHERE held_by = 'BROKER' AND NOT lifted
        ON CONFLICT (leg_id) DO UPDATE
           SET broker_ids = kept.broker_ids || excluded.broker_ids, look_at = excluded.look_at,
               broker_version = greatest(kept.broker_version, excluded.broker_version))
    SELECT count(*) FROM ended
"""
_END_ALL = prepared(_END.format(which=""), bot="bigint", now="timestamptz")
_FORGET_OTHER_LEG = prepared(
    _END.format(which="AND leg_id <> %(leg)s"), bot="bigint", leg="bigint", now="timestamptz"
)
_BEGIN = prepared(
    """
    WITH begun AS (
        INSERT INTO protections (bot_config_id, leg_id, stop_price, target_price, held_by, look_at, break_even_after,
                                 trail_distance, trail_from, close_at, created_at)
        SELECT %(bot)s, id, stop_price, target_price, CASE WHEN %(at_broker)s THEN 'BROKER' ELSE 'ENGINE' END,
               CASE WHEN %(at_broker)s THEN %(now)s END, (terms ->> 'break_even_after')::integer,
               (terms ->> 'trail_distance')::numeric, (terms ->> 'trail_from')::numeric,
               %(now)s + (terms ->> 'time_limit_minutes')::integer * interval '1 minute', %(now)s
          FROM legs
         WHERE id = %(leg)s AND (stop_price IS NOT NULL OR target_price IS NOT NULL OR terms IS NOT NULL)
        ON CONFLICT DO NOTHING RETURNING leg_id),
    targets AS (
        INSERT INTO protection_targets (bot_config_id, number, price, share)
        SELECT %(bot)s, target.number, target.price, target.share
          FROM begun JOIN legs ON legs.id = begun.leg_id,
               jsonb_to_recordset(terms -> 'targets') AS target (number integer, price numeric, share numeric))
    SELECT count(*) FROM begun
    """,
    bot="bigint",
    leg="bigint",
    at_broker="boolean",
    now="timestamptz",
)


def end(transaction: Transaction, bot_id: int, now: datetime) -> None:
    """Forget the protection of a position that is closed; what may still rest at the broker is kept in mind."""
    transaction.value(_END_ALL, {"bot": bot_id, "now": now})


def leftovers_due(transaction: Transaction, lane_id: int, now: datetime) -> list[Leftover]:
    """Return what closed positions of a lane may have left at the broker, where it is time to look."""
    rows = transaction.all(
        prepared(_LEFTOVERS, lane="bigint", now="timestamptz"), {"lane": lane_id, "now": now}
    )
    return [
        Leftover(**{**row, "broker_ids": tuple(row["broker_ids"]), "side": Side(row["side"])}) for row in rows
    ]


_LEFTOVERS = """
    SELECT leg_id, legs.number AS leg_number, plans.event_uuid, plans.bot_config_id AS bot_id,
           lanes.connection_id, lanes.symbol, CASE legs.side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END AS side,
           broker_ids, broker_version AS version, legs.attached_stop, legs.attached_target, kept.created_at,
           EXISTS (SELECT FROM protections WHERE protections.leg_id = kept.leg_id) AS opened_again
      FROM leftover_protections AS kept JOIN legs ON legs.id = leg_id JOIN plans ON plans.id = legs.plan_id
      JOIN lanes ON lanes.id = plans.lane_id
     WHERE plans.lane_id = %(lane)s AND look_at <= %(now)s ORDER BY leg_id
"""


def has_leftovers(transaction: Transaction, lane_id: int) -> bool:
    """Tell whether anything may still rest at the broker of the lane's closed positions."""
    return bool(
        transaction.value(
            """
            SELECT EXISTS (SELECT FROM leftover_protections JOIN legs ON legs.id = leg_id
                             JOIN plans ON plans.id = legs.plan_id WHERE plans.lane_id = %s)
            """,
            (lane_id,),
        )
    )


def delay_leftover(transaction: Transaction, leg_id: int, until: datetime) -> None:
    """Look again at a time at what a closed position left."""
    transaction.execute("UPDATE leftover_protections SET look_at = %s WHERE leg_id = %s", (until, leg_id))


def forget_leftover(transaction: Transaction, leg_id: int) -> None:
    """Note that nothing of a closed position rests any more."""
    transaction.execute("DELETE FROM leftover_protections WHERE leg_id = %s", (leg_id,))


def protection_of(transaction: Transaction, bot_id: int, *, lock: bool = False) -> ProtectionRecord | None:
    """Return what protects a bot's position, None where nothing does."""
    sql = _PROTECTION + (" FOR NO KEY UPDATE OF protections" if lock else "")
    row = transaction.maybe(prepared(sql, bot="bigint"), {"bot": bot_id})
    return None if row is None else _record_from(row)


_PROTECTION = """
    SELECT protections.*, legs.number AS leg_number, legs.attached_stop, legs.attached_target, legs.margin_mode,
           plans.event_uuid,
           (SELECT coalesce(sum(filled_quantity), 0) FROM orders WHERE orders.leg_id = legs.id) AS opened,
           (SELECT jsonb_agg(jsonb_build_object('number', number, 'price', price::text, 'share', share::text)
                             ORDER BY number)
              FROM protection_targets WHERE bot_config_id = protections.bot_config_id AND hit_at IS NULL) AS targets
      FROM protections JOIN legs ON legs.id = protections.leg_id JOIN plans ON plans.id = legs.plan_id
     WHERE protections.bot_config_id = %(bot)s
"""


def _protection_from(row: Row) -> Protection:
    targets = tuple(
        Target(number=each["number"], price=Decimal(each["price"]), share=Decimal(each["share"]))
        for each in row["targets"] or ()
    )
    return Protection(
        stop_price=row["stop_price"],
        target_price=row["target_price"],
        targets=targets,
        break_even_after=row["break_even_after"],
        trail_distance=row["trail_distance"],
        trail_from=row["trail_from"],
    )


def _record_from(row: Row) -> ProtectionRecord:
    return ProtectionRecord(
        bot_id=row["bot_config_id"],
        leg_id=row["leg_id"],
        leg_number=row["leg_number"],
        event_uuid=row["event_uuid"],
        opened=row["opened"],
        protection=_protection_from(row),
        at_broker=row["held_by"] == "BROKER",
        broker_ids=tuple(row["broker_ids"]),
        version=row["broker_version"],
        trail_best=row["trail_best"],
        attached_stop=row["attached_stop"],
        attached_target=row["attached_target"],
        margin_mode=MarginMode(row["margin_mode"]) if row["margin_mode"] else None,
        created_at=row["created_at"],
        seen_at=row["seen_at"] or row["created_at"],
    )


def move_stop(
    transaction: Transaction,
    bot_id: int,
    *,
    stop_price: Decimal | None,
    best: Decimal | None,
    now: datetime,
) -> None:
    """Let the stop follow the price; what rests at the broker is looked at where the stop moved."""
    transaction.execute(
        prepared(
            """
            UPDATE protections
               SET trail_best = %(best)s, stop_price = %(stop)s,
                   look_at = CASE WHEN held_by = 'BROKER' AND stop_price IS DISTINCT FROM %(stop)s
                                  THEN %(now)s ELSE look_at END
             WHERE bot_config_id = %(bot)s
            """,
            best="numeric",
            stop="numeric",
            bot="bigint",
            now="timestamptz",
        ),
        {"best": best, "stop": stop_price, "bot": bot_id, "now": now},
    )


def pass_targets(transaction: Transaction, bot_id: int, reached: int, now: datetime) -> None:
    """Take the targets up to `reached` as done and go on to the next one, to none where none is left."""
    transaction.execute(
        """
        UPDATE protection_targets SET hit_at = %s
         WHERE bot_config_id = %s AND number <= %s AND hit_at IS NULL
        """,
        (now, bot_id, reached),
    )
    transaction.execute(
        """
        UPDATE protections
           SET look_at = CASE WHEN held_by = 'BROKER' THEN %(now)s END,
               target_price = (SELECT price FROM protection_targets
                                WHERE bot_config_id = %(bot)s AND hit_at IS NULL ORDER BY number LIMIT 1)
         WHERE bot_config_id = %(bot)s
        """,
        {"now": now, "bot": bot_id},
    )


def ask_look(transaction: Transaction, bot_id: int, at: datetime) -> None:
    """Have the lane look at a time at what rests at the broker."""
    transaction.execute(
        prepared(
            """
            UPDATE protections SET look_at = %(at)s
             WHERE bot_config_id = %(bot)s AND held_by = 'BROKER'
            """,
            at="timestamptz",
            bot="bigint",
        ),
        {"at": at, "bot": bot_id},
    )


def ask_look_at_gap(transaction: Transaction, lane_id: int, now: datetime, longest: timedelta) -> bool:
    """Have a lane look now at what rests at the broker and was not seen there since its gap; tell whether any does.

    A gap older than `longest` asks for nothing.
    """
    asked = transaction.execute(
        """
        UPDATE protections SET look_at = %(now)s FROM user_bot_configs AS bots, lanes
         WHERE bots.id = bot_config_id AND lanes.id = bots.lane_id AND lanes.id = %(lane)s AND held_by = 'BROKER'
           AND coalesce(seen_at, protections.created_at) < lanes.gap_since
           AND lanes.gap_since > %(now)s - %(longest)s
        """,
        {"lane": lane_id, "now": now, "longest": longest},
    )
    return asked > 0


def note_resting(transaction: Transaction, bot_id: int, broker_ids: Sequence[str], look_at: datetime) -> None:
    """Note what rests, or may have rested, at the broker and when to look at it again."""
    transaction.execute(
        """
        UPDATE protections SET broker_ids = %(ids)s, look_at = %(at)s, lifted = lifted AND %(ids)s = '{}'::text[]
         WHERE bot_config_id = %(bot)s
        """,
        {"ids": list(broker_ids), "at": look_at, "bot": bot_id},
    )


def note_lifted(transaction: Transaction, bot_id: int, look_at: datetime) -> None:
    """Note that nothing rests at the broker, and when to place it again should the exit come to nothing."""
    transaction.execute(
        "UPDATE protections SET broker_ids = '{}', lifted = true, look_at = %s WHERE bot_config_id = %s",
        (look_at, bot_id),
    )


def note_triggered(transaction: Transaction, bot_id: int, broker_id: str, now: datetime) -> None:
    """Forget one of what rested, for what it did is booked; the others are looked at again."""
    transaction.execute(
        """
        UPDATE protections SET broker_ids = array_remove(broker_ids, %s), look_at = %s WHERE bot_config_id = %s
        """,
        (broker_id, now, bot_id),
    )


def note_seen(transaction: Transaction, bot_id: int, now: datetime) -> None:
    """Note that all rests at the broker as it should."""
    transaction.execute("UPDATE protections SET seen_at = %s WHERE bot_config_id = %s", (now, bot_id))


def count_placing(transaction: Transaction, bot_id: int) -> None:
    """Count that something is about to be placed at the broker; committed before it goes."""
    transaction.execute(
        "UPDATE protections SET broker_version = broker_version + 1, lifted = false WHERE bot_config_id = %s",
        (bot_id,),
    )


def hold_by_engine(transaction: Transaction, bot_id: int) -> None:
    """Let the engine watch stop and target itself; nothing rests at the broker."""
    transaction.execute(
        """
        UPDATE protections SET held_by = 'ENGINE', broker_ids = '{}', look_at = NULL WHERE bot_config_id = %s
        """,
        (bot_id,),
    )


def to_look_at(transaction: Transaction, lane_id: int, now: datetime) -> list[int]:
    """Return the lane's bots whose protection at the broker is due to be looked at."""
    rows = transaction.all(
        prepared(
            """
            SELECT bots.id FROM protections JOIN user_bot_configs AS bots ON bots.id = bot_config_id
             WHERE bots.lane_id = %(lane)s AND look_at <= %(now)s ORDER BY bots.id
            """,
            lane="bigint",
            now="timestamptz",
        ),
        {"lane": lane_id, "now": now},
    )
    return [row["id"] for row in rows]
