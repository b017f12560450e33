"""Keep the bars of pairs up to date: fetch what is new, check it, store it once, build longer bars.

One process at a time fetches a pair and timeframe, by an advisory lock; another one waits for it, and then
finds nothing left to ask. No transaction is open while a source is asked. A source that fails is left alone for a
while; nothing ever stands in for it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core import timeframe as timeframes
from core.bar import Bar, length, opening
from core.pips import Market, MarketKind, market_of
from database import market_bars, rate_allowances
from database.pool import Database, Session, Transaction
from reversal.building import build, can_build
from reversal.checking import Known, judge, unbroken
from reversal.feed_plan import DEEPEST, DEPTH, OVERLAP, Progress, Span, is_stale, spans
from reversal.sources.base import AllowanceUsedUp, BarSource, SourceDown, SourceRefused, SourceUnavailable
from reversal.sources.registry import setting_of, source_for
from settings import Settings

# How long a refresh waits, in all, for an allowance or for another process that fetches the same.
PATIENCE = timedelta(seconds=20)
LOOK_AGAIN_SECONDS = 0.1
# No further feed is begun after that long: a slow source must not hold up what the caller does each minute.
LONGEST_ROUND = timedelta(seconds=50)
NO_TIME = "There was no time left for it; it comes first the next time."
CHOICES = ("5 Min", "15 Min", "30 Min", "1 Hour", "4 Hour", "1 Day", "1 Week")
# Offered where a source has too many pairs to name them.
COMMON: Mapping[MarketKind, tuple[str, ...]] = {
    MarketKind.FOREX: (
        *("EUR/USD", "GBP/USD", "USD/JPY", "USD/CHF", "AUD/USD", "USD/CAD", "NZD/USD"),
        *("EUR/GBP", "EUR/JPY", "GBP/JPY"),
    ),
    MarketKind.CRYPTO: ("BTC/USD", "ETH/USD", "SOL/USD", "BTC/USDT", "ETH/USDT"),
    MarketKind.STOCK: ("SPY", "QQQ", "AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "TSLA"),
}

Wanted = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One pair and timeframe that a source gives by itself, and the longer ones built from it."""

    source: BarSource
    market: Market
    timeframe: str
    longer: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """Return how many bars are wanted, so that the longest built ones are enough too."""
        times = max((length(each) // length(self.timeframe) for each in self.longer), default=1)
        return min(DEPTH * times, max(DEEPEST, DEPTH))

    @property
    def key(self) -> Wanted:
        """Return its pair and timeframe."""
        return self.market.pair, self.timeframe


@dataclass(slots=True, kw_only=True)
class Round:
    """One refresh: its time, its patience, and which sources gave no answer in it."""

    database: Database
    began_at: datetime
    patience: timedelta
    started: float = field(default_factory=time.monotonic)
    down: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """Return the time, which goes on while sources answer."""
        return self.began_at + timedelta(seconds=time.monotonic() - self.started)

    def wait(self, seconds: float) -> bool:
        """Wait, and return True; return False at once where the patience does not last that long."""
        if self.now + timedelta(seconds=seconds) > self.began_at + self.patience:
            return False
        time.sleep(seconds)
        return True


def finest(pair: str, settings: Settings) -> str | None:
    """Return the shortest timeframe that a pair's source gives, or None where there is none."""
    market = market_of(pair)
    source = source_for(market.kind, settings)
    given = source.timeframes(market.pair) if source else ()
    return given[0] if given else None


def offered(settings: Settings) -> list[Wanted]:
    """Return the pairs and timeframes that may be chosen."""
    return [
        (pair, timeframe)
        for kind in MarketKind
        if (source := source_for(kind, settings))
        for pair in source.pairs() or COMMON[kind]
        if market_of(pair).kind is kind
        for timeframe in CHOICES
        if _base_of(source, pair, timeframe)
    ]


def refresh(
    database: Database,
    settings: Settings,
    wanted: Collection[Wanted],
    now: datetime,
    *,
    patience: timedelta = PATIENCE,
    longest: timedelta = LONGEST_ROUND,
) -> dict[Wanted, str]:
    """Bring each wanted pair and timeframe up to date; return in words what could not be.

    Sound pairs come before failing ones, and those that were asked for longest ago first. After `longest` nothing
    further is begun. Raises psycopg2's errors; what was stored by then stays.
    """
    feeds, failures = _feeds(settings, wanted)
    this = Round(database=database, began_at=now, patience=patience)
    for feed in _in_turn(database, feeds):
        words = _refresh(this, feed) if this.now <= now + longest else NO_TIME
        if words:
            failures |= {(feed.market.pair, each): words for each in (feed.timeframe, *feed.longer)}
    return {each: failures[known] for each in wanted if (known := _canonical(each)) in failures}


def usable(
    transaction: Transaction, pair: str, timeframe: str, *, closed_by: datetime, count: int
) -> list[Bar]:
    """Return the newest bars closed by a time, at most so many, back to where one is missing; oldest first."""
    market = market_of(pair)
    bars = market_bars.newest(transaction, market.pair, timeframe, closed_by=closed_by, count=count)
    return unbroken(market.kind, timeframe, bars)


def _feeds(settings: Settings, wanted: Iterable[Wanted]) -> tuple[list[Feed], dict[Wanted, str]]:
    """Return what is to be fetched for what is wanted, and what of it cannot be had at all."""
    longer: dict[tuple[str, str], set[str]] = defaultdict(set)
    failures = {}
    for pair, timeframe in map(_canonical, wanted):
        try:
            base = _base(settings, pair, timeframe)
        except (SourceRefused, ValueError) as error:
            failures[pair, timeframe] = str(error)
            continue
        longer[pair, base] |= {timeframe} - {base}
    return [_feed(settings, *key, built) for key, built in longer.items()], failures


def _feed(settings: Settings, pair: str, timeframe: str, longer: Iterable[str]) -> Feed:
    market = market_of(pair)
    source = source_for(market.kind, settings)
    assert source is not None  # noqa: S101  its timeframe was read from it
    return Feed(source=source, market=market, timeframe=timeframe, longer=tuple(sorted(longer, key=length)))


def _base(settings: Settings, pair: str, timeframe: str) -> str:
    """Return the timeframe to fetch; raise SourceRefused or ValueError in words."""
    market = market_of(pair)
    try:
        timeframes.seconds(timeframe)
    except ValueError as error:
        raise ValueError(f"{timeframe!r} is no timeframe: write {error}") from None
    source = source_for(market.kind, settings)
    if source is None:
        name = setting_of(market.kind)
        raise SourceRefused(f"{market.pair} has no prices: {name} is off.")
    base = _base_of(source, market.pair, timeframe)
    if base is None:
        there = ", ".join(source.timeframes(market.pair)) or "none"
        raise SourceRefused(
            f"{source.name} has no bars of {market.pair} {timeframe}; its own timeframes are: {there}."
        )
    return base


def _base_of(source: BarSource, pair: str, timeframe: str) -> str | None:
    """Return the longest timeframe of a source's own that makes up the wanted one."""
    given = source.timeframes(pair)
    if timeframe in given:
        return timeframe
    return next((each for each in reversed(given) if can_build(timeframe, each)), None)


def _canonical(wanted: Wanted) -> Wanted:
    pair, timeframe = wanted
    try:
        return market_of(pair).pair, timeframes.canonical(timeframe)
    except ValueError:
        return wanted


def _in_turn(database: Database, feeds: Iterable[Feed]) -> list[Feed]:
    feeds = list(feeds)
    with database.transaction() as transaction:
        turns = {
            (source, *key): number
            for source in {feed.source.name for feed in feeds}
            for number, key in enumerate(market_bars.asked_in_turn(transaction, source))
        }
    return sorted(feeds, key=lambda feed: (turns.get((feed.source.name, *feed.key), -1), feed.key))


def _refresh(this: Round, feed: Feed) -> str | None:
    """Bring one pair and timeframe up to date; return what keeps it from that, in words."""
    with _alone(this, feed) as session:
        if session is None:
            return "Another process is fetching it; it was not waited for any longer."
        with session.transaction() as transaction:
            market_bars.forget_other_sources(transaction, feed.market.pair, feed.source.name)
            progress, failure = _progress(transaction, *feed.key)
        try:
            words = _fetch(this, feed, session, progress, failure)
        except (SourceUnavailable, SourceRefused) as error:
            words = _noted(this, feed, session, error)
        with session.transaction() as transaction:
            _build(transaction, feed, words, this.now)
        return words


def _fetch(this: Round, feed: Feed, session: Session, progress: Progress, failure: str | None) -> str | None:
    """Ask for what is due, and store it; return in words that the bars do not come."""
    source, asked_at = feed.source, this.now
    kind, settled = feed.market.kind, asked_at - source.settles
    due = list(spans(kind, feed.timeframe, progress, depth=feed.depth, settled=settled, now=asked_at))
    if not due:
        return failure
    if words := this.down.get(source.name):
        raise _NotAsked(words)
    for span in due:
        bars = source.fetch(
            *feed.key, span.since, span.until, now=settled, asking=_asking(this, source, session)
        )
        with session.transaction() as transaction:
            failure = _store(transaction, feed, span, bars, progress, asked_at)
    return failure


def _store(
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


def _build(transaction: Transaction, feed: Feed, words: str | None, now: datetime) -> None:
    """Build the longer bars that became whole, and those that older bars made possible."""
    base, _ = _progress(transaction, *feed.key)
    if base.fetched_from is None:
        return
    for timeframe in feed.longer:
        built, noted = _progress(transaction, feed.market.pair, timeframe)
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


def _noted(this: Round, feed: Feed, session: Session, error: Exception) -> str:
    """Note that a feed failed; return why, in words."""
    words = str(error)
    if isinstance(error, SourceDown):
        this.down[feed.source.name] = words
    asked = not isinstance(error, AllowanceUsedUp | _NotAsked)
    with session.transaction() as transaction:
        market_bars.note_failure(transaction, *feed.key, feed.source.name, words, this.now, asked=asked)
    return words


def _progress(transaction: Transaction, pair: str, timeframe: str) -> tuple[Progress, str | None]:
    row = market_bars.feed(transaction, pair, timeframe)
    if row is None:
        return Progress(), None
    times = {name: row[name] for name in ("fetched_from", "fetched_until", "asked_at", "failed_since")}
    return Progress(**times), row["failure"]


class _NotAsked(SourceUnavailable):
    """It was asked for something else in this round, and gave no answer."""


def _asking(this: Round, source: BarSource, session: Session) -> Callable[[], None]:
    """Return what takes an allowance before each request, waiting for it as long as the patience lasts."""

    def ask() -> None:
        while wait := _wait(session, source, this.now):
            if not this.wait(wait):
                limits = " and ".join(f"{each.calls} in {each.seconds} s" for each in source.allowances)
                raise AllowanceUsedUp(f"{source.name} allows {limits}; the next call is in {wait:.0f} s.")

    return ask


def _wait(session: Session, source: BarSource, now: datetime) -> float:
    """Take one call of every allowance of a source, or of none; return the seconds until there is one."""
    try:
        with session.transaction() as transaction:
            for each in source.allowances:
                within = timedelta(seconds=each.seconds)
                name = f"{source.name} {each.seconds} s"
                if wait := rate_allowances.take(transaction, name, calls=each.calls, within=within, now=now):
                    raise _MustWait(wait)
    except _MustWait as must:
        return must.seconds
    return 0.0


class _MustWait(Exception):
    """No call is left for so many seconds; whatever else was taken for it is given back."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@contextmanager
def _alone(this: Round, feed: Feed) -> Iterator[Session | None]:
    """Lend a connection on which nobody else fetches the feed, or None where the patience did not last."""
    with this.database.session() as session:
        while not _try_lock(session, feed):
            if not this.wait(LOOK_AGAIN_SECONDS):
                yield None
                return
        try:
            yield session
        finally:
            if not session.is_broken:
                with session.autocommit() as transaction:
                    market_bars.unlock(transaction, *feed.key)


def _try_lock(session: Session, feed: Feed) -> bool:
    with session.autocommit() as transaction:
        return market_bars.try_lock(transaction, *feed.key)
