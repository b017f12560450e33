"""What the pages of reversal signals show: scores, signals sent, scans, feeds, and the figures of days."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from database.history import Key, Page
from database.pool import Row, Transaction

PAGE = 25
MOST_FAULTS = 25
MOST_OPEN = 20
PART = "reversal watch"


class SignalState(StrEnum):
    """Which of the signals sent to a user are wanted."""

    TO_ANSWER = "to answer"
    OPENED = "opened"
    IGNORED = "ignored"
    WAITING = "not sent yet"
    FAILED = "not delivered"


_CONDITIONS = {
    SignalState.TO_ANSWER: "NOT acknowledged AND expires_at > %(now)s",
    SignalState.OPENED: "answer = 'opened'",
    SignalState.IGNORED: "answer = 'ignored'",
    SignalState.WAITING: "sent_at IS NULL AND failed_at IS NULL",
    SignalState.FAILED: "failed_at IS NOT NULL",
}
_SIGNALS = """
    SELECT id, pair, timeframe, signal_type, bar_opened_at, bar_closed_at, confidence, entry_price, stop_loss,
           take_profit, risk_reward_ratio, model_version, stage1_prob, stage2_prob, source, edge_shown, factors,
           expires_at, discord_channel_id, discord_message_id, attempts, next_attempt_at, last_error, sent_at,
           failed_at, acknowledged, acknowledged_at, answer, trade_id, created_at
      FROM signal_notifications WHERE user_id = %(user)s
"""


def signals_page(
    transaction: Transaction,
    user_id: int,
    state: SignalState | None,
    now: datetime,
    *,
    before: Key | None = None,
    newest: int | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page of the signals sent to a user, newest first; nothing after the signal `newest`."""
    wanted = f" AND {_CONDITIONS[state]}" if state else ""
    end = before.id if before else newest and newest + 1
    older = " AND id < %(id)s" if end else ""
    rows = transaction.all(
        f"{_SIGNALS}{wanted}{older} ORDER BY id DESC LIMIT %(limit)s",
        {"user": user_id, "now": now, "id": end, "limit": limit + 1},
    )
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(rows=shown, older=Key(at=shown[-1]["created_at"], id=shown[-1]["id"]) if more else None)


def signals_to_answer(transaction: Transaction, user_id: int, now: datetime) -> list[Row]:
    """Return the signals that a user may still answer, those with the most time first, at most 20."""
    return transaction.all(
        f"{_SIGNALS} AND {_CONDITIONS[SignalState.TO_ANSWER]} ORDER BY expires_at DESC, id DESC LIMIT %(limit)s",
        {"user": user_id, "now": now, "limit": MOST_OPEN},
    )


def signal(transaction: Transaction, user_id: int, signal_id: int) -> Row | None:
    """Return one signal that was sent to a user; None where there is no such."""
    return transaction.maybe(f"{_SIGNALS} AND id = %(id)s", {"user": user_id, "id": signal_id})


def told_of_scores(transaction: Transaction, user_id: int) -> list[Row]:
    """Return what a user was sent of the bars that the newest scores are of."""
    return transaction.all(
        """
        SELECT DISTINCT sent.id, sent.pair, sent.timeframe, sent.bar_opened_at, sent.signal_type, sent.sent_at,
               sent.failed_at, sent.last_error, sent.created_at
          FROM reversal_scores AS scores
          JOIN signal_notifications AS sent ON sent.user_id = %s AND sent.pair = scores.pair
               AND sent.timeframe = scores.timeframe AND sent.bar_opened_at = scores.bar_opened_at
               AND sent.signal_type = scores.signal_type
        """,
        (user_id,),
    )


def scores(transaction: Transaction) -> list[Row]:
    """Return the newest scores of the model in use and of the rule, by pair, timeframe and then model."""
    return transaction.all(
        """
        SELECT scores.pair, scores.timeframe, bar_opened_at, bar_closed_at, signal_type, confidence, stage1_prob,
               stage2_prob, model_version, entry_price, stop_loss, take_profit, scores.source, edge_shown, factors,
               scored_at
          FROM reversal_scores AS scores LEFT JOIN model_versions AS models ON models.version = model_version
         WHERE models.state = 'CHAMPION' OR model_version = 'rules'
         ORDER BY scores.pair, bar_closed_at - bar_opened_at, model_version = 'rules'
        """
    )


def scanning(transaction: Transaction) -> Row:
    """Return whether the scan lives (`alive`, `beat_at`), its last run, and why the last one that failed did.

    `due_at` and the rest are None before the first scan.
    """
    return transaction.one(
        """
        WITH newest AS (SELECT * FROM scans WHERE due_at <= now() ORDER BY due_at DESC LIMIT 1)
        SELECT beats.alive, beats.beat_at, newest.due_at, newest.started_at, newest.finished_at, newest.timeframes,
               newest.pairs, newest.scores, newest.notifications, newest.model_ms, newest.failure
          FROM (SELECT coalesce(bool_or(beat_at > now() - interval '15 s'), false) AS alive, max(beat_at) AS beat_at
                  FROM heartbeats WHERE part = %s) AS beats
          LEFT JOIN newest ON true
        """,
        (PART,),
    )


def feeds(transaction: Transaction) -> list[Row]:
    """Return how each pair and timeframe is fetched, those that fail first."""
    return transaction.all(
        """
        SELECT pair, timeframe, source, fetched_until, asked_at, failed_since, failure
          FROM market_feeds ORDER BY failed_since IS NULL, pair, timeframe
        """
    )


def faults(transaction: Transaction, since: datetime) -> list[Row]:
    """Return what was wrong with bars since a time, newest first, at most 25."""
    return transaction.all(
        """
        SELECT pair, timeframe, opened_at, source, kind, words, found_at
          FROM bar_faults WHERE found_at >= %s ORDER BY found_at DESC, id DESC LIMIT %s
        """,
        (since, MOST_FAULTS),
    )


def days(transaction: Transaction, until: date, count: int) -> list[Row]:
    """Return the figures of days up to `until`, oldest first."""
    return transaction.all(
        "SELECT * FROM daily_statistics WHERE day > %s AND day <= %s ORDER BY day",
        (until - timedelta(days=count), until),
    )
