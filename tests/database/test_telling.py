"""Whom a scan tells: once whatever runs twice, within everybody's cool-down and daily maximum."""

import os
import signal
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal

import psycopg2
import pytest

from core.pips import Direction
from core.reversal import RULES
from database.pool import Database
from reversal import scan
from tests.database.scan_desk import NOON, later, score, tell_of, telling_elsewhere, told, users

WAIT_SECONDS = 120


def all_at_once(url: str, *works: object) -> None:
    """Run each in a thread of its own, let go in the same moment."""
    gate = threading.Barrier(len(works))

    def run(work: object) -> None:
        gate.wait()
        work()  # type: ignore[operator]

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


class TestTheRow:
    def test_it_holds_the_signal_and_is_due_to_be_sent_at_once(self, database: Database) -> None:
        [user] = users(database, 1)
        assert tell_of(database, score()) == 1
        [row] = told(database)
        assert (row["user_id"], row["pair"], row["timeframe"], row["signal_type"]) == (
            user,
            "EUR/USD",
            "1 Hour",
            "long",
        )
        assert row["risk_reward_ratio"] == Decimal("2.00")
        assert row["factors"] == [["RSI", "28.1"], ["ATR", "0.0012"]]
        assert (row["bar_closed_at"], row["expires_at"]) == (NOON, later(hours=1))
        assert row["next_attempt_at"] == row["created_at"]
        assert row["sent_at"] is None
        assert row["day"] == date(2026, 11, 16)

    def test_a_pair_that_somebody_spelt_in_their_way_is_theirs(self, database: Database) -> None:
        """It is scanned for them, so they are told of it."""
        for spelling in ("eur/usd ", "EURUSD", "EUR/USD"):
            users(database, 1, preferred_pairs=["GBP/USD", spelling])
        assert tell_of(database, score()) == 3

    def test_of_a_recording_it_says_so(self, database: Database) -> None:
        users(database, 1)
        tell_of(database, score(is_replay=True, source="replay"))
        assert [row["source"] for row in told(database)] == ["replay"]

    def test_the_day_is_the_users_own(self, database: Database) -> None:
        users(database, 1, zone="Pacific/Auckland")
        tell_of(database, score())
        assert [row["day"] for row in told(database)] == [date(2026, 11, 17)]


class TestWhoIsTold:
    @pytest.mark.parametrize(
        "wishes",
        [
            {"notifications_enabled": False},
            {"preferred_pairs": ["GBP/USD"]},
            {"enabled_timeframes": ["15m"]},
            {"min_confidence": Decimal("0.71")},
            {"max_notifications_per_day": 0},
        ],
        ids=lambda wishes: next(iter(wishes)),
    )
    def test_not_who_wants_something_else(self, database: Database, wishes: dict[str, object]) -> None:
        users(database, 1, **wishes)
        assert tell_of(database, score()) == 0

    def test_not_who_has_no_discord_or_a_closed_account(self, database: Database) -> None:
        unlinked, closed, other = (users(database, 1)[0] for _ in range(3))
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_discord_settings SET discord_user_id = NULL WHERE user_id = %s", (unlinked,)
            )
            transaction.execute("UPDATE users SET is_active = false WHERE id = %s", (closed,))
        assert tell_of(database, score()) == 1
        assert [row["user_id"] for row in told(database)] == [other]

    def test_without_an_edge_only_who_asked_for_it(self, database: Database) -> None:
        users(database, 1)
        [asked] = users(database, 1, only_with_edge=False)
        assert tell_of(database, score(edge_shown=False)) == 1
        assert [(row["user_id"], row["edge_shown"]) for row in told(database)] == [(asked, False)]

    def test_the_rules_signals_only_who_wants_them_and_marked(self, database: Database) -> None:
        users(database, 1)
        [asked] = users(database, 1, only_ml_enhanced=False)
        rule = score(version=RULES, stage1_prob=None, stage2_prob=None)
        assert tell_of(database, rule) == 1
        assert [(row["user_id"], row["model_version"]) for row in told(database)] == [(asked, "rules")]

    def test_of_what_model_and_rule_both_saw_there_is_one_message(self, database: Database) -> None:
        users(database, 1, only_ml_enhanced=False, notification_cooldown_minutes=0)
        assert tell_of(database, score(version=RULES, confidence=Decimal("0.9")), score()) == 1
        assert [row["model_version"] for row in told(database)] == ["model 1"]


class TestNotTwice:
    """D7.9 and D7.13: no second message, by another process, after a restart, or with the next scan."""

    def test_the_same_bar_looked_at_again_tells_nobody_again(self, database: Database) -> None:
        users(database, 2, notification_cooldown_minutes=0)
        assert tell_of(database, score()) == 2
        assert tell_of(database, score(), now=later(minutes=5)) == 0

    def test_the_same_signal_every_15_minutes_is_told_once_in_a_cool_down(self, database: Database) -> None:
        users(database, 1, enabled_timeframes=["15m"])
        for minutes in range(0, 240, 15):
            closed_at = later(minutes=minutes)
            tell_of(database, score(timeframe="15 Min", closed_at=closed_at), now=closed_at)
        assert [row["bar_closed_at"] for row in told(database)] == [NOON]
        closed_at = later(minutes=240)
        assert tell_of(database, score(timeframe="15 Min", closed_at=closed_at), now=closed_at) == 1

    def test_what_was_held_back_does_not_move_the_cool_down_on(self, database: Database) -> None:
        """D7.9: what counts is what was told last, not what was seen last."""
        users(database, 1)
        tell_of(database, score())
        for hours in (1, 2, 3):
            assert tell_of(database, score(closed_at=later(hours=hours)), now=later(hours=hours)) == 0
        assert tell_of(database, score(closed_at=later(hours=4)), now=later(hours=4)) == 1

    def test_a_longer_cool_down_than_a_day_holds_too(self, database: Database) -> None:
        """D7.9: the memory lasts as long as the cool-down does."""
        users(database, 1, notification_cooldown_minutes=3 * 24 * 60)
        tell_of(database, score())
        assert tell_of(database, score(closed_at=later(days=2)), now=later(days=2)) == 0
        assert tell_of(database, score(closed_at=later(days=3)), now=later(days=3)) == 1

    def test_what_could_not_be_delivered_was_not_told(self, database: Database) -> None:
        users(database, 1, max_notifications_per_day=1)
        tell_of(database, score())
        with database.transaction() as transaction:
            transaction.execute("UPDATE signal_notifications SET failed_at = now(), next_attempt_at = NULL")
        assert tell_of(database, score(closed_at=later(hours=1)), now=later(hours=1)) == 1

    def test_the_other_pair_and_the_other_user_have_a_cool_down_of_their_own(
        self, database: Database
    ) -> None:
        """D7.9: the key has the user in it."""
        first, second = users(database, 2)
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_discord_settings SET notifications_enabled = false WHERE user_id = %s", (second,)
            )
        tell_of(database, score())
        with database.transaction() as transaction:
            transaction.execute("UPDATE user_discord_settings SET notifications_enabled = true")
        later_on = later(hours=1)
        tell_of(database, score(closed_at=later_on), score("GBP/USD", closed_at=later_on), now=later_on)
        assert Counter((row["user_id"], row["pair"]) for row in told(database)) == {
            (first, "EUR/USD"): 1,
            (first, "GBP/USD"): 1,
            (second, "EUR/USD"): 1,
            (second, "GBP/USD"): 1,
        }

    def test_the_days_maximum_begins_again_at_the_users_midnight(self, database: Database) -> None:
        users(
            database, 1, zone="America/New_York", max_notifications_per_day=1, notification_cooldown_minutes=0
        )
        # Still the 16th in New York
        evening = datetime(2026, 11, 17, 4, 0, tzinfo=UTC)
        assert tell_of(database, score()) == 1
        assert tell_of(database, score(closed_at=evening), now=evening) == 0
        midnight = datetime(2026, 11, 17, 5, 0, tzinfo=UTC)
        assert tell_of(database, score(closed_at=midnight), now=midnight) == 1


class TestTwoSchedulers:
    """What two processes find at the same time, each user is told within their own limits."""

    def test_of_one_bar_each_user_is_told_once(self, database_url: str, database: Database) -> None:
        users(database, 700, notification_cooldown_minutes=0)
        pools = [Database(database_url, size=1) for _ in range(4)]
        all_at_once(database_url, *(lambda pool=pool: tell_of(pool, score()) for pool in pools))
        assert len(told(database)) == 700

    def test_the_cool_down_holds(self, database_url: str, database: Database) -> None:
        """Two timeframes of a pair, found by two scans at once."""
        users(database, 600)
        pools = [Database(database_url, size=1) for _ in range(2)]
        timeframes = ("1 Hour", "4 Hour")
        all_at_once(
            database_url,
            *(
                lambda pool=pool, each=each: tell_of(pool, score(timeframe=each))
                for pool, each in zip(pools, timeframes, strict=True)
            ),
        )
        assert set(Counter(row["user_id"] for row in told(database)).values()) == {1}
        assert len(told(database)) == 600

    def test_the_days_maximum_holds(self, database_url: str, database: Database) -> None:
        pairs = [f"{base}/USD" for base in ("EUR", "GBP", "AUD", "NZD", "BTC", "ETH", "SOL", "XRP")]
        users(database, 50, preferred_pairs=pairs, max_notifications_per_day=3)
        pools = [Database(database_url, size=1) for _ in pairs]
        all_at_once(
            database_url,
            *(
                lambda pool=pool, pair=pair: tell_of(pool, score(pair))
                for pool, pair in zip(pools, pairs, strict=True)
            ),
        )
        assert set(Counter(row["user_id"] for row in told(database)).values()) == {3}

    def test_opposite_directions_in_one_moment_are_one_message(
        self, database_url: str, database: Database
    ) -> None:
        users(database, 200)
        short = score(direction=Direction.SHORT, stop=Decimal("1.105"), target=Decimal("1.09"), version=RULES)
        pools = [Database(database_url, size=1) for _ in range(2)]
        with database.transaction() as transaction:
            transaction.execute("UPDATE user_discord_settings SET only_ml_enhanced = false")
        all_at_once(
            database_url,
            lambda: tell_of(pools[0], score()),
            lambda: tell_of(pools[1], short),
        )
        assert len(told(database)) == 200


class TestKilled:
    def test_between_two_transactions_the_next_scan_tells_the_rest_once(
        self, database_url: str, database: Database
    ) -> None:
        """A real process is killed after its first users were told and before the others."""
        everybody = users(database, scan.AT_ONCE + 100, notification_cooldown_minutes=0)
        with psycopg2.connect(database_url) as holding, holding.cursor() as cursor:
            cursor.execute(
                "SELECT FROM user_discord_settings WHERE user_id = %s FOR UPDATE", (everybody[-1],)
            )
            child = telling_elsewhere(database_url)
            deadline = time.monotonic() + WAIT_SECONDS
            while len(told(database)) < scan.AT_ONCE and time.monotonic() < deadline:
                time.sleep(0.05)
            assert len(told(database)) == scan.AT_ONCE
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait(WAIT_SECONDS) == -signal.SIGKILL
            holding.rollback()
        assert tell_of(database, score(), now=later(minutes=5)) == 100
        assert sorted(row["user_id"] for row in told(database)) == everybody
