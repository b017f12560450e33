"""What happened, page by page: trades by any filter, all of them for a file, and risk events.

Pages go backwards in time by key, never by offset: `before` is where the page before ended, so that
the hundredth page costs what the first does and new rows shift nothing. Every query carries the
user's id.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from database.pool import Row, Transaction

PAGE = 50
EXPORTED_AT_ONCE = 2000
EXPORTED = (
    *("id", "created_at", "bot", "connection", "mode", "symbol", "timeframe", "action", "side", "status"),
    *("order_id", "quantity", "filled_qty", "filled_price", "expected_price", "slippage"),
    *("realized_pnl", "fees", "reason", "message", "signal_id"),
)


class TradeStatus(StrEnum):
    """How far a leg has come, or how it ended; REFUSED by us, REJECTED by the broker."""

    SUBMITTED = "SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    REFUSED = "REFUSED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Where a page ended: the time and id of its last row."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilter:
    """Which trades are wanted; None takes all. `until` is not included itself."""

    bot_id: int | None = None
    symbol: str | None = None
    action: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    only_with_pnl: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of one page, newest first; `older` is where the next one begins, None at the end."""

    rows: list[Row]
    older: Key | None


_CONDITIONS = {
    "bot_id": "trades.bot_config_id = %(bot_id)s",
    "symbol": "trades.symbol = %(symbol)s",
    "action": "trades.action = %(action)s",
    "status": "trades.status = %(status)s",
    "since": "trades.created_at >= %(since)s",
    "until": "trades.created_at < %(until)s",
    "only_with_pnl": "trades.realized_pnl IS NOT NULL",
}
_TRADES = """
    SELECT trades.id, trades.created_at, trades.bot_config_id AS bot_id, bots.name AS bot,
           connections.label AS connection, connections.mode, trades.symbol, trades.timeframe,
           trades.action, trades.side, trades.status, trades.order_id, trades.quantity, trades.filled_qty,
           trades.filled_price, trades.expected_price, trades.slippage, trades.realized_pnl, trades.fees,
           trades.reason, trades.message, signals.uuid AS signal_id, trades.updated_at
      FROM bot_trades AS trades
      JOIN user_bot_configs AS bots ON bots.id = trades.bot_config_id
      JOIN user_api_keys AS connections ON connections.id = bots.connection_id
      LEFT JOIN signals ON signals.id = trades.signal_id
     WHERE trades.user_id = %(user)s
"""
_NEWEST_FIRST = " ORDER BY trades.created_at DESC, trades.id DESC"


def trades_page(
    transaction: Transaction,
    user_id: int,
    wanted: TradeFilter,
    *,
    before: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page of a user's trades, one row per leg, refused and failed ones too."""
    older = " AND (trades.created_at, trades.id) < (%(at)s, %(id)s)" if before else ""
    rows = transaction.all(
        _TRADES + _where(wanted) + older + _NEWEST_FIRST + " LIMIT %(limit)s",
        {**_values(user_id, wanted), **(asdict(before) if before else {}), "limit": limit + 1},
    )
    return _page(rows, limit)


def all_trades(transaction: Transaction, user_id: int, wanted: TradeFilter) -> Iterator[Row]:
    """Give every trade of the filter, newest first, a few thousand in memory at a time."""
    sql = _TRADES + _where(wanted) + _NEWEST_FIRST
    return transaction.each(sql, _values(user_id, wanted), at_once=EXPORTED_AT_ONCE)


def bots_with_history(transaction: Transaction, user_id: int) -> list[Row]:
    """Return id, name, symbol and broker of a user's bots, archived ones last."""
    return transaction.all(
        """
        SELECT bots.id, bots.name, bots.symbol, bots.timeframe, connections.broker,
               bots.archived_at IS NOT NULL AS archived
          FROM user_bot_configs AS bots JOIN user_api_keys AS connections ON connections.id = bots.connection_id
         WHERE bots.user_id = %s ORDER BY bots.archived_at IS NOT NULL, lower(bots.name), bots.id
        """,
        (user_id,),
    )


def risk_events_page(
    transaction: Transaction,
    user_id: int,
    *,
    kind: str | None = None,
    bot_id: int | None = None,
    before: Key | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page of a user's risk events with the bot's name and what it trades.

    An event of a whole symbol or connection has no bot: `bot` is None and `symbol` the lane's.
    """
    conditions = {
        "kind": " AND events.kind = %(kind)s" if kind else "",
        "bot": " AND events.bot_config_id = %(bot)s" if bot_id is not None else "",
        "older": " AND (events.created_at, events.id) < (%(at)s, %(id)s)" if before else "",
    }
    rows = transaction.all(
        f"""
        SELECT events.id, events.created_at, events.finished_at, events.kind, events.threshold, events.actual,
               events.action_taken, events.state, events.sentence, events.bot_config_id AS bot_id,
               bots.name AS bot, bots.timeframe, coalesce(bots.symbol, lanes.symbol) AS symbol,
               connections.label AS connection
          FROM bot_risk_events AS events
          JOIN user_api_keys AS connections ON connections.id = events.connection_id
          LEFT JOIN user_bot_configs AS bots ON bots.id = events.bot_config_id
          LEFT JOIN lanes ON lanes.id = events.lane_id
         WHERE events.user_id = %(user)s {"".join(conditions.values())}
         ORDER BY events.created_at DESC, events.id DESC LIMIT %(limit)s
        """,
        {
            "user": user_id,
            "kind": kind,
            "bot": bot_id,
            **(asdict(before) if before else {}),
            "limit": limit + 1,
        },
    )
    return _page(rows, limit)


def risk_event_counts(transaction: Transaction, user_id: int) -> dict[str, int]:
    """Return how many risk events of each kind a user has had."""
    rows = transaction.all(
        "SELECT kind, count(*) FROM bot_risk_events WHERE user_id = %s GROUP BY kind ORDER BY kind",
        (user_id,),
    )
    return {row["kind"]: row["count"] for row in rows}


def _where(wanted: TradeFilter) -> str:
    return "".join(f" AND {_CONDITIONS[name]}" for name, value in asdict(wanted).items() if value)


def _values(user_id: int, wanted: TradeFilter) -> dict[str, Any]:
    return {"user": user_id, **asdict(wanted)}


def _page(rows: list[Row], limit: int) -> Page:
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(rows=shown, older=Key(at=shown[-1]["created_at"], id=shown[-1]["id"]) if more else None)
