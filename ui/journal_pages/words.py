"""How tracked trades are put into words: sides, results, pips and money, and how far one has come."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.pips import market_of
from core.trade_wording import duration
from core.wording import number
from ui.formatting import MINUS, NOTHING, gain, painted
from ui.reversal_pages.words import price, shown

__all__ = ("price", "shown")

STATES = {"open": "● open", "closed": "■ closed", "cancelled": "– cancelled"}
RESULTS = {"win": "▲ won", "loss": "▼ lost", "breakeven": "○ break-even"}
REASONS = {
    "tp_hit": "take profit hit",
    "sl_hit": "stop loss hit",
    "manual_close": "closed by hand",
    "timeout": "time limit",
}
UPDATES = {
    "opened": "Opened",
    "price_update": "Running",
    "sl_hit": "Stop loss hit",
    "tp_hit": "Take profit hit",
    "manual_close": "Closed by hand",
    "timeout": "Time limit",
    "cancelled": "Cancelled",
}
RATE_UNKNOWN = "no rate known"


def pips(row: Mapping[str, Any], name: str) -> str:
    """Write a trade's pips or points with their sign: `▲ +42.0 pips`."""
    return steps(row[name], market_of(row["pair"]).unit)


def unit(row: Mapping[str, Any]) -> str:
    """Return what a trade's price moves in, for a label: `Pips`, `Points`."""
    return market_of(row["pair"]).unit.capitalize()


def steps(value: Decimal | None, unit: str) -> str:
    """Write a count of pips or points with its sign."""
    if value is None:
        return NOTHING
    arrow = "▲ +" if value > 0 else f"▼ {MINUS}" if value < 0 else ""
    return f"{arrow}{abs(value):,.1f} {unit}"


def profit(row: Mapping[str, Any], name: str, steps: str) -> str:
    """Write a trade's profit in its account's currency; where only its pips are known that is said."""
    if row[name] is None:
        return NOTHING if row[steps] is None else f"? {row['account_currency']}: {RATE_UNKNOWN}"
    return gain(row[name], row["account_currency"])


def coloured_profit(row: Mapping[str, Any], name: str, steps: str) -> str:
    """Write it as Markdown in its colour."""
    return painted(profit(row, name, steps), row[name])


def lasted(row: Mapping[str, Any], now: datetime) -> str:
    """Write how long a trade lasted, or has lasted: `1h 43m`."""
    return duration((row["close_time"] or now) - row["entry_time"])


def way(row: Mapping[str, Any]) -> Decimal | None:
    """Return how far the price has come from the stop (0) to the target (1); None while none is known."""
    if row["current_price"] is None:
        return None
    return _between(row, row["current_price"])


def start(row: Mapping[str, Any]) -> Decimal:
    """Return where between stop (0) and target (1) the trade began."""
    return _between(row, row["entry_price"])


def result(row: Mapping[str, Any]) -> str:
    """Write how a trade stands or ended."""
    if row["status"] == "closed":
        return RESULTS.get(row["result"] or "", STATES["closed"])
    return STATES[row["status"]]


def risk(row: Mapping[str, Any]) -> str:
    """Write what is to be won for what is risked, as it was opened: `1 : 2`."""
    return ratio(row["reward_to_risk"])


def ratio(value: Decimal | None) -> str:
    """Write what is to be won for what is risked: `1 : 2.5`."""
    return NOTHING if value is None else f"1 : {number(value)}"


def left_out(found: Mapping[str, Any]) -> str:
    """Say which closed trades the sum of money leaves out."""
    told = []
    if found["without_rate"]:
        told.append(f"{found['without_rate']:,} without a known rate into {found['currency']}")
    if found["in_other_currencies"]:
        told.append(f"{found['in_other_currencies']:,} counted in another account currency")
    return f"The P&L leaves out {' and '.join(told)}." if told else ""


def _between(row: Mapping[str, Any], price: Decimal) -> Decimal:
    share: Decimal = (price - row["stop_loss"]) / (row["take_profit"] - row["stop_loss"])
    return max(Decimal(0), min(Decimal(1), share))
