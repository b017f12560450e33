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
DAYS = 400

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
_TRIP_NAMES = ("trades", "wins", "losses", "gross_profit", "gross_loss", "best", "worst")


def performance_of(
    transaction: Transaction,
    user_id: int,
    bot_id: int | None = None,
    *,
    with_plots: bool = False,
    most_bots: int | None = None,
    curve: list[Row] | None = None,
) -> dict[str, Any]:
    """Return the figures of a user, or of one bot; archived bots included, P&L realized and net of fees.

    `win_rate` is in percent and `profit_factor` gross profit over gross loss, both None where there
    is nothing to divide by. `max_drawdown` is the largest fall of the sum of all realized P&L.
    With plots, `curve`, `distribution`, `best` and `worst` are there too: see the functions below.
    `bots` holds all, or the `most_bots` that traded best and as many furthest from zero;
    `bots_traded` says how many traded. Who has asked for the `realized_curve` already passes it on.
    """
    whose = {"user": user_id, "bot": bot_id, "most": most_bots}
    transaction.execute(_GATHER, whose)
    booked, days = _booked(transaction, whose)
    total, symbols = _trip_figures(transaction)
    curve = realized_curve(transaction, user_id, bot_id) if curve is None else curve
    deepest = min((row["drawdown"] for row in curve), default=ZERO)
    found = {
        "total": {**booked, **_ratios(total), "max_drawdown": -deepest},
        **_bots_with(transaction, whose),
        "symbols": [_ratios(row) for row in symbols],
        "days": days,
    }
    if with_plots:
        best, worst = _best_and_worst(transaction)
        found |= {"curve": curve, "distribution": _distribution(transaction), "best": best, "worst": worst}
    return found


_WHOSE = "user_id = %(user)s AND (%(bot)s::bigint IS NULL OR bot_config_id = %(bot)s)"


def _booked(transaction: Transaction, whose: Row) -> tuple[Row, list[Row]]:
    """Return what was booked in all, and on the newest trading days, oldest first."""
    rows = transaction.all(
        f"""
        SELECT day, coalesce(sum(pnl), 0) AS pnl, coalesce(sum(fees), 0) AS fees, sum(trades)::bigint AS trades,
               sum(wins)::bigint AS wins, sum(losses)::bigint AS losses
          FROM bot_performance WHERE {_WHOSE}
         GROUP BY GROUPING SETS ((), (day)) ORDER BY day DESC NULLS FIRST LIMIT %(rows)s
        """,
        {**whose, "rows": DAYS + 1},
    )
    return {"total_pnl": rows[0]["pnl"], "fees": rows[0]["fees"]}, rows[:0:-1]


def _trip_figures(transaction: Transaction) -> tuple[Row, list[Row]]:
    """Return the figures of all trips and of each symbol's, in one pass."""
    rows = transaction.all(
        f"""
        SELECT bots.symbol, coalesce(sum(pnl), 0) AS total_pnl, {_TRIP_FIGURES}
          FROM trips JOIN user_bot_configs AS bots ON bots.id = trips.bot_config_id
         GROUP BY GROUPING SETS ((), (bots.symbol)) ORDER BY bots.symbol NULLS FIRST
        """
    )
    return {name: rows[0][name] for name in _TRIP_NAMES}, rows[1:]


def _bots_with(transaction: Transaction, whose: Row) -> dict[str, Any]:
    rows = transaction.all(
        f"""
        WITH traded AS (SELECT bot_config_id, {_TRIP_FIGURES} FROM trips GROUP BY bot_config_id),
        ranked AS (
            SELECT bots.id AS bot_id, bots.name AS bot, bots.symbol, bots.timeframe,
                   bots.archived_at IS NOT NULL AS archived, bots.total_pnl, coalesce(traded.trades, 0) AS trades,
                   coalesce(wins, 0) AS wins, coalesce(losses, 0) AS losses,
                   coalesce(gross_profit, 0) AS gross_profit, coalesce(gross_loss, 0) AS gross_loss, best, worst,
                   count(traded.trades) OVER () AS bots_traded,
                   row_number() OVER (ORDER BY traded.trades IS NULL, bots.total_pnl DESC, bots.id) AS from_top,
                   row_number() OVER (ORDER BY traded.trades IS NULL, abs(bots.total_pnl) DESC, bots.id) AS from_zero
              FROM user_bot_configs AS bots LEFT JOIN traded ON traded.bot_config_id = bots.id
             WHERE bots.user_id = %(user)s AND (%(bot)s::bigint IS NULL OR bots.id = %(bot)s))
        SELECT ranked.*, coalesce((SELECT sum(fees) FROM bot_performance AS booked
                                    WHERE booked.bot_config_id = ranked.bot_id), 0) AS fees
          FROM ranked WHERE %(most)s::bigint IS NULL OR from_top <= %(most)s OR from_zero <= %(most)s
         ORDER BY bot_id
        """,
        whose,
    )
    traded = rows[0]["bots_traded"] if rows else 0
    for row in rows:
        del row["bots_traded"], row["from_top"], row["from_zero"]
    return {"bots": [_ratios(row) for row in rows], "bots_traded": traded}


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
        WITH span AS MATERIALIZED (
                 SELECT extract(epoch FROM min(filled_at))::float AS start, greatest(
                        extract(epoch FROM max(filled_at) - min(filled_at))::float / %(points)s, 0.001) AS width
                   FROM fills WHERE {_WHOSE}),
             sums AS (SELECT id, filled_at, realized_pnl, sum(realized_pnl) OVER so_far AS total
                        FROM fills WHERE {_WHOSE} WINDOW so_far AS (ORDER BY filled_at, id ROWS UNBOUNDED PRECEDING)),
             peaks AS (SELECT filled_at, realized_pnl, total, max(total) OVER so_far AS peak
                         FROM sums WINDOW so_far AS (ORDER BY filled_at, id ROWS UNBOUNDED PRECEDING)),
             steps AS MATERIALIZED (
                 SELECT floor((extract(epoch FROM filled_at)::float - start) / width) AS step,
                        max(filled_at) AS at, sum(realized_pnl) AS made, max(greatest(peak, 0) - total) AS fall
                   FROM peaks, span GROUP BY step)
        SELECT at, sum(made) OVER (ORDER BY step) AS total, -fall AS drawdown FROM steps ORDER BY step
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


def today_of(transaction: Transaction, user_id: int, now: datetime) -> Decimal:
    """Return what a user's bots realized today, each by the day of its asset class, net of fees."""
    days = {each.value: trading_day(now, each) for each in AssetClass}
    realized = transaction.value(
        """
        WITH today AS MATERIALIZED (
            SELECT bot_config_id, day, pnl FROM bot_performance
             WHERE user_id = %(user)s AND day IN (%(STOCK)s, %(CRYPTO)s))
        SELECT coalesce(sum(today.pnl), 0) FROM today
          JOIN user_bot_configs AS bots ON bots.id = today.bot_config_id
          JOIN lanes ON lanes.id = bots.lane_id
         WHERE today.day = CASE lanes.asset_class WHEN 'STOCK' THEN %(STOCK)s ELSE %(CRYPTO)s END
        """,
        {"user": user_id, **days},
    )
    return Decimal(realized)


def _ratios(row: Row) -> Row:
    trades, loss = row["trades"], row["gross_loss"]
    rate = (HUNDRED * row["wins"] / trades).quantize(CENT) if trades else None
    factor = (row["gross_profit"] / loss).quantize(CENT) if loss > ZERO else None
    return {**row, "win_rate": rate, "profit_factor": factor}
