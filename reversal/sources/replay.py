"""Play recorded prices as if they came now: real series that two installed packages carry.

EUR/USD by the hour of 2017 from gym-anytrading (MIT), the S&P 500 and the Nasdaq by the day of 1999 to 2018 from
arch (NCSA). The later part of each is played, in a loop; the earlier one is what the default model learns from,
so nothing that is played was ever learned.
"""

import csv
import gzip
import importlib.util
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from core.bar import Bar, length
from core.pips import MarketKind
from reversal.sources.base import AT_ONCE, Allowance, SourceRefused, freely

NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One series: its file in a package, how its times are written, and which part is played.

    From `played_from`, a Sunday, `weeks` whole weeks are played, then again from the first. `clock` is the one
    that is turned forward: the currency market opens and closes by New York's.
    """

    pair: str
    timeframe: str
    package: str
    path: str
    time_format: str
    time_column: str
    played_from: datetime
    weeks: int
    clock: tzinfo


RECORDINGS = (
    Recording(
        pair="EUR/USD",
        timeframe="1 Hour",
        package="gym_anytrading",
        path="datasets/data/FOREX_EURUSD_1H_ASK.csv",
        time_format="%d.%m.%Y %H:%M:%S.%f",
        time_column="Time",
        played_from=datetime(2017, 8, 6, tzinfo=UTC),
        weeks=20,
        clock=NEW_YORK,
    ),
    *(
        Recording(
            pair=pair,
            timeframe="1 Day",
            package="arch",
            path=f"data/{folder}/{folder}.csv.gz",
            time_format="%m/%d/%Y",
            time_column="Date",
            played_from=datetime(2013, 1, 6, tzinfo=UTC),
            weeks=312,
            clock=UTC,
        )
        for pair, folder in (("SP500", "sp500"), ("NASDAQ", "nasdaq"))
    ),
)


class ReplaySource:
    """Give the recordings' later parts again and again, moved to now by whole weeks."""

    name = "replay"
    kinds = frozenset({MarketKind.FOREX, MarketKind.STOCK})
    allowances: tuple[Allowance, ...] = ()
    settles = AT_ONCE
    is_replay = True

    def pairs(self) -> Sequence[str]:
        """Return the pairs that were recorded."""
        return [recording.pair for recording in RECORDINGS]

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframe in which a pair was recorded, or none."""
        return [recording.timeframe for recording in RECORDINGS if recording.pair == pair]

    def fetch(
        self,
        pair: str,
        timeframe: str,
        since: datetime,
        until: datetime,
        *,
        now: datetime,
        asking: Callable[[], None] = freely,
    ) -> Sequence[Bar]:
        """Return the bars played from `since` to before `until` that are closed by `now`."""
        asking()
        recording = recording_of(pair, timeframe)
        return [bar for bar in _played(recording, since, until) if bar.closed_at <= now]


def recording_of(pair: str, timeframe: str) -> Recording:
    """Return the recording of a pair; raise SourceRefused that names those there are."""
    for recording in RECORDINGS:
        if (recording.pair, recording.timeframe) == (pair, timeframe):
            return recording
    there = ", ".join(f"{each.pair} {each.timeframe}" for each in RECORDINGS)
    raise SourceRefused(f"There is no recording of {pair} {timeframe}; there are {there}.")


@cache
def recorded(recording: Recording) -> tuple[Bar, ...]:
    """Return a whole recording at its own times, oldest first."""
    return tuple(_read(recording))


def learned_from(recording: Recording) -> Sequence[Bar]:
    """Return the part that is never played."""
    bars = recorded(recording)
    return bars[: bisect_left(bars, recording.played_from, key=lambda bar: bar.opened_at)]


def _played(recording: Recording, since: datetime, until: datetime) -> Iterator[Bar]:
    start, turn = recording.played_from, timedelta(weeks=recording.weeks)
    bars = recorded(recording)
    first, last = (bisect_left(bars, time, key=lambda bar: bar.opened_at) for time in (start, start + turn))
    for number in range((since - start) // turn - 1, (until - start) // turn + 2):
        for bar in bars[first:last]:
            moved = _moved(bar, number * turn, recording.clock)
            if since <= moved.opened_at < until:
                yield moved


def _moved(bar: Bar, by: timedelta, clock: tzinfo) -> Bar:
    opened = (bar.opened_at.astimezone(clock) + by).astimezone(UTC)
    return replace(bar, opened_at=opened, closed_at=opened + (bar.closed_at - bar.opened_at))


def _read(recording: Recording) -> Iterator[Bar]:
    lasts = length(recording.timeframe)
    for row in csv.DictReader(_text(recording).splitlines()):
        opened = datetime.strptime(row[recording.time_column], recording.time_format).replace(tzinfo=UTC)
        prices = {name.lower(): Decimal(row[name]) for name in ("Open", "High", "Low", "Close")}
        yield Bar(opened_at=opened, closed_at=opened + lasts, volume=Decimal(row["Volume"]), **prices)


def _text(recording: Recording) -> str:
    found = importlib.util.find_spec(recording.package)
    if found is None or not found.submodule_search_locations:
        raise SourceRefused(f"The package {recording.package} is not installed; `make setup` installs it.")
    content = (Path(next(iter(found.submodule_search_locations))) / recording.path).read_bytes()
    return (gzip.decompress(content) if recording.path.endswith(".gz") else content).decode()
