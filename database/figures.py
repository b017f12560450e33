"""How a user's bots did: totals, per bot, per symbol and per day, all aggregated in SQL."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from core.instrument import AssetClass
from core.money import CENT, ZERO
from core.trading_day import trading_day
from database.pool import Row, Transaction

HUNDRED = Decimal(100)

# A round trip runs from flat to flat (or to dust); what only corrects a fee is none.
_TRIPS = """
    WITH booked AS (
        SELECT fills.id, fills.bot_config_id, fills.kind, fills.realized_pnl, bots.symbol,
               fills.position_after = 0 OR abs(fills.position_after) < lanes.dust_below AS flat
          FROM fills JOIN user_bot_configs AS bots ON bots.id = fills.bot_config_id
          JOIN lanes ON lanes.id = bots.lane_id
         WHERE fills.user_id = %(user)s),
    numbered AS (
        SELECT *, coalesce(sum(flat::int) OVER (PARTITION BY bot_config_id ORDER BY id
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS trip FROM booked),
    trips AS (
        SELECT bot_config_id, symbol, sum(realized_pnl) AS pnl FROM numbered
         GROUP BY bot_config_id, symbol, trip HAVING bool_or(flat) AND bool_or(kind = 'TRADE'))
"""
_TRIP_FIGURES = """
    count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS wins, count(*) FILTER (WHERE pnl < 0) AS losses,
    coalesce(sum(pnl) FILTER (WHERE pnl > 0), 0) AS gross_profit,
    coalesce(-sum(pnl) FILTER (WHERE pnl < 0), 0) AS gross_loss, max(pnl) AS best, min(pnl) AS worst
"""


def performance_of(transaction: Transaction, user_id: int) -> dict[str, Any]:
    """Return a user's figures, archived bots included; P&L is realized and net of fees.

    `win_rate` is in percent and `profit_factor` gross profit over gross loss, both None where there
    is nothing to divide by. `max_drawdown` is the largest fall of the sum of all realized P&L.
    """
    booked = transaction.one(
        """
        SELECT coalesce(sum(pnl), 0) AS total_pnl, coalesce(sum(fees), 0) AS fees FROM bot_performance
         WHERE user_id = %s
        """,
        (user_id,),
    )
    trips = transaction.one(f"{_TRIPS} SELECT {_TRIP_FIGURES} FROM trips", {"user": user_id})
    return {
        "total": {**booked, **_ratios(trips), "max_drawdown": _max_drawdown(transaction, user_id)},
        "bots": per_bot(transaction, user_id),
        "symbols": per_symbol(transaction, user_id),
        "days": per_day(transaction, user_id),
    }


def per_bot(transaction: Transaction, user_id: int) -> list[Row]:
    """Return the figures of each bot, archived ones too."""
    rows = transaction.all(
        f"""
        {_TRIPS}, figures AS (SELECT bot_config_id, {_TRIP_FIGURES} FROM trips GROUP BY bot_config_id)
        SELECT bots.id AS bot_id, bots.name AS bot, bots.symbol, bots.timeframe,
               bots.archived_at IS NOT NULL AS archived, bots.total_pnl,
               coalesce((SELECT sum(fees) FROM bot_performance WHERE bot_config_id = bots.id), 0) AS fees,
               coalesce(trades, 0) AS trades, coalesce(wins, 0) AS wins, coalesce(losses, 0) AS losses,
               coalesce(gross_profit, 0) AS gross_profit, coalesce(gross_loss, 0) AS gross_loss, best, worst
          FROM user_bot_configs AS bots LEFT JOIN figures ON figures.bot_config_id = bots.id
         WHERE bots.user_id = %(user)s ORDER BY bots.id
        """,
        {"user": user_id},
    )
    return [_ratios(row) for row in rows]


def per_symbol(transaction: Transaction, user_id: int) -> list[Row]:
    """Return the figures of each symbol that was traded to the end at least once."""
    rows = transaction.all(
        f"""
        {_TRIPS} SELECT symbol, sum(pnl) AS total_pnl, {_TRIP_FIGURES}
          FROM trips GROUP BY symbol ORDER BY symbol
        """,
        {"user": user_id},
    )
    return [_ratios(row) for row in rows]


def per_day(transaction: Transaction, user_id: int, days: int = 400) -> list[Row]:
    """Return the newest trading days with what they brought, oldest first."""
    return transaction.all(
        """
        SELECT * FROM (
            SELECT day, sum(pnl) AS pnl, sum(fees) AS fees, sum(trades)::bigint AS trades,
                   sum(wins)::bigint AS wins, sum(losses)::bigint AS losses
              FROM bot_performance WHERE user_id = %s GROUP BY day ORDER BY day DESC LIMIT %s) AS newest
         ORDER BY day
        """,
        (user_id, days),
    )


def today_of(transaction: Transaction, user_id: int, now: datetime) -> Decimal:
    """Return what a user's bots realized today, each by the day of its asset class, net of fees."""
    days = {each.value: trading_day(now, each) for each in AssetClass}
    realized = transaction.value(
        """
        SELECT coalesce(sum(today.pnl), 0) FROM bot_performance AS today
          JOIN user_bot_configs AS bots ON bots.id = today.bot_config_id
          JOIN lanes ON lanes.id = bots.lane_id
         WHERE today.user_id = %(user)s
           AND today.day = CASE lanes.asset_class WHEN 'STOCK' THEN %(STOCK)s ELSE %(CRYPTO)s END
        """,
        {"user": user_id, **days},
    )
    return Decimal(realized)


def _max_drawdown(transaction: Transaction, user_id: int) -> Decimal:
    fall = transaction.value(
        """
        WITH curve AS (SELECT id, filled_at, sum(realized_pnl) OVER (ORDER BY filled_at, id) AS total
                         FROM fills WHERE user_id = %(user)s),
             peaks AS (SELECT total, greatest(max(total) OVER (ORDER BY filled_at, id), 0) AS peak FROM curve)
        SELECT coalesce(max(peak - total), 0) FROM peaks
        """,
        {"user": user_id},
    )
    return Decimal(fall)


def _ratios(row: Row) -> Row:
    trades, loss = row["trades"], row["gross_loss"]
    rate = (HUNDRED * row["wins"] / trades).quantize(CENT) if trades else None
    factor = (row["gross_profit"] / loss).quantize(CENT) if loss > ZERO else None
    return {**row, "win_rate": rate, "profit_factor": factor}
