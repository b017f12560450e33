"""Read the body of POST /v2/orders as Alpaca does, refusing what it refuses."""

from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from uuid import uuid4

from brokers.simulator import OrderRejected, OrderRequest, PositionIntent, SimulatedType, TimeInForce
from core.order import Side

Json = dict[str, Any]
Value = TypeVar("Value")

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
TYPES = {
    "market": SimulatedType.MARKET,
    "limit": SimulatedType.LIMIT,
    "stop": SimulatedType.STOP,
    "stop_limit": SimulatedType.STOP_LIMIT,
}
# fill-or-kill is carried as immediate-or-cancel: the simulated market always has the size
TIMES = {"day": TimeInForce.DAY, "gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.IOC}


def read_request(body: Json) -> OrderRequest:
    """Return the order asked for; raises `OrderRejected` (422) naming the wrong field."""
    if body.get("order_class") not in (None, "", "simple"):
        raise _refused(f"order_class {body['order_class']} is not carried by this local server", 42210000)
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise _refused("symbol is required")
    return OrderRequest(
        client_order_id=str(body.get("client_order_id") or uuid4()),
        symbol=symbol,
        side=_one_of(SIDES, body, "side"),
        quantity=_number(body, "qty"),
        notional=_number(body, "notional"),
        order_type=_one_of(TYPES, body, "type"),
        limit_price=_number(body, "limit_price"),
        stop_price=_number(body, "stop_price"),
        time_in_force=_one_of(TIMES, body, "time_in_force"),
        position_intent=_intent(body),
    )


def _one_of(known: dict[str, Value], body: Json, name: str) -> Value:
    value = body.get(name)
    if not isinstance(value, str) or value not in known:
        raise _refused(f"invalid {name}")
    return known[value]


def _intent(body: Json) -> PositionIntent | None:
    value = body.get("position_intent")
    if value is None:
        return None
    side, _, intent = str(value).partition("_to_")
    if side != body["side"] or intent not in ("open", "close"):
        raise _refused("invalid position_intent specified")
    return PositionIntent(intent)


def _number(body: Json, name: str) -> Decimal | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise _refused(f"invalid {name}") from error
    if isinstance(value, bool) or not number.is_finite():
        raise _refused(f"invalid {name}")
    return number


def _refused(message: str, code: int = 40010001) -> OrderRejected:
    return OrderRejected(message, code=code, status=422)
