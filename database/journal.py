"""What the trade journal draws beside its list: the sum of results over time, and what can be filtered by."""

from dataclasses import asdict

from core.pips import CURRENCIES
from database.pool import Row, Transaction
from database.tracked_trades import ALL, TradeFilters, where

POINTS = 400
_MONEY = "trades.profit_loss IS NOT NULL AND trades.account_currency = %(currency)s"
_PIPS = """trades.pips IS NOT NULL AND split_part(trades.pair, '/', 1) = ANY(%(currencies)s)
           AND split_part(trades.pair, '/', 2) = ANY(%(currencies)s)"""


def pairs_of(transaction: Transaction, user_id: int) -> list[str]:
    """Return the pairs that a user has ever followed a trade in."""
    rows = transaction.all(
        "SELECT DISTINCT pair FROM user_trades WHERE user_id = %s ORDER BY pair", (user_id,)
    )
    return [row["pair"] for row in rows]


def money_curve(
    transaction: Transaction, user_id: int, currency: str, filters: TradeFilters = ALL
) -> list[Row]:
    """Return the sum of a user's profits in one currency as trades closed, oldest first, at most 400 points.

    `at`, `total`, and `drawdown`: how far below its highest (or nothing) the sum fell until then, 0 or less.
    """
    return _curve(transaction, user_id, filters, "profit_loss", _MONEY, currency)


def pips_curve(transaction: Transaction, user_id: int, filters: TradeFilters = ALL) -> list[Row]:
    """Return the sum of a user's pips of currencies, as `money_curve` does."""
    return _curve(transaction, user_id, filters, "pips", _PIPS, "")


def _curve(
    transaction: Transaction, user_id: int, filters: TradeFilters, column: str, of: str, currency: str
) -> list[Row]:
    values = {
        **asdict(filters), "user": user_id, "currency": currency, "currencies": sorted(CURRENCIES), "points": POINTS
    }  # fmt: skip
    return transaction.all(
        f"""
        WITH sums AS (
            SELECT close_time, id, sum({column}) OVER in_time AS total, row_number() OVER in_time - 1 AS place,
                   count(*) OVER () AS trades
              FROM user_trades AS trades
             WHERE trades.user_id = %(user)s AND trades.status = 'closed' AND {of}{where(filters)}
            WINDOW in_time AS (ORDER BY close_time, id)
        ), falls AS (
            SELECT *, least(total - greatest(max(total) OVER (ORDER BY place), 0), 0) AS drawdown,
                   place / ceil(trades / %(points)s::numeric)::bigint AS part
              FROM sums
        )
        SELECT DISTINCT ON (part) close_time AS at, total, min(drawdown) OVER (PARTITION BY part) AS drawdown
          FROM falls ORDER BY part, place DESC
        """,
        values,
    )
