"""Trades that users follow: opened, changed, ended, listed, counted, and put away; each by its owner's id.

What the monitor does to many at once is in `database.trade_watch`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from core.performance import win_rate
from core.pips import CURRENCIES
from database.pool import Row, Transaction

PAGE = 50
EXPORTED_AT_ONCE = 2000
EXPORTED = (
    *("id", "pair", "timeframe", "direction", "source", "status", "close_reason", "result", "entry_time"),
    *("entry_price", "lot_size", "stop_loss", "take_profit", "reward_to_risk", "close_time", "close_price"),
    *("duration_seconds", "pips", "unit", "profit_loss", "account_currency", "profit_loss_percentage"),
    *("bot", "connection", "notes", "archived_at"),
)
# What a trade is opened with, beside what is counted here.
NEW = (
    *("user_id", "pair", "timeframe", "direction", "entry_price", "entry_time", "lot_size", "stop_loss"),
    *("take_profit", "reward_to_risk", "notes", "account_currency", "source", "looked_until", "expires_at"),
    *("next_update_at", "connection_id", "bot_config_id", "signal_uuid", "request_key"),
    *("signal_notification_id", "created_at", "updated_at"),
)


def create(transaction: Transaction, columns: Mapping[str, Any]) -> int | None:
    """Store an open trade and return its id, or None where its request key was used before."""
    sql = f"""
        INSERT INTO user_trades ({", ".join(NEW)}) VALUES ({", ".join(f"%({name})s" for name in NEW)})
        ON CONFLICT (request_key) DO NOTHING RETURNING id
    """
    row = transaction.maybe(sql, {name: columns.get(name) for name in NEW})
    return None if row is None else int(row["id"])


def of_request(transaction: Transaction, user_id: int, request_key: str) -> int | None:
    """Return the trade that a request opened before, or None."""
    sql = "SELECT id FROM user_trades WHERE user_id = %s AND request_key = %s"
    row = transaction.maybe(sql, (user_id, request_key))
    return None if row is None else int(row["id"])


def trade(transaction: Transaction, user_id: int, trade_id: int, *, lock: bool = False) -> Row | None:
    """Return one of a user's trades, archived or not; None for one that is unknown or somebody else's.

    With `lock`, hold it: the monitor and whoever else changes it wait until the transaction ends.
    """
    end = " FOR NO KEY UPDATE" if lock else ""
    return transaction.maybe(
        f"SELECT * FROM user_trades WHERE id = %s AND user_id = %s{end}", (trade_id, user_id)
    )


def count_open(transaction: Transaction, user_id: int) -> int:
    """Return how many open trades a user has."""
    sql = "SELECT count(*) FROM user_trades WHERE user_id = %s AND status = 'open' AND archived_at IS NULL"
    return int(transaction.value(sql, (user_id,)))


def change(transaction: Transaction, user_id: int, trade_id: int, columns: Mapping[str, Any]) -> None:
    """Change columns of a user's open trade, which is locked."""
    assignments = ", ".join(f"{name} = %({name})s" for name in columns)
    transaction.execute(
        f"""
        UPDATE user_trades SET {assignments}
         WHERE id = %(id_)s AND user_id = %(user_)s AND status = 'open'
        """,
        {**columns, "id_": trade_id, "user_": user_id},
    )


def wishes(transaction: Transaction, user_id: int) -> Row:
    """Return what a user wants for their trades: account_currency, running_update_minutes and
    trade_limit_hours; the defaults where nothing was set."""
    return transaction.one(
        """
        SELECT coalesce(account_currency, 'USD') AS account_currency,
               coalesce(running_update_minutes, 60) AS running_update_minutes, trade_limit_hours
          FROM users LEFT JOIN user_discord_settings ON user_id = users.id WHERE users.id = %s
        """,
        (user_id,),
    )


def notification_to_answer(transaction: Transaction, user_id: int, notification_id: int) -> Row | None:
    """Return a user's notification and let nobody else answer it meanwhile; None where there is no such one."""
    return transaction.maybe(
        """
        SELECT id, pair, timeframe, signal_type, source, expires_at, acknowledged, answer, trade_id
          FROM signal_notifications WHERE id = %s AND user_id = %s FOR NO KEY UPDATE
        """,
        (notification_id, user_id),
    )


def note_answer(
    transaction: Transaction, notification_id: int, answer: str, trade_id: int | None, now: datetime
) -> None:
    """Note that a notification was answered by `opened` or `ignored`."""
    transaction.execute(
        """
        UPDATE signal_notifications SET acknowledged = true, acknowledged_at = %s, answer = %s, trade_id = %s
         WHERE id = %s AND NOT acknowledged
        """,
        (now, answer, trade_id, notification_id),
    )


def archive(transaction: Transaction, before: datetime, limit: int) -> int:
    """Take trades that ended before a time out of the hot indexes, at most so many; return how many."""
    return transaction.execute(
        """
        UPDATE user_trades SET archived_at = now() WHERE id IN (
            SELECT id FROM user_trades
             WHERE archived_at IS NULL AND status <> 'open' AND close_time < %(before)s
             ORDER BY close_time LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        """,
        {"before": before, "limit": limit},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilters:
    """Which of a user's trades are wanted; None takes all.

    `since` and before `until` are about the entry. `status` is open, closed or cancelled. Those that were
    archived are there `with_archived` only.
    """

    pair: str | None = None
    timeframe: str | None = None
    direction: str | None = None
    status: str | None = None
    result: str | None = None
    close_reason: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_archived: bool = False


ALL = TradeFilters()
_CONDITIONS = {
    "since": "trades.entry_time >= %(since)s",
    "until": "trades.entry_time < %(until)s",
}
_IS_FOREX = """(split_part(trades.pair, '/', 1) = ANY(%(currencies)s)
                AND split_part(trades.pair, '/', 2) = ANY(%(currencies)s))"""
_ROWS = f"""
    SELECT trades.*, CASE WHEN {_IS_FOREX} THEN 'pips' ELSE 'points' END AS unit,
           extract(epoch FROM close_time - entry_time)::bigint AS duration_seconds,
           bots.name AS bot, connections.label AS connection
      FROM user_trades AS trades
      LEFT JOIN user_bot_configs AS bots ON bots.id = trades.bot_config_id
      LEFT JOIN user_api_keys AS connections ON connections.id = trades.connection_id
     WHERE trades.user_id = %(user)s
"""


def open_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return a user's open trades, the newest first: the columns of user_trades, and as `page` has them."""
    sql = f"{_ROWS} AND trades.status = 'open' AND trades.archived_at IS NULL ORDER BY trades.id DESC"
    return transaction.all(sql, _values(user_id, ALL))


def page(
    transaction: Transaction,
    user_id: int,
    filters: TradeFilters = ALL,
    before: int | None = None,
    count: int = PAGE,
) -> list[Row]:
    """Return a page of a user's trades, the newest first; `before` is the id of the page before's last.

    Beside the columns of user_trades: `unit` (pips, points), `duration_seconds` (None while it is open), `bot`
    and `connection` by name where the engine holds it.
    """
    older = " AND trades.id < %(before)s" if before is not None else ""
    sql = f"{_ROWS} {where(filters)} {older} ORDER BY trades.id DESC LIMIT %(count)s"
    return transaction.all(sql, {**_values(user_id, filters), "before": before, "count": count})


def csv_rows(transaction: Transaction, user_id: int, filters: TradeFilters = ALL) -> Iterator[Row]:
    """Give all of a user's trades of the filters, the newest first, for `core.spreadsheet` with `EXPORTED`."""
    sql = f"{_ROWS} {where(filters)} ORDER BY trades.id DESC"
    return transaction.each(sql, _values(user_id, filters), at_once=EXPORTED_AT_ONCE)


def statistics(transaction: Transaction, user_id: int, filters: TradeFilters = ALL) -> Row:
    """Return figures of a user's closed trades, of those the filters take.

    trades, won, lost, breakeven, open; win_rate (0 to 100, of those won or lost; None without any);
    average_reward_to_risk (as opened), average_seconds; total_pips of currencies and total_points of all
    else, which are never added up; total_profit_loss in `currency`, the user's own, None without any;
    in_other_currencies and without_rate: how many it leaves out; best and worst by profit: each a row
    with id, pair, direction, pips, unit and profit_loss, or None.
    """
    values = _values(user_id, filters)
    values["currency"] = wishes(transaction, user_id)["account_currency"]
    found = transaction.one(f"{_FIGURES} {where(filters)}", values)
    ends = transaction.all(
        " UNION ALL ".join(
            f"(SELECT {_END} FROM ({_ROWS} {where(filters)} AND trades.status = 'closed' AND profit_loss IS NOT NULL"
            f" AND account_currency = %(currency)s) AS trades ORDER BY profit_loss {order}, id LIMIT 1)"
            for order in ("DESC", "ASC")
        ),
        values,
    )
    best, worst = (ends[0], ends[-1]) if ends else (None, None)
    rate = win_rate(found["won"], found["lost"])
    return {**found, "win_rate": rate, "currency": values["currency"], "best": best, "worst": worst}


_END = "id, pair, direction, pips, unit, profit_loss"
_FIGURES = f"""
    SELECT count(*) FILTER (WHERE closed) AS trades, count(*) FILTER (WHERE result = 'win') AS won,
           count(*) FILTER (WHERE result = 'loss') AS lost,
           count(*) FILTER (WHERE result = 'breakeven') AS breakeven,
           count(*) FILTER (WHERE status = 'open') AS open,
           round(avg(reward_to_risk) FILTER (WHERE closed), 2) AS average_reward_to_risk,
           round(avg(extract(epoch FROM close_time - entry_time)) FILTER (WHERE closed))::bigint AS average_seconds,
           coalesce(sum(pips) FILTER (WHERE closed AND is_forex), 0) AS total_pips,
           coalesce(sum(pips) FILTER (WHERE closed AND NOT is_forex), 0) AS total_points,
           sum(profit_loss) FILTER (WHERE closed AND account_currency = %(currency)s) AS total_profit_loss,
           count(*) FILTER (WHERE closed AND profit_loss IS NOT NULL AND account_currency <> %(currency)s)
               AS in_other_currencies,
           count(*) FILTER (WHERE closed AND profit_loss IS NULL) AS without_rate
      FROM user_trades AS trades, LATERAL (SELECT status = 'closed' AS closed, {_IS_FOREX} AS is_forex) AS kind
     WHERE trades.user_id = %(user)s
"""


def where(filters: TradeFilters) -> str:
    """Return the conditions of filters, to stand after others; their values are those of the filters."""
    wanted = [
        name for name, value in asdict(filters).items() if value is not None and name != "with_archived"
    ]
    conditions = [_CONDITIONS.get(name, f"trades.{name} = %({name})s") for name in wanted]
    if not filters.with_archived:
        conditions.append("trades.archived_at IS NULL")
    return "".join(f" AND {condition}" for condition in conditions)


def _values(user_id: int, filters: TradeFilters) -> Row:
    return {"user": user_id, "currencies": sorted(CURRENCIES), **asdict(filters)}


def owner_of(transaction: Transaction, trade_id: int) -> int | None:
    """Return whose trade it is, for the operator's commands; None for an unknown one."""
    row = transaction.maybe("SELECT user_id FROM user_trades WHERE id = %s", (trade_id,))
    return None if row is None else int(row["user_id"])
