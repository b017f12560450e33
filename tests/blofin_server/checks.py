"""The reading of order requests, with BloFin's refusals for what is wrong with them."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.blofin_server.account import HEDGE, Account, new_id
from tests.blofin_server.errors import OperationFailed, Refused
from tests.blofin_server.market import Instrument
from tests.blofin_server.orders import ZERO, Exits, Order, Protection, TriggerOrder

Json = Mapping[str, Any]

KINDS = ("market", "limit", "post_only", "fok", "ioc")
CLIENT_ID = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
WHOLE = Decimal(-1)
BY_MARKET = Decimal(-1)


def text(params: Json, name: str) -> str:
    """Return a parameter as text, empty when it is missing or null."""
    value = params.get(name)
    return "" if value is None else str(value)


def required(params: Json, name: str) -> str:
    """Return a parameter that must be there."""
    if not text(params, name):
        raise Refused("152001", name)
    return text(params, name)


def one_of(params: Json, name: str, allowed: tuple[str, ...]) -> str:
    """Return a required parameter with one of the values that are allowed."""
    value = required(params, name)
    if value not in allowed:
        raise Refused("152002", name)
    return value


def decimal(params: Json, name: str) -> Decimal | None:
    """Return a number, None when it is missing."""
    if not text(params, name):
        return None
    try:
        value = Decimal(text(params, name))
    except InvalidOperation:
        raise Refused("152002", name) from None
    if not value.is_finite():
        raise Refused("152002", name)
    return value


def truth(params: Json, name: str) -> bool:
    """Return a truth value; BloFin wants a string, and a JSON one is taken too."""
    value = text(params, name).lower() or "false"
    if value not in ("true", "false"):
        raise Refused("152002", name)
    return value == "true"


def client_id(params: Json, taken: set[str]) -> str:
    """Return the client's id, checked for its alphabet and against those it has used before."""
    value = text(params, "clientOrderId")
    if value and not CLIENT_ID.fullmatch(value):
        raise Refused("152009", "clientOrderId")
    if value and value in taken:
        raise OperationFailed("102002")
    return value


def broker_id(account: Account, params: Json) -> str:
    """Return the broker id, where the kind of key allows it."""
    value = text(params, "brokerId")
    if account.key_type == 1:
        if value and account.settings.refuse_broker_ids:
            raise Refused("152011")
    elif not value:
        raise Refused("152012")
    elif value != account.broker_id:
        raise Refused("152013")
    return value


def instrument(account: Account, params: Json) -> Instrument:
    """Return the instrument of a request."""
    return account.market.instrument(required(params, "instId"))


def position_side(account: Account, params: Json) -> str:
    """Return net, long or short, as the position mode of the account wants it."""
    side = text(params, "positionSide") or "net"
    if side not in ("net", "long", "short"):
        raise Refused("152002", "positionSide")
    if (side == "net") is (account.position_mode == HEDGE):
        raise OperationFailed("102089")
    return side


def order(account: Account, params: Json) -> Order:
    """Read a new order and check everything but its margin."""
    traded = instrument(account, params)
    kind = one_of(params, "orderType", KINDS)
    side = one_of(params, "side", ("buy", "sell"))
    mode = one_of(params, "marginMode", ("cross", "isolated"))
    price = None if kind == "market" else _price(params, "price", traded)
    size = _size(params, traded, kind)
    exits = read_exits(params)
    broker = broker_id(account, params)
    held_side = position_side(account, params)
    _tradable(traded)
    found = Order(
        id=new_id(),
        client_id=client_id(params, {o.client_id for o in account.orders.values()}),
        inst_id=traded.inst_id,
        margin_mode=mode,
        position_side=held_side,
        side=side,
        kind=kind,
        price=price,
        size=size,
        reduce_only=truth(params, "reduceOnly") or _closes_hedge(side, held_side),
        leverage=account.leverage(traded.inst_id, mode, held_side),
        created=account.now(),
        updated=account.now(),
        exits=exits,
        broker_id=broker,
    )
    _check_price_band(account, found)
    _check_reduce_only(account, found)
    _check_attached(account, found)
    return found


def check_margin(account: Account, new: Order) -> None:
    """Raise `OperationFailed` unless the account can carry an order and its fee."""
    cost = account.cost(new)
    value = new.size * account.market.instrument(new.inst_id).contract_value
    fee = value * (new.price or account.touch(new)) * account.settings.taker_fee
    if cost and cost + fee > account.available():
        raise OperationFailed("103003")


def protection(account: Account, params: Json) -> Protection:
    """Read a stand-alone TP/SL order; size -1 is the whole position."""
    traded = instrument(account, params)
    side = one_of(params, "side", ("buy", "sell"))
    mode = one_of(params, "marginMode", ("cross", "isolated"))
    size = _size_or_whole(params, traded)
    exits = read_exits(params)
    if not exits:
        raise Refused("152003", "tpTriggerPrice", "slTriggerPrice")
    broker = broker_id(account, params)
    held_side = position_side(account, params)
    found = Protection(
        id=new_id(),
        client_id=client_id(params, {p.client_id for p in account.protections.values()}),
        inst_id=traded.inst_id,
        margin_mode=mode,
        position_side=held_side,
        side=side,
        size=size,
        reduce_only=truth(params, "reduceOnly") or _closes_hedge(side, held_side) or size is None,
        leverage=account.leverage(traded.inst_id, mode, held_side),
        created=account.now(),
        exits=exits,
        broker_id=broker,
    )
    if found.reduce_only and account.reducible(found) == 0:
        raise OperationFailed("102022")
    _check_stand_alone(account, found)
    return found


def trigger(account: Account, params: Json) -> TriggerOrder:
    """Read an algo order."""
    traded = instrument(account, params)
    one_of(params, "orderType", ("trigger",))
    side = one_of(params, "side", ("buy", "sell"))
    mode = one_of(params, "marginMode", ("cross", "isolated"))
    at = _price(params, "triggerPrice", traded)
    size = _size_or_whole(params, traded)
    broker = broker_id(account, params)
    held_side = position_side(account, params)
    attached = params.get("attachAlgoOrders") or [params]
    return TriggerOrder(
        id=new_id(),
        client_id=client_id(params, {t.client_id for t in account.triggers.values()}),
        inst_id=traded.inst_id,
        margin_mode=mode,
        position_side=held_side,
        side=side,
        size=size,
        reduce_only=truth(params, "reduceOnly") or _closes_hedge(side, held_side),
        leverage=account.leverage(traded.inst_id, mode, held_side),
        created=account.now(),
        trigger=at,
        upward=at > account.market.price(traded.inst_id).last,
        price=decimal(params, "orderPrice") or BY_MARKET,
        exits=read_exits(attached[0]),
        broker_id=broker,
    )


def read_exits(params: Json) -> Exits:
    """Read stop and target; a trigger price needs its order price."""
    values = {}
    for short, name in (("tp", "tpTriggerPrice"), ("sl", "slTriggerPrice")):
        at, price = decimal(params, name), decimal(params, f"{short}OrderPrice")
        if at is not None and at <= 0:
            raise Refused("152002", name)
        if at is not None and price is None:
            raise Refused("152001", f"{short}OrderPrice")
        values[short] = (at, price if at is not None else None)
    (tp, tp_price), (sl, sl_price) = values["tp"], values["sl"]
    return Exits(tp_trigger=tp, tp_price=tp_price, sl_trigger=sl, sl_price=sl_price)


def _closes_hedge(side: str, held_side: str) -> bool:
    return (side, held_side) in (("sell", "long"), ("buy", "short"))


def _tradable(traded: Instrument) -> None:
    # BloFin's code for a suspended instrument is not in its table; 152014 is the nearest
    if traded.state != "live":
        raise Refused("152014")


def _price(params: Json, name: str, traded: Instrument) -> Decimal:
    required(params, name)
    price = decimal(params, name)
    if price is None or price <= 0 or price % traded.tick:
        raise Refused("152002", name)
    return price


def _size(params: Json, traded: Instrument, kind: str) -> Decimal:
    required(params, "size")
    size = decimal(params, "size")
    if size is None or size < traded.minimum or size % traded.lot:
        raise Refused("152002", "size")
    if kind == "market" and size > traded.max_market:
        raise OperationFailed("102015")
    if size > traded.max_limit:
        raise OperationFailed("102014")
    return size


def _size_or_whole(params: Json, traded: Instrument) -> Decimal | None:
    return None if decimal(params, "size") == WHOLE else _size(params, traded, "limit")


def price_range(account: Account, inst_id: str) -> tuple[Decimal, Decimal]:
    """Return the lowest and highest price that a limit order may have."""
    last, band = account.market.price(inst_id).last, account.settings.price_band
    return (ZERO, last * 1000) if band is None else (last * (1 - band), last * (1 + band))


def _check_price_band(account: Account, new: Order) -> None:
    low, high = price_range(account, new.inst_id)
    if new.price is not None and not low <= new.price <= high:
        raise OperationFailed("102064" if new.side == "buy" else "102065", low, high)


def _check_reduce_only(account: Account, new: Order) -> None:
    if not new.reduce_only:
        return
    closable = account.reducible(new)
    if closable == ZERO:
        raise OperationFailed("102022")
    if account.settings.amend_reduce_only:
        new.size = min(new.size, closable)


def _check_attached(account: Account, new: Order) -> None:
    price, exits = account.market.price(new.inst_id), new.exits
    tp, sl = exits.tp_trigger, exits.sl_trigger
    by_price, buying = new.price is not None, new.side == "buy"
    if buying:
        base = new.price or price.ask
        _refuse(tp is not None and tp <= base, "102052" if by_price else "102054")
        _refuse(sl is not None and sl >= base, "102051" if by_price else "102050")
    else:
        base = new.price or price.bid
        _refuse(tp is not None and tp >= base, "102049" if by_price else "102053")
        _refuse(sl is not None and sl <= base, "102047" if by_price else "102048")


def _check_stand_alone(account: Account, new: Protection) -> None:
    last, exits = account.market.price(new.inst_id).last, new.exits
    tp, sl = exits.tp_trigger, exits.sl_trigger
    if new.side == "sell":
        _refuse(tp is not None and tp <= last, "102037")
        _refuse(sl is not None and sl >= last, "102038")
    else:
        _refuse(tp is not None and tp >= last, "102039")
        _refuse(sl is not None and sl <= last, "102040")


def _refuse(wrong: bool, code: str) -> None:
    if wrong:
        raise OperationFailed(code)
