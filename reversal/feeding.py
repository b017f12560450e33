"""Keep the bars of pairs up to date: fetch what is new, check it, store it once, build longer bars.

One process at a time fetches a pair and timeframe, by an advisory lock; another one waits for it, and then
finds nothing left to ask. No transaction is open while a source is asked. A source that fails is left alone for a
while; nothing ever stands in for it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from core import timeframe as timeframes
from core.bar import Bar, length
from core.pips import MarketKind, market_of
from database import market_bars
from database.pool import Database, Session, Transaction
from reversal.building import can_build
from reversal.checking import unbroken
from reversal.feed_plan import Progress, spans
from reversal.feed_round import Feed, Round, alone, asking
from reversal.feed_storing import build_longer, progress_of, store
from reversal.sources.base import AllowanceUsedUp, BarSource, SourceDown, SourceRefused, SourceUnavailable
from reversal.sources.registry import setting_of, source_for
from settings import Settings

# How long a refresh waits, in all, for an allowance or for another process that fetches the same.
PATIENCE = timedelta(seconds=20)
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
    with alone(this, feed) as session:
        if session is None:
            return "Another process is fetching it; it was not waited for any longer."
        with session.transaction() as transaction:
            market_bars.forget_other_sources(transaction, feed.market.pair, feed.source.name)
            progress, failure = progress_of(transaction, *feed.key)
        try:
            words = _fetch(this, feed, session, progress, failure)
        except (SourceUnavailable, SourceRefused) as error:
            words = _noted(this, feed, session, error)
        with session.transaction() as transaction:
            build_longer(transaction, feed, words, this.now)
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
            *feed.key, span.since, span.until, now=settled, asking=asking(this, source, session)
        )
        with session.transaction() as transaction:
            failure = store(transaction, feed, span, bars, progress, asked_at)
    return failure


def _noted(this: Round, feed: Feed, session: Session, error: Exception) -> str:
    """Note that a feed failed; return why, in words."""
    words = str(error)
    if isinstance(error, SourceDown):
        this.down[feed.source.name] = words
    asked = not isinstance(error, AllowanceUsedUp | _NotAsked)
    with session.transaction() as transaction:
        market_bars.note_failure(transaction, *feed.key, feed.source.name, words, this.now, asked=asked)
    return words


class _NotAsked(SourceUnavailable):
    """It was asked for something else in this round, and gave no answer."""
