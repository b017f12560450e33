"""What people read of a tracked trade: its updates, its size in money, how long it lasted; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from core.pips import Direction, Market
from core.tracked_trade import CloseReason, Result
from core.trade_outcome import Outcome
from core.wording import grouped, number

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
MINUS = "−"
REPLAY = "replay"
CENT = Decimal("0.01")
ENDED = {
    CloseReason.TARGET: "✅ Take Profit Hit!",
    CloseReason.STOP: "❌ Stop Loss Hit!",
    CloseReason.BY_HAND: "✋ Closed by hand:",
    CloseReason.TIME: "⏰ Time limit reached:",
}
# A stop that was moved beyond the entry
STOPPED_WITH_PROFIT = "✅ Stop Loss Hit!"
RUNNING = "📊 Trade still running:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The trade that an update is about; `source` says where its prices come from."""

    trade_id: int
    market: Market
    direction: Direction
    lots: Decimal
    currency: str
    entered_at: datetime
    source: str


def closed(told: Told, reason: CloseReason, outcome: Outcome, at: datetime) -> str:
    """Return the message of a trade that ended at a time: the figures, then which trade and how long."""
    lasted = duration(at - told.entered_at)
    is_saved = reason is CloseReason.STOP and outcome.result is Result.WIN
    ended = STOPPED_WITH_PROFIT if is_saved else ENDED[reason]
    return f"{ended} {figures(told, outcome)}\n{_which(told)} · {lasted}"


def running(told: Told, outcome: Outcome, now: datetime) -> str:
    """Return the message of a trade that is open."""
    lasts = duration(now - told.entered_at)
    return f"{RUNNING} {figures(told, outcome)}\n{_which(told)} · {lasts}"


def opened(told: Told, entry: Decimal) -> str:
    """Return the message of a trade whose entry is known now."""
    return f"📝 Trade opened at {told.market.shown(entry)}\n{_which(told)}"


def cancelled(told: Told, why: str) -> str:
    """Return the message of a trade that never was."""
    return f"🚫 Trade cancelled: {why}\n{_which(told)}"


def figures(told: Told, outcome: Outcome) -> str:
    """Return pips or points and money: `+108 pips (+$108)`."""
    return f"{steps(outcome.steps, told.market.unit)} ({money(outcome.profit, told.currency)})"


def steps(value: Decimal, unit: str) -> str:
    """Return pips or points with their sign: `+108 pips`, `−0.5 points`."""
    return f"{_sign(value)}{number(abs(value))} {unit.removesuffix('s') if abs(value) == 1 else unit}"


def money(value: Decimal | None, currency: str) -> str:
    """Return an amount with its sign: `+$1,080`, `−$54.50`, `+12.30 CHF`; None is said to be unknown."""
    if value is None:
        return f"in {currency} unknown: no rate is known"
    amount = grouped(abs(value)) if value == value.to_integral_value() else f"{abs(value):,.2f}"
    sign = SIGNS.get(currency)
    return f"{_sign(value)}{sign}{amount}" if sign else f"{_sign(value)}{amount} {currency}"


def duration(span: timedelta) -> str:
    """Return how long something lasted, in its two largest units: `2d 4h`, `1h 43m`, `43m`; never below 0."""
    minutes = max(span, timedelta(0)) // timedelta(minutes=1)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {rest}m" if hours else f"{rest}m"


def _sign(value: Decimal) -> str:
    return MINUS if value < 0 else "+" if value > 0 else ""


def _which(told: Told) -> str:
    marked = " · REPLAY" if told.source == REPLAY else ""
    what = f"{told.market.pair} {told.direction.value.upper()} {number(told.lots)}"
    return f"Trade #{told.trade_id} · {what} lots{marked}"
