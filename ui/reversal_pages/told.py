"""Why a user was told of a score, or was not; by what they want now. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from core.pips import market_of
from core.reversal import RULES, SentBefore, Unsent, Wants, why_unsent
from database.reversal_scores import score_of
from database.reversal_wants import wants_of
from ui.reversal_pages import words

FOUND_NOTHING = "○ nothing to tell: no signal"
NOTHING_OF_RULE = "○ no signal: RSI says neither oversold nor overbought"
# The factor of a score of the model with the confidence that its costs want (reversal.model)
WORTH_ABOVE = "worth its costs above"
YES, ON_ITS_WAY, FAILED = "● yes", "… on its way", "✕ not delivered: see Signals"
NOT_LINKED = "✕ your Discord is not linked"
SWITCHED_OFF = "✕ you switched signals off"
ALLOWED_NOW = "○ no, but your settings would let it through now"


def pairs_of(settings: Mapping[str, Any]) -> Sequence[str]:
    """Return the wanted pairs in their order, each in its one form."""
    found = []
    for text in settings["preferred_pairs"]:
        try:
            found.append(market_of(str(text)).pair)
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def why(
    row: Mapping[str, Any], settings: Mapping[str, Any], before: SentBefore, sent: Mapping[str, Any] | None
) -> str:
    """Say whether a user was told of a score, and if not, what kept it from them; `sent` is what they were sent."""
    score, wants = score_of(dict(row)), wants_of(dict(settings))
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
