"""What is behind a signal: its probabilities, its factors, and what the model showed out of sample."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import discord

from alerts.neutral import neutral, shortened
from core.pips import Direction
from core.reversal import RULES
from core.wording import number
from database import model_versions
from database.pool import Row, Transaction
from discord_bot.reversal_embed import (
    FIELD_VALUE,
    NEVER_TESTED_WORDS,
    NO_CONFIDENCE,
    NO_EDGE,
    NOT_KNOWN,
    factors,
    is_unmeasured,
    percent,
    title,
)

Report = Mapping[str, Any]

# Who decides in a model's report: the model, or the rule, and beside them what they are measured against
STRATEGIES = {
    "model": "the model",
    "rsi_rule": "plain RSI rule",
    "stage_1_alone": "stage 1 alone",
    "same_sides_at_random_times": "the same longs and shorts at random times",
    "random_entries": "random entries",
    "never_trade": "never trade",
}
NO_RECORD = f"{NEVER_TESTED_WORDS} The model has no record out of sample of them."
NO_MODEL = "The model that gave this signal is not known here any more."


def report_of(transaction: Transaction, row: Row) -> Report | None:
    """Return what the model of a signal did out of sample on its pair and timeframe; None for no such model.

    Empty where the model has no record of them. Signals of the plain rule stand in the champion's report.
    """
    found = model_versions.record(transaction)
    if row["model_version"] != RULES and (found is None or found["version"] != row["model_version"]):
        every = model_versions.versions(transaction)
        found = next((each for each in every if each["version"] == row["model_version"]), None)
    if found is None:
        return None
    reports: Mapping[str, Report] = found["metrics"].get("record") or {}
    return reports.get(f"{row['pair']} {row['timeframe']}", {})


def embed_of_details(row: Row, report: Report | None) -> discord.Embed:
    """Return what is behind a signal, as it is, good or bad."""
    made = discord.Embed(title=f"📊 {title(row)}"[:256], description=_confidence(row))
    made.add_field(name="Stage 1: a reversal starts here", value=percent(row["stage1_prob"]))
    made.add_field(name="Stage 2: it goes up rather than down", value=_stage2(row))
    made.add_field(name="Model", value=shortened(neutral(row["model_version"]), FIELD_VALUE))
    made.add_field(name="What it looked at", value=_factors(row["factors"]), inline=False)
    name = f"Out of sample: {row['pair']} {row['timeframe']}"
    made.add_field(name=neutral(name), value=shortened(_record(report), FIELD_VALUE), inline=False)
    return made


def _record(report: Report | None) -> str:
    if report is None:
        return NO_MODEL
    strategies = report.get("strategies")
    if not strategies:
        return NO_RECORD
    verdict = "✅ **Edge shown**" if report.get("edge_shown") else NO_EDGE
    rule = "edge shown" if report.get("rule_edge_shown") else "no edge shown"
    lines = [f"{verdict} for the model, {rule} for the plain rule. {_span(report)}"]
    lines += [f"{name}: {_figures(strategies[key])}" for key, name in STRATEGIES.items() if key in strategies]
    return "\n".join([*lines, *_brier(report.get("brier")), "R is the distance from entry to stop."])


def _span(report: Report) -> str:
    return f"{str(report.get('from', '?'))[:10]} to {str(report.get('until', '?'))[:10]}, costs included:"


def _figures(strategy: Report) -> str:
    if not strategy.get("trades"):
        return "no trade, 0 R"
    bounds = f"95 %: {_r(strategy.get('low'))} to {_r(strategy.get('high'))}"
    hits = strategy.get("hit_rate")
    won = NOT_KNOWN if hits is None else f"{hits:.1%}".replace("%", " %")
    return f"{strategy['trades']} trades, {won} won, {_r(strategy.get('expectancy'))} R each ({bounds})"


def _r(value: float | None) -> str:
    return NOT_KNOWN if value is None else f"{value:+.3f}".replace("-", "−")


def _brier(brier: Report | None) -> list[str]:
    if not brier:
        return []
    knows = "more than" if brier["score"] < brier["of_the_base_rate"] else "no more than"
    return [
        f"Brier score {brier['score']:.4f}, of the base rate {brier['of_the_base_rate']:.4f}: the confidence knows"
        f" {knows} the base rate does."
    ]


def _confidence(row: Row) -> str:
    ratio = row["risk_reward_ratio"]
    pays = f"At 1:{number(round(ratio, 2))} a trade pays above {percent(1 / (1 + ratio))}, before costs."
    if is_unmeasured(row):
        return f"Confidence {NO_CONFIDENCE}: nobody counted how many trades of this rule reach the target. {pays}"
    return (
        f"Confidence {percent(row['confidence'])}: so many of 100 trades like this one are expected to reach"
        f" the target before the stop. {pays} It is an estimate from the past, and no promise."
    )


def _stage2(row: Row) -> str:
    up = row["stage2_prob"]
    if up is None or not up.is_finite():
        return NOT_KNOWN
    down = f" (down: {percent(1 - up)})" if row["signal_type"] == Direction.SHORT else ""
    return f"{percent(up)}{down}"


def _factors(stored: object) -> str:
    lines = [f"{neutral(str(name))}: {_figure(value)}" for name, value in factors(stored)]
    return shortened("\n".join(lines), FIELD_VALUE) if lines else NOT_KNOWN


def _figure(value: object) -> str:
    """Return a factor as it came; what is no number among numbers is not known."""
    text = " ".join(str(value).split())
    try:
        is_figure = Decimal(text.rstrip("% ")).is_finite()
    except InvalidOperation:
        is_figure = bool(text)
    return neutral(text) if is_figure and value is not None else NOT_KNOWN
