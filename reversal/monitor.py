"""Look after all tracked trades, once a minute: fetch each pair once, judge, follow the bots', tell.

Any number of processes may do it: a pair is judged by one at a time, and each look is written whole.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import psycopg2

from core.bar import length
from core.pips import BETWEEN, CURRENCIES, market_of
from core.trade_outcome import quoted_pair
from database import trade_watch
from database.pool import Database, Row
from database.trade_rows import prices_for
from reversal import feeding
from reversal.judging import judge
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
    timeframes = {pair: feeding.finest(pair, settings) for pair in {row["pair"] for row in found}}
    judged = {pair: timeframe for pair, timeframe in timeframes.items() if timeframe is not None}
    wanted = set(judged.items()) | _rate_feeds(found, settings)
    looked = Looked(pairs=len(judged))
    if wanted:
        failed = feeding.refresh(database, settings, wanted, now)
        looked.failures.update({" ".join(feed): words for feed, words in failed.items()})
    with database.transaction() as transaction:
        prices = prices_for(transaction, found, now)
    for pair in sorted(judged):
        _judge(database, looked, pair, judged[pair], prices, now)
    return looked


def _judge(
    database: Database,
    looked: Looked,
    pair: str,
    timeframe: str,
    prices: Mapping[str, Decimal],
    now: datetime,
) -> None:
    try:
        with database.transaction() as transaction:
            verdicts = judge(transaction, pair, timeframe, prices, now)
    except psycopg2.OperationalError:
        raise
    except Exception as error:
        logger.exception("the trades of %s cannot be judged", pair)
        looked.failures[pair] = f"{type(error).__name__}: {error}"
        return
    if verdicts is not None:
        looked.closed += len(verdicts.ended)
        looked.updates += len(verdicts.updates)


def _rate_feeds(found: Iterable[Row], settings: Settings) -> set[tuple[str, str]]:
    """Return the pairs and timeframes whose prices put profits into the accounts' currencies."""
    needs = {(market_of(row["pair"]).quote, row["account_currency"]) for row in found}
    feeds: set[tuple[str, str]] = set()
    for quote, currency in needs:
        if quote != currency and {quote, currency} <= CURRENCIES:
            direct = _feed(quote, currency, settings)
            feeds |= direct or _feed(quote, BETWEEN, settings) | _feed(BETWEEN, currency, settings)
    return feeds


def _feed(one: str, other: str, settings: Settings) -> set[tuple[str, str]]:
    if one == other:
        return set()
    pair = quoted_pair(one, other)
    source, finest = source_of(pair, settings), feeding.finest(pair, settings)
    if source is None or finest is None or (source.pairs() and pair not in source.pairs()):
        return set()
    return {(pair, max(finest, RATES, key=length))}
