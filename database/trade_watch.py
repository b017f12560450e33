"""What the monitor reads and writes of open trades: those of a pair at once, never one query for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from core.bar import Bar, length
from database.pool import Row, Transaction
from database.trade_rows import ENDING

# A bar that came after newer ones is still looked at within this, or so many bars.
LATE_WITHIN, LATE_BARS = timedelta(hours=6), 5
# Clocks of two machines that store bars differ by no more.
CLOCK_SLACK = timedelta(minutes=2)

_TYPES = {
    "id": "bigint",
    "close_time": "timestamptz",
    "next_update_at": "timestamptz",
    "updated_at": "timestamptz",
    "looked_until": "timestamptz",
    "looked_at": "timestamptz",
    "status": "text",
    "close_reason": "text",
    "result": "text",
}
ENDED = ("id", *ENDING)
LOOKED = (
    *("id", "looked_until", "looked_at", "next_update_at", "current_price", "current_pips", "current_pnl"),
    "updated_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A bar, and when it came to us."""

    bar: Bar
    fetched_at: datetime


def pairs(transaction: Transaction) -> list[Row]:
    """Return pair and account_currency of all open trades that bars judge, each combination once."""
    return transaction.all(
        """
        SELECT DISTINCT pair, account_currency FROM user_trades
         WHERE status = 'open' AND signal_uuid IS NULL ORDER BY pair, account_currency
        """
    )


def is_mine(transaction: Transaction, pair: str) -> bool:
    """Tell whether nobody else looks at a pair's trades now; nobody else will until the transaction ends."""
    sql = "SELECT pg_try_advisory_xact_lock(hashtextextended('tracked trades of ' || %s, 0))"
    return transaction.value(sql, (pair,)) is True


def open_trades(transaction: Transaction, pair: str, *, is_replay: bool) -> list[Row]:
    """Return a pair's open trades and hold them: who changes one waits, and who changed one is seen.

    Bars of a recording judge trades in it, real ones those in a real market. Beside the columns of
    user_trades: `rhythm` in minutes, 0 for never, and `told`, whether their user is.
    """
    return transaction.all(
        """
        SELECT trades.*, coalesce(running_update_minutes, 0) AS rhythm,
               users.is_active AND discord_user_id IS NOT NULL AS told
          FROM user_trades AS trades JOIN users ON users.id = trades.user_id
          LEFT JOIN user_discord_settings AS settings ON settings.user_id = trades.user_id
         WHERE trades.pair = %s AND trades.status = 'open' AND trades.signal_uuid IS NULL
           AND (trades.source = 'replay') = %s
         ORDER BY trades.id FOR NO KEY UPDATE OF trades
        """,
        (pair, is_replay),
    )


def bars(
    transaction: Transaction, pair: str, timeframe: str, trades: Sequence[Row], now: datetime
) -> list[Seen]:
    """Return the closed bars that one of the trades has not seen, late ones too, oldest first."""
    rows = transaction.all(
        """
        SELECT opened_at, open, high, low, close, volume, fetched_at FROM market_bars
         WHERE pair = %(pair)s AND timeframe = %(timeframe)s AND opened_at <= %(closed_by)s
           AND opened_at > %(late)s AND (opened_at > %(unseen)s OR fetched_at > %(came)s)
         ORDER BY opened_at
        """,
        {"pair": pair, "timeframe": timeframe, **_bounds(timeframe, trades, now)},
    )
    return [_seen(row, timeframe) for row in rows]


def is_new(seen: Seen, trade: Row) -> bool:
    """Tell whether a trade has not been judged by a bar: it closed since the last look, or came late."""
    if seen.bar.closed_at > trade["looked_until"]:
        return True
    is_late = trade["looked_at"] is not None and seen.fetched_at > trade["looked_at"] - CLOCK_SLACK
    return is_late and bool(seen.bar.closed_at > trade["entry_time"])


def end(transaction: Transaction, trades: Sequence[Mapping[str, Any]]) -> int:
    """Write the ends of trades, with the columns `ENDED`; return how many were open until now."""
    return _write(transaction, ENDED, trades)


def note_looked(transaction: Transaction, trades: Sequence[Mapping[str, Any]]) -> int:
    """Write how open trades stand, with the columns `LOOKED`."""
    return _write(transaction, LOOKED, trades)


def _bounds(timeframe: str, trades: Sequence[Row], now: datetime) -> Row:
    lasts, looked = length(timeframe), [row["looked_at"] for row in trades if row["looked_at"] is not None]
    unseen = min(row["looked_until"] for row in trades)
    return {
        "closed_by": now - lasts,
        "unseen": unseen - lasts,
        "late": unseen - lasts - max(LATE_WITHIN, LATE_BARS * lasts),
        "came": min(looked) - CLOCK_SLACK if looked else now,
    }


def _seen(row: Row, timeframe: str) -> Seen:
    fetched_at = row.pop("fetched_at")
    return Seen(bar=Bar(**row, closed_at=row["opened_at"] + length(timeframe)), fetched_at=fetched_at)


def _write(transaction: Transaction, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> int:
    if not rows:
        return 0
    places = ", ".join(f"%({name})s::{_TYPES.get(name, 'numeric')}[]" for name in columns)
    changed = ", ".join(f"{name} = new.{name}" for name in columns if name != "id")
    return transaction.execute(
        f"""
        UPDATE user_trades AS trades SET {changed} FROM unnest({places}) AS new ({", ".join(columns)})
         WHERE trades.id = new.id AND trades.status = 'open'
        """,
        {name: [row[name] for row in rows] for name in columns},
    )
