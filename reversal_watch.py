"""Watching for reversals: scans, tracked trades, and the end of the day; any number of processes.

What only one process may do it does under a lock or a claim in the database. A scan is a process of its own
for as long as it lasts, so that this one stays small.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2

import log
from database import duties, health, model_versions, reversal_wants, scans
from database.pool import Database
from database.scans import Claim, Looked
from reversal import choosing, closing_day, monitor
from reversal.sources.registry import missing_keys
from reversal.wanted import wanted
from settings import Settings, load

PART = "reversal watch"
ROOT = Path(__file__).resolve().parent
SCAN = (sys.executable, "-m", "reversal.scan")
TRAINING = (sys.executable, "-m", "reversal.training")
BEAT_SECONDS = 3.0
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0
FOLLOW_SECONDS = 60.0
DAY_SECONDS = 60.0
RETRAIN_SECONDS = 3600.0
TRAINED_SECONDS = 86400.0
LONGEST_TRAINING_SECONDS = 540.0
OFFER_SECONDS = 15.0
# A duty that takes longer hangs: then this process says no more that it lives
HANGS_AFTER_SECONDS = 600.0
LEAVE_SECONDS = 8.0
PATIENCE_SECONDS = 60
NOTHING = Looked(pairs=0, scores=0, notifications=0, model_ms=None)

logger = logging.getLogger("reversal watch")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Duty:
    """Something done again and again by a thread of its own; `work` returns the seconds until the next time."""

    name: str
    work: Callable[[], float]
    began: float | None = None

    def goes_on(self) -> None:
        """Note that a part of it is done: the next one may take as long."""
        if self.began is not None:
            self.began = time.monotonic()

    @property
    def hangs(self) -> bool:
        """Tell whether it has not come back for so long that it will not."""
        return self.began is not None and time.monotonic() - self.began > HANGS_AFTER_SECONDS


class ReversalWatch:
    """Do the duties until told to stop.

    `now` gives aware UTC times; `command` starts a scan, `training` makes a model.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        now: Callable[[], datetime] = utc_now,
        command: tuple[str, ...] = SCAN,
        training: tuple[str, ...] = TRAINING,
    ) -> None:
        self._settings = settings
        self._database = database
        self._now = now
        self._command = command
        self._training = training
        self._stopping = threading.Event()
        self._offer_at = 0.0
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self.scanning = Duty(name="scan", work=self.look_for_scans)
        self._duties = [
            self.scanning,
            Duty(name="tracked trades", work=self.follow_trades),
            Duty(name="end of the day", work=self.close_the_day),
            Duty(name="model", work=self.retrain),
        ]

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until `stop`; a database that goes away is waited for."""
        for words in missing_keys(self._settings):
            logger.error("%s: no bars come from there", words)
        threads = [
            threading.Thread(target=self._do, args=(duty,), name=duty.name, daemon=True)
            for duty in self._duties
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(BEAT_SECONDS):
            self._beat()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        with contextlib.suppress(psycopg2.Error), self._database.transaction() as transaction:
            health.fall_silent(transaction, PART, self._name)

    def look_for_scans(self) -> float:
        """Do every scan that is due and nobody's, then hand signals to the bots that trade them."""
        while not self._stopping.is_set() and (found := self._claimed()) is not None:
            claim, timeframes = found
            self._carry_out(claim, is_wanted=self._is_wanted(timeframes))
            self._offer()
            self.scanning.goes_on()
        if time.monotonic() >= self._offer_at:
            self._offer()
        return LOOK_SECONDS

    def _claimed(self) -> tuple[Claim, tuple[str, ...]] | None:
        """Take the newest scan that is due and nobody's; each time anew, since bars close meanwhile."""
        due = choosing.due(self._now() - timedelta(seconds=self._settings.reversal_scan_delay_seconds))
        with self._database.transaction() as transaction:
            for due_at, timeframes in due.items():
                if claim := scans.claim(transaction, due_at, timeframes, self._now()):
                    return claim, timeframes
        return None

    def _is_wanted(self, timeframes: tuple[str, ...]) -> bool:
        with self._database.transaction() as transaction:
            return bool(wanted(transaction, self._settings, timeframes))

    def _offer(self) -> None:
        self._offer_at = time.monotonic() + OFFER_SECONDS
        with self._database.transaction() as transaction:
            has_bots = bool(reversal_wants.bots(transaction))
        if has_bots:
            # The inbox and what it needs are loaded only where a bot trades scores
            import reversal_intake

            reversal_intake.offer(self._database, self._now())

    def follow_trades(self) -> float:
        """Look at the open tracked trades, if no other process does now."""
        with duties.alone(self._database, duties.Duty.FOLLOW_TRADES) as is_ours:
            if is_ours:
                monitor.look(self._database, self._settings, self._now())
        return FOLLOW_SECONDS - self._now().timestamp() % FOLLOW_SECONDS

    def close_the_day(self) -> float:
        """Make the figures of the days that are over, and put away what is old."""
        if closing_day.is_due(self._database, self._now()):
            kept = timedelta(days=self._settings.trades_archived_after_days)
            with duties.alone(self._database, duties.Duty.CLOSE_THE_DAY) as is_ours:
                if is_ours:
                    closing_day.make(self._database, self._now(), archived_after=kept)
        return DAY_SECONDS

    def retrain(self) -> float:
        """Make a challenger where the newest model is older than the setting; it replaces nothing by itself.

        The next attempt is a day later, whatever came of this one: bars that did not change give no other model.
        """
        days = self._settings.reversal_retrain_days
        with self._database.transaction() as transaction:
            is_due = bool(days) and model_versions.is_old(transaction, days, self._now())
        if not is_due:
            return RETRAIN_SECONDS
        with duties.alone(self._database, duties.Duty.RETRAIN) as is_ours:
            why = self._done(self._training, LONGEST_TRAINING_SECONDS) if is_ours else None
        if why is not None and not self._stopping.is_set():
            logger.error("no model was trained: %s", why)
            self._record("model", f"no model was trained: {why}")
        return TRAINED_SECONDS

    def _carry_out(self, claim: Claim, *, is_wanted: bool) -> None:
        why = self._scanned(claim) if is_wanted else None
        if self._stopping.is_set():
            with self._database.transaction() as transaction:
                scans.release(transaction, claim)
            return
        with self._database.transaction() as transaction:
            if why is not None:
                logger.error("the scan of %s failed: %s", claim.due_at.isoformat(), why)
                scans.fail(transaction, claim, why, self._now())
            elif not is_wanted:
                scans.finish(transaction, claim, NOTHING, self._now())
            scans.tell_of_failures(transaction, self._now())

    def _scanned(self, claim: Claim) -> str | None:
        return self._done((*self._command, "--due", claim.due_at.isoformat()), scans.LIMIT_SECONDS)

    def _done(self, command: tuple[str, ...], longest: float) -> str | None:
        """Run a process of its own; return why it came to nothing, None where it ended well."""
        child = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + longest
        try:
            while child.poll() is None:
                if self._stopping.wait(0.1):
                    return "the reversal watch was stopped"
                if time.monotonic() > deadline:
                    return f"it took longer than {longest:.0f} s and was ended"
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        return None if child.returncode == 0 else _ended_with(child.returncode)

    def _do(self, duty: Duty) -> None:
        while not self._stopping.is_set():
            pause = AGAIN_SECONDS
            duty.began = time.monotonic()
            try:
                pause = duty.work()
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                logger.warning("%s is tried again", duty.name, exc_info=error)
            except Exception as error:
                logger.exception("%s failed and is tried again", duty.name)
                self._record(duty.name, f"{type(error).__name__}: {error}")
            duty.began = None
            self._stopping.wait(pause)

    def _beat(self) -> None:
        hanging = [duty.name for duty in self._duties if duty.hangs]
        if hanging:
            logger.error("hangs: %s", ", ".join(hanging))
            return
        with contextlib.suppress(psycopg2.Error), self._database.transaction() as transaction:
            health.beat(transaction, PART, self._name, self._now())

    def _record(self, subject: str, words: str) -> None:
        with contextlib.suppress(psycopg2.Error), self._database.transaction() as transaction:
            health.note_fault(transaction, subject, words, self._now())


def _ended_with(code: int) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it ended with code {code}; its log says why"


def main() -> None:
    """Watch for reversals until SIGTERM."""
    settings = load()
    log.logging_setup(PART, settings)
    database = Database(
        settings.database, size=6, application_name=f"dashtrade {PART}", patience=PATIENCE_SECONDS
    )
    watch = ReversalWatch(settings, database)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.stop())
    watch.run()


if __name__ == "__main__":
    main()
