"""How watched bots are put into words: states, kinds of messages, the listener, and a sender's clock."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alerts.figures import amount, duration, percent
from alerts.figures import words as named
from ui.formatting import NOTHING, age, gain, money, price, quantity

STATE_SIGNS = {
    "ONLINE": "● ONLINE",
    "OFFLINE": "✕ OFFLINE",
    "STOPPED": "■ STOPPED",
    "UNKNOWN": "○ UNKNOWN",
}
STATE_COLOURS = {"ONLINE": "green", "OFFLINE": "red", "STOPPED": "gray", "UNKNOWN": "orange"}
KINDS = {
    "STARTED": "🚀 Started",
    "STOPPED": "🛑 Stopped",
    "ERROR": "❗ Error",
    "HEARTBEAT": "💓 Heartbeat",
    "POSITION_OPENED": "🟢 Position opened",
    "POSITION_CLOSED": "⚪ Position closed",
    "TRADE_COMPLETED": "💰 Trade completed",
    "BALANCE": "💵 Balance",
    "SESSION_STATS": "📊 Session statistics",
    "PERIODIC_STATS": "📊 Statistics",
    "SPIKE": "⚡ Price spike",
    "UNKNOWN": "· Other topic",
    "BAD": "✕ Unreadable",
}
CLOCK_TOLERANCE = timedelta(minutes=1)
GAINS = frozenset({"pnl", "total_pnl", "unrealized_pnl"})
FRACTIONS = frozenset({"pnl_fraction", "win_rate", "spike_fraction", "total_pnl_fraction"})
AMOUNTS = frozenset({"balance", "equity", "available", "locked", "initial_balance", "final_balance"})
# Never figures, though they may be written like some
TEXTS = frozenset({"session", "version", "environment"})
SPANS = frozenset({"duration_seconds", "uptime_seconds"})
NAMES = {"pnl": "P&L", "total_pnl": "total P&L", "unrealized_pnl": "unrealized P&L", "pnl_fraction": "P&L",
         "duration_seconds": "after", "uptime_seconds": "up", "spike_fraction": "spike"}  # fmt: skip
# What says the most comes first; what is not named here is in the message itself.
TOLD = (
    *("name", "side", "quantity", "price", "entry_price", "exit_price", "pnl", "pnl_fraction"),
    *("severity", "error_type", "message", "balance", "equity", "total_pnl", "total_trades", "win_rate"),
    *(
        "open_positions",
        "duration_seconds",
        "uptime_seconds",
        "spike_fraction",
        "version",
        "session",
        "reason",
    ),
)
BARE = frozenset({"name", "side", "severity", "error_type", "message", "reason"})


def clock_is_off(row: Mapping[str, Any]) -> bool:
    """Tell whether a message's own time is more than a minute away from its arrival."""
    return row["sent_at"] is not None and abs(row["sent_at"] - row["received_at"]) > CLOCK_TOLERANCE


def own_time(row: Mapping[str, Any], zone: str) -> str:
    """Write a message's own time where it is not the time of arrival, marked; it may be years off."""
    if not clock_is_off(row):
        return NOTHING
    at: datetime = row["sent_at"]
    with suppress(OverflowError):
        at = at.astimezone(ZoneInfo(zone))
    return f"⚠ {at:%d %b %Y %H:%M:%S %Z}"


def told(understood: Mapping[str, Any] | None) -> str:
    """Write what a message said in one line: `Will it rain? · yes · 0.4 · P&L ▲ +2.50`."""
    said = understood or {}
    parts = [part for part in (_part(name, said) for name in TOLD if name in said) if part]
    return " · ".join(parts) or NOTHING


def figure(name: str, value: Any) -> str:
    """Write one figure of a message by what it is: money, a gain, a share, a span, or as it stands."""
    number = None if name in TEXTS else amount(value)
    if number is None:
        return NOTHING if value in (None, "") else str(value)
    if name in GAINS:
        return gain(number)
    if name in FRACTIONS:
        return percent(number, sign=name not in {"win_rate"}) or NOTHING
    if name in AMOUNTS:
        return money(number)
    if name in SPANS:
        return duration(number) or NOTHING
    return price(number) if name.endswith("price") or name == "price" else quantity(number)


def listener_in_words(status: Mapping[str, Any], now: datetime) -> tuple[bool, str]:
    """Say whether DashTrade hears its broker, and if not, why and what to do."""
    broker = status["broker"] or "its broker"
    if not status["alive"]:
        since = f" since {age(status['beat_at'], now)}" if status["beat_at"] else ""
        words = f"DashTrade's MQTT listener does not run{since}: nothing new is heard. `make run` starts it."
        return False, words
    if status["is_connected"]:
        return True, f"Listening at {broker}, connected {age(status['changed_at'], now)}"
    why = f": {status['words']}" if status["words"] else ""
    return (
        False,
        f"Not connected to {broker}{why}. It is tried again by itself; nothing new is heard meanwhile.",
    )


def _part(name: str, said: Mapping[str, Any]) -> str:
    value = said[name]
    if name == "quantity":
        unit = said.get("quantity_unit")
        return figure(name, value) + (f" {unit}" if unit else "")
    if name in BARE:
        return str(value) if name in {"name", "message"} else named(value) or ""
    return f"{NAMES.get(name) or str(named(name)).lower()} {figure(name, value)}"
