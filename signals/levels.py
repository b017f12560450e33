"""Read stops and take-profits: a price, a percentage, or the objects that TradersPost sends."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from core.signal import Level, LevelKind
from signals.fields import folded, one_of, read_price
from signals.problems import BadValue

MAX_TARGETS = 10
_PRICE = (LevelKind.PRICE, False)
_OFFSETS = {"percent": (LevelKind.PERCENT, False), "amount": (LevelKind.AMOUNT, False)}
_TRAILING = {"trailpercent": (LevelKind.PERCENT, True), "trailamount": (LevelKind.AMOUNT, True)}
_STOP_PARTS = {"stopprice": _PRICE, "price": _PRICE, **_OFFSETS, **_TRAILING}
_TARGET_PARTS = {"limitprice": _PRICE, "price": _PRICE, **_OFFSETS}
_STOP_TYPES = {"stop": False, "stop_limit": False, "trailing_stop": True}
_STOP_ALLOWED = "a price, a percentage such as 5%, or an object with one of stopPrice, percent, amount"
_STOP_OBJECT_ALLOWED = "an object with exactly one of stopPrice, percent, amount, trailPercent, trailAmount"
_TARGET_ALLOWED = "a price, a percentage such as 10%, or an object with one of limitPrice, percent, amount"


def read_stop(raw: object) -> Level:
    """Read a stop: a price, `5%`, or `{type, stopPrice | percent | amount | trailPercent | trailAmount}`."""
    if isinstance(raw, dict):
        return _checked_stop(_trailing_if_said(raw, _from_object(raw, _STOP_PARTS, _STOP_OBJECT_ALLOWED)))
    return _checked_stop(_from_text(raw, _STOP_ALLOWED))


def read_targets(raw: object) -> tuple[Level, ...]:
    """Read take-profits: a price, `10%`, `{limitPrice | percent | amount}`, or a list of up to ten."""
    if not isinstance(raw, list):
        return (_target(raw),)
    if not 1 <= len(raw) <= MAX_TARGETS:
        raise BadValue(f"one take-profit, or a list of 1 to {MAX_TARGETS}")
    return tuple(_listed_target(item, number) for number, item in enumerate(raw))


def unread_parts(name: str, raw: object, *, stop: bool) -> Iterator[tuple[str, object]]:
    """Yield what a stop's or target's objects hold beside the level itself, such as a stop's limitPrice.

    `name` is the sender's name of the field; the names yielded are `stopLoss.limitPrice` and the like.
    """
    known = {*_STOP_PARTS, "type"} if stop else set(_TARGET_PARTS)
    items = raw if isinstance(raw, list) else [raw]
    for number, item in enumerate(items):
        place = f"{name}[{number}]" if isinstance(raw, list) else name
        for part, value in item.items() if isinstance(item, dict) else ():
            if folded(part) not in known:
                yield f"{place}.{part}", value


def _target(raw: object) -> Level:
    if isinstance(raw, dict):
        return _from_object(raw, _TARGET_PARTS, _TARGET_ALLOWED)
    return _from_text(raw, _TARGET_ALLOWED)


def _listed_target(raw: object, number: int) -> Level:
    try:
        return _target(raw)
    except BadValue as problem:
        problem.inside(f"[{number}]", raw)


def _from_text(raw: object, allowed: str) -> Level:
    if isinstance(raw, str) and raw.strip().endswith("%"):
        return Level(kind=LevelKind.PERCENT, value=_value(raw.strip()[:-1], allowed))
    return Level(kind=LevelKind.PRICE, value=_value(raw, allowed))


def price_of(level: Level | None) -> Decimal | None:
    """Return the price that a level is, None for a distance and for none."""
    return level.value if level is not None and level.kind is LevelKind.PRICE else None


def _value(raw: object, allowed: str) -> Decimal:
    try:
        return read_price(raw)
    except BadValue as problem:
        raise BadValue(problem.allowed if "{{" in problem.allowed else allowed) from None


def _from_object(raw: dict[str, object], parts: Mapping[str, tuple[LevelKind, bool]], allowed: str) -> Level:
    given = [name for name, value in raw.items() if folded(name) in parts and value is not None]
    if len(given) != 1:
        raise BadValue(allowed)
    kind, trailing = parts[folded(given[0])]
    try:
        return Level(kind=kind, value=read_price(raw[given[0]]), trailing=trailing)
    except BadValue as problem:
        problem.inside(f".{given[0]}", raw[given[0]])


def _trailing_if_said(raw: dict[str, object], level: Level) -> Level:
    for name, value in raw.items():
        if folded(name) == "type" and value is not None:
            return _of_type(level, name, value)
    return level


def _of_type(level: Level, name: str, raw: object) -> Level:
    try:
        trailing = one_of(raw, _STOP_TYPES)
        if level.trailing and not trailing:
            raise BadValue("trailing_stop, since a trailing distance is given")
        if trailing and level.kind is LevelKind.PRICE:
            raise BadValue("stop, or trailing_stop with trailPercent or trailAmount")
    except BadValue as problem:
        problem.inside(f".{name}", raw)
    return Level(kind=level.kind, value=level.value, trailing=trailing)


def _checked_stop(level: Level) -> Level:
    if level.kind is LevelKind.PERCENT and level.value >= 100:
        raise BadValue("a percentage above 0 and below 100")
    return level
