"""Bars of prices: each stored once as it first came, what was wrong with them, and how far they were fetched."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.bar import Bar, length
from database.pool import Row, Transaction

FEED_LOCKS = 7_300_201


class FaultKind(StrEnum):
    """What may be wrong with a bar; none of it is ever mended by us."""

    MISSING = "MISSING"
    LATE = "LATE"
    CHANGED = "CHANGED"
    IMPOSSIBLE = "IMPOSSIBLE"
    MARKET_CLOSED = "MARKET_CLOSED"
    MISALIGNED = "MISALIGNED"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFault:
    """One thing that is wrong at one bar's time, in words for people."""

    opened_at: datetime
    kind: FaultKind
    words: str


def store(
    transaction: Transaction, pair: str, timeframe: str, source: str, bars: Sequence[Bar], now: datetime
) -> int:
    """Store bars that are closed and possible; return how many were new. One that is there stays as it is."""
    return transaction.execute(
        """
        INSERT INTO market_bars (pair, timeframe, source, fetched_at, opened_at, open, high, low, close, volume)
        SELECT %(pair)s, %(timeframe)s, %(source)s, %(now)s, new.*
          FROM unnest(%(opened_at)s::timestamptz[], %(open)s::numeric[], %(high)s::numeric[], %(low)s::numeric[],
                      %(close)s::numeric[], %(volume)s::numeric[]) AS new
        ON CONFLICT DO NOTHING
        """,
        {"pair": pair, "timeframe": timeframe, "source": source, "now": now}
        | {
            name: [getattr(bar, name) for bar in bars]
            for name in ("opened_at", "open", "high", "low", "close", "volume")
        },
    )


def newest(
    transaction: Transaction, pair: str, timeframe: str, *, closed_by: datetime, count: int
) -> list[Bar]:
    """Return the newest bars that are closed by a time, at most so many, oldest first."""
    rows = transaction.all(
        """
        SELECT opened_at, open, high, low, close, volume FROM market_bars
         WHERE pair = %s AND timeframe = %s AND opened_at <= %s ORDER BY opened_at DESC LIMIT %s
        """,
        (pair, timeframe, closed_by - length(timeframe), count),
    )
    return _bars(reversed(rows), timeframe)


def opened_from(
    transaction: Transaction, pair: str, timeframe: str, since: datetime, *, closed_by: datetime
) -> list[Bar]:
    """Return the bars that opened at a time or later and are closed by another, oldest first."""
    rows = transaction.all(
        """
        SELECT opened_at, open, high, low, close, volume FROM market_bars
         WHERE pair = %s AND timeframe = %s AND opened_at >= %s AND opened_at <= %s ORDER BY opened_at
        """,
        (pair, timeframe, since, closed_by - length(timeframe)),
    )
    return _bars(rows, timeframe)


def last_prices(transaction: Transaction, pairs: Collection[str], now: datetime) -> dict[str, Decimal]:
    """Return the newest close of each pair that has bars, whatever their timeframe."""
    rows = transaction.all(
        """
        SELECT wanted.pair, newest.close FROM unnest(%s::text[]) AS wanted (pair)
         CROSS JOIN LATERAL (SELECT close FROM market_feeds AS feeds
           CROSS JOIN LATERAL (SELECT opened_at, close FROM market_bars AS bars
                                WHERE bars.pair = feeds.pair AND bars.timeframe = feeds.timeframe
                                  AND opened_at <= %s ORDER BY opened_at DESC LIMIT 1) AS bar
           WHERE feeds.pair = wanted.pair ORDER BY opened_at DESC LIMIT 1) AS newest
        """,
        (sorted(pairs), now),
    )
    return {row["pair"]: row["close"] for row in rows}


def note_faults(
    transaction: Transaction,
    pair: str,
    timeframe: str,
    source: str,
    faults: Iterable[BarFault],
    now: datetime,
) -> int:
    """Record what was wrong, each thing once; return how much of it was new."""
    return sum(
        transaction.execute(
            """
            INSERT INTO bar_faults (pair, timeframe, source, opened_at, kind, words, found_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            (pair, timeframe, source, fault.opened_at, fault.kind, fault.words, now),
        )
        for fault in faults
    )


def feed(transaction: Transaction, pair: str, timeframe: str) -> Row | None:
    """Return how far a pair and timeframe was fetched, from where, and why it last failed."""
    return transaction.maybe(
        """
        SELECT source, fetched_from, fetched_until, asked_at, failed_since, failure FROM market_feeds
         WHERE pair = %s AND timeframe = %s
        """,
        (pair, timeframe),
    )


def note_fetched(
    transaction: Transaction,
    pair: str,
    timeframe: str,
    source: str,
    until: datetime | None,
    now: datetime,
    *,
    since: datetime | None = None,
    failure: str | None = None,
) -> None:
    """Note that the bars that opened from `since` to before `until` were fetched; `failure` says what is wrong
    all the same.
    """
    transaction.execute(
        """
        INSERT INTO market_feeds (pair, timeframe, source, fetched_from, fetched_until, asked_at, failed_since, failure)
        VALUES (%(pair)s, %(timeframe)s, %(source)s, %(since)s, %(until)s, %(now)s,
                CASE WHEN %(failure)s::text IS NOT NULL THEN %(now)s END, %(failure)s)
        ON CONFLICT (pair, timeframe) DO UPDATE SET source = excluded.source, asked_at = excluded.asked_at,
               fetched_from = least(market_feeds.fetched_from, excluded.fetched_from),
               fetched_until = greatest(market_feeds.fetched_until, excluded.fetched_until),
               failed_since = CASE WHEN excluded.failure IS NOT NULL
                                   THEN coalesce(market_feeds.failed_since, excluded.failed_since) END,
               failure = excluded.failure
        """,
        {"pair": pair, "timeframe": timeframe, "source": source, "since": since}
        | {"until": until, "now": now, "failure": failure},
    )


def note_failure(
    transaction: Transaction,
    pair: str,
    timeframe: str,
    source: str,
    words: str,
    now: datetime,
    *,
    asked: bool = True,
) -> None:
    """Note that a source gave no bars, since when, and why; `asked` says that it was asked at all."""
    transaction.execute(
        """
        INSERT INTO market_feeds (pair, timeframe, source, asked_at, failed_since, failure)
        VALUES (%(pair)s, %(timeframe)s, %(source)s, %(asked_at)s, %(now)s, %(words)s)
        ON CONFLICT (pair, timeframe) DO UPDATE SET source = excluded.source,
               asked_at = coalesce(excluded.asked_at, market_feeds.asked_at),
               failed_since = coalesce(market_feeds.failed_since, excluded.failed_since), failure = excluded.failure
        """,
        {"pair": pair, "timeframe": timeframe, "source": source, "now": now, "words": words}
        | {"asked_at": now if asked else None},
    )


def asked_in_turn(transaction: Transaction, source: str) -> list[tuple[str, str]]:
    """Return the pairs and timeframes of a source, those it was asked for longest ago first.

    Those for which it failed when it was last asked come after the others.
    """
    rows = transaction.all(
        """
        SELECT pair, timeframe FROM market_feeds WHERE source = %s
         ORDER BY coalesce(asked_at >= failed_since, false), asked_at NULLS FIRST, pair, timeframe
        """,
        (source,),
    )
    return [(row["pair"], row["timeframe"]) for row in rows]


def forget_other_sources(transaction: Transaction, pair: str, source: str) -> int:
    """Forget a pair's bars that did not come from this source: no series is made of two; return how many."""
    if not transaction.value(
        "SELECT EXISTS (SELECT FROM market_feeds WHERE pair = %s AND source <> %s)", (pair, source)
    ):
        return 0
    for table in ("market_feeds", "bar_faults"):
        transaction.execute(f"DELETE FROM {table} WHERE pair = %s AND source <> %s", (pair, source))
    return transaction.execute("DELETE FROM market_bars WHERE pair = %s AND source <> %s", (pair, source))


def try_lock(transaction: Transaction, pair: str, timeframe: str) -> bool:
    """Be the one that fetches a pair and timeframe, for as long as the connection lives or until `unlock`."""
    return bool(
        transaction.value(
            "SELECT pg_try_advisory_lock(%s, hashtext(%s))", (FEED_LOCKS, f"{pair} {timeframe}")
        )
    )


def unlock(transaction: Transaction, pair: str, timeframe: str) -> None:
    """Let others fetch it."""
    transaction.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", (FEED_LOCKS, f"{pair} {timeframe}"))


def _bars(rows: Iterable[Row], timeframe: str) -> list[Bar]:
    lasts = length(timeframe)
    return [Bar(**row, closed_at=row["opened_at"] + lasts) for row in rows]
