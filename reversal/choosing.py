"""When bars are looked at, and which of what was found one user is told of; pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.bar import opening
from core.pips import Direction
from core.reversal import RULES, Score, SentBefore, Wants, why_unsent

# Each is scanned right after its bar closed; scans lie on every fifth minute.
TIMEFRAMES = ("5 Min", "15 Min", "30 Min", "45 Min", "1 Hour", "2 Hour", "4 Hour", "1 Day", "1 Week")

Seen = tuple[str, str, datetime, Direction | None]


def due(now: datetime) -> dict[datetime, tuple[str, ...]]:
    """Return the scans that are due at a time, the newest first, with the timeframes of each.

    For each timeframe that is the moment at which its newest closed bar closed. So whoever was away looks
    at that one bar, and not at those before it, whose signals have expired.
    """
    closings: dict[datetime, tuple[str, ...]] = {}
    for timeframe in TIMEFRAMES:
        closed_at = opening(now, timeframe)
        closings[closed_at] = (*closings.get(closed_at, ()), timeframe)
    return dict(sorted(closings.items(), reverse=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The signals of one scan in the order in which they are told: the surest first.

    `of_pair` has the places of each pair's signals in `signals`; `twins` the model's signals of the same bar
    and direction as the rule's, by the latter's place.
    """

    signals: Sequence[Score]
    of_pair: Mapping[str, Sequence[int]]
    twins: Mapping[int, Score]

    def of(self, pairs: Iterable[str]) -> Iterator[tuple[Score, Score | None]]:
        """Give the signals of some pairs, each with the model's twin of a rule's."""
        for place in sorted(place for pair in pairs for place in self.of_pair.get(pair, ())):
            yield self.signals[place], self.twins.get(place)


def found_in(scores: Iterable[Score]) -> Found:
    """Return the scores that are signals, as `choose` wants them."""
    signals = sorted((score for score in scores if score.direction is not None), key=_order)
    models = {_seen(score): score for score in signals if score.version != RULES}
    of_pair: dict[str, list[int]] = {}
    twins: dict[int, Score] = {}
    for place, score in enumerate(signals):
        of_pair.setdefault(score.pair, []).append(place)
        if score.version == RULES and _seen(score) in models:
            twins[place] = models[_seen(score)]
    return Found(signals=signals, of_pair=of_pair, twins=twins)


def choose(found: Found, wants: Wants, before: SentBefore) -> list[Score]:
    """Return what one user is told of, in order of confidence; each counts for what comes after it.

    What model and rule both saw in a bar is told once: as the model's, where that one is wanted.
    """
    chosen: list[Score] = []
    seen: set[Seen] = set()
    told = replace(before, newest=dict(before.newest))
    for score, twin in found.of(wants.pairs):
        if told.count >= wants.daily_maximum:
            break
        if _seen(score) in seen or why_unsent(score, wants, told) is not None:
            continue
        chosen.append(twin if twin is not None and why_unsent(twin, wants, told) is None else score)
        seen.add(_seen(score))
        told = _after(told, score)
    return chosen


def _after(told: SentBefore, score: Score) -> SentBefore:
    newest = max(score.bar_closed_at, told.newest.get(score.pair, score.bar_closed_at))
    return replace(told, newest={**told.newest, score.pair: newest}, count=told.count + 1)


def _seen(score: Score) -> Seen:
    return (score.pair, score.timeframe, score.bar_opened_at, score.direction)


def _order(score: Score) -> tuple[object, ...]:
    return (-score.confidence, score.version == RULES, score.pair, score.timeframe)
