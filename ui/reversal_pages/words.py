"""How signals of reversals are put into words: sides, prices, how sending stands, and what was answered."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.pips import Direction, Market, market_of
from core.reversal import RULES
from ui.formatting import MINUS, NOTHING, age, ended, moment

SIDES = {"long": "▲ LONG", "short": "▼ SHORT", "hold": "○ none"}
BADGES = {"long": ":green-badge[▲ LONG]", "short": ":orange-badge[▼ SHORT]"}
REPLAY = ":orange-badge[↻ REPLAY]"
REPLAY_MARK = "↻ REPLAY"
IN_REPLAY = (
    "**REPLAY**: prices marked so are a recording of past years, played as if they came now. They are not today's"
    " market: trade nothing on them."
)
NO_EDGE = ":red-badge[no edge shown]"
EDGE = ":green-badge[edge shown]"
REPLAY_SOURCE = "replay"


def is_replay(row: Mapping[str, Any]) -> bool:
    """Tell whether a row's prices are a recording's."""
    return bool(row["source"] == REPLAY_SOURCE)


def marks(row: Mapping[str, Any]) -> str:
    """Return the badges of a signal: of a recording, without edge, of the plain rule."""
    found = [REPLAY] if is_replay(row) else []
    found += [] if row["edge_shown"] else [NO_EDGE]
    found += [":gray-badge[plain RSI rule]"] if row["model_version"] == RULES else []
    return " ".join(found)


def confidence(value: Decimal | None) -> str:
    """Write a probability: `62 %`."""
    return NOTHING if value is None else f"{value * 100:.0f} %"


def price(pair: str, amount: Decimal | None) -> str:
    """Write a price as people write it for that pair, with at least its usual decimals."""
    if amount is None:
        return NOTHING
    return shown(market_of(pair), amount)


def shown(market: Market, amount: Decimal) -> str:
    """Write a price as Discord does, with its thousands apart."""
    return market.shown(amount, grouped=True)


def steps(amount: Decimal | None, unit: str) -> str:
    """Write pips or points with their sign: `+108.0 pips`."""
    if amount is None:
        return NOTHING
    sign = "+" if amount > 0 else MINUS if amount < 0 else ""
    return f"{sign}{abs(amount):,.1f} {unit}"


def distance(row: Mapping[str, Any], name: str) -> str:
    """Write a stop or target with its distance from the entry: `1.0800 (−54.0 pips)`."""
    if row[name] is None:
        return NOTHING
    market = market_of(row["pair"])
    away = market.steps(Direction(row["signal_type"]), row["entry_price"], row[name])
    return f"{shown(market, row[name])} ({steps(away, market.unit)})"


def ratio(value: Decimal | None) -> str:
    """Write what is to be won for what is risked: `1 : 2`."""
    return (
        NOTHING
        if value is None
        else f"1 : {value.normalize():f}"
        if value == value.to_integral()
        else f"1 : {value:.1f}"
    )


def reward_to_risk(entry: Decimal, stop: Decimal, target: Decimal) -> Decimal | None:
    """Return what is to be won for each unit that is risked."""
    risk = abs(entry - stop)
    return abs(target - entry) / risk if risk else None


def sending(row: Mapping[str, Any], now: datetime) -> str:
    """Say how the message to Discord stands, in a word or two."""
    if row["sent_at"] is not None:
        return "● sent"
    if row["failed_at"] is not None:
        return "✕ not delivered"
    if row["next_attempt_at"] is None:
        return "○ here only"
    if row["last_error"]:
        return (
            "… tried again"
            if row["next_attempt_at"] <= now
            else f"… waits {in_short(row['next_attempt_at'] - now)}"
        )
    return "… on its way"


def why_not_sent(row: Mapping[str, Any]) -> str:
    """Say why a message was not delivered, or not yet, or not where its reader wants it."""
    return ended(str(row["last_error"])) if row["last_error"] else NOTHING


def answer(row: Mapping[str, Any], now: datetime) -> str:
    """Say what a user did with a signal, or until when they may."""
    if row["answer"] == "opened":
        return f"● trade #{row['trade_id']}" if row["trade_id"] else "● opened"
    if row["answer"] == "ignored" or row["acknowledged"]:
        return "– ignored"
    if row["expires_at"] <= now:
        return "○ expired"
    return f"open, {in_short(row['expires_at'] - now)} left"


def in_short(span: timedelta) -> str:
    """Write a span by its two largest units: `1h 43m`, `2d 4h`, `5m`, `12s`."""
    seconds = max(int(span.total_seconds()), 0)
    units = (
        ("d", seconds // 86_400),
        ("h", seconds // 3600 % 24),
        ("m", seconds // 60 % 60),
        ("s", seconds % 60),
    )
    first = next((number for number, (_, count) in enumerate(units) if count), 3)
    told = [f"{count}{unit}" for unit, count in units[first : first + (2 if first < 2 else 1)] if count]
    return " ".join(told) or "0s"


def scan(row: Mapping[str, Any], zone: str, now: datetime) -> tuple[bool, str]:
    """Say whether the markets are looked at, and if not, why and what to do."""
    if not row["alive"]:
        since = f" since {age(row['beat_at'], now)}" if row["beat_at"] else ""
        return False, (
            f'Nobody looks at the markets{since}: the part "reversal watch" does not run. `make run` starts it; what'
            " stands here is how it was then."
        )
    if row["due_at"] is None:
        return True, "The markets are looked at as each bar closes; the first look is still to come."
    when = f"Last look {moment(row['due_at'], zone)} ({age(row['due_at'], now)})"
    if row["failure"]:
        return False, f"{when} failed: {ended(row['failure'])} The next bar's close tries again."
    if row["finished_at"] is None:
        return True, f"{when} is under way."
    counts = (
        f"{row['pairs'] or 0:,} pairs and timeframes, {row['scores'] or 0:,} scores,"
        f" {row['notifications'] or 0:,} messages"
    )
    return True, f"{when}: {counts}."
