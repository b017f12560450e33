"""Alpaca's REST routes as far as a trading client uses them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web

from brokers.simulator import OrderRejected, Refusal, SimulatedOrder
from core.instrument import AssetClass, symbol_key
from tests.alpaca_server import wire
from tests.alpaca_server.account import AlpacaAccount, now_utc
from tests.alpaca_server.state import account_of, server_of
from tests.local_server import answer_json

Json = dict[str, object]


async def get_account(request: web.Request) -> web.Response:
    return answer_json(account_of(request).account())


async def get_clock(request: web.Request) -> web.Response:
    account_of(request)
    now = now_utc()
    return answer_json(wire.clock_json(server_of(request).market.clock(AssetClass.STOCK, now), now))


async def get_asset(request: web.Request) -> web.Response:
    account_of(request)
    symbol = request.match_info["symbol"]
    asset = server_of(request).market.asset(symbol)
    if asset is None:
        raise OrderRejected(f"asset not found for {symbol}", code=40410000, status=404)
    return answer_json(wire.asset_json(asset))


async def list_assets(request: web.Request) -> web.Response:
    account_of(request)
    return answer_json([wire.asset_json(asset) for asset in server_of(request).market.assets.values()])


async def post_order(request: web.Request) -> web.Response:
    account = account_of(request)
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise OrderRejected("request body format is invalid", code=40010000, status=400)
    return answer_json(account.submit(body))


async def get_order(request: web.Request) -> web.Response:
    account = account_of(request)
    return answer_json(account.json(account.order(request.match_info["order_id"])))


async def get_order_by_client_id(request: web.Request) -> web.Response:
    account = account_of(request)
    return answer_json(account.json(account.by_client_order_id(request.query.get("client_order_id", ""))))


async def list_orders(request: web.Request) -> web.Response:
    account = account_of(request)
    query = request.query
    status = query.get("status", "open")
    orders = account.open_orders() if status == "open" else account.orders()
    if status == "closed":
        orders = [order for order in orders if not order.is_open]
    wanted = list(_filtered(orders, dict(query)))
    if query.get("direction", "desc") == "desc":
        wanted.reverse()
    limit = min(int(query.get("limit", "50")), 500)
    return answer_json([account.json(order) for order in wanted[:limit]])


async def cancel_order(request: web.Request) -> web.Response:
    account_of(request).cancel(request.match_info["order_id"])
    return web.Response(status=204)


async def cancel_all_orders(request: web.Request) -> web.Response:
    account = account_of(request)
    ids = [order.id for order in account.open_orders()]
    for order_id in ids:
        account.cancel(order_id)
    return answer_json([{"id": order_id, "status": 200} for order_id in ids], 207)


async def list_positions(request: web.Request) -> web.Response:
    return answer_json(account_of(request).positions())


async def get_position(request: web.Request) -> web.Response:
    return answer_json(account_of(request).position(request.match_info["symbol"]))


async def close_position(request: web.Request) -> web.Response:
    query = request.query
    quantity = Decimal(query["qty"]) if "qty" in query else None
    percentage = Decimal(query["percentage"]) if "percentage" in query else None
    return answer_json(account_of(request).close_position(request.match_info["symbol"], quantity, percentage))


async def close_all_positions(request: web.Request) -> web.Response:
    account = account_of(request)
    if request.query.get("cancel_orders", "").lower() == "true":
        for order in account.open_orders():
            account.cancel(order.id)
    return answer_json([_closed(account, str(held["symbol"])) for held in account.positions()], 207)


async def list_activities(request: web.Request) -> web.Response:
    account = account_of(request)
    query = request.query
    kinds = request.match_info.get("kind") or query.get("activity_types", "")
    found = [one for one in account.activities if not kinds or one["activity_type"] in kinds.split(",")]
    if "after" in query:
        after = _moment(query["after"])
        found = [one for one in found if _moment(one["created_at"]) > after]
    if query.get("direction", "desc") == "desc":
        found.reverse()
    ids = [one["id"] for one in found]
    start = ids.index(query["page_token"]) + 1 if query.get("page_token") in ids else 0
    return answer_json(found[start : start + min(int(query.get("page_size", "100")), 100)])


async def stock_quote(request: web.Request) -> web.Response:
    account_of(request)
    market = server_of(request).market
    asset = market.asset(request.match_info["symbol"])
    if asset is None or asset.asset_class is not AssetClass.STOCK:
        return answer_json({"message": "not found"}, 404)
    quote = wire.quote_json(market.shown_quote(asset.symbol, now_utc()), crypto=False)
    return answer_json({"symbol": asset.symbol, "quote": quote})


async def crypto_quotes(request: web.Request) -> web.Response:
    account_of(request)
    market, now = server_of(request).market, now_utc()
    assets = [market.asset(symbol) for symbol in request.query.get("symbols", "").split(",")]
    quotes = {
        asset.symbol: wire.quote_json(market.shown_quote(asset.symbol, now), crypto=True)
        for asset in assets
        if asset is not None and asset.asset_class is AssetClass.CRYPTO
    }
    return answer_json({"quotes": quotes})


def _filtered(orders: list[SimulatedOrder], query: dict[str, str]) -> Iterable[SimulatedOrder]:
    orders = _cut(orders, query)
    symbols = {symbol_key(symbol) for symbol in query.get("symbols", "").split(",") if symbol}
    for order in orders:
        if symbols and symbol_key(order.symbol) not in symbols:
            continue
        if "side" in query and order.side.value.lower() != query["side"]:
            continue
        if "after" in query and order.submitted_at <= _moment(query["after"]):
            continue
        if "until" in query and order.submitted_at >= _moment(query["until"]):
            continue
        yield order


def _cut(orders: list[SimulatedOrder], query: dict[str, str]) -> list[SimulatedOrder]:
    ids = [order.id for order in orders]
    if query.get("after_order_id") in ids:
        return orders[ids.index(query["after_order_id"]) + 1 :]
    if query.get("before_order_id") in ids:
        return orders[: ids.index(query["before_order_id"])]
    return orders


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _closed(account: AlpacaAccount, symbol: str) -> Json:
    try:
        return {"symbol": symbol, "status": 200, "body": account.close_position(symbol, None, None)}
    except Refusal as refusal:
        return {"symbol": symbol, "status": refusal.status, "body": refusal.body}


ROUTES = (
    web.get("/v2/account", get_account),
    web.get("/v2/clock", get_clock),
    web.get("/v2/assets", list_assets),
    web.get("/v2/assets/{symbol}", get_asset),
    web.post("/v2/orders", post_order),
    web.get("/v2/orders", list_orders),
    web.delete("/v2/orders", cancel_all_orders),
    web.get("/v2/orders:by_client_order_id", get_order_by_client_id),
    web.get("/v2/orders/{order_id}", get_order),
    web.delete("/v2/orders/{order_id}", cancel_order),
    web.get("/v2/positions", list_positions),
    web.delete("/v2/positions", close_all_positions),
    web.get("/v2/positions/{symbol}", get_position),
    web.delete("/v2/positions/{symbol}", close_position),
    web.get("/v2/account/activities", list_activities),
    web.get("/v2/account/activities/{kind}", list_activities),
    web.get("/v2/stocks/{symbol}/quotes/latest", stock_quote),
    web.get("/v1beta3/crypto/us/latest/quotes", crypto_quotes),
)
