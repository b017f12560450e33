"""Decide what to ask a source for, and when to leave it alone; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.bar import length, opening
from core.pips import MarketKind
from reversal.market_hours import may_be, missing, openings

# How many bars the first fetch brings, and the most it brings for longer ones to be built from.
DEPTH, DEEPEST = 600, 6000
# So many stored bars are asked for again: late ones come along, and changed ones show.
OVERLAP = 5
SHORT_PAUSE, LONG_PAUSE, LONGEST_PAUSE = timedelta(seconds=55), timedelta(minutes=5), timedelta(minutes=15)
STALE_BARS, STALE_AFTER = 3, timedelta(minutes=15)
# How much longer than its bars a stretch of time is, since markets close.
WEEKDAYS_REACH, STOCK_HOURS_REACH, WEEKEND = 1.5, 6.0, timedelta(days=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a pair and timeframe was fetched, and how the last time went."""

    fetched_from: datetime | None = None
    fetched_until: datetime | None = None
    asked_at: datetime | None = None
    failed_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bars that opened from `since` to before `until`."""

    since: datetime
    until: datetime


def spans(
    kind: MarketKind, timeframe: str, progress: Progress, *, depth: int, settled: datetime, now: datetime
) -> Iterator[Span]:
    """Give what to ask for now: what is newer than the newest bar, and what a greater depth lacks.

    `settled` is the time up to which bars may be asked for, `now` less what a source takes to settle.
    """
    end = opening(settled, timeframe)
    begin = end - reach(kind, timeframe, depth)
    if may_ask(timeframe, progress, settled=settled, now=now):
        yield from _newer(kind, timeframe, progress, begin, end)
    known_from = progress.fetched_from
    # What moves with the clock is no lack: a deeper look must be worth a request.
    if known_from and not progress.failed_since and known_from - begin > depth * length(timeframe) / 10:
        yield Span(since=begin, until=known_from)


def reach(kind: MarketKind, timeframe: str, count: int) -> timedelta:
    """Return how far back so many bars reach, at least."""
    if kind is MarketKind.CRYPTO or length(timeframe) >= timedelta(weeks=1):
        return count * length(timeframe)
    by_hours = kind is MarketKind.STOCK and length(timeframe) < timedelta(days=1)
    return count * length(timeframe) * (STOCK_HOURS_REACH if by_hours else WEEKDAYS_REACH) + WEEKEND


def may_ask(timeframe: str, progress: Progress, *, settled: datetime, now: datetime) -> bool:
    """Tell whether a source that failed, or had nothing new, has been left alone for long enough."""
    asked = progress.asked_at
    # one that lies ahead was noted by a clock that is wrong
    if asked is None or asked > now + LONGEST_PAUSE:
        return True
    if progress.failed_since is not None:
        return now - asked >= _between(SHORT_PAUSE, asked - progress.failed_since, LONGEST_PAUSE)
    if progress.fetched_until is None or asked - (now - settled) < opening(settled, timeframe):
        return True
    waited = asked - progress.fetched_until
    pause = max(length(timeframe) / 30, _between(SHORT_PAUSE, waited / 10, LONG_PAUSE))
    return now - asked >= pause


def is_stale(kind: MarketKind, timeframe: str, until: datetime, settled: datetime) -> bool:
    """Tell whether bars do not come that are due for long: three of them, and a quarter of an hour."""
    due = missing(kind, timeframe, until, opening(settled, timeframe))
    grace = max(STALE_BARS * length(timeframe), STALE_AFTER)
    return bool(due) and settled - (due[0] + length(timeframe)) > grace


def _newer(
    kind: MarketKind, timeframe: str, progress: Progress, begin: datetime, end: datetime
) -> Iterator[Span]:
    until = progress.fetched_until
    if until is None or end - until > DEEPEST * length(timeframe):
        yield Span(since=begin, until=end)
    elif any(may_be(kind, timeframe, each) for each in openings(timeframe, until, end)):
        yield Span(since=until - OVERLAP * length(timeframe), until=end)


def _between(least: timedelta, value: timedelta, most: timedelta) -> timedelta:
    return min(max(least, value), most)
