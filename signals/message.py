"""Name the fields a message may have, match the sender's names to them, and read every value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, WithJsonSchema

from core.instrument import symbol_key
from core.order import OrderType
from core.signal import Level, PositionSide, QuantityMode
from signals import fields, levels
from signals.fields import Ticker, Verb, folded
from signals.json_text import NumberText
from signals.problems import BadValue, FieldProblem

LONGEST_NAME = 120
NAMES: Mapping[str, tuple[str, ...]] = {
    "action": ("action", "side", "order_action", "signal", "direction"),
    "symbol": ("symbol", "ticker", "instrument", "pair", "tv_instrument"),
    "exchange": ("exchange", "tv_exchange"),
    "timeframe": ("timeframe", "interval", "tf"),
    "price": ("price", "signalPrice", "entry", "order_price", "trigger_price", "close"),
    "order_type": ("order_type", "orderType"),
    "limit_price": ("limit_price", "limitPrice"),
    "stop_loss": ("stop_loss", "stopLoss", "sl"),
    "take_profit": ("take_profit", "takeProfit", "tp"),
    "quantity": ("quantity", "qty", "contracts"),
    "quantity_type": ("quantity_type", "quantityType"),
    "position_after": ("market_position", "sentiment"),
    "position_before": ("prev_market_position",),
    "position_size": ("position_size", "market_position_size"),
    "sender_id": ("id", "alert_id", "event_id", "signal_id", "alertTimestamp"),
    "order_id": ("order_id",),
    "sent_at": ("timenow", "sent_at", "timestamp"),
    "bar_time": ("time", "bar_time"),
    "bot": ("bot",),
    "test": ("test",),
}
_FIELD_BY_NAME = {folded(name): field for field, names in NAMES.items() for name in names}

# Two published templates put these inside an object: the one of TradingView's tutorials ("strategy")
# and 3Commas' ("strategy_info", "order"). Read flat, a flat position there would be overlooked.
_STRATEGY_PARTS = {
    "orderaction": "action",
    "orderprice": "price",
    "ordercontracts": "quantity",
    "orderid": "order_id",
    "marketposition": "position_after",
    "prevmarketposition": "position_before",
    "positionsize": "position_size",
    "marketpositionsize": "position_size",
}
_PARTS = {
    "strategy": _STRATEGY_PARTS,
    "strategyinfo": _STRATEGY_PARTS,
    "order": {"amount": "quantity", "currencytype": "quantity_type"},
}

_NUMBER_SCHEMA = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}
_LEVEL_SCHEMA = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "object"}]}
_TEXT_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "number"}]}
Price = Annotated[Decimal, PlainValidator(fields.read_price), WithJsonSchema(_NUMBER_SCHEMA)]
Position = Annotated[
    PositionSide, PlainValidator(fields.read_position), WithJsonSchema({"enum": list(fields.POSITIONS)})
]
Moment = Annotated[datetime, PlainValidator(fields.read_time), WithJsonSchema(_TEXT_SCHEMA)]
Identifier = Annotated[str | None, PlainValidator(fields.read_identifier), WithJsonSchema(_TEXT_SCHEMA)]


class Message(BaseModel):
    """Every field of a message under its first accepted name; the readers give the values their types."""

    model_config = ConfigDict(
        frozen=True,
        arbitrary_types_allowed=True,
        json_schema_extra={"required": ["action", "symbol"], "additionalProperties": True},
    )

    action: Annotated[
        Verb | None, PlainValidator(fields.read_verb), WithJsonSchema({"enum": list(fields.VERBS)})
    ] = None
    symbol: Annotated[
        Ticker | None, PlainValidator(fields.read_symbol), WithJsonSchema({"type": "string"})
    ] = None
    exchange: Annotated[
        str | None, PlainValidator(fields.read_exchange), WithJsonSchema({"type": "string"})
    ] = None
    timeframe: Annotated[str | None, PlainValidator(fields.read_timeframe), WithJsonSchema(_TEXT_SCHEMA)] = (
        None
    )
    price: Price | None = None
    order_type: Annotated[
        OrderType | None,
        PlainValidator(fields.read_order_type),
        WithJsonSchema({"enum": list(fields.ORDER_TYPES)}),
    ] = None
    limit_price: Price | None = None
    stop_loss: Annotated[Level | None, PlainValidator(levels.read_stop), WithJsonSchema(_LEVEL_SCHEMA)] = None
    take_profit: Annotated[
        tuple[Level, ...],
        PlainValidator(levels.read_targets),
        WithJsonSchema({"anyOf": [*_LEVEL_SCHEMA["anyOf"], {"type": "array", "items": _LEVEL_SCHEMA}]}),
    ] = ()
    quantity: Price | None = None
    quantity_type: Annotated[
        QuantityMode | None,
        PlainValidator(fields.read_quantity_mode),
        WithJsonSchema({"enum": list(fields.QUANTITY_MODES)}),
    ] = None
    position_after: Position | None = None
    position_before: Position | None = None
    position_size: Annotated[
        Decimal | None, PlainValidator(fields.read_size), WithJsonSchema(_TEXT_SCHEMA)
    ] = None
    sender_id: Identifier = None
    order_id: Identifier = None
    sent_at: Moment | None = None
    bar_time: Moment | None = None
    bot: Annotated[str | None, PlainValidator(fields.read_name), WithJsonSchema(_TEXT_SCHEMA)] = None
    test: Annotated[bool, PlainValidator(fields.read_flag), WithJsonSchema({"type": "boolean"})] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One field as it came: the sender's name for it (`strategy.order_id` inside an object) and raw value."""

    name: str
    raw: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A message after matching: its values, the entry each came from, every problem, and what is left.

    `wrong` names the fields that came but could not be read.
    """

    values: Message
    entries: Mapping[str, Entry]
    problems: tuple[FieldProblem, ...]
    wrong: frozenset[str]
    unread: Mapping[str, object]


def match(sent: Mapping[str, object]) -> Matched:
    """Match names to fields and read the values; the first name found wins, two that disagree are a problem.

    `null` counts as not sent, but for `test`, where a slip would trade. A bar's `close` or `time` that
    does not serve is left unread, no problem.
    """
    found, unread = _found(sent)
    layers = [_read_layer(layer) for layer in _layers(found)]
    problems = [problem for _, faults in layers for problem in faults.values()]
    wrong = frozenset(field for _, faults in layers for field in faults)
    chosen: dict[str, Any] = {}
    entries: dict[str, Entry] = {}
    for field, candidates in found.items():
        read = [
            (getattr(message, field), entry)
            for (message, _), entry in zip(layers, candidates, strict=False)
            if field in message.model_fields_set and getattr(message, field) is not None
        ]
        if read:
            chosen[field], entries[field] = _best(field, read)
            problems += _disagreement(field, read)
    return Matched(
        values=Message.model_construct(**chosen),
        entries=entries,
        problems=tuple(problems),
        wrong=wrong,
        unread=unread,
    )


def shown(raw: object) -> str:
    """Return what came, short enough for an answer: texts in quotes, long values cut."""
    text = f'"{raw}"' if isinstance(raw, str) and not isinstance(raw, NumberText) else _shown_plain(raw)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _shown_plain(raw: object) -> str:
    if isinstance(raw, NumberText):
        return raw[:80]
    if isinstance(raw, dict):
        return "{" + ", ".join(str(key)[:20] for key in list(raw)[:8]) + "}"
    if isinstance(raw, list):
        return f"a list of {len(raw)}"
    return {True: "true", False: "false", None: "null"}[raw]  # type: ignore[index]


def _found(sent: Mapping[str, object]) -> tuple[dict[str, list[Entry]], dict[str, object]]:
    found: dict[str, list[Entry]] = {}
    unread: dict[str, object] = {}
    for field, entry in _entries(sent):
        if field is None or (field == "bar_time" and not _is_time(entry.raw)):
            unread[entry.name] = entry.raw
        elif entry.raw is not None or field == "test":
            found.setdefault(field, []).append(entry)
    _set_bar_close_aside(found, unread)
    return found, unread


def _entries(sent: Mapping[str, object]) -> Iterator[tuple[str | None, Entry]]:
    for name, raw in sent.items():
        parts = _PARTS.get(folded(name))
        if parts is None or not isinstance(raw, dict):
            yield _FIELD_BY_NAME.get(folded(name)), Entry(name=name, raw=raw)
            continue
        for inner, value in raw.items():
            yield parts.get(folded(inner)), Entry(name=f"{name}.{inner}", raw=value)


def _is_time(raw: object) -> bool:
    try:
        fields.read_time(raw)
    except BadValue:
        return False
    return True


def _set_bar_close_aside(found: dict[str, list[Entry]], unread: dict[str, object]) -> None:
    # Beside an order's own price, "close" is the bar's, sent with open, high and low: it need not agree.
    prices = found.get("price", [])
    closes = [entry for entry in prices if folded(entry.name) == "close"]
    others = [entry for entry in prices if folded(entry.name) != "close"]
    if closes and others:
        found["price"] = others
        unread.update({entry.name: entry.raw for entry in closes})


def _layers(found: Mapping[str, list[Entry]]) -> Iterator[dict[str, Entry]]:
    deepest = max((len(entries) for entries in found.values()), default=0)
    for depth in range(deepest):
        yield {field: entries[depth] for field, entries in found.items() if len(entries) > depth}


def _read_layer(layer: dict[str, Entry]) -> tuple[Message, dict[str, FieldProblem]]:
    try:
        return Message.model_validate({field: entry.raw for field, entry in layer.items()}), {}
    except ValidationError as error:
        faults = {
            str(fault["loc"][0]): fault["ctx"]["error"]
            for fault in error.errors(include_url=False, include_input=False)
        }
    problems = {field: _problem(layer[field], fault) for field, fault in faults.items()}
    good = {field: entry for field, entry in layer.items() if field not in faults}
    return _read_layer(good)[0], problems


def _problem(entry: Entry, fault: BadValue) -> FieldProblem:
    got = entry.raw if fault.got is ... else fault.got
    return FieldProblem(
        name=f"{entry.name}{fault.part}"[:LONGEST_NAME], got=shown(got), allowed=fault.allowed
    )


def _best(field: str, read: list[tuple[Any, Entry]]) -> tuple[Any, Entry]:
    if field == "symbol":
        # Of "AAPL" and "XETR:AAPL" the one that names its exchange says more, and must not be lost.
        return next((each for each in read if each[0].exchange is not None), read[0])
    return read[0]


def _disagreement(field: str, read: list[tuple[Any, Entry]]) -> list[FieldProblem]:
    first_value, first = read[0]
    for value, entry in read[1:]:
        if not _agree(field, first_value, value):
            return [
                FieldProblem(
                    name=f"{first.name} and {entry.name}"[:LONGEST_NAME],
                    got=f"{shown(first.raw)} and {shown(entry.raw)}",
                    allowed="one of the two names, or the same value in both: they mean the same",
                )
            ]
    return []


def _agree(field: str, one: Any, other: Any) -> bool:
    if field == "position_size":
        return bool(abs(one) == abs(other))
    if field == "symbol":
        same_exchange = one.exchange == other.exchange or None in (one.exchange, other.exchange)
        return same_exchange and symbol_key(one.symbol) == symbol_key(other.symbol)
    return bool(one == other)
