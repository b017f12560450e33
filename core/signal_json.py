"""Keep a signal as JSON and read it back, exactly: the understood form that is stored beside the raw body."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.order import OrderType
from core.signal import Action, Level, LevelKind, PositionSide, QuantityMode, Signal


def to_json(signal: Signal) -> dict[str, object]:
    """Return a signal as JSON values: numbers as strings, times as ISO 8601, what is not set left out."""
    values = {each.name: getattr(signal, each.name) for each in fields(signal)}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def from_json(stored: Mapping[str, Any]) -> Signal:
    """Return the signal that `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    values: dict[str, Any] = {name: _READERS[name](value) for name, value in stored.items()}
    return Signal(**values)


def _plain(value: object) -> object:
    if isinstance(value, Level):
        return {"kind": value.kind.value, "value": _plain(value.value), "trailing": value.trailing}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _level(stored: Mapping[str, Any]) -> Level:
    return Level(
        kind=LevelKind(stored["kind"]), value=Decimal(stored["value"]), trailing=bool(stored["trailing"])
    )


def _levels(stored: list[Mapping[str, Any]]) -> tuple[Level, ...]:
    return tuple(_level(item) for item in stored)


_READERS: Mapping[str, Callable[[Any], object]] = {
    "action": Action,
    "symbol": str,
    "exchange": str,
    "timeframe": str,
    "price": Decimal,
    "order_type": OrderType,
    "limit_price": Decimal,
    "stop_loss": _level,
    "take_profits": _levels,
    "quantity": Decimal,
    "quantity_mode": QuantityMode,
    "position_after": PositionSide,
    "position_before": PositionSide,
    "position_size": Decimal,
    "sender_id": str,
    "sent_at": datetime.fromisoformat,
    "bar_time": datetime.fromisoformat,
    "bot": str,
    "test": bool,
    "leverage": Decimal,
    "entry_range": lambda stored: tuple(Decimal(price) for price in stored),
    "extras": dict,
}
