"""Understand a webhook's body: TradingView alerts, TradersPost and 3Commas messages, and people's scripts.

`add` is understood with a position stated (`sentiment`), as the side to hold; `cancel` is refused, because
an entry that waits is taken back by `exit` or by the next signal, and closing instead is not what it asks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.order import OrderType
from core.signal import Action, QuantityMode, Signal
from core.signal_json import from_json, to_json
from signals import checks
from signals.fields import Ticker, folded
from signals.json_text import NumberText, load_object
from signals.levels import unread_parts
from signals.message import NAMES, Matched, Message, match
from signals.problems import FieldProblem, InvalidJson, InvalidSignal

__all__ = [
    "FieldProblem",
    "InvalidJson",
    "InvalidSignal",
    "Understood",
    "explain",
    "from_json",
    "message_schema",
    "parse",
    "to_json",
    "understand",
]

_SECRET_NAMES = frozenset(
    {"secret", "passphrase", "password", "token", "apikey", "apisecret", "authorization", "webhooksecret"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """A signal, which of the sender's fields gave each of its parts, and the names that went unread."""

    signal: Signal
    sources: Mapping[str, str]
    ignored: tuple[str, ...]


def parse(body: bytes, content_type: str | None = None) -> Signal:
    """Return the signal a body asks for.

    Raises InvalidJson (400) when it is not one JSON object, InvalidSignal (422) with every wrong field.
    A signal whose fields contradict each other is returned: `Signal.contradiction` says so.
    """
    return understand(body, content_type).signal


def understand(body: bytes, content_type: str | None = None) -> Understood:
    """Return the signal together with how it was read. Raises as `parse` does."""
    matched = match(load_object(body, content_type))
    problems = [*matched.problems, *checks.problems_between(matched)]
    action = checks.action_of(matched.values)
    ticker = matched.values.symbol
    if problems or action is None or ticker is None:
        raise InvalidSignal(tuple(problems))
    unread = {**matched.unread, **dict(_unused(matched))}
    return Understood(
        signal=_signal(matched.values, action, ticker, _kept(unread)),
        sources={field: entry.name for field, entry in matched.entries.items() if entry.name not in unread},
        ignored=tuple(unread),
    )


def explain(understood: Understood) -> dict[str, Any]:
    """Return what /test-webhook shows: the signal in strings, which field gave what, what was ignored."""
    signal = understood.signal
    answer: dict[str, Any] = {
        "signal": _in_words(signal),
        "understood": dict(understood.sources),
        "ignored": list(understood.ignored),
    }
    if signal.contradiction is not None:
        answer["contradiction"] = signal.contradiction
    return answer


def message_schema() -> dict[str, Any]:
    """Return the JSON Schema of a message, each field with the other names it may have."""
    schema = Message.model_json_schema()
    for field, names in NAMES.items():
        schema["properties"][field]["description"] = f"Accepted names, in any case: {', '.join(names)}."
    return schema


def _signal(values: Message, action: Action, ticker: Ticker, extras: dict[str, object]) -> Signal:
    limit_price = checks.limit_price_of(values)
    return Signal(
        action=action,
        symbol=ticker.symbol,
        exchange=ticker.exchange or values.exchange,
        timeframe=values.timeframe,
        price=values.price,
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=limit_price,
        stop_loss=values.stop_loss,
        take_profits=values.take_profit,
        quantity=values.quantity,
        quantity_mode=values.quantity_type or QuantityMode.UNITS,
        position_after=values.position_after,
        position_before=values.position_before,
        position_size=values.position_size,
        sender_id=_sender_id(values),
        sent_at=values.sent_at,
        bar_time=values.bar_time,
        bot=values.bot,
        test=values.test,
        extras=extras,
    )


def _sender_id(values: Message) -> str | None:
    if values.sender_id is not None or values.order_id is None:
        return values.sender_id
    # An order's id alone is often just "Long"; with a time it names one alert.
    moment = values.sent_at or values.bar_time
    return None if moment is None else f"{values.order_id}@{moment.isoformat()}"


def _unused(matched: Matched) -> Iterator[tuple[str, object]]:
    values, entries = matched.values, matched.entries
    order_id_used = values.sender_id is None and _sender_id(values) is not None
    if "order_id" in entries and not order_id_used:
        yield entries["order_id"].name, entries["order_id"].raw
    if "exchange" in entries and values.symbol is not None and values.symbol.exchange is not None:
        yield entries["exchange"].name, entries["exchange"].raw
    if "quantity_type" in entries and values.quantity is None:
        yield entries["quantity_type"].name, entries["quantity_type"].raw
    for field in ("stop_loss", "take_profit"):
        if field in entries:
            yield from unread_parts(entries[field].name, entries[field].raw, stop=field == "stop_loss")


def _kept(unread: Mapping[str, object]) -> dict[str, object]:
    return {name: _kept_value(name.rpartition(".")[2], value) for name, value in unread.items()}


def _kept_value(name: str, value: object) -> object:
    if folded(name) in _SECRET_NAMES and value is not None:
        return "(secret)"
    if isinstance(value, dict):
        return {inner: _kept_value(inner, item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_kept_value("", item) for item in value]
    return str(value) if isinstance(value, NumberText) else value


def _in_words(signal: Signal) -> dict[str, object]:
    parts: dict[str, object] = {
        name: value for name, value in to_json(signal).items() if isinstance(value, str)
    }
    parts["wanted"] = signal.wanted.value
    parts["test"] = str(signal.test).lower()
    if signal.stop_loss is not None:
        parts["stop_loss"] = str(signal.stop_loss)
    if signal.take_profits:
        parts["take_profits"] = [str(target) for target in signal.take_profits]
    return parts
