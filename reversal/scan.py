"""Look at the bars that just closed, score them, and write down who is to be told of what.

Run as `python -m reversal.scan --due TIME` for one scan: the libraries that score are large, and their memory
comes back when the process ends. It may die between any two steps and run twice: a notification is unique
by user, pair, timeframe, bar and direction.
"""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg2

import log
from core.bar import Bar, length
from core.pips import market_of
from core.reversal import Score
from database import reversal_scores, reversal_wants, scans, signal_notifications
from database.pool import Database
from database.scans import Claim, Looked
from database.signal_notifications import NewNotification
from reversal import choosing, features, feeding, registry, rules
from reversal.choosing import Found
from reversal.market_hours import must_be
from reversal.sources.base import Origin
from reversal.sources.registry import source_of
from reversal.wanted import Wanted, wanted
from settings import Settings, load

# How many users' rows are locked at a time
AT_ONCE = 500
# Of the four minutes that a scan has: nobody waits for it each minute, as for whoever follows trades.
PATIENCE, LONGEST_ROUND = timedelta(seconds=120), timedelta(seconds=150)

Histories = Mapping[Wanted, Sequence[Bar]]

logger = logging.getLogger("reversal scan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOutcome:
    """What a scan came to: how much was looked at, scored and told, and by pair and timeframe why one was not.

    `late` is how many bars had not come though their market traded all the while.
    """

    pairs: int = 0
    scores: int = 0
    notifications: int = 0
    model_ms: Decimal | None = None
    late: int = 0
    skipped: Mapping[Wanted, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchmaker:
    """Tell the time from a given moment on."""

    began: datetime
    ticks: float

    def now(self) -> datetime:
        """Return how late it has become."""
        return self.began + timedelta(seconds=time.monotonic() - self.ticks)


def scan(database: Database, settings: Settings, due_at: datetime, now: datetime) -> ScanOutcome:
    """Do the scan that is due at a time: fetch, score, choose, write down; its row says what it came to.

    `now` is when it begins. A timeframe whose newer bar has closed by then is left out. Raises ModelRefused
    and psycopg2's errors; the claim stays unfinished then, and whoever claimed it notes why.
    """
    clock = Watchmaker(began=now, ticks=time.monotonic())
    timeframes = choosing.due(now).get(due_at, ())
    with database.transaction() as transaction:
        claim = scans.claim(transaction, due_at, timeframes, now) or scans.claimed(transaction, due_at)
        asked = wanted(transaction, settings, timeframes)
    outcome = _looked(database, settings, asked, due_at, clock)
    if claim is not None:
        _finish(database, claim, outcome, clock.now())
    return outcome


def _looked(
    database: Database, settings: Settings, asked: Sequence[Wanted], due_at: datetime, clock: Watchmaker
) -> ScanOutcome:
    if not asked:
        return ScanOutcome(skipped={})
    skipped = feeding.refresh(
        database, settings, asked, clock.now(), patience=PATIENCE, longest=LONGEST_ROUND
    )
    histories = _histories(database, set(asked) - skipped.keys(), due_at)
    fresh = {key: bars for key, bars in histories.items() if bars and bars[-1].closed_at == due_at}
    skipped |= {key: _why_late(bars) for key, bars in histories.items() if key not in fresh}
    late = sum(_was_due(*key, due_at) for key in skipped)
    if not fresh:
        return ScanOutcome(pairs=len(asked), late=late, skipped=skipped)
    scores, seconds = _scored(database, settings, fresh, clock)
    scored = {(score.pair, score.timeframe) for score in scores}
    skipped |= {key: _why_unscored(bars) for key, bars in fresh.items() if key not in scored}
    with database.transaction() as transaction:
        reversal_scores.store(transaction, scores, clock.now())
    return ScanOutcome(
        pairs=len(asked),
        scores=len(scores),
        notifications=tell(database, choosing.found_in(scores), clock),
        model_ms=Decimal(round(seconds * 1000, 1)),
        late=late,
        skipped=skipped,
    )


def tell(database: Database, found: Found, clock: Watchmaker) -> int:
    """Write down who is told of what, some users in each transaction; return how many notifications are new."""
    if not found.signals:
        return 0
    with database.transaction() as transaction:
        users = reversal_wants.told_about(transaction, sorted(found.of_pair))
    return sum(
        _told(database, found, users[first : first + AT_ONCE], clock.now())
        for first in range(0, len(users), AT_ONCE)
    )


def _told(database: Database, found: Found, user_ids: Sequence[int], now: datetime) -> int:
    """Choose for some users, whose rows are locked meanwhile: what another scan told them is seen here."""
    with database.transaction() as transaction:
        subscribers = reversal_wants.lock(transaction, user_ids)
        if not subscribers:
            return 0
        days = {each.wants.user_id: each.day(now) for each in subscribers}
        oldest = min(score.bar_closed_at for score in found.signals)
        since = oldest - max(each.wants.cooldown for each in subscribers)
        before = signal_notifications.sent_before(transaction, days, sorted(found.of_pair), since)
        new = [
            NewNotification(user_id=each.wants.user_id, day=days[each.wants.user_id], score=score)
            for each in subscribers
            for score in choosing.choose(found, each.wants, before[each.wants.user_id])
        ]
        return signal_notifications.store_new(transaction, new, now)


def _scored(
    database: Database, settings: Settings, histories: Histories, clock: Watchmaker
) -> tuple[list[Score], float]:
    model = registry.champion(database, clock.now())
    origins = {key: origin for key in histories if (origin := _origin(key[0], settings)) is not None}
    began = time.monotonic()
    scores = [*model.score(histories, origins), *rules.score(histories, origins, model)]
    return scores, time.monotonic() - began


def _histories(database: Database, asked: Collection[Wanted], due_at: datetime) -> dict[Wanted, list[Bar]]:
    with database.transaction() as transaction:
        return {
            (pair, timeframe): feeding.usable(
                transaction, pair, timeframe, closed_by=due_at, count=features.NEEDED
            )
            for pair, timeframe in sorted(asked)
        }


def _was_due(pair: str, timeframe: str, closed_at: datetime) -> bool:
    """Tell whether a market traded during all of the bar that closed then."""
    return must_be(market_of(pair).kind, timeframe, closed_at - length(timeframe))


def _why_late(bars: Sequence[Bar]) -> str:
    if not bars:
        return "there are no bars yet"
    return (
        f"the bar that just closed has not come; the newest closed at {bars[-1].closed_at:%Y-%m-%d %H:%M} UTC"
    )


def _why_unscored(bars: Sequence[Bar]) -> str:
    if len(bars) < features.NEEDED:
        return f"{len(bars)} bars without a gap are there, and {features.NEEDED} are needed"
    return "its bars give no features: prices do not move"


def _origin(pair: str, settings: Settings) -> Origin | None:
    source = source_of(pair, settings)
    return None if source is None else Origin(name=source.name, is_replay=source.is_replay)


def _finish(database: Database, claim: Claim, outcome: ScanOutcome, now: datetime) -> None:
    looked = Looked(
        pairs=outcome.pairs,
        scores=outcome.scores,
        notifications=outcome.notifications,
        model_ms=outcome.model_ms,
        late=outcome.late,
    )
    with database.transaction() as transaction:
        scans.finish(transaction, claim, looked, now)


def main() -> None:
    """Do one scan; where it fails its row says why and the process ends with 1, after four minutes in any case."""
    parser = argparse.ArgumentParser(prog="python -m reversal.scan")
    parser.add_argument("--due", type=datetime.fromisoformat, required=True, help="when its bars closed")
    due_at = parser.parse_args().due.astimezone(UTC)
    signal.alarm(scans.LIMIT_SECONDS)
    settings = load()
    log.logging_setup("reversal scan", settings)
    database = Database(settings.database, size=2, application_name="dashtrade reversal scan")
    try:
        outcome = scan(database, settings, due_at, datetime.now(UTC))
    except Exception as error:
        logger.exception("the scan of %s failed", due_at.isoformat())
        _note_failure(database, due_at, f"{type(error).__name__}: {error}")
        sys.exit(1)
    for (pair, timeframe), words in outcome.skipped.items():
        level = logging.WARNING if _was_due(pair, timeframe, due_at) else logging.INFO
        logger.log(level, "%s %s is not scored: %s", pair, timeframe, words)
    logger.info(
        "%s pairs and timeframes, %s scores, %s notifications",
        outcome.pairs,
        outcome.scores,
        outcome.notifications,
    )


def _note_failure(database: Database, due_at: datetime, words: str) -> None:
    with suppress(psycopg2.Error), database.transaction() as transaction:
        claim = scans.claimed(transaction, due_at)
        if claim is not None:
            scans.fail(transaction, claim, words, datetime.now(UTC))


if __name__ == "__main__":
    main()
