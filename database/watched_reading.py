"""What the page of watched bots shows; every query carries the user's id, and none reads a whole table."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from database.history import EXPORTED_AT_ONCE, Key, Page
from database.pool import Row, Transaction

PAGE = 50
MOST_OPEN = 200
POINTS = 400
LISTENER = "mqtt listener"
EXPORTED = (
    *("id", "bot", "trade_id", "market", "name", "side", "quantity", "quantity_unit", "entry_price"),
    *("exit_price", "pnl", "pnl_fraction", "duration_seconds", "entry_reason", "exit_reason"),
    *("opened_at", "closed_at"),
)
_BOT = """
    SELECT id, name, prefix, is_default, state, last_heartbeat_at, last_message_at, offline_since, started_at,
           heartbeat, balance, session, messages, bad_messages, created_at
      FROM watched_bots
"""


def bots_of(transaction: Transaction, user_id: int) -> list[Row]:
    """Return the bots a user watches, as they stand."""
    return transaction.all(f"{_BOT} WHERE user_id = %s ORDER BY lower(name), id", (user_id,))


def bot(transaction: Transaction, user_id: int, bot_id: int) -> Row | None:
    """Return one bot of a user; None where the user watches no such bot."""
    return transaction.maybe(f"{_BOT} WHERE user_id = %s AND id = %s", (user_id, bot_id))


def newest_balance(transaction: Transaction, user_id: int, bot_id: int) -> Row | None:
    """Return what a bot reported last of its account."""
    return transaction.maybe(
        """
        SELECT balances.at, balances.balance, balances.equity, balances.available, balances.locked,
               balances.unrealized_pnl, balances.total_pnl, balances.reason
          FROM watched_balances AS balances JOIN watched_bots AS bots ON bots.id = balances.watched_bot_id
         WHERE bots.user_id = %s AND bots.id = %s ORDER BY balances.at DESC, balances.id DESC LIMIT 1
        """,
        (user_id, bot_id),
    )


def balances(
    transaction: Transaction, user_id: int, bot_id: int, *, since: datetime | None, now: datetime
) -> list[Row]:
    """Return balance and equity over time, oldest first: the last of each of at most 400 spans of equal length.

    Without `since` from the first on.
    """
    first = transaction.value(
        """
        SELECT min(balances.at) FROM watched_balances AS balances
          JOIN watched_bots AS bots ON bots.id = balances.watched_bot_id
         WHERE bots.user_id = %s AND bots.id = %s AND balances.at >= %s
        """,
        (user_id, bot_id, since or datetime.min.replace(tzinfo=now.tzinfo)),
    )
    if first is None:
        return []
    span = max((now - first) / POINTS, timedelta(seconds=1)).total_seconds()
    return transaction.all(
        """
        SELECT DISTINCT ON (span) floor(extract(epoch FROM balances.at - %(first)s) / %(span)s) AS span,
               balances.at, balances.balance, balances.equity
          FROM watched_balances AS balances JOIN watched_bots AS bots ON bots.id = balances.watched_bot_id
         WHERE bots.user_id = %(user)s AND bots.id = %(bot)s AND balances.at >= %(first)s
         ORDER BY span, balances.at DESC, balances.id DESC
        """,
        {"user": user_id, "bot": bot_id, "first": first, "span": span},
    )


_TRADES = """
    SELECT trades.id, bots.name AS bot, trades.trade_id, trades.market, trades.name, trades.side,
           trades.quantity, trades.quantity_unit, trades.entry_price, trades.exit_price, trades.stop_loss,
           trades.take_profit, trades.pnl, trades.pnl_fraction, trades.duration_seconds, trades.entry_reason,
           trades.exit_reason, trades.opened_at, trades.closed_at
      FROM watched_trades AS trades JOIN watched_bots AS bots ON bots.id = trades.watched_bot_id
     WHERE bots.user_id = %(user)s AND bots.id = %(bot)s AND trades.state = %(state)s
"""


def open_positions(transaction: Transaction, user_id: int, bot_id: int) -> list[Row]:
    """Return what a bot said it holds, newest first, at most 200."""
    values = {"user": user_id, "bot": bot_id, "state": "OPEN", "limit": MOST_OPEN}
    return transaction.all(f"{_TRADES} ORDER BY trades.id DESC LIMIT %(limit)s", values)


def trades_page(
    transaction: Transaction, user_id: int, bot_id: int, *, before: Key | None = None, limit: int = PAGE
) -> Page:
    """Return one page of a bot's completed trades, newest first."""
    older = " AND (trades.closed_at, trades.id) < (%(at)s, %(id)s)" if before else ""
    values = {"user": user_id, "bot": bot_id, "state": "CLOSED", "limit": limit + 1}
    rows = transaction.all(
        f"{_TRADES}{older} ORDER BY trades.closed_at DESC, trades.id DESC LIMIT %(limit)s",
        {**values, **(asdict(before) if before else {})},
    )
    return _page(rows, limit, "closed_at")


def all_trades(transaction: Transaction, user_id: int, bot_id: int) -> Iterator[Row]:
    """Give every completed trade of a bot, newest first, a few thousand in memory at a time."""
    sql = f"{_TRADES} ORDER BY trades.closed_at DESC, trades.id DESC"
    values = {"user": user_id, "bot": bot_id, "state": "CLOSED"}
    return transaction.each(sql, values, at_once=EXPORTED_AT_ONCE)


def trade_figures(transaction: Transaction, user_id: int, bot_id: int) -> dict[str, Any]:
    """Return how a bot's completed trades did together: `trades`, `wins`, `losses`, `pnl`, `won` and `lost`.

    Trades that told no P&L count among `trades` alone; `lost` is negative.
    """
    row = transaction.one(
        """
        SELECT count(*) AS trades, count(*) FILTER (WHERE trades.pnl > 0) AS wins,
               count(*) FILTER (WHERE trades.pnl < 0) AS losses, sum(trades.pnl) AS pnl,
               coalesce(sum(trades.pnl) FILTER (WHERE trades.pnl > 0), 0) AS won,
               coalesce(sum(trades.pnl) FILTER (WHERE trades.pnl < 0), 0) AS lost
          FROM watched_trades AS trades JOIN watched_bots AS bots ON bots.id = trades.watched_bot_id
         WHERE bots.user_id = %s AND bots.id = %s AND trades.state = 'CLOSED'
        """,
        (user_id, bot_id),
    )
    return {**row, "profit_factor": Decimal(row["won"]) / -row["lost"] if row["lost"] else None}


def counted(transaction: Transaction, user_id: int, bot_id: int) -> Row:
    """Return how many positions of a bot are open and how many trades were closed."""
    return transaction.one(
        """
        SELECT count(*) FILTER (WHERE trades.state = 'OPEN') AS open_positions,
               count(*) FILTER (WHERE trades.state = 'CLOSED') AS total_trades
          FROM watched_trades AS trades JOIN watched_bots AS bots ON bots.id = trades.watched_bot_id
         WHERE bots.user_id = %s AND bots.id = %s
        """,
        (user_id, bot_id),
    )


_EVENTS = """
    SELECT events.id, events.topic, events.kind, events.payload_bytes, events.understood, events.problem,
           events.is_retained, events.sent_at, events.received_at
      FROM watched_events AS events JOIN watched_bots AS bots ON bots.id = events.watched_bot_id
     WHERE bots.user_id = %(user)s AND bots.id = %(bot)s
"""


def events_page(
    transaction: Transaction,
    user_id: int,
    bot_id: int,
    *,
    kind: str | None = None,
    before: Key | None = None,
    newest: int | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page of what a bot reported, in the order of arrival, newest first.

    Without a `kind` everything but heartbeats; nothing after the message `newest`. The payloads are left
    out: see `payload`.
    """
    wanted = " AND events.kind = %(kind)s" if kind else " AND events.kind <> 'HEARTBEAT'"
    older = " AND events.id < %(id)s" if before or newest else ""
    end = before.id if before else newest and newest + 1
    rows = transaction.all(
        f"{_EVENTS}{wanted}{older} ORDER BY events.id DESC LIMIT %(limit)s",
        {
            "user": user_id,
            "bot": bot_id,
            "kind": kind,
            "id": end,
            "limit": limit + 1,
        },
    )
    return _page(rows, limit, "received_at")


def newest_error(transaction: Transaction, user_id: int, bot_id: int, *, since: datetime) -> Row | None:
    """Return the last error that a bot reported, if it came after `since`."""
    return transaction.maybe(
        f"""
        SELECT * FROM ({_EVENTS} AND events.kind = 'ERROR' ORDER BY events.id DESC LIMIT 1) AS newest
         WHERE received_at > %(since)s
        """,
        {"user": user_id, "bot": bot_id, "since": since},
    )


def payload(transaction: Transaction, user_id: int, event_id: int) -> Row | None:
    """Return one message of a user's bot as it came: `topic`, `payload` (bytes, cut at 64 KiB), `payload_bytes`."""
    return transaction.maybe(
        """
        SELECT events.topic, events.payload, events.payload_bytes, events.problem, events.kind,
               events.received_at, events.sent_at, events.is_retained
          FROM watched_events AS events JOIN watched_bots AS bots ON bots.id = events.watched_bot_id
         WHERE bots.user_id = %s AND events.id = %s
        """,
        (user_id, event_id),
    )


def listener(transaction: Transaction) -> dict[str, Any]:
    """Return whether the listener lives (`alive`, `beat_at`) and how it stands with the broker."""
    row = transaction.maybe("SELECT broker, is_connected, changed_at, words FROM mqtt_status")
    beat = transaction.one(
        """
        SELECT max(beat_at) AS beat_at, coalesce(bool_or(beat_at > now() - interval '15 s'), false) AS alive
          FROM heartbeats WHERE part = %s
        """,
        (LISTENER,),
    )
    return {"broker": None, "is_connected": False, "changed_at": None, "words": None, **(row or {}), **beat}


def _page(rows: list[Row], limit: int, at: str) -> Page:
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(rows=shown, older=Key(at=shown[-1][at], id=shown[-1]["id"]) if more else None)
