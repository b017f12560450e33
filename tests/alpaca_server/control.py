"""The control routes by which tests set prices, order faults and read what was accepted."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from aiohttp import web

from core.instrument import AssetClass
from tests.alpaca_server.account import START_CASH, AlpacaAccount
from tests.alpaca_server.state import Server, server_of
from tests.alpaca_server.stream import drop_streams
from tests.faults import Fault, FaultKind
from tests.local_server import answer_json

Json = dict[str, Any]


async def set_price(request: web.Request) -> web.Response:
    """Set `symbol, bid, ask`; resting orders in it are worked at once."""
    server, body = server_of(request), await _body(request)
    symbol = server.market.set_price(body["symbol"], Decimal(str(body["bid"])), Decimal(str(body["ask"])))
    for account in server.accounts.values():
        account.price_changed(symbol)
    return answer_json({})


async def show_quote(request: web.Request) -> web.Response:
    """Let the market data show `symbol, bid, ask, at` while orders trade at the old price."""
    server, body = server_of(request), await _body(request)
    at = datetime.fromisoformat(body["at"]) if body.get("at") else None
    server.market.show(body["symbol"], Decimal(str(body["bid"])), Decimal(str(body["ask"])), at)
    return answer_json({})


async def set_clock(request: web.Request) -> web.Response:
    """Open or close the stock market: `is_open`."""
    server, body = server_of(request), await _body(request)
    server.market.is_open = bool(body["is_open"])
    for account in server.accounts.values():
        if server.market.is_open:
            account.market_opened()
        else:
            account.market_closed()
    return answer_json({})


async def put_asset(request: web.Request) -> web.Response:
    """Add or change the asset `symbol` by the other fields."""
    server, body = server_of(request), await _body(request)
    symbol = body.pop("symbol")
    if "spread" in body:
        body["spread"] = tuple(body["spread"])
    if "asset_class" in body:
        body["asset_class"] = AssetClass(body["asset_class"])
    server.market.put_asset(symbol, body)
    return answer_json({})


async def open_account(request: web.Request) -> web.Response:
    """Open an account `key, secret, cash` with `flags` that its Account object shows."""
    server, body = server_of(request), await _body(request)
    cash = Decimal(str(body.get("cash", START_CASH)))
    server.open_account(body["key"], body["secret"], cash, body.get("flags", {}))
    return answer_json({})


async def change_settings(request: web.Request) -> web.Response:
    """Change fields of `Settings`."""
    server, body = server_of(request), await _body(request)
    for name, value in body.items():
        current = getattr(server.settings, name)
        is_decimal = isinstance(current, Decimal) or name == "full_fill_notional"
        setattr(server.settings, name, Decimal(str(value)) if is_decimal and value is not None else value)
    for account in server.accounts.values():
        account.apply_settings()
        if body.get("hold_fills") is False:
            for asset in server.market.assets.values():
                account.price_changed(asset.symbol)
    return answer_json({})


async def add_fault(request: web.Request) -> web.Response:
    """Queue a `Fault` by its fields."""
    body = await _body(request)
    fault = Fault(**{**body, "kind": FaultKind(body["kind"])})
    server_of(request).faults.waiting.append(fault)
    return answer_json({})


async def list_faults(request: web.Request) -> web.Response:
    """Return the faults that have not struck out yet."""
    waiting = server_of(request).faults.waiting
    return answer_json(
        [{"kind": f.kind, "method": f.method, "path": f.path, "count": f.count} for f in waiting]
    )


async def clear_faults(request: web.Request) -> web.Response:
    """Forget all queued faults."""
    server_of(request).faults.waiting.clear()
    return answer_json({})


async def set_holding(request: web.Request) -> web.Response:
    """Change what account `key` holds of `symbol` to `quantity`, as by a hand."""
    server, body = server_of(request), await _body(request)
    price = Decimal(str(body["price"])) if body.get("price") is not None else None
    _account(server, body).hold(body["symbol"], Decimal(str(body["quantity"])), price)
    return answer_json({})


async def fill_order(request: web.Request) -> web.Response:
    """Fill an order of account `key` by hand: `client_order_id` or `order_id`, `quantity`, `price`."""
    server, body = server_of(request), await _body(request)
    account = _account(server, body)
    quantity, price = (None if body.get(n) is None else Decimal(str(body[n])) for n in ("quantity", "price"))
    account.fill_by_hand(_order_id(account, body), quantity, price)
    return answer_json({})


async def end_order(request: web.Request) -> web.Response:
    """End an order of account `key` on the broker's account: `how` is reject, expire or cancel."""
    server, body = server_of(request), await _body(request)
    account = _account(server, body)
    account.end_by_hand(_order_id(account, body), body["how"], body.get("message", ""))
    return answer_json({})


async def force_status(request: web.Request) -> web.Response:
    """Let an order show a `status` of Alpaca's (or none of them)."""
    server, body = server_of(request), await _body(request)
    account = _account(server, body)
    account.forced_status[_order_id(account, body)] = body["status"]
    return answer_json({})


async def post_fees(request: web.Request) -> web.Response:
    """Post the fees of everything traded so far; returns how many activities."""
    server, body = server_of(request), await _body(request)
    return answer_json({"posted": _account(server, body).post_fees()})


async def drop(request: web.Request) -> web.Response:
    """Close the stream of `key`, or all streams."""
    body = await _body(request)
    return answer_json({"dropped": drop_streams(server_of(request), body.get("key"))})


async def list_accepted(request: web.Request) -> web.Response:
    """Return every order ever accepted, with `key` and `received_at` (seconds since 1970)."""
    server = server_of(request)
    only = request.query.get("key")
    found = [
        {**account.json(order), "key": account.key, "received_at": account.received_at[order.id]}
        for account in server.accounts.values()
        if only in (None, account.key)
        for order in account.orders()
    ]
    return answer_json(sorted(found, key=lambda order: float(str(order["received_at"]))))


async def list_executions(request: web.Request) -> web.Response:
    """Return every execution of account `key`, the oldest first, with the order's `client_order_id`."""
    account = _account(server_of(request), dict(request.query))
    return answer_json(
        [
            {
                "client_order_id": account.order(execution.order_id).client_order_id,
                "symbol": execution.symbol,
                "side": execution.side.value,
                "quantity": str(execution.quantity),
                "price": str(execution.price),
                "fee": str(execution.fee),
                "fee_in_base": execution.fee_in_base,
            }
            for execution in account.simulator.books.executions
        ]
    )


async def list_requests(request: web.Request) -> web.Response:
    """Return every request as [method, path, key, status]; status 0 was never answered."""
    return answer_json(list(server_of(request).requests))


async def list_sign_ins(request: web.Request) -> web.Response:
    """Return every sign-in to the stream as [key, succeeded]."""
    return answer_json(list(server_of(request).sign_ins))


async def list_listeners(request: web.Request) -> web.Response:
    """Return the keys that a stream listens for."""
    return answer_json(list(server_of(request).listeners))


async def count_pending(request: web.Request) -> web.Response:
    """Return how many steps (routing, fills, cancels) are still to come by themselves."""
    return answer_json({"pending": sum(account.pending for account in server_of(request).accounts.values())})


async def read_account(request: web.Request) -> web.Response:
    """Return Account and positions of `key`."""
    server = server_of(request)
    account = _account(server, dict(request.query))
    return answer_json({"account": account.account(), "positions": account.positions()})


async def reset(request: web.Request) -> web.Response:
    """Forget accounts, orders, prices, faults and settings; streams are closed."""
    server = server_of(request)
    drop_streams(server, None)
    server.reset()
    return answer_json({})


async def _body(request: web.Request) -> Json:
    text = await request.text()
    return dict(json.loads(text)) if text else {}


def _account(server: Server, body: Json) -> AlpacaAccount:
    return server.accounts[body["key"]]


def _order_id(account: AlpacaAccount, body: Json) -> str:
    return str(body.get("order_id") or account.by_client_id[body["client_order_id"]])


ROUTES = (
    web.post("/_control/price", set_price),
    web.post("/_control/shown_quote", show_quote),
    web.post("/_control/clock", set_clock),
    web.post("/_control/asset", put_asset),
    web.post("/_control/account", open_account),
    web.get("/_control/account", read_account),
    web.post("/_control/settings", change_settings),
    web.post("/_control/faults", add_fault),
    web.get("/_control/faults", list_faults),
    web.delete("/_control/faults", clear_faults),
    web.post("/_control/holding", set_holding),
    web.post("/_control/fill", fill_order),
    web.post("/_control/end", end_order),
    web.post("/_control/status", force_status),
    web.post("/_control/fees", post_fees),
    web.post("/_control/streams/drop", drop),
    web.get("/_control/orders", list_accepted),
    web.get("/_control/executions", list_executions),
    web.get("/_control/requests", list_requests),
    web.get("/_control/sign_ins", list_sign_ins),
    web.get("/_control/listeners", list_listeners),
    web.get("/_control/pending", count_pending),
    web.post("/_control/reset", reset),
)
