"""A reversal that the model or the rule sees in a closed bar, and who wants to hear of it; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from core.pips import Direction

RULES = "rules"
# The factor that says how a signal's model or rule did out of sample, and what it says where nothing was tried
RECORD = "out of sample"
NEVER_MEASURED = "never measured for this pair and timeframe: no edge shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What was made of one closed bar: a trade that could be opened now, or none (`direction` None).

    `confidence` is the calibrated probability that this trade reaches its target before its stop; `stage1_prob`
    that the bar starts a reversal, `stage2_prob` that this one goes up; the rule has neither. `version` names the
    model, or is `rules`. `edge_shown` says that its trades of this pair and timeframe earned something out of
    sample. `factors` are the figures that people look at, by name.
    """

    pair: str
    timeframe: str
    bar_opened_at: datetime
    bar_closed_at: datetime
    direction: Direction | None
    confidence: Decimal
    stage1_prob: Decimal | None
    stage2_prob: Decimal | None
    version: str
    entry: Decimal
    stop: Decimal | None
    target: Decimal | None
    source: str
    is_replay: bool
    edge_shown: bool
    factors: Mapping[str, str] = field(default_factory=dict)

    @property
    def expires_at(self) -> datetime:
        """Return until when it may be answered: one bar of its timeframe after the bar closed."""
        return self.bar_closed_at + (self.bar_closed_at - self.bar_opened_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """Which signals one user wants: canonical timeframes, pairs as `EUR/USD`."""

    user_id: int
    pairs: frozenset[str]
    timeframes: frozenset[str]
    min_confidence: Decimal
    only_ml_enhanced: bool
    only_with_edge: bool
    cooldown: timedelta
    daily_maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBefore:
    """What one user was told before: the newest of each pair, and how many on their day."""

    newest: Mapping[str, datetime]
    day: date
    count: int


class Unsent(StrEnum):
    """Why one user is not told of a score, in the order in which it is looked at."""

    NO_SIGNAL = "no signal"
    OTHER_PAIR = "another pair"
    OTHER_TIMEFRAME = "another timeframe"
    RULES_ONLY = "only signals of the model are wanted"
    NO_EDGE = "no edge shown"
    UNSURE = "below the confidence wanted"
    COOLING_DOWN = "the pair's cool-down"
    DAILY_MAXIMUM = "the day's maximum is reached"


def why_unsent(score: Score, wants: Wants, before: SentBefore) -> Unsent | None:
    """Return why a user is not told of a score, or None where they are."""
    newest = before.newest.get(score.pair)
    reasons = (
        (score.direction is None, Unsent.NO_SIGNAL),
        (score.pair not in wants.pairs, Unsent.OTHER_PAIR),
        (score.timeframe not in wants.timeframes, Unsent.OTHER_TIMEFRAME),
        (wants.only_ml_enhanced and score.version == RULES, Unsent.RULES_ONLY),
        (wants.only_with_edge and not score.edge_shown, Unsent.NO_EDGE),
        (score.confidence < wants.min_confidence, Unsent.UNSURE),
        (newest is not None and score.bar_closed_at - newest < wants.cooldown, Unsent.COOLING_DOWN),
        (before.count >= wants.daily_maximum, Unsent.DAILY_MAXIMUM),
    )
    return next((reason for holds, reason in reasons if holds), None)


def has_no_confidence(version: str, confidence: Decimal, record: str) -> bool:
    """Tell whether a confidence is the rule's 0 for trades that nobody counted; `record` is what RECORD says."""
    return version == RULES and not confidence and "hit rate" not in record
