"""BloFin's private endpoints that change something; each returns the whole envelope."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.blofin_server import checks, matching
from tests.blofin_server.account import HEDGE, NET, Account, new_id
from tests.blofin_server.errors import OperationFailed, Refused, failure, success
from tests.blofin_server.orders import Order, Position, Protection, TriggerOrder

Json = dict[str, Any]
BATCH_LIMIT = 20
Found = TypeVar("Found", Order, Protection, TriggerOrder, Protection | TriggerOrder)


def place_order(account: Account, body: Any) -> Json:
    """Place one order; a failure is an item of the answer."""
    params = _object(body)
    try:
        order = _place(account, params)
    except OperationFailed as failed:
        ids = {"orderId": None, "clientOrderId": checks.text(params, "clientOrderId")}
        return failure(failed, account.settings.envelope, ids, listed=True)
    ids = {"orderId": order.id, "clientOrderId": order.client_id}
    return success([{**ids, "msg": "", "code": "0"}], "")


def place_orders(account: Account, body: Any) -> Json:
    """Place up to twenty orders of one instrument and margin mode."""
    rows = _array(body)
    if len(rows) > BATCH_LIMIT:
        raise Refused("152006")
    if len({(row.get("instId"), row.get("marginMode")) for row in rows}) > 1:
        raise Refused("152007")
    items = [_placed_item(account, row) for row in rows]
    good = [item["code"] == "0" for item in items]
    return _batch(items, good)


def cancel_order(account: Account, body: Any) -> Json:
    """Cancel one order by its id or the client's."""
    params = _object(body)
    _named(params, "orderId")
    settings = account.settings
    order = _find(list(account.orders.values()), params, "orderId")
    ids = {"orderId": checks.text(params, "orderId"), "clientOrderId": checks.text(params, "clientOrderId")}
    if order is None or not order.is_open:
        failed = OperationFailed("102068")
        return failure(failed, settings.cancel_envelope, ids, listed=settings.cancel_listed)
    account.end(order, "user_canceled", "Order canceled by user")
    item = {"orderId": order.id, "clientOrderId": order.client_id, "code": "0", "msg": None}
    return success([item] if settings.cancel_listed else item)


def cancel_orders(account: Account, body: Any) -> Json:
    """Cancel several orders; a failure has the code 1000, of which ccxt knows nothing."""
    items = []
    for params in _array(body):
        order = _find(list(account.orders.values()), params, "orderId")
        items.append(_cancel_item(account, order, params))
    return success(items)


def place_protection(account: Account, body: Any) -> Json:
    """Place a TP/SL order."""
    params = _object(body)
    try:
        protection = checks.protection(account, params)
    except OperationFailed as failed:
        return _failed_object(account, failed, "tpslId", params)
    account.protections[protection.id] = protection
    return success({"tpslId": protection.id, "clientOrderId": protection.client_id, "code": "0", "msg": None})


def cancel_protections(account: Account, body: Any) -> Json:
    """Cancel TP/SL orders; a failure has the code 500."""
    return success([_ended_item(list(account.protections.values()), p, "tpslId") for p in _array(body)])


def place_trigger(account: Account, body: Any) -> Json:
    """Place an algo order."""
    params = _object(body)
    try:
        trigger = checks.trigger(account, params)
    except OperationFailed as failed:
        return _failed_object(account, failed, "algoId", params)
    account.triggers[trigger.id] = trigger
    return success({"algoId": trigger.id, "clientOrderId": trigger.client_id, "code": "0", "msg": None})


def cancel_trigger(account: Account, body: Any) -> Json:
    """Cancel an algo order; a failure has the code 500."""
    return success(_ended_item(list(account.triggers.values()), _object(body), "algoId"))


def close_position(account: Account, body: Any) -> Json:
    """Close a position by a market order, of which the answer names no id."""
    params = _object(body)
    traded = checks.instrument(account, params)
    mode = checks.one_of(params, "marginMode", ("cross", "isolated"))
    checks.broker_id(account, params)
    try:
        side = checks.position_side(account, params)
        position = account.positions.get((traded.inst_id, mode, side))
        if position is None:
            raise OperationFailed("102005")
        name = checks.client_id(params, {o.client_id for o in account.orders.values()})
    except OperationFailed as failed:
        raise Refused(failed.code) from None
    order = _closing(account, position, name)
    account.orders[order.id] = order
    matching.arrive(account, order)
    return success({"instId": traded.inst_id, "positionSide": side, "clientOrderId": name})


def set_leverage(account: Account, body: Any) -> Json:
    """Set the leverage of an instrument in a margin mode; refused beside open orders and positions."""
    params = _object(body)
    traded = checks.instrument(account, params)
    mode = checks.one_of(params, "marginMode", ("cross", "isolated"))
    checks.required(params, "leverage")
    leverage = checks.decimal(params, "leverage")
    if leverage is None or leverage % 1 or not 1 <= leverage <= traded.max_leverage:
        raise Refused("152002", "leverage")
    by_side = mode == "isolated" and account.position_mode == HEDGE
    side = checks.one_of(params, "positionSide", ("long", "short")) if by_side else "net"
    if any(o.margin_mode == mode for o in account.open_orders(traded.inst_id)):
        raise Refused("110006" if mode == "cross" else "110019")
    held = any(p.inst_id == traded.inst_id and p.margin_mode == mode for p in account.positions.values())
    if held and not account.settings.leverage_beside_position:
        raise Refused("110019")
    account.leverages[traded.inst_id, mode, side] = int(leverage)
    shown = {"leverage": str(int(leverage)), "marginMode": mode, "instId": traded.inst_id}
    return success({**shown, "positionSide": side})


def set_margin_mode(account: Account, body: Any) -> Json:
    """Set the margin mode of the account."""
    mode = checks.one_of(_object(body), "marginMode", ("cross", "isolated"))
    _refuse_unless_flat(account)
    account.margin_mode = mode
    return success({"marginMode": mode})


def set_position_mode(account: Account, body: Any) -> Json:
    """Set the position mode of the account."""
    mode = checks.one_of(_object(body), "positionMode", (NET, HEDGE))
    _refuse_unless_flat(account)
    account.position_mode = mode
    return success({"positionMode": mode})


def apply_demo_money(account: Account, body: Any) -> Json:
    """Add demo money, on the demo host only."""
    if not account.demo:
        raise Refused("152404")
    params = _object(body)
    checks.one_of(params, "accountType", ("futures", "spot"))
    sign = -1 if checks.text(params, "adjustType") == "1" else 1
    for row in _array(params.get("demoApplyMoney")):
        checks.one_of(row, "currency", ("USDT",))
        account.balance += sign * (checks.decimal(row, "amountStr") or 0)
    return success(None)


def withdraw(account: Account, body: Any) -> Json:
    """Refuse a withdrawal: by 152404 where the key may not, else for what the request lacks."""
    if "withdraw" not in account.permissions:
        raise Refused("152404")
    for name in ("currency", "amount", "address"):
        checks.required(_object(body), name)
    raise Refused("150004")


def _place(account: Account, params: Json) -> Order:
    order = checks.order(account, params)
    admit(account, order)
    return order


def admit(account: Account, order: Order) -> None:
    """Take an order into the book, at once or after the delay that is set, if its margin is there."""
    checks.check_margin(account, order)
    account.orders[order.id] = order
    delay = account.settings.fill_delay
    if delay:
        asyncio.get_running_loop().call_later(delay, matching.arrive, account, order)
    else:
        matching.arrive(account, order)


def _placed_item(account: Account, params: Json) -> Json:
    ids = {"orderId": None, "clientOrderId": checks.text(params, "clientOrderId")}
    try:
        order = _place(account, params)
    except OperationFailed as failed:
        return {**ids, "msg": failed.message, "code": failed.code}
    return {"orderId": order.id, "clientOrderId": order.client_id, "msg": "", "code": "0"}


def _batch(items: list[Json], good: list[bool]) -> Json:
    if all(good):
        return success(items, "")
    if any(good):
        return {"code": "2", "msg": "Batch operation partially succeeded.", "data": items}
    return {"code": "1", "msg": "All operations failed", "data": items}


def _cancel_item(account: Account, order: Order | None, params: Json) -> Json:
    if order is not None and order.is_open:
        account.end(order, "user_canceled", "Order canceled by user")
        return {"orderId": order.id, "clientOrderId": order.client_id}
    failed = OperationFailed("1000")
    return {
        "orderId": checks.text(params, "orderId"),
        "clientOrderId": None,
        "msg": failed.message,
        "code": failed.code,
    }


def _ended_item(things: Sequence[Protection | TriggerOrder], params: Json, id_name: str) -> Json:
    found = _find(things, params, id_name)
    if found is not None and found.state == "live":
        found.state = "canceled"
        return {id_name: found.id, "clientOrderId": found.client_id, "code": "0", "msg": None}
    failed = OperationFailed("500")
    named = checks.text(params, id_name)
    return {id_name: named, "clientOrderId": None, "code": failed.code, "msg": failed.message}


def _failed_object(account: Account, failed: OperationFailed, id_name: str, params: Json) -> Json:
    ids = {id_name: None, "clientOrderId": checks.text(params, "clientOrderId")}
    return failure(failed, account.settings.envelope, ids, listed=False)


def _find(things: Sequence[Found], params: Json, id_name: str) -> Found | None:
    by_id, by_client = checks.text(params, id_name), checks.text(params, "clientOrderId")
    for thing in reversed(things):
        if (by_id and thing.id == by_id) or (not by_id and by_client and thing.client_id == by_client):
            return thing
    return None


def _named(params: Json, id_name: str) -> None:
    if not checks.text(params, id_name) and not checks.text(params, "clientOrderId"):
        raise Refused("152003", id_name, "clientOrderId")


def _closing(account: Account, position: Position, client_id: str) -> Order:
    return Order(
        id=new_id(),
        client_id=client_id,
        inst_id=position.inst_id,
        margin_mode=position.margin_mode,
        position_side=position.side,
        side="sell" if position.size > 0 else "buy",
        kind="market",
        price=None,
        size=abs(position.size),
        reduce_only=True,
        leverage=position.leverage,
        created=account.now(),
        updated=account.now(),
    )


def _refuse_unless_flat(account: Account) -> None:
    waiting = any(p.state == "live" for p in account.protections.values())
    if account.open_orders() or account.positions or waiting:
        raise Refused("110019")


def _object(body: Any) -> Json:
    if not isinstance(body, dict):
        raise Refused("152004")
    return body


def _array(body: Any) -> list[Json]:
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise Refused("152004")
    return body


CHANGING: dict[str, Callable[[Account, Any], Json]] = {
    "/api/v1/trade/order": place_order,
    "/api/v1/trade/batch-orders": place_orders,
    "/api/v1/trade/cancel-order": cancel_order,
    "/api/v1/trade/cancel-batch-orders": cancel_orders,
    "/api/v1/trade/order-tpsl": place_protection,
    "/api/v1/trade/cancel-tpsl": cancel_protections,
    "/api/v1/trade/order-algo": place_trigger,
    "/api/v1/trade/cancel-algo": cancel_trigger,
    "/api/v1/trade/close-position": close_position,
    "/api/v1/account/set-leverage": set_leverage,
    "/api/v1/account/set-margin-mode": set_margin_mode,
    "/api/v1/account/set-position-mode": set_position_mode,
    "/api/v1/asset/demo-apply-money": apply_demo_money,
    "/api/v1/asset/withdrawal-apply": withdraw,
}
