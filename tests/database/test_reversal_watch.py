"""The watch: which process does which scan, what comes of one that fails or dies, and when the operator hears."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.bar import opening
from database import reversal_reading, scans
from database.pool import Database, Row
from database.scans import Looked
from reversal import choosing
from reversal_watch import NOTHING, ReversalWatch
from tests.database.scan_desk import NOON, later, settings_for, users
from tests.log_lines import logged, named

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 240
ENDS_WELL = "import sys; sys.exit(0)"
FAILS = "import sys; sys.exit(3)"
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
STAYS = "import time; time.sleep(600)"


class Desk:
    """A watch whose clock and whose scans are the test's."""

    def __init__(self, url: str, child: str = ENDS_WELL, now: datetime = NOON) -> None:
        self.database = Database(url)
        self.now = now + timedelta(seconds=6)
        self.watch = self.another(child)

    def another(self, child: str, **more: Any) -> ReversalWatch:
        """Return another process's watch, as far as the database can tell."""
        return ReversalWatch(
            settings_for(self.database.url, **more),
            Database(self.database.url, size=3),
            now=lambda: self.now,
            command=(sys.executable, "-c", child),
            training=(sys.executable, "-c", child),
        )

    def rows(self, sql: str) -> list[Row]:
        with self.database.transaction() as transaction:
            return transaction.all(sql)

    def scan(self, due_at: datetime = NOON) -> Row:
        [row] = [row for row in self.rows("SELECT * FROM scans") if row["due_at"] == due_at]
        return row

    def news(self) -> list[tuple[str, str]]:
        rows = self.rows("SELECT kind, content FROM notifications WHERE user_id IS NULL ORDER BY id")
        return [(row["kind"], row["content"]["part"]) for row in rows]


@pytest.fixture
def desk(database_url: str) -> Callable[..., Desk]:
    def make(child: str = ENDS_WELL) -> Desk:
        made = Desk(database_url, child)
        users(made.database, 1)
        return made

    return make


def wait_for(look: Callable[[], Any]) -> Any:
    """Return the first truthy thing that is found."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


class TestClaims:
    """A scan is one process's, and goes to another when that one is gone."""

    def claim(self, database: Database, now: datetime) -> scans.Claim | None:
        with database.transaction() as transaction:
            return scans.claim(transaction, NOON, ("1 Hour",), now)

    def test_it_is_given_once(self, database: Database) -> None:
        assert self.claim(database, later(seconds=5)) is not None
        assert self.claim(database, later(seconds=6)) is None
        assert self.claim(database, later(seconds=304)) is None

    def test_many_at_once_get_it_once(self, database_url: str) -> None:
        given: list[scans.Claim] = []
        gate = threading.Barrier(8)

        def run() -> None:
            pool = Database(database_url, size=1)
            gate.wait()
            given.extend(claim for claim in [self.claim(pool, NOON)] if claim)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_SECONDS)
        assert len(given) == 1

    def test_an_unfinished_one_is_taken_over_after_five_minutes(self, database: Database) -> None:
        first = self.claim(database, later(seconds=5))
        second = self.claim(database, later(seconds=305))
        assert first is not None
        assert second is not None
        looked = Looked(pairs=9, scores=9, notifications=9, model_ms=None)
        with database.transaction() as transaction:
            assert not scans.finish(transaction, first, looked, later(minutes=6)), "it is the other's by now"
            assert scans.finish(transaction, second, looked, later(minutes=6))
        assert self.claim(database, later(hours=9)) is None

    def test_one_that_failed_is_tried_again_after_five_minutes(self, database: Database) -> None:
        first = self.claim(database, NOON)
        assert first is not None
        with database.transaction() as transaction:
            scans.fail(transaction, first, "no model", later(seconds=2))
        assert self.claim(database, later(seconds=299)) is None
        assert self.claim(database, later(seconds=300)) is not None

    def test_one_that_a_clock_did_before_its_bars_closed_is_done_when_they_have(
        self, database: Database
    ) -> None:
        early = self.claim(database, later(seconds=6))
        assert early is not None
        with database.transaction() as transaction:
            scans.finish(transaction, early, NOTHING, later(seconds=7))
            transaction.execute("UPDATE scans SET noted_at = due_at - interval '3 hours'")
        assert self.claim(database, later(seconds=5)) is not None
        assert self.claim(database, later(seconds=6)) is None

    def test_one_dated_ahead_hides_nothing(self, database: Database) -> None:
        ahead = datetime.now(UTC) + timedelta(hours=3)
        with database.transaction() as transaction:
            first = scans.claim(transaction, ahead, ("1 Hour",), ahead)
            assert first is not None
            scans.finish(transaction, first, replace(NOTHING, pairs=3), ahead)
            assert scans.newest(transaction) is None
            assert reversal_reading.scanning(transaction)["due_at"] is None
            for minutes in (0, 5, 10):
                failed = scans.claim(transaction, later(minutes=minutes), ("5 Min",), later(minutes=minutes))
                assert failed is not None
                scans.fail(transaction, failed, "no model", later(minutes=minutes))
            scans.tell_of_failures(transaction, later(minutes=11))
            assert transaction.value("SELECT count(*) FROM notifications") == 1

    def test_a_scan_that_lives_is_over_before_another_may_take_it(self) -> None:
        assert timedelta(seconds=scans.LIMIT_SECONDS) < scans.TAKEN_OVER_AFTER


class TestScans:
    def test_what_is_due_is_begun_once_for_all_its_timeframes(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)
        here.watch.look_for_scans()
        here.another(FAILS).look_for_scans()
        assert here.scan()["attempts"] == 1
        assert "1 Hour" in here.scan()["timeframes"]

    def test_bars_get_a_few_seconds_to_come(self, desk: Callable[..., Desk]) -> None:
        here = desk()
        here.now = NOON + timedelta(seconds=4)
        here.watch.look_for_scans()
        assert NOON not in {row["due_at"] for row in here.rows("SELECT due_at FROM scans")}

    def test_after_a_standstill_only_the_newest_bar_of_each_timeframe_is_looked_at(
        self, desk: Callable[..., Desk]
    ) -> None:
        here = desk(FAILS)
        here.watch.look_for_scans()
        before = {row["due_at"] for row in here.rows("SELECT due_at FROM scans")}
        here.now += timedelta(days=3, minutes=7)
        here.watch.look_for_scans()
        new = {row["due_at"] for row in here.rows("SELECT due_at FROM scans")} - before
        assert new == set(choosing.due(here.now - timedelta(seconds=5))) - before

    def test_a_bar_that_closes_meanwhile_comes_before_older_ones(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)

        def now() -> datetime:
            return here.now + timedelta(
                minutes=5 if here.rows("SELECT FROM scans WHERE failure <> ''") else 0
            )

        here.watch = ReversalWatch(
            settings_for(here.database.url),
            Database(here.database.url, size=3),
            now=now,
            command=(sys.executable, "-c", FAILS),
        )
        here.watch.look_for_scans()
        begun = [row["due_at"] for row in here.rows("SELECT due_at FROM scans ORDER BY id")]
        assert begun[:2] == [NOON, later(minutes=5)]
        assert len(begun) > 2

    def test_many_scans_after_a_standstill_are_no_hanging(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)
        duty = here.watch.scanning
        duty.began = time.monotonic() - 10_000
        assert duty.hangs
        here.watch.look_for_scans()
        assert not duty.hangs

    def test_where_nobody_wants_anything_no_process_is_begun(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)
        with here.database.transaction() as transaction:
            transaction.execute("UPDATE user_discord_settings SET notifications_enabled = false")
        here.watch.look_for_scans()
        assert here.scan()["failure"] is None
        assert here.scan()["finished_at"] is not None

    @pytest.mark.parametrize(("child", "words"), [(FAILS, "code 3"), (DIES, "SIGKILL")])
    def test_what_ended_a_scan_is_written_down_and_the_watch_goes_on(
        self, desk: Callable[..., Desk], child: str, words: str
    ) -> None:
        here = desk(child)
        here.watch.look_for_scans()
        assert words in here.scan()["failure"]
        here.now += timedelta(hours=1)
        here.watch.look_for_scans()
        assert words in here.scan(later(hours=1))["failure"]

    def test_one_that_takes_too_long_is_ended(
        self, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scans, "LIMIT_SECONDS", 1)
        here = desk(STAYS)
        here.watch.look_for_scans()
        assert "longer than 1 s" in here.scan()["failure"]

    def test_stopped_in_a_scan_it_gives_it_back_at_once(self, desk: Callable[..., Desk]) -> None:
        here = desk(STAYS)
        thread = threading.Thread(target=here.watch.run)
        thread.start()
        wait_for(lambda: here.rows("SELECT FROM scans WHERE due_at = '2026-11-16 12:00Z'"))
        here.watch.stop()
        thread.join(WAIT_SECONDS)
        with here.database.transaction() as transaction:
            assert scans.claim(transaction, NOON, ("1 Hour",), here.now) is not None
        assert here.rows("SELECT FROM heartbeats") == []


class TestTheOperatorHears:
    def failed(self, here: Desk, times: int) -> None:
        for _ in range(times):
            here.watch.look_for_scans()
            here.now += timedelta(hours=4)

    def test_once_after_three_failures_and_once_when_it_works_again(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)
        here.watch.look_for_scans()
        # At noon there are as many scans as bars of different ends that are wanted: by the hour and by four
        for _ in range(5):
            here.now += timedelta(minutes=6)
            here.watch.look_for_scans()
        assert here.news() == [("PART_DOWN", "reversal scan")]
        here.now += timedelta(hours=1)
        with here.database.transaction() as transaction:
            claim = scans.claim(transaction, opening(here.now, "1 Hour"), ("1 Hour",), here.now)
            assert claim is not None
            scans.finish(
                transaction, claim, Looked(pairs=1, scores=1, notifications=0, model_ms=None), here.now
            )
            scans.tell_of_failures(transaction, here.now)
        assert here.news() == [("PART_DOWN", "reversal scan"), ("PART_BACK", "reversal scan")]

    def test_not_of_one(self, desk: Callable[..., Desk]) -> None:
        here = desk(FAILS)
        here.watch.look_for_scans()
        assert here.news() == []


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TZ", "DASHTRADE_ENV_FILE", "DASHTRADE_HOME")}
    return kept | {"DATABASE_URL": database_url, "PYTHONUNBUFFERED": "1"}


class TestRealProcesses:
    """`reversal_watch.py` and `python -m reversal.scan` as they run, with the recordings and the real model."""

    @pytest.fixture
    def watch(self, environment: dict[str, str]) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
        started = []

        def start() -> "subprocess.Popen[bytes]":
            process = subprocess.Popen([sys.executable, "reversal_watch.py"], cwd=ROOT, env=environment)
            started.append(process)
            return process

        yield start
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()

    def test_two_watches_scan_once_and_leave_cleanly(
        self, database: Database, watch: Callable[[], "subprocess.Popen[bytes]"]
    ) -> None:
        users(database, 3, preferred_pairs=["EUR/USD", "SP500"], enabled_timeframes=["1h", "1d"])

        def finished() -> list[Row]:
            with database.transaction() as transaction:
                return transaction.all(
                    "SELECT * FROM scans WHERE pairs > 0 AND (finished_at IS NOT NULL OR failure IS NOT NULL)"
                )

        def beating() -> Any:
            with database.transaction() as transaction:
                return transaction.value("SELECT count(*) FROM heartbeats WHERE part = 'reversal watch'")

        def scanned() -> set[str]:
            return {timeframe for row in finished() for timeframe in row["timeframes"]}

        processes = [watch(), watch()]
        # In the hour after midnight both are due at once, and one scan has both
        wait_for(lambda: {"1 Hour", "1 Day"} <= scanned())
        assert [row["failure"] for row in finished() if row["failure"]] == []
        assert {row["attempts"] for row in finished()} == {1}
        wait_for(lambda: beating() == 2)
        with database.transaction() as transaction:
            assert transaction.all("SELECT subject, words FROM faults") == []
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(WAIT_SECONDS) for process in processes] == [0, 0]
        with database.transaction() as transaction:
            assert transaction.all("SELECT FROM heartbeats") == []

    def test_a_watch_that_is_killed_in_a_scan_is_followed_by_the_next(
        self, database: Database, watch: Callable[[], "subprocess.Popen[bytes]"]
    ) -> None:
        users(database, 1, preferred_pairs=["EUR/USD"], enabled_timeframes=["1h"])

        def claimed() -> Row | None:
            with database.transaction() as transaction:
                return transaction.maybe("SELECT * FROM scans WHERE '1 Hour' = ANY(timeframes)")

        first = watch()
        wait_for(claimed)
        first.kill()
        first.wait()
        with database.transaction() as transaction:
            # As if it had been five minutes ago
            transaction.execute(
                "UPDATE scans SET started_at = started_at - interval '5 min', finished_at = NULL, failure = NULL"
            )
        watch()
        row = wait_for(
            lambda: (found := claimed()) and found["finished_at"] and found["attempts"] == 2 and found
        )
        assert row["failure"] is None


# --- the model is made anew ---------------------------------------------------------------------


def model(database: Database, made_at: datetime) -> None:
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO model_versions (version, state, trained_from, trained_until, data_hash, series, features,
                                        labels, metrics, file, file_hash, created_at)
            VALUES ('m', 'CHAMPION', %(at)s, %(at)s, '', '[]', '[]', '{}', '{}', '', '', %(at)s)
            """,
            {"at": made_at},
        )


def test_a_source_without_its_key_is_named_at_the_start(desk: Callable[..., Desk]) -> None:
    with logged("reversal watch") as lines:
        watch = desk().another(ENDS_WELL, reversal_forex_source="alpha_vantage")
        watch.stop()
        watch.run()
    words = "REVERSAL_FOREX_SOURCE is alpha_vantage, and ALPHA_VANTAGE_API_KEY is missing"
    assert [said for _, said in named(lines(), words)] == [f"{words}: no bars come from there"]


@pytest.mark.parametrize(("days", "age", "trains"), [(0, 400, False), (30, 29, False), (30, 30, True)])
def test_a_challenger_is_trained_when_the_newest_model_is_old(
    database_url: str, tmp_path: Path, days: int, age: int, trains: bool
) -> None:
    desk = Desk(database_url)
    model(desk.database, desk.now - timedelta(days=age))
    trace = tmp_path / "trained"
    child = f"open({str(trace)!r}, 'a').write('x')"
    pause = desk.another(child, reversal_retrain_days=days).retrain()
    assert trace.exists() == trains
    assert pause == (86400 if trains else 3600)
    assert desk.rows("SELECT * FROM faults") == []


def test_nothing_is_trained_anew_before_there_is_a_model(database_url: str) -> None:
    desk = Desk(database_url)
    assert desk.another(FAILS, reversal_retrain_days=1).retrain() == 3600
    assert desk.rows("SELECT * FROM faults") == []


def test_a_training_that_fails_is_recorded(database_url: str) -> None:
    desk = Desk(database_url)
    model(desk.database, desk.now - timedelta(days=2))
    desk.another(DIES, reversal_retrain_days=1).retrain()
    [fault] = desk.rows("SELECT * FROM faults")
    assert (fault["subject"], fault["words"]) == ("model", "no model was trained: it was ended by SIGKILL")


def test_two_watches_train_once(database_url: str, tmp_path: Path) -> None:
    desk = Desk(database_url)
    model(desk.database, desk.now - timedelta(days=2))
    trace, go_on = tmp_path / "trained", tmp_path / "go on"
    child = (
        "import pathlib, time\n"
        f"open({str(trace)!r}, 'a').write('x')\n"
        f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.05)\n"
    )
    first = threading.Thread(target=desk.another(child, reversal_retrain_days=1).retrain)
    first.start()
    deadline = time.monotonic() + WAIT_SECONDS
    while not trace.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    desk.another(child, reversal_retrain_days=1).retrain()
    go_on.touch()
    first.join(WAIT_SECONDS)
    assert trace.read_text() == "x"
