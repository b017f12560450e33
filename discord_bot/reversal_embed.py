"""How a reversal signal looks in Discord: the message with its buttons, and what was decided; pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import discord

from alerts.neutral import neutral, shortened
from core.pips import Direction, Market, market_of
from core.reversal import NEVER_MEASURED, RECORD, RULES, has_no_confidence
from core.wording import number
from database.pool import Row

REPLAY = "replay"
GREEN, RED, GREY = 0x2ECC71, 0xE74C3C, 0x95A5A6
SIGNS = {Direction.LONG: "📈", Direction.SHORT: "📉"}
OPENED, IGNORED = "opened", "ignored"
FIELD_VALUE = 1024
REPLAY_WORDS = "**REPLAY**: a recording played as if it were live. These are not today's prices."
NO_EDGE = "⚠️ **No edge shown**"
NO_EDGE_WORDS = f"{NO_EDGE}: nothing says that trades like this one earn anything. Details has more."
NEVER_TESTED_WORDS = f"{NO_EDGE}: this pair and timeframe were never tested."
RULES_WORDS = "Of the plain RSI rule, not of the model."
NOT_KNOWN = "not known"
NO_CONFIDENCE = "– (never measured)"


def title(row: Row) -> str:
    """Return a signal in one line, in words and without relying on a colour."""
    direction = Direction(row["signal_type"])
    mark = "REPLAY · " if row["source"] == REPLAY else ""
    return neutral(f"{mark}{SIGNS[direction]} {direction.upper()} {row['pair']} · {row['timeframe']}")


def embed(row: Row) -> discord.Embed:
    """Return a notification's row as Discord shows it; what was answered is seen in it."""
    direction, market = Direction(row["signal_type"]), market_of(row["pair"])
    colour = GREY if row["answer"] else GREEN if direction is Direction.LONG else RED
    made = discord.Embed(title=f"🔔 {title(row)}"[:256], description=_marks(row), colour=colour)
    made.add_field(name="Pair", value=neutral(row["pair"]))
    made.add_field(name="Timeframe", value=neutral(row["timeframe"]))
    made.add_field(name="Signal", value=f"{SIGNS[direction]} {direction.upper()}")
    made.add_field(name="Confidence", value=confidence(row))
    made.add_field(name="Entry", value=price(market, row["entry_price"]))
    made.add_field(name="R:R", value=f"1:{number(round(row['risk_reward_ratio'], 2))}")
    made.add_field(name="🛑 Stop loss", value=_level(market, direction, row, "stop_loss"))
    made.add_field(name="🎯 Take profit", value=_level(market, direction, row, "take_profit"))
    made.add_field(name="Model", value=shortened(neutral(row["model_version"]), FIELD_VALUE))
    made.add_field(name=_ending_name(row), value=_ending(row, market), inline=False)
    return made


def percent(share: Decimal | None) -> str:
    """Return a probability as people read it: `75 %`, `62.5 %`."""
    if share is None or not share.is_finite():
        return NOT_KNOWN
    return f"{number(round(share * 100, 1))} %"


def confidence(row: Row) -> str:
    """Return how sure a signal is; of a rule whose trades were never measured nobody knows."""
    return NO_CONFIDENCE if is_unmeasured(row) else percent(row["confidence"])


def is_unmeasured(row: Row) -> bool:
    """Tell whether a signal's confidence is the rule's 0 for trades that nobody counted."""
    return has_no_confidence(row["model_version"], row["confidence"], _record(row))


def factors(stored: object) -> Iterable[tuple[object, object]]:
    """Return the names and figures that a signal carries."""
    if isinstance(stored, Mapping):
        return stored.items()
    return [(each[0], each[1]) for each in stored or () if len(each) == 2] if isinstance(stored, list) else ()


def price(market: Market, value: Decimal) -> str:
    """Return a price as people write it."""
    return market.shown(value)


def distance(market: Market, direction: Direction, entry: Decimal, level: Decimal) -> str:
    """Return how far a level is from the entry: `−54 pips`, `+108 pips`."""
    return f"{signed(market.steps(direction, entry, level))} {market.unit}"


def signed(value: Decimal) -> str:
    """Return a number with its sign, a true minus where it is below zero."""
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(abs(value))}"


def moment(at: datetime, style: str) -> str:
    """Return Discord's own mark-up of a time, which each reader sees in their own zone."""
    return f"<t:{int(at.timestamp())}:{style}>"


def _marks(row: Row) -> str | None:
    marks = (
        (row["source"] == REPLAY, REPLAY_WORDS),
        (not row["edge_shown"], NEVER_TESTED_WORDS if _record(row) == NEVER_MEASURED else NO_EDGE_WORDS),
        (row["model_version"] == RULES, RULES_WORDS),
    )
    return "\n".join(words for holds, words in marks if holds) or None


def _record(row: Row) -> str:
    return str(dict(factors(row["factors"])).get(RECORD, ""))


def _level(market: Market, direction: Direction, row: Row, name: str) -> str:
    away = distance(market, direction, row["entry_price"], row[name])
    return f"{price(market, row[name])} ({away})"


def _ending_name(row: Row) -> str:
    return "Decided" if row["answer"] else "Answer by"


def _ending(row: Row, market: Market) -> str:
    at = row["acknowledged_at"]
    when = f" {moment(at, 'f')}" if at else ""
    if row["answer"] == IGNORED:
        return f"🚫 Ignored{when}"
    if row["answer"] == OPENED:
        return f"✅ {_opened(row, market)}{when}"
    return f"{moment(row['expires_at'], 't')}, {moment(row['expires_at'], 'R')}"


def _opened(row: Row, market: Market) -> str:
    if row["trade_id"] is None or row["trade_entry"] is None:
        return "Opened"
    lots, entry = number(row["trade_lots"]), price(market, row["trade_entry"])
    return f"Opened as trade #{row['trade_id']}: {lots} lots at {entry}"
