"""Look at the scan for reversals: does it live, what came of the newest one, and which prices do not come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from administration.console import Console
from administration.finding import Finding, moment
from database import health, notification_sending, reversal_reading, scans
from database.pool import Row
from reversal.sources.registry import missing_keys

PART = "reversal watch"
# There is a scan every five minutes, and it may last four
LATE_AFTER = timedelta(minutes=10)
WAITS_AFTER = timedelta(minutes=10)
# Nobody wants what was asked for longer ago
ASKED_WITHIN = timedelta(days=1)


def reversal_watch(console: Console) -> Iterator[Finding]:
    """Say whether the watch lives, how its newest scan went, and which feeds fail."""
    now = datetime.now(UTC)
    with console.transaction() as transaction:
        beat = next((row for row in health.heartbeats(transaction) if row["part"] == PART), None)
        newest = scans.newest(transaction)
        feeds = reversal_reading.feeds(transaction)
        waiting = notification_sending.waiting(transaction)
    if beat is None and not console.settings.reversal_watches:
        yield Finding(subject=PART, words="switched off (REVERSAL_WATCHES=0)")
        return
    yield _life(beat)
    for words in missing_keys(console.settings):
        yield Finding(subject="reversal prices", words=words, mend="set it, or choose another source")
    if newest is not None:
        yield _scan(newest, now, is_alive=beat is not None and bool(beat["alive"]))
    for feed in feeds:
        if feed["failure"] and now - feed["asked_at"] < ASKED_WITHIN:
            yield _feed(feed)
    if waiting["count"] and now - waiting["oldest"] > WAITS_AFTER:
        yield _waiting(waiting)


def _life(beat: Row | None) -> Finding:
    if beat is not None and beat["alive"]:
        return Finding(subject=PART, words=f"{beat['alive']} running")
    words = "never ran" if beat is None else f"silent since {moment(beat['beat_at'])}"
    return Finding(subject=PART, words=words, mend="start DashTrade: make run")


def _scan(newest: Row, now: datetime, *, is_alive: bool) -> Finding:
    subject, due = "reversal scan", moment(newest["due_at"])
    if newest["failure"]:
        words = f"that of {due} failed: {newest['failure']}"
        return Finding(
            subject=subject, words=words, mend="read the log at that time; it is tried again by itself"
        )
    if is_alive and now - newest["due_at"] > LATE_AFTER:
        mend = "look at the clocks of the machines, and into the log of the reversal watch"
        return Finding(subject=subject, words=f"none since that of {due}", mend=mend)
    return Finding(subject=subject, words=f"the newest is that of {due}")


def _waiting(waiting: Row) -> Finding:
    words = f"{waiting['count']} wait for Discord, the oldest since {moment(waiting['oldest'])}"
    mend = "see whether the Discord bot runs and is connected, and what its log says"
    return Finding(subject="signals and news of trades", words=words, mend=mend)


def _feed(feed: Row) -> Finding:
    subject = f"prices of {feed['pair']} {feed['timeframe']} ({feed['source']})"
    since = moment(feed["failed_since"] or feed["asked_at"])
    mend = "see docs/market-data.md; until then nobody is told of reversals there"
    return Finding(subject=subject, words=f"none since {since}: {feed['failure']}", mend=mend)
