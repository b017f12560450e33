"""A user at the pages of reversal signals: with scores, signals, a model's record, feeds and trades."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg2.extras import Json

from actions import tracked_trades as actions
from actions.tracked_trades import TradeRequest
from core.pips import Direction
from core.reversal import Score
from database import (
    daily_statistics,
    discord_accounts,
    market_bars,
    reversal_scores,
    signal_notifications,
    tracked_trades,
)
from database.daily_statistics import Money
from database.market_bars import BarFault, FaultKind
from database.pool import Database, Transaction
from database.signal_notifications import NewNotification
from settings import Settings

HOUR = timedelta(hours=1)
REPORT: Mapping[str, Any] = {
    "kind": "walk-forward", "folds": 8, "folds_skipped": 0, "from": "2014-03-03T00:00:00+00:00",
    "until": "2017-08-04T00:00:00+00:00", "rows": 1200,
    "brier": {"score": 0.2301, "of_the_base_rate": 0.2295, "rows": 900},
    "reliability": [
        {"said": 0.30, "came_true": 0.28, "rows": 450}, {"said": 0.42, "came_true": 0.35, "rows": 450},
    ],
    "collapsed": False, "confidence": {"lowest": 0.21, "median": 0.36, "highest": 0.52},
    "strategies": {
        "model": {"trades": 140, "not_opened": 1, "hit_rate": 0.3429, "expectancy": -0.021, "low": -0.21,
                  "high": 0.17, "profit_factor": 0.97, "drawdown": 14.2, "total": -2.94},
        "never_trade": {"trades": 0, "not_opened": 0, "hit_rate": None, "expectancy": None, "low": None,
                        "high": None, "profit_factor": None, "drawdown": 0.0, "total": 0.0},
        "random_entries": {"trades": 140, "not_opened": 0, "hit_rate": 0.33, "expectancy": -0.04, "low": -0.22,
                           "high": 0.15, "profit_factor": 0.94, "drawdown": 19.0, "total": -5.6},
        "rsi_rule": {"trades": 61, "not_opened": 0, "hit_rate": 0.31, "expectancy": -0.11, "low": -0.42,
                     "high": 0.22, "profit_factor": 0.84, "drawdown": 13.0, "total": -6.7},
    },
    "excess": {"expectancy": 0.02, "low": -0.1, "high": 0.14}, "edge_shown": False, "rule_edge_shown": False,
}  # fmt: skip


def with_edge(report: Mapping[str, Any] = REPORT) -> dict[str, Any]:
    """Return a report whose trades earned something."""
    model = report["strategies"]["model"] | {"expectancy": 0.18, "low": 0.04, "high": 0.33}
    return {**report, "edge_shown": True, "strategies": {**report["strategies"], "model": model}}


class ReversalOffice:
    """What the scan, the feeds and the model have written by a time, for one user."""

    def __init__(self, database: Database, user_id: int, now: datetime | None = None) -> None:
        self.database, self.user_id = database, user_id
        self.now = now or datetime.now(UTC)

    def link(self, **wishes: Any) -> None:
        """Link the user's Discord account, and set what they want."""
        with self.database.transaction() as transaction:
            discord_accounts.link(
                transaction, self.user_id, 900 + self.user_id, "ann", self.now, actor="test"
            )
            discord_accounts.change_settings(transaction, self.user_id, wishes)

    def score(self, **changes: Any) -> Score:
        """Return a long in EUR/USD that was found in the bar that closed just now."""
        opened = self.now.replace(minute=0, second=0, microsecond=0) - HOUR
        usual = Score(
            pair="EUR/USD", timeframe="1 Hour", bar_opened_at=opened, bar_closed_at=opened + HOUR,
            direction=Direction.LONG, confidence=Decimal("0.75"), stage1_prob=Decimal("0.8"),
            stage2_prob=Decimal("0.9"), version="2026-11-01", entry=Decimal("1.0854"), stop=Decimal("1.0800"),
            target=Decimal("1.0962"), source="replay", is_replay=True, edge_shown=False, factors={"RSI": "24"},
        )  # fmt: skip
        return replace(usual, **changes)

    def scored(self, *scores: Score) -> None:
        """Let a scan have written scores."""
        with self.database.transaction() as transaction:
            reversal_scores.store(transaction, scores, self.now)

    def sent(self, score: Score, **columns: Any) -> int:
        """Let the user be told of a score; return the number of the signal."""
        with self.database.transaction() as transaction:
            new = NewNotification(user_id=self.user_id, day=self.now.date(), score=score)
            signal_notifications.store_new(transaction, [new], self.now)
            number = transaction.value(
                "SELECT max(id) FROM signal_notifications WHERE user_id = %s", (self.user_id,)
            )
            for name, value in columns.items():
                sql = f"UPDATE signal_notifications SET {name} = %s WHERE id = %s"
                transaction.execute(sql, (value, number))
        return int(number)

    def model(self, reports: Mapping[str, Any] | None = None, version: str = "2026-11-01") -> None:
        """Let a model be in use with a record."""
        metrics = {"record": {"EUR/USD 1 Hour": REPORT} if reports is None else reports}
        with self.database.transaction() as transaction:
            transaction.execute(
                """
                INSERT INTO model_versions (version, state, trained_from, trained_until, data_hash, series, features,
                                            labels, metrics, file, file_hash, created_at)
                VALUES (%(version)s, 'CHAMPION', %(from)s, %(until)s, 'x', '[]', '[]', '{}', %(metrics)s, '', 'x',
                        %(now)s)
                """,
                {
                    "version": version,
                    "from": self.now - timedelta(days=4000),
                    "until": self.now - timedelta(days=3000),
                    "metrics": Json(metrics),
                    "now": self.now,
                },
            )

    def feed(self, pair: str, timeframe: str, *, source: str = "replay", failure: str | None = None) -> None:
        """Let bars of a pair be fetched, or fail to be."""
        with self.database.transaction() as transaction:
            transaction.execute(
                """
                INSERT INTO market_feeds (pair, timeframe, source, fetched_until, asked_at, failed_since, failure)
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                """,
                (pair, timeframe, source, self.now - HOUR, self.now,
                 self.now - 3 * HOUR if failure else None, failure),
            )  # fmt: skip

    def fault(self, words: str) -> None:
        """Let a bar be missing."""
        fault = BarFault(opened_at=self.now - 2 * HOUR, kind=FaultKind.MISSING, words=words)
        with self.database.transaction() as transaction:
            market_bars.note_faults(transaction, "EUR/USD", "1 Hour", "replay", [fault], self.now)

    def scan(self, **columns: Any) -> None:
        """Let the markets be looked at, by a part that lives."""
        row = {
            "due_at": self.now, "started_at": self.now, "finished_at": self.now, "timeframes": ["1 Hour"],
            "pairs": 1, "scores": 2, "notifications": 1, "model_ms": 12, "failure": None,
        } | columns  # fmt: skip
        names = ", ".join(row)
        with self.database.transaction() as transaction:
            places = ", ".join(f"%({name})s" for name in row)
            transaction.execute(f"INSERT INTO scans ({names}) VALUES ({places})", row)

    def live(self) -> None:
        """Give the user a little of everything: scores, signals, a failing feed, trades, and a day's figures."""
        self.link()
        self.model()
        self.scored(self.score())
        self.scan()
        self.feed("EUR/USD", "1 Hour")
        self.feed("GBP/USD", "1 Hour", source="alpha_vantage", failure="The daily allowance is used up.")
        self.fault("The bar of 13:00 is missing.")
        score = self.score()
        self.sent(score)
        earlier = replace(score, bar_opened_at=score.bar_opened_at - HOUR, bar_closed_at=score.bar_opened_at)
        self.sent(earlier, failed_at=self.now, last_error="The user takes no direct messages")
        number, other = self.follows("open"), self.follows("closed")
        with self.database.transaction() as transaction:
            columns = {"current_price": Decimal("1.0881"), "current_pips": Decimal(27)}
            tracked_trades.change(transaction, self.user_id, number, columns)
            self.day(transaction)
        actions.close_trade(self.database, self.user_id, "test", other, self.now, Decimal("1.09"))

    def follows(self, key: str) -> int:
        """Let the user follow a trade of EUR/USD; return its number."""
        score = self.score()
        wanted = TradeRequest(
            pair=score.pair, direction=Direction.LONG, entry=score.entry, lots=Decimal("0.1"),
            stop=score.stop or score.entry, target=score.target or score.entry, request_key=key,
        )  # fmt: skip
        settings = Settings(database_url=self.database.url, public_url="http://127.0.0.1")
        return actions.open_trade(self.database, settings, self.user_id, "test", wanted, self.now).trade_id

    def day(self, transaction: Transaction) -> None:
        """Let the figures of yesterday be made."""
        money = Money(pips=Decimal("-14.5"), profit_loss=Decimal("-31.20"), unpriced=1)
        yesterday = (self.now - timedelta(days=1)).date()
        daily_statistics.store(transaction, yesterday, money, self.now)
