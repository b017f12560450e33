"""Store what a source gave, note what was wrong with it, and build longer bars from it."""

from collections.abc import Collection
from datetime import datetime

from core.bar import Bar, length, opening
from database import market_bars
from database.pool import Transaction
from reversal.building import build
from reversal.checking import Known, judge
from reversal.feed_plan import OVERLAP, Progress, Span, is_stale
from reversal.feed_round import Feed


def progress_of(transaction: Transaction, pair: str, timeframe: str) -> tuple[Progress, str | None]:
    """Return how far a pair and timeframe was fetched, and what keeps it from going on."""
    row = market_bars.feed(transaction, pair, timeframe)
    if row is None:
        return Progress(), None
    times = {name: row[name] for name in ("fetched_from", "fetched_until", "asked_at", "failed_since")}
    return Progress(**times), row["failure"]


def store(
    transaction: Transaction,
    feed: Feed,
    span: Span,
    bars: Collection[Bar],
    progress: Progress,
    asked_at: datetime,
) -> str | None:
    """Store what a source gave for a span and note its faults; return in words that what is due is not there."""
    is_newest = progress.fetched_until is None or span.until > progress.fetched_until
    before = market_bars.newest(transaction, *feed.key, closed_by=span.since, count=1)
    later = market_bars.opened_from(transaction, *feed.key, span.since, closed_by=asked_at)
    known = Known(
        bars={bar.opened_at: bar for bar in (*before, *later)},
        asked_at=progress.asked_at if is_newest and progress.failed_since is None else None,
    )
    _keep(transaction, feed, feed.timeframe, bars, known, asked_at)
    newest = market_bars.newest(transaction, *feed.key, closed_by=asked_at, count=1)
    until = newest[0].closed_at if newest else None
    words = _behind(feed, until, asked_at - feed.source.settles)
    market_bars.note_fetched(
        transaction, *feed.key, feed.source.name, until, asked_at, since=span.since, failure=words
    )
    return words


def build_longer(transaction: Transaction, feed: Feed, words: str | None, now: datetime) -> None:
    """Build the longer bars that became whole, and those that older bars made possible."""
    base, _ = progress_of(transaction, *feed.key)
    if base.fetched_from is None:
        return
    for timeframe in feed.longer:
        built, noted = progress_of(transaction, feed.market.pair, timeframe)
        if (since := _begin(timeframe, base, built)) is None and noted == words:
            continue
        if since is not None:
            _build_from(transaction, feed, timeframe, since, now)
        newest = market_bars.newest(transaction, feed.market.pair, timeframe, closed_by=now, count=1)
        market_bars.note_fetched(
            transaction,
            feed.market.pair,
            timeframe,
            feed.source.name,
            newest[0].closed_at if newest else None,
            now,
            since=base.fetched_from,
            failure=words,
        )


def _begin(timeframe: str, base: Progress, built: Progress) -> datetime | None:
    """Return from when on longer bars are to be built, or None where there is nothing new."""
    if base.fetched_from is None or base.fetched_until is None:
        return None
    if built.fetched_until is None or built.fetched_from is None or base.fetched_from < built.fetched_from:
        return base.fetched_from
    if opening(base.fetched_until, timeframe) <= built.fetched_until:
        return None
    return built.fetched_until - OVERLAP * length(timeframe)


def _build_from(transaction: Transaction, feed: Feed, timeframe: str, since: datetime, now: datetime) -> None:
    first = opening(since, timeframe)
    shorter = market_bars.opened_from(transaction, *feed.key, first, closed_by=now)
    there = market_bars.opened_from(transaction, feed.market.pair, timeframe, first, closed_by=now)
    bars = list(build(feed.market.kind, timeframe, feed.timeframe, shorter))
    _keep(transaction, feed, timeframe, bars, Known(bars={bar.opened_at: bar for bar in there}), now)


def _keep(
    transaction: Transaction, feed: Feed, timeframe: str, bars: Collection[Bar], known: Known, now: datetime
) -> None:
    judged = judge(feed.market.kind, timeframe, list(bars), known, now)
    about = (feed.market.pair, timeframe, feed.source.name)
    market_bars.store(transaction, *about, judged.bars, now)
    market_bars.note_faults(transaction, *about, judged.faults, now)


def _behind(feed: Feed, until: datetime | None, settled: datetime) -> str | None:
    pair, timeframe = feed.key
    if until is None:
        return f"{feed.source.name} has no bars of {pair} {timeframe}."
    if is_stale(feed.market.kind, timeframe, until, settled):
        return f"{feed.source.name} gives no bars of {pair} {timeframe} after {until:%Y-%m-%d %H:%M} UTC."
    return None
