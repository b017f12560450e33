"""The real scan: bars of a recording or of files, the default model, and people, at times of the tests' own."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

from database import model_versions, scans
from database.pool import Database
from database.scans import Looked
from reversal import registry, scan
from tests.database.scan_desk import NOON, later, settings_for, told, users
from tests.log_lines import logged, named


def write_hours(file: Path, count: int) -> None:
    """Write a file of bars that end at noon, or an hour earlier where only 699 of 700 have come."""
    hours = [NOON - timedelta(hours=number) for number in range(700, 0, -1)][:count]
    closes = [1.1 + 0.01 * math.sin(number / 9) + 0.004 * math.sin(number / 2.3) for number in range(count)]
    lines = [
        f"{hour:%Y-%m-%dT%H:%M:%SZ},{close:.5f},{close + 0.0007:.5f},{close - 0.0006:.5f},{close:.5f},0"
        for hour, close in zip(hours, closes, strict=True)
    ]
    file.write_text("time,open,high,low,close,volume\n" + "\n".join(lines) + "\n")


def test_a_signal_of_the_recording_reaches_who_wants_it_and_says_replay(database: Database) -> None:
    users(
        database,
        2,
        min_confidence=0,
        only_with_edge=False,
        only_ml_enhanced=False,
        notification_cooldown_minutes=0,
    )
    settings = settings_for(database.url)
    due_at = datetime(2026, 11, 16, 0, 0, tzinfo=UTC)
    outcomes = []
    for hour in range(1, 60):
        at = due_at + timedelta(hours=hour)
        outcomes.append(scan.scan(database, settings, at, at + timedelta(seconds=6)))
        if told(database):
            break
    rows = told(database)
    assert rows, outcomes
    assert {row["source"] for row in rows} == {"replay"}
    assert {(row["pair"], row["timeframe"]) for row in rows} <= {
        ("EUR/USD", "1 Hour"),
        ("EUR/USD", "4 Hour"),
    }
    assert len({row["user_id"] for row in rows}) == 2
    again = scan.scan(database, settings, at, at + timedelta(seconds=60))
    assert again.notifications == 0
    with database.transaction() as transaction:
        row = transaction.one("SELECT * FROM scans WHERE due_at = %s", (at,))
    assert row["scores"] > 0
    assert row["model_ms"] > 0


def test_a_bar_that_has_not_come_is_skipped_and_said(database: Database) -> None:
    """On a Saturday the market is closed: the newest bar is Friday's, and is not scored again."""
    users(database, 1, min_confidence=0, only_with_edge=False, only_ml_enhanced=False)
    saturday = datetime(2026, 11, 14, 12, 0, tzinfo=UTC)
    outcome = scan.scan(database, settings_for(database.url), saturday, saturday + timedelta(seconds=6))
    assert outcome.scores == 0
    assert "has not come" in outcome.skipped["EUR/USD", "1 Hour"]
    assert told(database) == []


def test_a_feed_that_fails_is_not_scored_from_old_bars(database: Database, tmp_path: Path) -> None:
    """D7.14: no price stands in for one that did not come."""
    users(database, 1, preferred_pairs=["EUR/USD"], min_confidence=0, only_with_edge=False)
    file = tmp_path / "EUR-USD_1h.csv"
    write_hours(file, 700)
    settings = settings_for(database.url, reversal_forex_source="csv", reversal_csv_folder=str(tmp_path))
    first = scan.scan(database, settings, NOON, later(seconds=6))
    assert (first.scores > 0, first.skipped) == (True, {})
    file.write_text("rubbish")
    second = scan.scan(database, settings, later(hours=1), later(hours=1, seconds=6))
    assert (second.scores, list(second.skipped)) == (0, [("EUR/USD", "1 Hour")])
    with database.transaction() as transaction:
        row = transaction.one("SELECT failure FROM market_feeds WHERE pair = 'EUR/USD'")
        newest = transaction.value("SELECT max(bar_closed_at) FROM reversal_scores")
    assert row["failure"] == second.skipped["EUR/USD", "1 Hour"]
    assert newest == NOON


def test_a_bar_that_comes_late_is_scored_when_it_comes(database: Database, tmp_path: Path) -> None:
    """And nobody hears twice of the pair whose bar was there at once."""
    here = {"min_confidence": 0, "only_with_edge": False, "only_ml_enhanced": False}
    users(
        database,
        1,
        preferred_pairs=["EUR/USD", "GBP/USD"],
        enabled_timeframes=["1h"],
        notification_cooldown_minutes=0,
        **here,
    )
    settings = settings_for(database.url, reversal_forex_source="csv", reversal_csv_folder=str(tmp_path))
    write_hours(tmp_path / "EUR-USD_1h.csv", 700)
    write_hours(tmp_path / "GBP-USD_1h.csv", 699)

    def look(minutes: int) -> tuple[int, int]:
        now = later(minutes=minutes, seconds=6)
        with database.transaction() as transaction:
            assert (scans.claim(transaction, NOON, ("1 Hour",), now) is None) is (minutes == 4)
        outcome = scan.scan(database, settings, NOON, now)
        return outcome.scores // 2, outcome.late

    assert look(0) == (1, 1)
    assert look(4) == (1, 1)
    assert look(6) == (1, 1)
    before = told(database)
    write_hours(tmp_path / "GBP-USD_1h.csv", 700)
    assert look(12) == (2, 0)
    assert [row["pair"] for row in told(database)[len(before) :]] in ([], ["GBP/USD"])
    with database.transaction() as transaction:
        assert scans.claim(transaction, NOON, ("1 Hour",), later(minutes=20)) is None
        row = transaction.one("SELECT notifications, late, attempts FROM scans WHERE due_at = %s", (NOON,))
    assert (row["notifications"], row["late"], row["attempts"]) == (len(told(database)), 0, 3)


def test_a_bar_that_does_not_come_is_given_up_after_an_hour(database: Database) -> None:
    late = Looked(pairs=2, scores=1, notifications=0, model_ms=None, late=1)
    for minutes in (0, 55, 60, 66):
        with database.transaction() as transaction:
            claim = scans.claim(transaction, NOON, ("1 Day",), later(minutes=minutes))
            assert (claim is not None) is (minutes <= 60)
            if claim is not None:
                assert scans.finish(transaction, claim, late, claim.started_at)


def test_no_bar_is_late_while_its_market_is_closed(database: Database) -> None:
    users(database, 1, min_confidence=0, only_with_edge=False, only_ml_enhanced=False)
    saturday = datetime(2026, 11, 14, 12, 0, tzinfo=UTC)
    outcome = scan.scan(database, settings_for(database.url), saturday, saturday + timedelta(seconds=6))
    assert (outcome.late, bool(outcome.skipped)) == (0, True)


def test_a_bar_after_which_another_one_closed_is_left_out(database: Database) -> None:
    """Its signal has expired: a process that was held up for so long tells nobody of it."""
    users(database, 1, preferred_pairs=["EUR/USD"], enabled_timeframes=["1h"], min_confidence=0)
    settings = settings_for(database.url)
    assert scan.scan(database, settings, NOON, later(minutes=59)).pairs == 1
    assert scan.scan(database, settings, NOON, later(hours=1, seconds=6)).pairs == 0


def test_a_release_with_other_features_scores_with_its_own_default_and_says_so(database: Database) -> None:
    """An old champion's file is refused by its features: nobody is left without a model, nor told by nobody."""
    users(database, 1, min_confidence=0, only_with_edge=False, only_ml_enhanced=False)
    default = registry.champion(database, NOON)
    old = json.loads(default.content()) | {"version": "2020-01-01-00000000"}
    old["features"] = [*old["features"][1:], "phase_of_the_moon"]
    content = json.dumps(old).encode()
    with database.transaction() as transaction:
        transaction.execute(
            "UPDATE model_versions SET version = %s, file = %s, file_hash = %s",
            (old["version"], content, hashlib.sha256(content).hexdigest()),
        )
    with logged("reversal scan") as lines:
        scores = [
            scan.scan(database, settings_for(database.url), at, at + timedelta(seconds=6)).scores
            for at in (NOON, later(hours=1))
        ]
    assert all(scores)
    with database.transaction() as transaction:
        states = {row["version"]: row["state"] for row in model_versions.versions(transaction)}
        [news] = transaction.all("SELECT user_id, kind, content FROM notifications")
        [fault] = transaction.all("SELECT subject, words, times FROM faults")
    assert states == {old["version"]: "RETIRED", default.version: "CHAMPION"}
    assert (news["user_id"], news["content"]["part"]) == (None, "reversal model")
    assert (fault["subject"], fault["words"], fault["times"]) == ("model", news["content"]["sentence"], 1)
    [(_, said)] = named(lines(), "does not fit this release")
    assert "phase_of_the_moon" in said
