"""Why a user was told of a score, or was not; by what they want now. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from actions.discord_settings import timeframes_of
from core.pips import Direction, market_of
from core.reversal import RULES, Score, SentBefore, Unsent, Wants, why_unsent
from ui.reversal_pages import words

FOUND_NOTHING = "○ nothing to tell: no signal"
NOTHING_OF_RULE = "○ no signal: RSI says neither oversold nor overbought"
# The factor of a score of the model with the confidence that its costs want (reversal.model)
WORTH_ABOVE = "worth its costs above"
YES, ON_ITS_WAY, FAILED = "● yes", "… on its way", "✕ not delivered: see Signals"
NOT_LINKED = "✕ your Discord is not linked"
SWITCHED_OFF = "✕ you switched signals off"
ALLOWED_NOW = "○ no, but your settings would let it through now"


def wants_of(settings: Mapping[str, Any]) -> Wants:
    """Return what a user wants, of a row of user_discord_settings; what is no pair is left out."""
    return Wants(
        user_id=settings["user_id"],
        pairs=frozenset(pairs_of(settings)),
        timeframes=frozenset(timeframes_of(dict(settings))),
        min_confidence=settings["min_confidence"],
        only_ml_enhanced=settings["only_ml_enhanced"],
        only_with_edge=settings["only_with_edge"],
        cooldown=timedelta(minutes=settings["notification_cooldown_minutes"]),
        daily_maximum=settings["max_notifications_per_day"],
    )


def pairs_of(settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the wanted pairs in their order, each in its one form."""
    found = []
    for text in settings["preferred_pairs"]:
        try:
            found.append(market_of(str(text)).pair)
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def score_of(row: Mapping[str, Any]) -> Score:
    """Return the score of a row of reversal_scores."""
    direction = None if row["signal_type"] == "hold" else Direction(row["signal_type"])
    return Score(
        pair=row["pair"],
        timeframe=row["timeframe"],
        bar_opened_at=row["bar_opened_at"],
        bar_closed_at=row["bar_closed_at"],
        direction=direction,
        confidence=row["confidence"],
        stage1_prob=row["stage1_prob"],
        stage2_prob=row["stage2_prob"],
        version=row["model_version"],
        entry=row["entry_price"],
        stop=row["stop_loss"],
        target=row["take_profit"],
        source=row["source"],
        is_replay=words.is_replay(row),
        edge_shown=row["edge_shown"],
    )


def why(
    row: Mapping[str, Any], settings: Mapping[str, Any], before: SentBefore, sent: Mapping[str, Any] | None
) -> str:
    """Say whether a user was told of a score, and if not, what kept it from them; `sent` is what they were sent."""
    score, wants = score_of(row), wants_of(settings)
    if score.direction is None:
        return nothing_found(row)
    if sent is not None:
        return YES if sent["sent_at"] else FAILED if sent["failed_at"] else ON_ITS_WAY
    if settings["discord_user_id"] is None:
        return NOT_LINKED
    if not settings["notifications_enabled"]:
        return SWITCHED_OFF
    reason = why_unsent(score, wants, before)
    return ALLOWED_NOW if reason is None else f"✕ {_reason(reason, wants)}"


def nothing_found(row: Mapping[str, Any]) -> str:
    """Say why a score is no signal."""
    if row["model_version"] == RULES:
        return NOTHING_OF_RULE
    needed = dict(row["factors"]).get(WORTH_ABOVE)
    if needed is None or row["confidence"] > Decimal(needed):
        return FOUND_NOTHING
    return (
        f"○ no signal: its chance is too small for its costs (needs more than {Decimal(needed) * 100:.1f} %)"
    )


def _reason(reason: Unsent, wants: Wants) -> str:
    return {
        Unsent.OTHER_PAIR: "a pair that you did not choose",
        Unsent.OTHER_TIMEFRAME: "a timeframe that you did not choose",
        Unsent.RULES_ONLY: "of the plain rule; you want the model's alone",
        Unsent.NO_EDGE: "no edge shown; you want only those with one",
        Unsent.UNSURE: f"below your minimum of {words.confidence(wants.min_confidence)}",
        Unsent.COOLING_DOWN: f"you were told of this pair within {words.in_short(wants.cooldown)}",
        Unsent.DAILY_MAXIMUM: f"you had your {wants.daily_maximum} of today",
    }.get(reason, str(reason))
