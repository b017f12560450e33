"""Risk events, day marks and what the broker last said of positions and money."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from core.account import Account, AccountPosition
from core.bot import TradingState
from core.checks import TradingStates
from core.money import ZERO
from core.trading_day import DayFigures
from database.bells import ring
from database.pool import Row, Transaction
from database.prepared import prepared


def ask_exit(
    transaction: Transaction,
    bot_id: int,
    kind: str,
    *,
    threshold: Decimal | None = None,
    actual: Decimal | None = None,
    sentence: str = "",
    target_number: int | None = None,
    seen_fill_id: int | None = None,
) -> int | None:
    """Insert a risk event that asks for the bot's exit, and ring its lane.

    A stop, a target or a limit is about the position held now; a close by hand or a flatten is
    about whatever is held when its turn comes. `seen_fill_id` is the opening fill of the position that was
    judged, None for whatever is held: an event about it never closes the next one.
    Return the event's id, or None where the same opening fill has such an event under way already.
    """
    event = transaction.maybe(
        """
        INSERT INTO bot_risk_events (user_id, connection_id, lane_id, bot_config_id, opening_fill_id, kind,
                                     threshold, actual, position_before, sentence, target_number)
        SELECT user_id, connection_id, lane_id, id,
               CASE WHEN %(kind)s NOT IN ('MANUAL_CLOSE', 'FLATTEN') THEN opening_fill_id END,
               %(kind)s, %(threshold)s, %(actual)s, quantity, %(sentence)s, %(target)s
          FROM user_bot_configs WHERE id = %(bot)s AND (%(seen)s IS NULL OR opening_fill_id = %(seen)s)
        ON CONFLICT DO NOTHING RETURNING id, lane_id
        """,
        {
            "kind": kind,
            "threshold": threshold,
            "actual": actual,
            "sentence": sentence,
            "bot": bot_id,
            "target": target_number,
            "seen": seen_fill_id,
        },
    )
    if event is None:
        return None
    ring(transaction, [event["lane_id"]])
    return int(event["id"])


def take_over_exit(
    transaction: Transaction, bot_id: int, kind: str, *, threshold: Decimal | None, sentence: str
) -> Row:
    """Return the risk event, with its id and uuid, of an exit that the broker has made for us already.

    One of this kind that was asked for and is not planned yet becomes this one; one of another kind finds
    nothing left to close when its turn comes.
    """
    values = {"bot": bot_id, "kind": kind, "threshold": threshold, "sentence": sentence}
    waiting = transaction.maybe(
        """
        UPDATE bot_risk_events SET state = 'PLANNED' WHERE id = (
            SELECT events.id FROM bot_risk_events AS events JOIN user_bot_configs AS bots
                ON bots.id = bot_config_id AND bots.opening_fill_id = events.opening_fill_id
             WHERE bots.id = %(bot)s AND events.state = 'OPEN' AND kind = %(kind)s
             ORDER BY events.id LIMIT 1)
        RETURNING id, uuid
        """,
        values,
    )
    return waiting or transaction.one(
        """
        INSERT INTO bot_risk_events (user_id, connection_id, lane_id, bot_config_id, opening_fill_id, kind,
                                     threshold, position_before, sentence, state)
        SELECT user_id, connection_id, lane_id, id,
               CASE WHEN NOT EXISTS (SELECT FROM bot_risk_events AS others
                                      WHERE others.bot_config_id = bots.id AND others.kind = %(kind)s
                                        AND others.opening_fill_id = bots.opening_fill_id
                                        AND others.state IN ('OPEN', 'PLANNED')) THEN opening_fill_id END,
               %(kind)s, %(threshold)s, quantity, %(sentence)s, 'PLANNED'
          FROM user_bot_configs AS bots WHERE id = %(bot)s
        RETURNING id, uuid
        """,
        values,
    )


def note_event(
    transaction: Transaction,
    *,
    user_id: int,
    connection_id: int,
    kind: str,
    sentence: str,
    lane_id: int | None = None,
    bot_id: int | None = None,
    threshold: Decimal | None = None,
    actual: Decimal | None = None,
    action_taken: str = "",
) -> int:
    """Record something that needs no exit but must be seen."""
    return int(
        transaction.value(
            """
            INSERT INTO bot_risk_events (user_id, connection_id, lane_id, bot_config_id, kind, threshold, actual,
                                         action_taken, sentence, state, finished_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'NOTED', now()) RETURNING id
            """,
            (user_id, connection_id, lane_id, bot_id, kind, threshold, actual, action_taken, sentence),
        )
    )


def watched_bots(transaction: Transaction, connection_id: int) -> list[Row]:
    """Return the bots of a connection that hold more than dust, with what of their protection stays as it is."""
    return transaction.all(
        prepared(
            """
            SELECT bots.*, protections.trail_distance, protections.close_at, protections.held_by,
                   lanes.asset_class, lanes.dust_below
              FROM user_bot_configs AS bots JOIN lanes ON lanes.id = bots.lane_id
              LEFT JOIN protections ON protections.bot_config_id = bots.id
             WHERE bots.connection_id = %s AND bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below
             ORDER BY bots.id
            """,
            "bigint",
        ),
        (connection_id,),
    )


def note_watched(transaction: Transaction, bot_id: int, now: datetime) -> timedelta | None:
    """Note that a bot's protection was looked at; return since when it had not been, None without one.

    The time beyond a minute counts as missing.
    """
    row = transaction.maybe(
        prepared(
            """
            WITH before AS (SELECT bot_config_id, coalesce(checked_at, created_at) AS looked_at FROM protections
                             WHERE bot_config_id = %(bot)s FOR NO KEY UPDATE)
            UPDATE protections
               SET checked_at = %(now)s,
                   missing_seconds = missing_seconds
                       + CASE WHEN %(now)s - before.looked_at > interval '60 s'
                              THEN extract(epoch FROM %(now)s - before.looked_at) ELSE 0 END
              FROM before WHERE protections.bot_config_id = before.bot_config_id RETURNING before.looked_at
            """,
            bot="bigint",
            now="timestamptz",
        ),
        {"bot": bot_id, "now": now},
    )
    return None if row is None else now - row["looked_at"]


def was_noted(transaction: Transaction, bot_id: int, kind: str, since: datetime) -> bool:
    """Tell whether a bot has had an event of this kind since a time, so that it is not told every moment."""
    sql = "SELECT 1 FROM bot_risk_events WHERE bot_config_id = %s AND kind = %s AND created_at > %s LIMIT 1"
    return transaction.value(sql, (bot_id, kind, since)) is not None


def risk_events_of(transaction: Transaction, user_id: int, limit: int = 100) -> list[Row]:
    """Return a user's newest risk events with the bot's name."""
    return transaction.all(
        """
        SELECT events.*, bots.name AS bot, bots.symbol, bots.timeframe
          FROM bot_risk_events AS events LEFT JOIN user_bot_configs AS bots ON bots.id = events.bot_config_id
         WHERE events.user_id = %s ORDER BY events.created_at DESC, events.id DESC LIMIT %s
        """,
        (user_id, limit),
    )


def unpriced_connections(transaction: Transaction) -> set[int]:
    """Return the connections with a position just opened for which no price has been shown yet."""
    rows = transaction.all(
        prepared("""
        SELECT DISTINCT bots.connection_id FROM user_bot_configs AS bots
          JOIN lanes ON lanes.id = bots.lane_id
         WHERE bots.quantity <> 0 AND abs(bots.quantity) >= lanes.dust_below
           AND bots.opened_at > now() - interval '20 s'
           AND NOT EXISTS (SELECT FROM position_snapshots AS shown
                            WHERE shown.connection_id = bots.connection_id AND shown.symbol = bots.symbol)
        """)
    )
    return {row["connection_id"] for row in rows}


def shows_positions(transaction: Transaction, connection_id: int) -> bool:
    """Tell whether pages still show a position of this connection."""
    sql = prepared("SELECT 1 FROM position_snapshots WHERE connection_id = %s LIMIT 1", "bigint")
    return transaction.value(sql, (connection_id,)) is not None


def realized_on(transaction: Transaction, bot_id: int, day: date) -> Decimal:
    """Return what a bot realized on a trading day, net of fees."""
    pnl = transaction.value(
        prepared("SELECT pnl FROM bot_performance WHERE bot_config_id = %s AND day = %s", "bigint, date"),
        (bot_id, day),
    )
    return ZERO if pnl is None else Decimal(pnl)


def day_mark(transaction: Transaction, bot_id: int, day: date) -> Decimal:
    """Return the bot's unrealized P&L at the start of a day; zero for a position opened in it."""
    mark = transaction.value(
        prepared("SELECT unrealized FROM day_marks WHERE bot_config_id = %s AND day = %s", "bigint, date"),
        (bot_id, day),
    )
    return ZERO if mark is None else Decimal(mark)


def set_day_mark(
    transaction: Transaction, bot_id: int, day: date, unrealized: Decimal, now: datetime
) -> None:
    """Store the day's starting mark; the first one of the day stands."""
    transaction.execute(
        """
        INSERT INTO day_marks (bot_config_id, day, unrealized, taken_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT DO NOTHING
        """,
        (bot_id, day, unrealized, now),
    )


def store_positions(
    transaction: Transaction, connection_id: int, positions: Iterable[AccountPosition], now: datetime
) -> None:
    """Replace what the broker last said of a connection's positions."""
    # Risk and reconcile may both have something to say in the same moment
    transaction.execute(
        prepared("SELECT FROM user_api_keys WHERE id = %s FOR NO KEY UPDATE", "bigint"), (connection_id,)
    )
    transaction.execute(
        prepared("DELETE FROM position_snapshots WHERE connection_id = %s", "bigint"), (connection_id,)
    )
    for position in positions:
        transaction.execute(
            prepared(
                "INSERT INTO position_snapshots (connection_id, symbol, quantity, average_price, current_price,"
                " unrealized, taken_at, leverage, margin_mode, margin, liquidation_price)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                "bigint, text, numeric, numeric, numeric, numeric, timestamptz, numeric, text, numeric, numeric",
            ),
            (
                connection_id,
                position.symbol,
                position.quantity,
                position.average_price,
                position.current_price,
                position.unrealized,
                now,
                position.leverage,
                position.margin_mode,
                position.margin,
                position.liquidation_price,
            ),
        )


def positions_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return what the brokers last said of a user's positions, with the time they said it."""
    return transaction.all(
        """
        SELECT position_snapshots.*, user_api_keys.label AS connection, user_api_keys.broker, user_api_keys.mode
          FROM position_snapshots JOIN user_api_keys ON user_api_keys.id = connection_id
         WHERE user_api_keys.user_id = %s ORDER BY connection_id, symbol
        """,
        (user_id,),
    )


def store_account(transaction: Transaction, connection_id: int, account: Account, *, curve: bool) -> None:
    """Replace what the broker last said of a connection's money; with `curve`, keep a point of it."""
    values = (connection_id, account.equity, account.cash, account.buying_power)
    transaction.execute(
        """
        INSERT INTO account_snapshots (connection_id, equity, cash, buying_power, currency, taken_at)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (connection_id) DO UPDATE
           SET equity = excluded.equity, cash = excluded.cash, buying_power = excluded.buying_power,
               currency = excluded.currency, taken_at = excluded.taken_at
        """,
        (*values, account.currency, account.at),
    )
    if curve:
        transaction.execute(
            """
            INSERT INTO equity_snapshots (connection_id, equity, cash, buying_power, taken_at)
            VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            (*values, account.at),
        )


def accounts_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return what the brokers last said of a user's money, one row per connection."""
    return transaction.all(
        """
        SELECT user_api_keys.id AS connection_id, label AS connection, broker, mode, status, last_error,
               trading_state, equity, cash, buying_power, currency, taken_at
          FROM user_api_keys LEFT JOIN account_snapshots ON connection_id = user_api_keys.id
         WHERE user_id = %s AND archived_at IS NULL ORDER BY user_api_keys.id
        """,
        (user_id,),
    )


def reserved_since(transaction: Transaction, connection_id: int, read_at: datetime) -> Decimal:
    """Return the money reserved by entries that a buying power read at `read_at` did not know yet."""
    return Decimal(
        transaction.value(
            prepared(
                """
                SELECT coalesce(sum(reserved), 0) FROM orders
                 WHERE connection_id = %s AND purpose = 'OPEN'
                   AND (finished_at IS NULL OR finished_at >= %s)
                   AND (acknowledged_at IS NULL OR acknowledged_at >= %s)
                """,
                "bigint, timestamptz, timestamptz",
            ),
            (connection_id, read_at, read_at),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands over a bot's entry apart from its own settings, as `EntryFacts` has it."""

    states: TradingStates
    mismatch_since: datetime | None
    open_positions: int
    day: DayFigures


def standing_of(transaction: Transaction, bot_id: int, today: date) -> Standing:
    """Return a bot's kill switches, its lane's mismatch, the connection's other positions, and its day."""
    row = transaction.one(_STANDING, {"bot": bot_id, "day": today})
    states = {scope: TradingState(row[scope]) for scope in ("server", "user", "connection", "bot")}
    return Standing(
        states=TradingStates(**states),
        mismatch_since=row["mismatch_since"],
        open_positions=row["open_positions"],
        day=DayFigures(realized=row["realized"], start_unrealized=row["start_unrealized"]),
    )


# Another bot counts where it holds something or has an entry open.
_STANDING = prepared(
    """
    SELECT server_settings.trading_state AS server, users.trading_state AS "user",
           connections.trading_state AS connection, bots.trading_state AS bot, lanes.mismatch_since,
           (SELECT count(*) FROM user_bot_configs AS others JOIN lanes AS theirs ON theirs.id = others.lane_id
             WHERE others.connection_id = bots.connection_id AND others.id <> bots.id
               AND (abs(others.quantity) >= theirs.dust_below AND others.quantity <> 0
                    OR EXISTS (SELECT FROM orders WHERE orders.bot_config_id = others.id
                                AND orders.purpose = 'OPEN' AND orders.finished_at IS NULL))) AS open_positions,
           coalesce((SELECT pnl FROM bot_performance
                      WHERE bot_config_id = bots.id AND day = %(day)s), 0) AS realized,
           coalesce((SELECT unrealized FROM day_marks
                      WHERE bot_config_id = bots.id AND day = %(day)s), 0) AS start_unrealized
      FROM user_bot_configs AS bots
      JOIN users ON users.id = bots.user_id
      JOIN user_api_keys AS connections ON connections.id = bots.connection_id
      JOIN lanes ON lanes.id = bots.lane_id, server_settings
     WHERE bots.id = %(bot)s
    """,
    bot="bigint",
    day="date",
)


def take_tokens(
    transaction: Transaction,
    connection_id: int,
    *,
    calls: int,
    per_minute: int,
    for_entry: bool,
    now: datetime,
) -> bool:
    """Take calls from a connection's bucket; entries leave a third of it for exits and look-ups."""
    keep = per_minute / 3 if for_entry else 0.0
    return (
        transaction.execute(
            prepared(
                """
                WITH filled AS (
                    SELECT id, least(%(full)s, rate_tokens + %(rate)s *
                           greatest(extract(epoch FROM %(now)s - rate_refilled_at), 0)) AS tokens
                      FROM user_api_keys WHERE id = %(id)s FOR NO KEY UPDATE)
                UPDATE user_api_keys SET rate_tokens = filled.tokens - %(calls)s,
                       rate_refilled_at = greatest(%(now)s, rate_refilled_at)
                  FROM filled WHERE user_api_keys.id = filled.id AND filled.tokens - %(calls)s >= %(keep)s
                """,
                full="float8",
                rate="float8",
                now="timestamptz",
                id="bigint",
                calls="integer",
                keep="float8",
            ),
            {
                "full": float(per_minute),
                "rate": per_minute / 60,
                "now": now,
                "id": connection_id,
                "calls": calls,
                "keep": keep,
            },
        )
        == 1
    )
