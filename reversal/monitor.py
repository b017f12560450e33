"""Look after all tracked trades, once a minute: fetch each pair once, judge, follow the bots', tell.

Any number of processes may do it: a pair is judged by one at a time, and each look is written whole.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg2

from core.bar import length
from core.pips import BETWEEN, CURRENCIES, market_of
from core.trade_outcome import quoted_pair
from database import health, trade_watch
from database.pool import Database, Row
from database.trade_prices import Prices, prices_for
from reversal import feeding
from reversal.bots_trades import follow_bots
from reversal.judging import Feed, judge
from reversal.sources.registry import source_of
from settings import Settings

# Money needs no finer rates, and sources count their requests.
RATES = "1 Hour"

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Looked:
    """What one look gave. `failures` says in words which pair had no new bars, or was not judged, and why."""

    pairs: int = 0
    closed: int = 0
    updates: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def look(database: Database, settings: Settings, now: datetime) -> Looked:
    """Bring the bars of open trades up to date and judge every trade by them.

    A pair that fails is judged by the next look from where it was left, and keeps no other waiting. Raises
    psycopg2.Error where the database does not answer.
    """
    with database.transaction() as transaction:
        found = trade_watch.pairs(transaction)
    feeds = _feeds(found, settings)
    wanted = {(feed.pair, feed.timeframe) for feed in feeds} | _rate_feeds(found, settings)
    looked = Looked(pairs=len(feeds))
    if wanted:
        failed = feeding.refresh(database, settings, wanted, now)
        looked.failures.update({" ".join(each): words for each, words in failed.items()})
    with database.transaction() as transaction:
        prices = prices_for(transaction, found, now)
    for feed in feeds:
        _judge(database, looked, feed, prices, now)
    _follow_bots(database, looked, now)
    return looked


def _follow_bots(database: Database, looked: Looked, now: datetime) -> None:
    try:
        with database.transaction() as transaction:
            followed = follow_bots(transaction, now)
    except psycopg2.OperationalError:
        raise
    except Exception as error:
        logger.exception("the trades of bots cannot be followed")
        looked.failures["bots"] = f"{type(error).__name__}: {error}"
        _record(database, "trades of bots", looked.failures["bots"], now)
        return
    looked.closed += followed.ended
    looked.updates += len(followed.updates)
    for trade_id, words in followed.failures.items():
        looked.failures[f"tracked trade {trade_id}"] = words
        _record(database, f"tracked trade {trade_id}", words, now)


def _record(database: Database, subject: str, words: str, now: datetime) -> None:
    with database.transaction() as transaction:
        health.note_fault(transaction, subject, words, now)


def _feeds(found: Iterable[Row], settings: Settings) -> list[Feed]:
    """Return the bars that judge the pairs; those that nothing gives prices of are left to their owners."""
    pairs = sorted({row["pair"] for row in found})
    return [feed for pair in pairs if (feed := _feed_of(pair, settings)) is not None]


def _feed_of(pair: str, settings: Settings) -> Feed | None:
    source, finest = source_of(pair, settings), feeding.finest(pair, settings)
    if source is None or finest is None:
        return None
    return Feed(pair=pair, timeframe=finest, is_replay=source.is_replay)


def _judge(database: Database, looked: Looked, feed: Feed, prices: Prices, now: datetime) -> None:
    try:
        with database.transaction() as transaction:
            verdicts = judge(transaction, feed, prices, now)
    except psycopg2.OperationalError:
        raise
    except Exception as error:
        logger.exception("the trades of %s cannot be judged", feed.pair)
        words = f"{type(error).__name__}: {error}"
        looked.failures[feed.pair] = words
        # A subject is a label of a figure, and must not hold what users may type
        _record(database, "tracked trades", f"{feed.pair}: {words}", now)
        return
    if verdicts is not None:
        looked.closed += len(verdicts.ended)
        looked.updates += len(verdicts.updates)


def _rate_feeds(found: Iterable[Row], settings: Settings) -> set[tuple[str, str]]:
    """Return the pairs and timeframes whose prices put profits into the accounts' currencies."""
    source = source_of(quoted_pair("EUR", BETWEEN), settings)
    if source is None:
        return set()
    known, feeds = frozenset(source.pairs()), set()
    needs = {(market_of(row["pair"]).quote, row["account_currency"]) for row in found}
    for quote, currency in sorted(needs):
        if quote != currency and {quote, currency} <= CURRENCIES:
            direct = _rate_feed(quote, currency, known, settings)
            feeds |= direct or (
                _rate_feed(quote, BETWEEN, known, settings) | _rate_feed(BETWEEN, currency, known, settings)
            )
    return feeds


def _rate_feed(one: str, other: str, known: Collection[str], settings: Settings) -> set[tuple[str, str]]:
    """Return the feed of two currencies; none where the source has it not, of those that name what they have."""
    pair = quoted_pair(one, other)
    finest = None if one == other or (known and pair not in known) else feeding.finest(pair, settings)
    return set() if finest is None else {(pair, max(finest, RATES, key=length))}
