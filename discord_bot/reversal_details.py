"""What is behind a signal: its probabilities, its factors, and what the model showed out of sample."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import discord

from alerts.neutral import neutral, shortened
from core.pips import Direction
from core.wording import number
from database.pool import Row, Transaction
from discord_bot.reversal_embed import FIELD_VALUE, NOT_KNOWN, percent, title

Details = Mapping[str, Any]


def details_of(transaction: Transaction, row: Row) -> Details:
    """Return what is known of the model that gave a signal."""
    return {}


def embed_of_details(row: Row, behind: Details) -> discord.Embed:
    """Return what is behind a signal, as it is, good or bad."""
    made = discord.Embed(title=f"📊 {title(row)}"[:256], description=_confidence(row))
    made.add_field(name="Stage 1: a reversal starts here", value=percent(row["stage1_prob"]))
    made.add_field(name="Stage 2: it goes up rather than down", value=_stage2(row))
    made.add_field(name="Model", value=shortened(neutral(row["model_version"]), FIELD_VALUE))
    made.add_field(name="What it looked at", value=_factors(row["factors"]), inline=False)
    return made


def _confidence(row: Row) -> str:
    ratio = row["risk_reward_ratio"]
    needed = percent(1 / (1 + ratio))
    return (
        f"Confidence {percent(row['confidence'])}: so many of 100 trades like this one are expected to reach"
        f" the target before the stop. At 1:{number(round(ratio, 2))} a trade pays above {needed}, before costs."
        " It is an estimate from the past, and no promise."
    )


def _stage2(row: Row) -> str:
    up = row["stage2_prob"]
    if up is None or not up.is_finite():
        return NOT_KNOWN
    down = f" (down: {percent(1 - up)})" if row["signal_type"] == Direction.SHORT else ""
    return f"{percent(up)}{down}"


def _factors(stored: object) -> str:
    lines = [f"{neutral(str(name))}: {_figure(value)}" for name, value in _pairs(stored)]
    return shortened("\n".join(lines), FIELD_VALUE) if lines else NOT_KNOWN


def _pairs(stored: object) -> Iterable[tuple[object, object]]:
    if isinstance(stored, Mapping):
        return stored.items()
    return [(each[0], each[1]) for each in stored or () if len(each) == 2] if isinstance(stored, list) else ()


def _figure(value: object) -> str:
    """Return a factor as it came; what is no number among numbers is not known."""
    text = " ".join(str(value).split())
    try:
        is_figure = Decimal(text.rstrip("% ")).is_finite()
    except InvalidOperation:
        is_figure = bool(text)
    return neutral(text) if is_figure and value is not None else NOT_KNOWN
