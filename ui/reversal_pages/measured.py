"""Whether a score's trades were ever measured, who found it, and how sure that makes its confidence."""

from collections.abc import Mapping
from typing import Any

from core.reversal import NEVER_MEASURED, RECORD, RULES, has_no_confidence
from ui.formatting import NOTHING
from ui.reversal_pages import words

NEVER_TESTED = "was never tested on this pair and timeframe, so no edge is shown."
EARNED_NOTHING = (
    "trades of this pair and timeframe showed no gain after costs on data that the model had not seen."
)
OF_THE_RULE = (
    "The confidence of the plain rule is how often it reached its target on measured data;"
    f" {NOTHING} where it was never measured."
)


def by(row: Mapping[str, Any]) -> str:
    """Say who found a score or signal."""
    return "plain rule" if row["model_version"] == RULES else "model"


def confidence(row: Mapping[str, Any]) -> str:
    """Write the confidence of a score or signal; the plain rule has none where it was never measured."""
    is_unknown = has_no_confidence(row["model_version"], row["confidence"], record(row))
    return NOTHING if is_unknown else words.confidence(row["confidence"])


def no_edge(row: Mapping[str, Any]) -> str:
    """Say why a signal has no edge: it was never tested there, or was and earned nothing."""
    if record(row) == NEVER_MEASURED:
        return f"The {by(row)} {NEVER_TESTED}"
    return f"No edge shown: the {by(row)}’s {EARNED_NOTHING}"


def record(row: Mapping[str, Any]) -> str:
    """Return what a score's factors say of its trades out of sample."""
    return str(dict(row["factors"]).get(RECORD, ""))
