"""The figures of whole days (UTC), of all users together; and putting away what is old, a part at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from database.pool import Row, Transaction

AT_ONCE = 1000
BARS_AT_ONCE = 5000
# How long is kept what grows by the minute and is read of a short time only
SCANS_KEPT = timedelta(days=90)
SCORES_KEPT = timedelta(days=30)
FAULTS_KEPT = timedelta(days=90)
FINE_BARS_KEPT = timedelta(days=90)
FINE_TIMEFRAMES = ("1 Min", "5 Min")


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What a day's trades came to: pips of pairs of currencies, dollars, and trades without a known rate."""

    pips: Decimal
    profit_loss: Decimal
    unpriced: int


def outstanding(transaction: Transaction, now: datetime) -> list[date]:
    """Return the days (UTC) that are over and whose figures are not made, oldest first.

    They begin with the first day of which there is anything. Figures that were made later than now were made by
    a clock that was ahead, perhaps before the day was over: they do not count.
    """
    rows = transaction.all(
        """
        SELECT day::date AS day
          FROM generate_series(
                   coalesce((SELECT max(day) + 1 FROM daily_statistics WHERE made_at <= %(now)s),
                            (SELECT (least((SELECT min(due_at) FROM scans),
                                           (SELECT min(entry_time) FROM user_trades)) AT TIME ZONE 'UTC')::date)),
                   %(today)s::date - 1, interval '1 day') AS day
         ORDER BY day
        """,
        {"now": now, "today": now.astimezone(UTC).date()},
    )
    return [row["day"] for row in rows]


def closed_by_pair(transaction: Transaction, day: date) -> list[Row]:
    """Return pips and profit of a day's closed trades by pair and currency; `unpriced` had no known rate."""
    return transaction.all(
        """
        SELECT pair, account_currency, sum(pips) AS pips, coalesce(sum(profit_loss), 0) AS profit_loss,
               count(*) FILTER (WHERE profit_loss IS NOT NULL) AS priced,
               count(*) FILTER (WHERE profit_loss IS NULL) AS unpriced
          FROM user_trades WHERE status = 'closed' AND close_time >= %(since)s AND close_time < %(until)s
         GROUP BY pair, account_currency
        """,
        _bounds(day),
    )


def store(transaction: Transaction, day: date, money: Money, now: datetime) -> bool:
    """Write down a day's figures, once; tell whether it was done now. Users are counted as they are now."""
    transaction.execute("DELETE FROM daily_statistics WHERE day = %s AND made_at > %s", (day, now))
    return (
        transaction.execute(
            _STORE,
            {
                **_bounds(day),
                "day": day,
                "now": now,
                "pips": money.pips,
                "profit_loss": money.profit_loss,
                "unpriced": money.unpriced,
            },
        )
        == 1
    )


def archive_trades(transaction: Transaction, closed_before: datetime, now: datetime) -> int:
    """Put away at most a thousand trades that ended before a time; return how many."""
    return transaction.execute(
        """
        UPDATE user_trades SET archived_at = %s
         WHERE id IN (SELECT id FROM user_trades
                       WHERE status <> 'open' AND archived_at IS NULL AND close_time < %s
                       ORDER BY close_time LIMIT %s FOR UPDATE SKIP LOCKED)
        """,
        (now, closed_before, AT_ONCE),
    )


def forget(transaction: Transaction, now: datetime) -> int:
    """Delete a bounded part of what is too old to be read by anything; return how many rows it was.

    Users' signals and trades are never deleted, nor bars of fifteen minutes and more.
    """
    return sum(transaction.execute(sql, {"now": now, **values}) for sql, values in _FORGET)


def _bounds(day: date) -> dict[str, datetime]:
    since = datetime.combine(day, time(), UTC)
    return {"since": since, "until": since + timedelta(days=1)}


_FORGET: tuple[tuple[str, Mapping[str, object]], ...] = (
    (
        "DELETE FROM scans WHERE ctid IN (SELECT ctid FROM scans WHERE due_at < %(now)s - %(kept)s LIMIT %(most)s)",
        {"kept": SCANS_KEPT, "most": AT_ONCE},
    ),
    ("DELETE FROM reversal_scores WHERE scored_at < %(now)s - %(kept)s", {"kept": SCORES_KEPT}),
    (
        """
        DELETE FROM bar_faults
         WHERE ctid IN (SELECT ctid FROM bar_faults WHERE found_at < %(now)s - %(kept)s LIMIT %(most)s)
        """,
        {"kept": FAULTS_KEPT, "most": AT_ONCE},
    ),
    (
        """
        DELETE FROM market_bars
         WHERE (pair, timeframe, opened_at) IN (
               SELECT bars.pair, bars.timeframe, bars.opened_at FROM market_feeds AS feeds
                CROSS JOIN LATERAL (SELECT pair, timeframe, opened_at FROM market_bars
                                     WHERE pair = feeds.pair AND timeframe = feeds.timeframe
                                       AND opened_at < %(now)s - %(kept)s LIMIT %(most)s) AS bars
                WHERE feeds.timeframe = ANY(%(fine)s) LIMIT %(most)s)
        """,
        {"kept": FINE_BARS_KEPT, "fine": list(FINE_TIMEFRAMES), "most": BARS_AT_ONCE},
    ),
)

# What is counted on the day it happened: a signal of yesterday that is answered today is today's answer.
_STORE = """
    INSERT INTO daily_statistics
        (day, users, users_linked, signals_sent, signals_acknowledged, signals_traded, trades_closed, trades_won,
         trades_lost, average_reward_to_risk, average_holding_seconds, total_pips, total_profit_loss,
         trades_unpriced, delivery_ms_p50, delivery_ms_p99, scans, scans_failed, messages_sent, messages_failed,
         model_ms_mean, made_at)
    SELECT %(day)s, people.*, sent.count, answers.*, trades.*, %(pips)s, %(profit_loss)s, %(unpriced)s,
           round(sent.p50::numeric, 1), round(sent.p99::numeric, 1), looks.count, looks.failed,
           sent.count + updates.sent, failed.count + updates.failed, round(looks.model_ms, 1), %(now)s
      FROM (SELECT count(*), count(settings.discord_user_id) FROM users
              LEFT JOIN user_discord_settings AS settings ON settings.user_id = users.id
             WHERE users.is_active) AS people,
           (SELECT count(*),
                   percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - created_at) * 1000) AS p50,
                   percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM sent_at - created_at) * 1000) AS p99
              FROM signal_notifications WHERE sent_at >= %(since)s AND sent_at < %(until)s) AS sent,
           (SELECT count(*) FROM signal_notifications
             WHERE failed_at >= %(since)s AND failed_at < %(until)s) AS failed,
           (SELECT count(*), count(*) FILTER (WHERE answer = 'opened') FROM signal_notifications
             WHERE acknowledged_at >= %(since)s AND acknowledged_at < %(until)s) AS answers,
           (SELECT count(*), count(*) FILTER (WHERE result = 'win'), count(*) FILTER (WHERE result = 'loss'),
                   round(avg(reward_to_risk), 2), round(avg(extract(epoch FROM close_time - entry_time)))::integer
              FROM user_trades
             WHERE status = 'closed' AND close_time >= %(since)s AND close_time < %(until)s) AS trades,
           (SELECT count(*), avg(model_ms) AS model_ms,
                   count(*) FILTER (WHERE scan_result(scans) IN ('FAILED', 'NO_PRICES')
                                    OR (finished_at IS NULL AND late IS NULL)) AS failed
              FROM scans WHERE due_at >= %(since)s AND due_at < %(until)s) AS looks,
           (SELECT count(*) FILTER (WHERE discord_notified) AS sent, count(failed_at) AS failed FROM trade_updates
             WHERE created_at >= %(since)s AND created_at < %(until)s) AS updates
    ON CONFLICT (day) DO NOTHING
"""
