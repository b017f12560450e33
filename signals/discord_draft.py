"""Gather what a message says of a trade, and find what in it contradicts itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from core.order import MarginMode
from core.signal import Action, QuantityMode
from core.wording import number as shown
from signals.discord_reading import Part
from signals.levels import MAX_TARGETS

# A stop or target further off than this is a slip of the pen: `60k / 58 / 65`, `TP 650000`
FARTHEST_STOP = Decimal(4)
FARTHEST_TARGET = Decimal(10)
WIDEST_RANGE = Decimal("1.5")


class Mark(StrEnum):
    """How a message was written: what tells one format from another."""

    CLOSING = "closing"
    LADDER = "ladder"
    EMOJI_LABEL = "emoji label"
    PAIR_LABEL = "pair label"
    TICKER_LABEL = "ticker label"
    NUMBERED_LIST = "numbered list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A symbol as it was written; `quote` is None for a coin alone."""

    base: str
    quote: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry price, or with `high` the range from `low` to it. `labelled`: a word says that it is one."""

    low: Decimal
    high: Decimal | None = None
    labelled: bool = True


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything read so far, each in the order of the message; nothing is compared yet."""

    parts: list[Part] = field(default_factory=list)
    marks: set[Mark] = field(default_factory=set)
    sides: list[Action] = field(default_factory=list)
    circles: list[Action] = field(default_factory=list)
    symbols: list[Named] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    at_market: bool = False
    limit_wanted: bool = False
    stops: list[Decimal] = field(default_factory=list)
    targets: list[tuple[int | None, Decimal]] = field(default_factory=list)
    leverages: list[Decimal] = field(default_factory=list)
    margins: list[MarginMode] = field(default_factory=list)
    sizes: list[tuple[Decimal, QuantityMode]] = field(default_factory=list)
    closing: bool = False

    @property
    def action(self) -> Action | None:
        """Return what to do, or None where no side is named. A coloured circle counts only by itself."""
        if self.closing:
            return Action.CLOSE
        return next(iter(self.sides or self.circles), None)

    @property
    def has_levels(self) -> bool:
        return bool(self.entries or self.stops or self.targets)

    @property
    def ordered_targets(self) -> tuple[Decimal, ...]:
        """Return the targets, numbered ones by their numbers."""
        if any(number is None for number, _ in self.targets):
            return tuple(price for _, price in self.targets)
        return tuple(price for _, price in sorted(self.targets, key=lambda target: target[0] or 0))

    def contradiction(self) -> str | None:
        """Return the first sentence that says how the message contradicts itself, or None."""
        return next(self._twice(), None) or next(self._wrong_levels(), None)

    def _twice(self) -> Iterator[str]:
        sides = self.sides or self.circles
        if len(set(sides)) > 1:
            yield "The message says both long and short."
        if len({each.base for each in self.symbols}) > 1 or len(_quotes(self.symbols)) > 1:
            names = ", ".join(dict.fromkeys(each.text for each in self.symbols))
            yield f"The message names several symbols ({names}); write one signal in each message."
        for what, values in (("entries", self.entries), ("stops", self.stops), ("sizes", self.sizes)):
            if len(values) > 1:
                yield f"The message gives {len(values)} {what}; write one."
        if len(set(self.leverages)) > 1 or len(set(self.margins)) > 1:
            yield "The message gives more than one leverage or margin mode; write one."
        if self.at_market and (self.entries or self.limit_wanted):
            yield "The message says to enter at market and names an entry price; write one of the two."
        if self.limit_wanted and not self.entries:
            yield "The message asks for a limit entry without its price."
        yield from self._wrong_numbering()

    def _wrong_numbering(self) -> Iterator[str]:
        numbers = [number for number, _ in self.targets]
        given = sorted(number for number in numbers if number is not None)
        if given and (len(given) < len(numbers) or given != list(range(1, len(numbers) + 1))):
            yield "The targets are not numbered from TP1 on, each number once."
        if len(numbers) > MAX_TARGETS:
            yield f"The message gives {len(numbers)} targets; {MAX_TARGETS} is the most."

    def _wrong_levels(self) -> Iterator[str]:
        side = self.action
        if side not in (Action.BUY, Action.SELL):
            return
        entry = self.entries[0] if self.entries else None
        stop = self.stops[0] if self.stops else None
        yield from _wide_range(entry)
        yield from _wrong_stop(side, entry, stop)
        yield from _wrong_targets(side, entry, stop, self.ordered_targets)
        yield from _far(entry, stop, self.ordered_targets)


def nearer_edge(side: Action, entry: Entry) -> Decimal:
    """Return the edge of the entry that a price coming from the target's side reaches first."""
    if entry.high is None:
        return entry.low
    return entry.high if side is Action.BUY else entry.low


def _quotes(symbols: Sequence[Named]) -> set[str]:
    return {each.quote for each in symbols if each.quote is not None}


def _wide_range(entry: Entry | None) -> Iterator[str]:
    if entry is None or entry.high is None:
        return
    if entry.low == entry.high:
        yield f"The entry range begins and ends at {shown(entry.low)}; write one price."
    if entry.high / entry.low > WIDEST_RANGE:
        ends = f"{shown(entry.low)} to {shown(entry.high)}"
        yield f"The entry range {ends} is too wide to be meant; write both prices in full."


def _wrong_stop(side: Action, entry: Entry | None, stop: Decimal | None) -> Iterator[str]:
    if entry is None or stop is None:
        return
    if side is Action.BUY and stop >= entry.low:
        yield f"A long's stop must be below its entry: {shown(stop)} is not below {shown(entry.low)}."
    upper = entry.high or entry.low
    if side is Action.SELL and stop <= upper:
        yield f"A short's stop must be above its entry: {shown(stop)} is not above {shown(upper)}."


def _wrong_targets(
    side: Action, entry: Entry | None, stop: Decimal | None, targets: tuple[Decimal, ...]
) -> Iterator[str]:
    where, name = ("above", "long") if side is Action.BUY else ("below", "short")
    start, what = (stop, "stop") if entry is None else (nearer_edge(side, entry), "entry")
    for target in targets:
        if start is not None and not _beyond(side, start, target):
            yield (
                f"A {name}'s targets must be {where} its {what}: {shown(target)} is not {where} {shown(start)}."
            )
    way = "up" if side is Action.BUY else "down"
    for one, other in pairwise(targets):
        if not _beyond(side, one, other):
            yield f"A {name}'s targets must go {way}: {shown(other)} comes after {shown(one)}."


def _beyond(side: Action, start: Decimal, target: Decimal) -> bool:
    return target > start if side is Action.BUY else target < start


def _far(entry: Entry | None, stop: Decimal | None, targets: tuple[Decimal, ...]) -> Iterator[str]:
    levels = [("target", target, FARTHEST_TARGET) for target in targets]
    start = stop if entry is None else entry.low
    if entry is not None and stop is not None:
        levels.append(("stop", stop, FARTHEST_STOP))
    for what, level, most in levels:
        if start is not None and max(level / start, start / level) > most:
            yield (
                f"The {what} {shown(level)} is too far from {shown(start)} to be meant; write every price in full."
            )
