"""Lanes: everything that may trade one symbol on one connection takes its turn here."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg2

from core.instrument import AssetClass, Instrument
from database.bells import Bell
from database.pool import Database, Session, Transaction
from database.prepared import prepared

LANE_LOCKS = 1
CONNECTION_LOCKS = 2


def lane_for(transaction: Transaction, connection_id: int, instrument: Instrument) -> int:
    """Return the lane of an instrument on a connection, made at its first use."""
    return int(
        transaction.value(
            """
            INSERT INTO lanes (connection_id, symbol, asset_class, base_asset, dust_below)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (connection_id, symbol) DO UPDATE SET dust_below = excluded.dust_below
            RETURNING id
            """,
            (
                connection_id,
                instrument.symbol,
                instrument.asset_class,
                instrument.base_asset,
                max(instrument.minimum_quantity, instrument.quantity_step),
            ),
        )
    )


def instrument_of_lane(transaction: Transaction, lane_id: int) -> Instrument:
    """Return what booking must know of the lane's instrument: its class, base asset and dust."""
    row = transaction.one(prepared("SELECT * FROM lanes WHERE id = %s", "bigint"), (lane_id,))
    return Instrument(
        symbol=row["symbol"],
        asset_class=AssetClass(row["asset_class"]),
        base_asset=row["base_asset"],
        minimum_quantity=row["dust_below"],
        quantity_step=row["dust_below"],
    )


@contextmanager
def hold_lane(database: Database, lane_id: int) -> Iterator[Session | None]:
    """Give the lane's only session, or None where another holds it.

    The lock lives on the very connection that writes the lane's rows: losing that connection
    ends the run and frees the lane at once.
    """
    with database.session() as session:
        if not _try_lock(session, LANE_LOCKS, lane_id):
            yield None
            return
        try:
            yield session
        finally:
            if not session.is_broken:
                _unlock(session, LANE_LOCKS, lane_id)


def claim_connections(transaction: Transaction, connection_ids: list[int], at_most: int) -> list[int]:
    """Take the leases of connections that nobody holds, for as long as the session's connection lives.

    One statement, whatever number there is: who waits for leases that another holds asks for all of them.
    """
    # Each lock is tried when its row's turn comes, and the limit ends the turns.
    sql = prepared(
        "SELECT id FROM unnest(%s) AS id WHERE pg_try_advisory_lock(%s, id::integer) LIMIT %s",
        "bigint[], integer, integer",
    )
    rows = transaction.all(sql, (connection_ids, CONNECTION_LOCKS, at_most))
    return [row["id"] for row in rows]


def sealed_of(transaction: Transaction, connection_ids: list[int]) -> dict[int, bytes | None]:
    """Return the sealed credentials of connections, None for one that has none or was just removed."""
    sql = prepared("SELECT id, credentials_sealed FROM user_api_keys WHERE id = ANY(%s)", "bigint[]")
    rows = transaction.all(sql, (connection_ids,))
    found = {row["id"]: row["credentials_sealed"] and bytes(row["credentials_sealed"]) for row in rows}
    return {each: found.get(each) for each in connection_ids}


def has_unconfirmed_gap(transaction: Transaction, connection_id: int) -> bool:
    """Tell whether a gap between account and bots was seen once and waits for a second look."""
    return bool(
        transaction.value(
            """
            SELECT EXISTS (SELECT FROM lanes WHERE connection_id = %s
                            AND gap_since IS NOT NULL AND mismatch_since IS NULL)
            """,
            (connection_id,),
        )
    )


def _try_lock(session: Session, kind: int, key: int) -> bool:
    with session.autocommit() as transaction:
        return bool(
            transaction.value(
                prepared("SELECT pg_try_advisory_lock(%s, %s)", "integer, integer"), (kind, key)
            )
        )


def _unlock(session: Session, kind: int, key: int) -> None:
    # A connection that just broke has let go of the lock by itself.
    with suppress(psycopg2.OperationalError, psycopg2.InterfaceError), session.autocommit() as transaction:
        transaction.execute(prepared("SELECT pg_advisory_unlock(%s, %s)", "integer, integer"), (kind, key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What is not finished in a lane, and how often its bell had rung by then."""

    bells: int
    exits: bool
    signals: bool
    plans: bool
    protections: bool

    @property
    def is_empty(self) -> bool:
        return not (self.exits or self.signals or self.plans or self.protections)


def agenda(transaction: Transaction, lane_id: int, now: datetime) -> Agenda:
    """Return what is to be done in a lane at `now`; a lane that is gone has nothing."""
    row = transaction.maybe(_AGENDA, {"lane": lane_id, "now": now})
    if row is None:
        return Agenda(bells=0, exits=False, signals=False, plans=False, protections=False)
    return Agenda(**row)


_AGENDA = prepared(
    """
    SELECT bells,
           EXISTS (SELECT FROM bot_risk_events WHERE lane_id = lanes.id AND state = 'OPEN'
                                                 AND bot_config_id IS NOT NULL) AS exits,
           EXISTS (SELECT FROM signals WHERE lane_id = lanes.id AND state IN ('STORED', 'WAITING_FOR_OPEN'))
               AS signals,
           EXISTS (SELECT FROM plans WHERE lane_id = lanes.id AND finished_at IS NULL) AS plans,
           EXISTS (SELECT FROM protections JOIN user_bot_configs AS bots ON bots.id = bot_config_id
                    WHERE look_at <= %(now)s AND bots.lane_id = lanes.id)
           OR EXISTS (SELECT FROM leftover_protections JOIN legs ON legs.id = leg_id
                        JOIN plans ON plans.id = legs.plan_id
                       WHERE look_at <= %(now)s AND plans.lane_id = lanes.id) AS protections
      FROM lanes WHERE id = %(lane)s
    """,
    lane="bigint",
    now="timestamptz",
)


def lanes_with_work(transaction: Transaction, now: datetime) -> list[Bell]:
    """Return the bells of the lanes where something unfinished may go on at `now`."""
    return [Bell(**row) for row in transaction.all(_WITH_WORK, {"now": now})]


_WITH_WORK = prepared(
    """
    SELECT id AS lane_id, connection_id FROM lanes WHERE id IN (
        SELECT lane_id FROM signals
         WHERE state IN ('STORED', 'WAITING_FOR_OPEN') AND (wake_at IS NULL OR wake_at <= %(now)s)
        UNION
        SELECT plans.lane_id FROM plans
          JOIN LATERAL (SELECT wake_at FROM legs WHERE plan_id = plans.id AND state IN ('PLANNED', 'WORKING')
                         ORDER BY number LIMIT 1) AS turn ON turn.wake_at IS NULL OR turn.wake_at <= %(now)s
         WHERE plans.finished_at IS NULL
        UNION
        SELECT plans.lane_id FROM plans
         WHERE finished_at IS NULL
           AND NOT EXISTS (SELECT FROM legs WHERE plan_id = plans.id AND state IN ('PLANNED', 'WORKING'))
        UNION
        SELECT bots.lane_id FROM protections JOIN user_bot_configs AS bots ON bots.id = bot_config_id
         WHERE look_at <= %(now)s
        UNION
        SELECT plans.lane_id FROM leftover_protections JOIN legs ON legs.id = leg_id
          JOIN plans ON plans.id = legs.plan_id WHERE look_at <= %(now)s
        UNION
        SELECT lane_id FROM bot_risk_events
         WHERE state = 'OPEN' AND (wake_at IS NULL OR wake_at <= %(now)s) AND bot_config_id IS NOT NULL)
    """,
    now="timestamptz",
)


def others_in_lane(transaction: Transaction, lane_id: int, bot_id: int) -> list[tuple[str, Decimal]]:
    """Return who else holds or enters what in the lane, signed: bots, their open entries, the user."""
    rows = transaction.all(
        prepared(
            """
            SELECT name, quantity FROM user_bot_configs
             WHERE lane_id = %(lane)s AND id <> %(bot)s AND quantity <> 0
            UNION ALL
            SELECT bots.name, (orders.quantity - orders.filled_quantity) * CASE side WHEN 'BUY' THEN 1 ELSE -1 END
              FROM orders JOIN user_bot_configs AS bots ON bots.id = orders.bot_config_id
             WHERE orders.lane_id = %(lane)s AND orders.bot_config_id <> %(bot)s
               AND orders.purpose = 'OPEN' AND orders.finished_at IS NULL
            UNION ALL
            SELECT 'You yourself', foreign_quantity FROM lanes WHERE id = %(lane)s AND foreign_quantity <> 0
            """,
            lane="bigint",
            bot="bigint",
        ),
        {"lane": lane_id, "bot": bot_id},
    )
    return [(row["name"], row["quantity"]) for row in rows]


def acknowledge_foreign(transaction: Transaction, lane_id: int, quantity: Decimal) -> None:
    """Declare `quantity` on the lane to be the user's own, outside all bots; lifts a mismatch."""
    transaction.execute(
        "UPDATE lanes SET foreign_quantity = %s, mismatch_since = NULL WHERE id = %s", (quantity, lane_id)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneHolding:
    """A lane and what it should hold; `explained` is what its bots and the user's own holdings add up to."""

    id: int
    user_id: int
    symbol: str
    explained: Decimal
    dust_below: Decimal


def quiet_lanes(transaction: Transaction, connection_id: int) -> list[LaneHolding]:
    """Return the connection's lanes in which no order is in flight."""
    rows = transaction.all(
        """
        SELECT lanes.id, user_api_keys.user_id, lanes.symbol, lanes.dust_below,
               lanes.foreign_quantity + coalesce(sum(bots.quantity), 0) AS explained
          FROM lanes JOIN user_api_keys ON user_api_keys.id = lanes.connection_id
          LEFT JOIN user_bot_configs AS bots ON bots.lane_id = lanes.id
         WHERE lanes.connection_id = %s
           AND NOT EXISTS (SELECT FROM orders WHERE orders.lane_id = lanes.id AND finished_at IS NULL)
         GROUP BY lanes.id, user_api_keys.user_id ORDER BY lanes.id
        """,
        (connection_id,),
    )
    return [LaneHolding(**row) for row in rows]


def lane_holding(transaction: Transaction, lane_id: int) -> LaneHolding:
    """Return what a lane's bots and the user's own holdings add up to."""
    row = transaction.one(
        prepared(
            """
            SELECT lanes.id, user_api_keys.user_id, lanes.symbol, lanes.dust_below,
                   lanes.foreign_quantity + (SELECT coalesce(sum(quantity), 0) FROM user_bot_configs
                                              WHERE lane_id = lanes.id) AS explained
              FROM lanes JOIN user_api_keys ON user_api_keys.id = lanes.connection_id WHERE lanes.id = %s
            """,
            "bigint",
        ),
        (lane_id,),
    )
    return LaneHolding(**row)


def fee_estimates(transaction: Transaction, lane_id: int, since: datetime) -> dict[int, Decimal]:
    """Return what each bot's fees in the base asset were estimated at since a time."""
    rows = transaction.all(
        prepared(
            """
            SELECT fills.bot_config_id, sum(fills.fee) AS fee
              FROM fills JOIN user_bot_configs AS bots ON bots.id = fills.bot_config_id
             WHERE bots.lane_id = %s AND fills.fee_in_base AND fills.filled_at >= %s
             GROUP BY fills.bot_config_id HAVING sum(fills.fee) > 0 ORDER BY fills.bot_config_id
            """,
            "bigint, timestamptz",
        ),
        (lane_id, since),
    )
    return {row["bot_config_id"]: row["fee"] for row in rows}


def unfinished_lanes(transaction: Transaction, connection_id: int) -> list[int]:
    """Return the connection's lanes in which anything is not final."""
    rows = transaction.all(
        """
        SELECT id FROM lanes WHERE connection_id = %s
           AND (EXISTS (SELECT FROM signals WHERE signals.lane_id = lanes.id
                         AND state IN ('STORED', 'WAITING_FOR_OPEN', 'PLANNED'))
             OR EXISTS (SELECT FROM plans WHERE plans.lane_id = lanes.id AND finished_at IS NULL)
             OR EXISTS (SELECT FROM bot_risk_events AS events WHERE events.lane_id = lanes.id AND state = 'OPEN'))
        """,
        (connection_id,),
    )
    return [row["id"] for row in rows]


def gap_is_confirmed(
    transaction: Transaction, lane_id: int, gap: Decimal, *, span: timedelta, now: datetime
) -> bool:
    """Remember a gap between account and bots; tell whether the same one has stood for `span`."""
    since = transaction.value(_NOTE_GAP, {"gap": gap, "now": now, "id": lane_id})
    return since is not None and now - since >= span


_NOTE_GAP = prepared(
    """
    WITH noted AS (
        UPDATE lanes SET gap_quantity = %(gap)s, gap_since = CASE WHEN %(gap)s <> 0 THEN %(now)s END
         WHERE id = %(id)s AND (gap_quantity <> %(gap)s OR (gap_since IS NULL AND %(gap)s <> 0))
        RETURNING gap_since)
    SELECT gap_since FROM noted
    UNION ALL SELECT gap_since FROM lanes WHERE id = %(id)s AND NOT EXISTS (SELECT FROM noted)
    """,
    gap="numeric",
    now="timestamptz",
    id="bigint",
)


def note_mismatch(transaction: Transaction, lane_id: int, now: datetime | None) -> bool:
    """Mark a lane whose account position nobody explains (None lifts it); tell whether it changed."""
    if now is None:
        sql = "UPDATE lanes SET mismatch_since = NULL WHERE id = %s AND mismatch_since IS NOT NULL"
        return transaction.execute(sql, (lane_id,)) == 1
    sql = "UPDATE lanes SET mismatch_since = %s WHERE id = %s AND mismatch_since IS NULL"
    return transaction.execute(sql, (now, lane_id)) == 1
