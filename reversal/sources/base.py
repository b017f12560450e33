"""What every source of bars does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from core.bar import Bar
from core.pips import MarketKind

AT_ONCE = timedelta(0)
# A bar is asked for that long after its close: a clock that is ahead must not take a forming bar for closed.
SETTLED = timedelta(seconds=3)


class SourceUnavailable(Exception):
    """No bars for now; ask again later. The message is shown to people and holds no key."""


class SourceRefused(Exception):
    """No bars whatever is done but a change of settings; the message says which. It holds no key."""


class SourceDown(SourceUnavailable):
    """Nothing came at all, or it asks us to wait: whatever else it is asked for would not come either."""


class AllowanceUsedUp(SourceUnavailable):
    """No request may be made for now; nothing is wrong with the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the bars of a pair come from: the source's name, and whether it plays a recording."""

    name: str
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How often a source may be asked, by all processes together: `calls` within `seconds`."""

    calls: int
    seconds: int


def freely() -> None:
    """Let a request be made at once."""


class BarSource(Protocol):
    """Give closed bars of some markets.

    `kinds` are the markets it knows, `allowances` all hold at once, `settles` is how long after its close a bar is
    asked for. `is_replay` says that what it gives is a recording.
    """

    name: str
    kinds: frozenset[MarketKind]
    allowances: tuple[Allowance, ...]
    settles: timedelta
    is_replay: bool

    def pairs(self) -> Sequence[str]:
        """Return the pairs it is known to have, or none where it has too many to name."""
        ...

    def timeframes(self, pair: str) -> Sequence[str]:
        """Return the timeframes it gives of a pair by itself, shortest first; longer ones are built from them."""
        ...

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
        """Return the bars that opened from `since` to before `until` and closed by `now`.

        What the source gave twice, out of order, wrongly or not at all is returned as it is: the caller judges
        it; a price that is no number is NaN. `asking` is called before each request and may raise
        AllowanceUsedUp. Raises SourceUnavailable and SourceRefused.
        """
        ...


def origin_of(source: BarSource) -> Origin:
    """Return what is said of the bars of a source."""
    return Origin(name=source.name, is_replay=source.is_replay)
