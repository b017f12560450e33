"""How a user's bots did: totals, per bot, per symbol and per day, all aggregated in SQL."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from core.instrument import AssetClass
from core.money import CENT, ZERO
from core.trading_day import trading_day
from database.pool import Row, Transaction

HUNDRED = Decimal(100)
POINTS = 400
BARS_EACH_SIDE = 12
EXTREMES = 5

# A round trip runs from flat to flat (or to dust); what only corrects a fee is none. They are gathered once
# for all that is asked of them, since to find them every fill of the user is read.
_GATHER = """
    DROP TABLE IF EXISTS pg_temp.trips;
    CREATE TEMP TABLE trips ON COMMIT DROP AS
    WITH booked AS (
        SELECT fills.id, fills.bot_config_id, fills.kind, fills.realized_pnl, fills.filled_at,
               fills.position_after = 0 OR abs(fills.position_after) < lanes.dust_below AS flat
          FROM fills JOIN user_bot_configs AS bots ON bots.id = fills.bot_config_id
          JOIN lanes ON lanes.id = bots.lane_id
         WHERE fills.user_id = %(user)s AND (%(bot)s::bigint IS NULL OR fills.bot_config_id = %(bot)s)),
    numbered AS (
        SELECT *, count(*) FILTER (WHERE flat) OVER (PARTITION BY bot_config_id ORDER BY id
                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS trip FROM booked)
    SELECT bot_config_id, sum(realized_pnl) AS pnl, min(filled_at) AS opened_at, max(filled_at) AS closed_at,
           max(id) AS last_fill_id
      FROM numbered GROUP BY bot_config_id, trip HAVING bool_or(flat) AND bool_or(kind = 'TRADE')
"""
_TRIP_FIGURES = """
    count(*) AS trades, count(*) FILTER (WHERE pnl > 0) AS wins, count(*) FILTER (WHERE pnl < 0) AS losses,
    coalesce(sum(pnl) FILTER (WHERE pnl > 0), 0) AS gross_profit,
    coalesce(-sum(pnl) FILTER (WHERE pnl < 0), 0) AS gross_loss, max(pnl) AS best, min(pnl) AS worst
"""
_NO_TRIPS = {
    **dict.fromkeys(("trades", "wins", "losses"), 0),
    **dict.fromkeys(("gross_profit", "gross_loss"), ZERO),
    **dict.fromkeys(("best", "worst")),
}


def performance_of(
    transaction: Transaction, user_id: int, bot_id: int | None = None, *, with_plots: bool = False
) -> dict[str, Any]:
    """Return the figures of a user, or of one bot; archived bots included, P&L realized and net of fees.

    `win_rate` is in percent and `profit_factor` gross profit over gross loss, both None where there
    is nothing to divide by. `max_drawdown` is the largest fall of the sum of all realized P&L.
    With plots, `curve`, `distribution`, `best` and `worst` are there too: see the functions below.
    """
    whose = {"user": user_id, "bot": bot_id}
    transaction.execute(_GATHER, whose)
    booked = transaction.one(
        f"""
        SELECT coalesce(sum(pnl), 0) AS total_pnl, coalesce(sum(fees), 0) AS fees FROM bot_performance
         WHERE {_WHOSE}
        """,
        whose,
    )
    total, bots, symbols = _trip_figures(transaction)
    curve = realized_curve(transaction, user_id, bot_id)
    deepest = min((row["drawdown"] for row in curve), default=ZERO)
    found = {
        "total": {**booked, **_ratios(total), "max_drawdown": -deepest},
        "bots": _bots_with(transaction, whose, bots),
        "symbols": [_ratios(symbols[name]) for name in sorted(symbols)],
        "days": per_day(transaction, user_id, bot_id=bot_id),
    }
    if with_plots:
        best, worst = _best_and_worst(transaction)
        found |= {"curve": curve, "distribution": _distribution(transaction), "best": best, "worst": worst}
    return found


_WHOSE = "user_id = %(user)s AND (%(bot)s::bigint IS NULL OR bot_config_id = %(bot)s)"


def _trip_figures(transaction: Transaction) -> tuple[Row, dict[int, Row], dict[str, Row]]:
    """Return the figures of all trips, of each bot and of each symbol, in one pass."""
    rows = transaction.all(
        f"""
        SELECT trips.bot_config_id AS bot_id, bots.symbol, coalesce(sum(pnl), 0) AS total_pnl, {_TRIP_FIGURES}
          FROM trips JOIN user_bot_configs AS bots ON bots.id = trips.bot_config_id
         GROUP BY GROUPING SETS ((), (trips.bot_config_id), (bots.symbol))
        """
    )
    total: Row = {}
    bots, symbols = {}, {}
    for row in rows:
        bot_id, symbol = row.pop("bot_id"), row["symbol"]
        if bot_id is not None:
            bots[bot_id] = {name: row[name] for name in _NO_TRIPS}
        elif symbol is not None:
            symbols[symbol] = row
        else:
            total = {name: row[name] for name in _NO_TRIPS}
    return total, bots, symbols


def _bots_with(transaction: Transaction, whose: Row, figures: dict[int, Row]) -> list[Row]:
    rows = transaction.all(
        """
        SELECT bots.id AS bot_id, bots.name AS bot, bots.symbol, bots.timeframe,
               bots.archived_at IS NOT NULL AS archived, bots.total_pnl, coalesce(booked.fees, 0) AS fees
          FROM user_bot_configs AS bots
          LEFT JOIN (SELECT bot_config_id, sum(fees) AS fees FROM bot_performance
                      WHERE user_id = %(user)s GROUP BY bot_config_id) AS booked
            ON booked.bot_config_id = bots.id
         WHERE bots.user_id = %(user)s AND (%(bot)s::bigint IS NULL OR bots.id = %(bot)s) ORDER BY bots.id
        """,
        whose,
    )
    return [_ratios({**row, **figures.get(row["bot_id"], _NO_TRIPS)}) for row in rows]


def _best_and_worst(transaction: Transaction) -> tuple[list[Row], list[Row]]:
    """Return the trips that made the most and those that cost the most."""
    rows = transaction.all(
        """
        WITH extremes AS (
            (SELECT * FROM trips WHERE pnl > 0 ORDER BY pnl DESC, last_fill_id LIMIT %(limit)s)
            UNION ALL (SELECT * FROM trips WHERE pnl < 0 ORDER BY pnl, last_fill_id LIMIT %(limit)s))
        SELECT extremes.pnl, extremes.opened_at, extremes.closed_at, bots.name AS bot, bots.symbol, bots.timeframe
          FROM extremes JOIN user_bot_configs AS bots ON bots.id = extremes.bot_config_id
         ORDER BY abs(pnl) DESC, last_fill_id
        """,
        {"limit": EXTREMES},
    )
    return [row for row in rows if row["pnl"] > 0], [row for row in rows if row["pnl"] < 0]


def _distribution(transaction: Transaction) -> list[Row]:
    """Return how many trips ended in which range of P&L: `low` included, `high` not.

    The ranges are equally wide, 1, 2 or 5 times a power of ten, and zero is an edge of one, so that
    none mixes gains with losses; a trip of exactly zero counts among the gains' first.
    """
    return transaction.all(
        """
        WITH rough AS (SELECT greatest(max(abs(pnl)), 0.01) / %(bars)s AS width FROM trips),
        power AS (SELECT width, power(10::numeric, floor(log(width))) AS ten FROM rough),
        nice AS MATERIALIZED (
            SELECT ten * CASE WHEN width <= ten THEN 1 WHEN width <= 2 * ten THEN 2
                              WHEN width <= 5 * ten THEN 5 ELSE 10 END AS step FROM power),
        counted AS (SELECT floor(pnl / step) AS place, count(*) AS trades FROM trips, nice GROUP BY 1)
        SELECT place * step AS low, (place + 1) * step AS high, trades FROM counted, nice ORDER BY place
        """,
        {"bars": BARS_EACH_SIDE},
    )


def realized_curve(
    transaction: Transaction, user_id: int, bot_id: int | None = None, points: int = POINTS
) -> list[Row]:
    """Return the sum of realized P&L over time in at most about `points` steps, oldest first.

    `total` is the sum at the end of a step, `drawdown` (zero or less) the deepest fall below the
    highest sum so far within it, so that no fall is lost between two points.
    """
    return transaction.all(
        f"""
        WITH curve AS (SELECT id, filled_at, sum(realized_pnl) OVER (ORDER BY filled_at, id) AS total
                         FROM fills WHERE {_WHOSE}),
             span AS MATERIALIZED (
                 SELECT extract(epoch FROM min(filled_at))::float AS start, greatest(
                        extract(epoch FROM max(filled_at) - min(filled_at))::float / %(points)s, 0.001) AS width
                   FROM fills WHERE {_WHOSE}),
             peaks AS (SELECT id, filled_at, total, greatest(max(total) OVER (ORDER BY filled_at, id), 0) AS peak,
                              floor((extract(epoch FROM filled_at)::float - start) / width) AS step FROM curve, span),
             marked AS (SELECT *, lead(step) OVER (ORDER BY filled_at, id) IS DISTINCT FROM step AS is_last
                          FROM peaks)
        SELECT max(filled_at) AS at, max(total) FILTER (WHERE is_last) AS total, -max(peak - total) AS drawdown
          FROM marked GROUP BY step ORDER BY step
        """,
        {"user": user_id, "bot": bot_id, "points": points},
    )


def equity_curve(
    transaction: Transaction,
    user_id: int,
    connection_id: int,
    *,
    since: datetime,
    until: datetime,
    points: int = POINTS,
) -> list[Row]:
    """Return an account's equity as its broker said it, the last word of each of `points` spans, oldest first.

    `drawdown` (zero or less) is the fall below the highest of these so far.
    """
    return transaction.all(
        """
        WITH spans AS (
            SELECT %(since)s + number * (%(until)s - %(since)s)::interval / %(points)s AS starts,
                   %(since)s + (number + 1) * (%(until)s - %(since)s)::interval / %(points)s AS ends
              FROM generate_series(0, %(points)s - 1) AS number),
        said AS (
            SELECT snapshot.taken_at, snapshot.equity FROM spans CROSS JOIN LATERAL (
                SELECT taken_at, equity FROM equity_snapshots AS each
                 WHERE each.connection_id = %(connection)s AND taken_at > spans.starts AND taken_at <= spans.ends
                   AND EXISTS (SELECT FROM user_api_keys WHERE id = %(connection)s AND user_id = %(user)s)
                 ORDER BY taken_at DESC LIMIT 1) AS snapshot)
        SELECT taken_at AS at, equity AS total, equity - max(equity) OVER (ORDER BY taken_at) AS drawdown
          FROM said ORDER BY taken_at
        """,
        {"user": user_id, "connection": connection_id, "since": since, "until": until, "points": points},
    )


def equity_begins(transaction: Transaction, user_id: int, connection_id: int) -> datetime | None:
    """Return when an account's equity was stored first."""
    first: datetime | None = transaction.value(
        """
        SELECT taken_at FROM equity_snapshots WHERE connection_id =
               (SELECT id FROM user_api_keys WHERE id = %s AND user_id = %s) ORDER BY taken_at LIMIT 1
        """,
        (connection_id, user_id),
    )
    return first


def fills_of_bot(transaction: Transaction, user_id: int, bot_id: int, limit: int = 200) -> list[Row]:
    """Return a bot's newest fills, oldest first; `opens` tells an entry from an exit."""
    return transaction.all(
        """
        SELECT * FROM (
            SELECT fills.id, fills.filled_at AS at, fills.side, fills.quantity, fills.price, fills.realized_pnl,
                   orders.purpose = 'OPEN' AS opens
              FROM fills JOIN orders ON orders.id = fills.order_id
             WHERE fills.user_id = %s AND fills.bot_config_id = %s ORDER BY fills.id DESC LIMIT %s) AS newest
         ORDER BY id
        """,
        (user_id, bot_id, limit),
    )


def per_day(
    transaction: Transaction, user_id: int, days: int = 400, *, bot_id: int | None = None
) -> list[Row]:
    """Return the newest trading days with what they brought, oldest first."""
    return transaction.all(
        f"""
        SELECT * FROM (
            SELECT day, sum(pnl) AS pnl, sum(fees) AS fees, sum(trades)::bigint AS trades,
                   sum(wins)::bigint AS wins, sum(losses)::bigint AS losses
              FROM bot_performance WHERE {_WHOSE} GROUP BY day ORDER BY day DESC LIMIT %(days)s) AS newest
         ORDER BY day
        """,
        {"user": user_id, "bot": bot_id, "days": days},
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


def _ratios(row: Row) -> Row:
    trades, loss = row["trades"], row["gross_loss"]
    rate = (HUNDRED * row["wins"] / trades).quantize(CENT) if trades else None
    factor = (row["gross_profit"] / loss).quantize(CENT) if loss > ZERO else None
    return {**row, "win_rate": rate, "profit_factor": factor}
