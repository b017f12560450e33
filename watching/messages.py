"""Understand one message of a watched bot: topic and payload in, an event out, whatever was sent.

Bots speak in several dialects. By symbol: `symbol, side, size` in units of the symbol, `stop_loss,
take_profit`. By market: `market_name, token_id, position_size` in USD, `reason, spike_magnitude`. And
test scripts: `price, amount, cost, pnl_percent, hold_time_seconds`. The closing of a position says
`exit_reason`, the completed trade `reason`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from watching.fields import Fields, Unreadable, clean, parse

KEPT_BYTES = 64 * 1024
CLOCK_TOLERANCE = timedelta(minutes=1)
UNIQUE_WITHIN = timedelta(days=1)

Understood = dict[str, Any]


class Kind(StrEnum):
    """What a message tells."""

    STARTED = "STARTED"
    STOPPED = "STOPPED"
    ERROR = "ERROR"
    HEARTBEAT = "HEARTBEAT"
    POSITION_OPENED = "POSITION_OPENED"
    POSITION_CLOSED = "POSITION_CLOSED"
    TRADE_COMPLETED = "TRADE_COMPLETED"
    BALANCE = "BALANCE"
    SESSION_STATS = "SESSION_STATS"
    PERIODIC_STATS = "PERIODIC_STATS"
    SPIKE = "SPIKE"
    UNKNOWN = "UNKNOWN"
    BAD = "BAD"


TOPICS = {
    "status/bot/started": Kind.STARTED,
    "status/bot/stopped": Kind.STOPPED,
    "status/bot/error": Kind.ERROR,
    "status/bot/heartbeat": Kind.HEARTBEAT,
    "status/bot/events/started": Kind.STARTED,
    "status/bot/events/stopped": Kind.STOPPED,
    "status/bot/events/error": Kind.ERROR,
    "status/bot/events/heartbeat": Kind.HEARTBEAT,
    "trading/position/opened": Kind.POSITION_OPENED,
    "trading/position/closed": Kind.POSITION_CLOSED,
    "trading/positions/opened": Kind.POSITION_OPENED,
    "trading/positions/closed": Kind.POSITION_CLOSED,
    "trading/trade/completed": Kind.TRADE_COMPLETED,
    "balance/update": Kind.BALANCE,
    "balance/current": Kind.BALANCE,
    "stats/session": Kind.SESSION_STATS,
    "stats/periodic": Kind.PERIODIC_STATS,
    "market/spike_detected": Kind.SPIKE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One message as understood.

    `understood` holds the fields that could be read, under our names; money, prices and fractions
    (0.02 is 2 %) as Decimal. `identity` is what makes it this message. `is_unique` says that a second
    one with the same identity is the same message again: it carries a trade's id, or a time of its own
    within a day of its arrival. `is_sign_of_life` says that the bot lived when it arrived.
    """

    kind: Kind
    topic: str
    payload: bytes
    payload_bytes: int
    understood: Understood
    problem: str | None
    sent_at: datetime | None
    received_at: datetime
    is_retained: bool
    identity: bytes
    is_unique: bool
    is_sign_of_life: bool

    @property
    def clock_is_off(self) -> bool:
        """Tell whether the sender's clock is more than a minute away from ours."""
        return self.sent_at is not None and abs(self.sent_at - self.received_at) > CLOCK_TOLERANCE


def understand(topic: str, prefix: str, payload: bytes, received_at: datetime, *, is_retained: bool) -> Event:
    """Return what a message below a prefix says; what cannot be read is an event of the kind BAD."""
    kind = TOPICS.get(topic.removeprefix(prefix), Kind.UNKNOWN)
    alive = kind is Kind.HEARTBEAT and not is_retained and bool(payload)
    try:
        fields = Fields(parse(payload))
    except Unreadable as error:
        if kind is not Kind.UNKNOWN:
            return bad(
                topic, payload, received_at, str(error), is_retained=is_retained, is_sign_of_life=alive
            )
        fields = Fields({})
    sent_at = fields.time("timestamp")
    understood = _READERS[kind](fields) if kind in _READERS else {}
    trade_id = understood.get("trade_id") if kind is Kind.TRADE_COMPLETED else None
    return Event(
        kind=kind,
        topic=topic,
        payload=payload[:KEPT_BYTES],
        payload_bytes=len(payload),
        understood={name: value for name, value in understood.items() if value is not None},
        problem=clean("; ".join(fields.problems), 1000) or None,
        sent_at=sent_at,
        received_at=received_at,
        is_retained=is_retained,
        identity=_identity(topic, payload if trade_id is None else trade_id.encode()),
        is_unique=trade_id is not None or _is_near(sent_at, received_at),
        is_sign_of_life=alive,
    )


def bad(
    topic: str,
    payload: bytes,
    received_at: datetime,
    problem: str,
    *,
    is_retained: bool,
    is_sign_of_life: bool = False,
) -> Event:
    """Return the event of a message that cannot be read, with the reason."""
    return Event(
        kind=Kind.BAD,
        topic=clean(topic, 70_000),
        payload=payload[:KEPT_BYTES],
        payload_bytes=len(payload),
        understood={},
        problem=clean(problem, 1000),
        sent_at=None,
        received_at=received_at,
        is_retained=is_retained,
        identity=_identity(topic, payload),
        is_unique=False,
        is_sign_of_life=is_sign_of_life,
    )


def _identity(topic: str, what: bytes) -> bytes:
    return hashlib.sha256(topic.encode("utf-8", "surrogatepass") + b"\0" + what).digest()


def _is_near(sent_at: datetime | None, received_at: datetime) -> bool:
    return sent_at is not None and abs(sent_at - received_at) <= UNIQUE_WITHIN


def _started(fields: Fields) -> Understood:
    return {
        "session": fields.text("session_id"),
        "version": fields.text("version"),
        "environment": fields.text("environment"),
        "initial_balance": fields.figure("initial_balance", "config.initial_balance"),
        "spike_threshold": fields.figure("spike_threshold", "config.spike_threshold"),
        "position_size": fields.figure("position_size", "config.position_size"),
        "monitored_markets": fields.count("monitored_markets", "config.monitored_markets"),
    }


def _stopped(fields: Fields) -> Understood:
    return {
        "session": fields.text("session_id"),
        "total_pnl": fields.figure("total_pnl", "final_stats.total_pnl"),
        "total_trades": fields.whole("total_trades", "final_stats.total_trades"),
        "win_rate": fields.figure("win_rate", "final_stats.win_rate"),
        "reason": fields.text("reason"),
    }


def _error(fields: Fields) -> Understood:
    severity = fields.text("severity")
    return {
        "error_type": fields.text("error_type"),
        "message": fields.text("error_message", "message"),
        "severity": severity.lower() if severity else None,
    }


def _heartbeat(fields: Fields) -> Understood:
    return {
        "uptime_seconds": fields.whole("uptime_seconds"),
        "balance": fields.figure("balance"),
        "open_positions": fields.whole("open_positions", "active_positions"),
        "total_trades": fields.whole("total_trades"),
    }


def _market(fields: Fields) -> Understood:
    token, symbol, market = fields.text("token_id"), fields.text("symbol"), fields.text("market_name")
    return {
        "market": token or symbol or market or "",
        "name": market or symbol or (_shortened(token) if token else "Unknown market"),
        "side": fields.text("side"),
    }


def _shortened(token: str) -> str:
    return token[:6] + "..." if len(token) > 8 else token


def _quantity(fields: Fields) -> Understood:
    symbol = fields.text("symbol")
    unit = symbol.replace("-", "/").split("/")[0] if symbol else "USD"
    choices = (("position_size", "USD"), ("size", unit), ("amount", "shares"), ("cost", "USD"))
    for name, quantity_unit in choices:
        if (quantity := fields.figure(name)) is not None:
            return {"quantity": quantity, "quantity_unit": quantity_unit}
    return {}


def _opened(fields: Fields) -> Understood:
    return {
        **_market(fields),
        **_quantity(fields),
        "trade_id": fields.text("trade_id"),
        "entry_price": fields.figure("entry_price", "price"),
        "stop_loss": fields.figure("stop_loss"),
        "take_profit": fields.figure("take_profit"),
        "reason": fields.text("reason"),
        "spike_fraction": fields.figure("spike_magnitude", "spike_pct"),
    }


def _ended(fields: Fields) -> Understood:
    return {
        **_market(fields),
        **_quantity(fields),
        "trade_id": fields.text("trade_id"),
        "entry_price": fields.figure("entry_price"),
        "exit_price": fields.figure("exit_price"),
        "pnl": fields.figure("pnl"),
        "pnl_fraction": _fraction(fields, "pnl_pct", "pnl_percent"),
        "duration_seconds": fields.whole("duration_seconds", "hold_time_seconds"),
        "reason": fields.text("reason", "exit_reason"),
    }


def _fraction(fields: Fields, fraction: str, percent: str) -> Decimal | None:
    found = fields.figure(fraction)
    return fields.percent(percent) if found is None else found


def _balance(fields: Fields) -> Understood:
    return {
        "balance": fields.figure("balance"),
        "equity": fields.figure("equity"),
        "available": fields.figure("available_balance", "available"),
        "locked": fields.figure("locked_in_positions", "locked"),
        "unrealized_pnl": fields.figure("unrealized_pnl"),
        "total_pnl": fields.figure("total_pnl"),
        "reason": fields.text("update_reason", "reason"),
    }


def _statistics(fields: Fields) -> Understood:
    return {
        "total_trades": fields.whole("total_trades"),
        "winning_trades": fields.whole("winning_trades"),
        "losing_trades": fields.whole("losing_trades"),
        "win_rate": fields.figure("win_rate"),
        "total_pnl": fields.figure("total_pnl"),
        "max_drawdown": fields.figure("max_drawdown"),
    }


def _session(fields: Fields) -> Understood:
    return {
        **_statistics(fields),
        "session": fields.text("session_id"),
        "duration_seconds": fields.whole("duration_seconds"),
        "initial_balance": fields.figure("initial_balance"),
        "final_balance": fields.figure("final_balance"),
        "total_pnl_fraction": fields.figure("total_pnl_pct"),
        "average_win": fields.figure("avg_win"),
        "average_loss": fields.figure("avg_loss"),
    }


def _periodic(fields: Fields) -> Understood:
    return {
        **_statistics(fields),
        "balance": fields.figure("balance"),
        "equity": fields.figure("equity"),
        "open_positions": fields.whole("open_positions"),
    }


def _spike(fields: Fields) -> Understood:
    return {
        **_market(fields),
        "price": fields.figure("price"),
        "spike_fraction": fields.figure("spike_pct", "spike_magnitude"),
        "direction": fields.text("direction"),
        "reason": fields.text("reason"),
    }


_READERS: dict[Kind, Callable[[Fields], Understood]] = {
    Kind.STARTED: _started,
    Kind.STOPPED: _stopped,
    Kind.ERROR: _error,
    Kind.HEARTBEAT: _heartbeat,
    Kind.POSITION_OPENED: _opened,
    Kind.POSITION_CLOSED: _ended,
    Kind.TRADE_COMPLETED: _ended,
    Kind.BALANCE: _balance,
    Kind.SESSION_STATS: _session,
    Kind.PERIODIC_STATS: _periodic,
    Kind.SPIKE: _spike,
}
