"""One refresh of feeds: its time and patience, its turn on a feed, and the allowances it takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.bar import length
from core.pips import Market
from database import market_bars, rate_allowances
from database.pool import Database, Session
from reversal.feed_plan import DEEPEST, DEPTH
from reversal.sources.base import AllowanceUsedUp, BarSource

LOOK_AGAIN_SECONDS = 0.1


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
    def key(self) -> tuple[str, str]:
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


def asking(this: Round, source: BarSource, session: Session) -> Callable[[], None]:
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
def alone(this: Round, feed: Feed) -> Iterator[Session | None]:
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
