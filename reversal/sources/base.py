"""What every source of bars does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.bar import Bar
from core.pips import MarketKind


class SourceUnavailable(Exception):
    """No bars for now; ask again later. The message is shown to people and holds no key."""


class SourceRefused(Exception):
    """No bars whatever is done but a change of settings; the message says which. It holds no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the bars of a pair come from: the source's name, and whether it plays a recording."""

    name: str
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How often a source may be asked, by all processes together: `calls` within `seconds`."""

    calls: int
    seconds: float


class BarSource(Protocol):
    """Give closed bars of some markets.

    `kinds` are the markets it knows; `timeframes` the ones it gives by itself, shortest first: longer ones
    are built from them. `is_replay` says that what it gives is a recording.
    """

    name: str
    kinds: frozenset[MarketKind]
    timeframes: tuple[str, ...]
    allowance: Allowance | None
    is_replay: bool

    def pairs(self) -> Sequence[str]:
        """Return the pairs it is known to have, or none where it has too many to name."""
        ...

    def fetch(
        self, pair: str, timeframe: str, since: datetime, until: datetime, *, now: datetime
    ) -> Sequence[Bar]:
        """Return the bars that opened from `since` to before `until` and closed by `now`, oldest first.

        What the source gave twice, wrongly or not at all is returned as it is: the caller judges it.
        Raises SourceUnavailable and SourceRefused.
        """
        ...
