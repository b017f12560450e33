"""A small local server that answers as Bybit's v5 API does for USDT perpetuals, in one-way mode and cross margin.

The book, the faults and the control are those of `tests.blofin_server`; only what Bybit words and signs
otherwise is here. `with running(bybit()) as control:` of `tests.blofin_server.local` runs it; an account has
no passphrase. What it shows of orders to the control is in BloFin's words.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from tests.blofin_server import margin, trading
from tests.blofin_server.account import Account, new_id
from tests.blofin_server.errors import OperationFailed
from tests.blofin_server.market import Instrument, LocalMarket, coin_market
from tests.blofin_server.orders import ZERO, Order, Position
from tests.blofin_server.state import Server
from tests.blofin_server.wire import short
from tests.local_server import answer_json

Json = dict[str, Any]

STATES = {"live": "New", "partially_filled": "PartiallyFilled", "filled": "Filled"}
KINDS = {"GTC": "limit", "IOC": "ioc", "FOK": "fok", "PostOnly": "post_only"}
WORDS = {kind: word for word, kind in KINDS.items()}
LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
MESSAGES = {
    "10001": "params error",
    "10002": "invalid request, please check your server timestamp or recv_window param",
    "10003": "API key is invalid.",
    "10004": "error sign! please check your signature generation algorithm.",
    "10005": "Permission denied, please check your API key permissions.",
    "10006": "Too many visits. Exceeded the API Rate Limit.",
    "10010": "Unmatched IP, please check your API key's bound IP addresses.",
    "110001": "order not exists or too late to cancel",
    "110007": "ab not enough for new order",
    "110017": "current position is zero, cannot fix reduce-only order qty",
    "110025": "position idx not match position mode",
    "110043": "leverage not modified",
    "110072": "OrderLinkedID is duplicate",
}


class BybitRefused(Exception):
    """A request that is refused, by Bybit's code."""

    def __init__(self, code: str, message: str | None = None) -> None:
        self.code, self.message = code, message or MESSAGES[code]
        super().__init__(code, self.message)


def bybit(mode: str = "live") -> Server:
    """Return the state of a server that stands for Bybit."""
    return Server(mode, skin=Bybit(), make_market=coin_market)


class Bybit:
    """The manners of Bybit: everything is HTTP 200 with a retCode."""

    key_header = "X-BAPI-API-KEY"

    def carry_out(self, server: Server, request: web.Request, body: str) -> web.Response:
        """Return the answer to a request."""
        try:
            return answer_json(_envelope("0", "OK", _result(server, request, body), server.now()))
        except BybitRefused as refused:
            return answer_json(_envelope(refused.code, refused.message, {}, server.now()))

    def too_many(self) -> web.Response:
        """Return the answer beyond a rate limit."""
        return answer_json(_envelope("10006", MESSAGES["10006"], {}, 0))


def signed_in(server: Server, request: web.Request, body: str) -> Account:
    """Return the account whose key signed: hexadecimal HMAC of timestamp, key, window and query or body."""
    headers = request.headers
    key, stamp = headers.get("X-BAPI-API-KEY", ""), headers.get("X-BAPI-TIMESTAMP", "")
    window = headers.get("X-BAPI-RECV-WINDOW", "5000")
    account = server.accounts.get(key)
    if account is None or account.expired:
        raise BybitRefused("10003")
    if account.ips and request.remote not in account.ips:
        raise BybitRefused("10010")
    if not (stamp.isdigit() and window.isdigit()):
        raise BybitRefused("10001")
    if not server.now() - int(window) <= int(stamp) <= server.now() + 1000:
        raise BybitRefused("10002")
    content = body if request.method == "POST" else request.raw_path.partition("?")[2]
    expected = hmac.new(account.secret.encode(), f"{stamp}{key}{window}{content}".encode(), hashlib.sha256)
    if not hmac.compare_digest(expected.hexdigest(), headers.get("X-BAPI-SIGN", "")):
        raise BybitRefused("10004")
    return account


def instruments(market: LocalMarket, query: Json) -> Json:
    """List instruments; none is before its launch."""
    only = query.get("symbol")
    rows = [_instrument(i) for i in market.instruments.values() if only in (None, i.inst_id)]
    return _list([] if query.get("status") == "PreLaunch" else rows)


def tickers(market: LocalMarket, query: Json) -> Json:
    """List tickers, or one."""
    names = [_instrument_of(market, query).inst_id] if query.get("symbol") else list(market.instruments)
    return _list([_ticker(market, name) for name in names])


def order_book(market: LocalMarket, query: Json) -> Json:
    """Return an order book of one level."""
    name = _instrument_of(market, query).inst_id
    price = market.price(name)
    sides = {"b": [[short(price.bid), "20"]], "a": [[short(price.ask), "20"]]}
    return {"s": name, **sides, "ts": price.at, "u": 1, "seq": 1, "cts": price.at}


def wallet(account: Account, query: Json) -> Json:
    """Return the balance of the unified account."""
    equity = account.balance + account.profit()
    coin = {
        "coin": "USDT",
        "equity": short(equity),
        "usdValue": short(equity),
        "walletBalance": short(account.balance),
        "locked": "0",
        "totalOrderIM": short(account.order_margin()),
        "totalPositionIM": short(account.cross_margin()),
        "unrealisedPnl": short(account.profit()),
        "availableToWithdraw": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
    }
    totals = {
        "totalEquity": equity,
        "totalWalletBalance": account.balance,
        "totalMarginBalance": equity,
        "totalAvailableBalance": max(account.available(), ZERO),
        "totalPerpUPL": account.profit(),
        "totalInitialMargin": account.cross_margin() + account.order_margin(),
    }
    shown = {name: short(value) for name, value in totals.items()}
    return {"list": [{"accountType": "UNIFIED", **shown, "coin": [coin]}]}


def account_info(account: Account, query: Json) -> Json:
    """Return that the account is a unified one with cross margin."""
    return {"unifiedMarginStatus": 6, "marginMode": "REGULAR_MARGIN", "isMasterTrader": False}


def api_key(account: Account, query: Json) -> Json:
    """Return what the key may do; withdrawing is a permission of the wallet."""
    wallets = ["AccountTransfer", *(["Withdraw"] if "withdraw" in account.permissions else [])]
    return {
        "readOnly": int("trade" not in account.permissions),
        "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": wallets},
        "ips": list(account.ips) or ["*"],
        "uta": 1,
        "unified": 0,
        **account.extra,
    }


def positions(account: Account, query: Json) -> Json:
    """List positions; a symbol that is asked for has a row also while it is flat."""
    if not query.get("symbol") and not query.get("settleCoin"):
        raise BybitRefused("10001")
    if query.get("symbol"):
        name = _instrument_of(account.market, query).inst_id
        return _list([_position(account, name, account.positions.get((name, "cross", "net")))])
    return _list([_position(account, p.inst_id, p) for p in account.positions.values()])


def open_orders(account: Account, query: Json) -> Json:
    """List open orders; one that is asked for by an id is shown also when it is over."""
    named = query.get("orderId") or query.get("orderLinkId")
    if not (named or query.get("symbol") or query.get("settleCoin")):
        raise BybitRefused("10001")
    return _orders(account, query, lambda order: bool(named) or order.is_open)


def order_history(account: Account, query: Json) -> Json:
    """List orders that have ended."""
    return _orders(account, query, lambda order: not order.is_open)


def create_order(account: Account, params: Json) -> Json:
    """Place an order."""
    order = _read_order(account, params)
    try:
        trading.admit(account, order)
    except OperationFailed:
        raise BybitRefused("110007") from None
    return {"orderId": order.id, "orderLinkId": order.client_id}


def cancel_order(account: Account, params: Json) -> Json:
    """Cancel an order by its id or the client's."""
    named = params.get("orderId"), params.get("orderLinkId")
    for order in account.open_orders():
        if order.id == named[0] or (order.client_id and order.client_id == named[1]):
            account.end(order, "user_canceled", "CancelByUser")
            return {"orderId": order.id, "orderLinkId": order.client_id}
    raise BybitRefused("110001")


def set_leverage(account: Account, params: Json) -> Json:
    """Set the leverage of a symbol; the value it has already is an error of its own."""
    traded = _instrument_of(account.market, params)
    wanted = _number(params, "buyLeverage")
    if wanted != _number(params, "sellLeverage") or not 1 <= wanted <= traded.max_leverage or wanted % 1:
        raise BybitRefused("10001", "leverage invalid")
    if account.leverage(traded.inst_id, "cross", "net") == wanted:
        raise BybitRefused("110043")
    account.leverages[traded.inst_id, "cross", "net"] = int(wanted)
    return {}


def _read_order(account: Account, params: Json) -> Order:
    traded = _instrument_of(account.market, params)
    kind = KINDS.get(str(params.get("timeInForce") or "GTC"))
    if params.get("category") != "linear" or params.get("side") not in ("Buy", "Sell") or kind is None:
        raise BybitRefused("10001")
    if traded.state != "live":
        raise BybitRefused("10001", "The symbol is not tradable")
    if str(params.get("positionIdx") or 0) != "0":
        raise BybitRefused("110025")
    by_market = params.get("orderType") == "Market"
    size, price = _number(params, "qty"), None if by_market else _number(params, "price")
    if size < traded.minimum or size % traded.lot or (price is not None and price % traded.tick):
        raise BybitRefused("10001", "The number of contracts or the price is off its step")
    order = Order(
        id=new_id(),
        client_id=_link_id(account, params),
        inst_id=traded.inst_id,
        margin_mode="cross",
        position_side="net",
        side=str(params["side"]).lower(),
        kind="market" if by_market else kind,
        price=price,
        size=size,
        reduce_only=params.get("reduceOnly") is True,
        leverage=account.leverage(traded.inst_id, "cross", "net"),
        created=account.now(),
        updated=account.now(),
    )
    if order.reduce_only and account.reducible(order) == 0:
        raise BybitRefused("110017")
    return order


def _link_id(account: Account, params: Json) -> str:
    value = str(params.get("orderLinkId") or "")
    if value and not LINK_ID.fullmatch(value):
        raise BybitRefused("10001", "OrderLinkId is invalid")
    if value and any(order.client_id == value for order in account.orders.values()):
        raise BybitRefused("110072")
    return value


def _orders(account: Account, query: Json, wanted: Callable[[Order], bool]) -> Json:
    rows = [
        _order(account, order)
        for order in reversed(account.orders.values())
        if wanted(order)
        and query.get("symbol") in (None, order.inst_id)
        and query.get("orderId") in (None, order.id)
        and query.get("orderLinkId") in (None, order.client_id)
    ]
    return _list(rows[: int(query.get("limit", 20))])


def _order(account: Account, order: Order) -> Json:
    value = order.value * account.market.instrument(order.inst_id).contract_value
    return {
        "symbol": order.inst_id,
        "orderId": order.id,
        "orderLinkId": order.client_id,
        "side": order.side.capitalize(),
        "orderType": "Market" if order.kind == "market" else "Limit",
        "price": short(order.price or ZERO),
        "qty": short(order.size),
        "orderStatus": STATES.get(order.state, "Cancelled"),
        "avgPrice": short(order.average) if order.filled else "",
        "cumExecQty": short(order.filled),
        "cumExecValue": short(value),
        "cumExecFee": short(order.fee),
        "cumFeeDetail": {"USDT": short(order.fee)} if order.filled else {},
        "leavesQty": short(order.remaining if order.is_open else ZERO),
        "timeInForce": "IOC" if order.kind == "market" else WORDS[order.kind],
        "reduceOnly": order.reduce_only,
        "positionIdx": 0,
        "tpslMode": "",
        "takeProfit": "",
        "stopLoss": "",
        "triggerPrice": "",
        "rejectReason": "EC_NoError",
        "cancelType": "UNKNOWN",
        "createdTime": str(order.created),
        "updatedTime": str(order.updated),
    }


def _position(account: Account, name: str, position: Position | None) -> Json:
    mark, traded = account.market.price(name).mark, account.market.instrument(name)
    common = {
        "positionIdx": 0,
        "symbol": name,
        "leverage": str(account.leverage(name, "cross", "net")),
        "tradeMode": 0,
        "markPrice": short(mark),
        "positionStatus": "Normal",
    }
    if position is None:
        empty = dict.fromkeys(("avgPrice", "positionValue", "positionIM", "positionMM", "unrealisedPnl"), "0")
        return {
            **common,
            **empty,
            "side": "",
            "size": "0",
            "liqPrice": "",
            "createdTime": "0",
            "updatedTime": "0",
        }
    at = account.liquidation_price(position)
    return {
        **common,
        "side": "Buy" if position.size > 0 else "Sell",
        "size": short(abs(position.size)),
        "avgPrice": short(position.average),
        "positionValue": short(margin.notional(traded, position.size, mark)),
        "positionIM": short(margin.initial_margin(position, traded, mark)),
        "positionMM": short(margin.maintenance_margin(position, traded, mark)),
        "unrealisedPnl": short(margin.profit(position, traded, mark)),
        "liqPrice": "" if at is None else short(at),
        "createdTime": str(position.created),
        "updatedTime": str(position.updated),
    }


def _instrument(traded: Instrument) -> Json:
    lot, tick = short(traded.lot), short(traded.tick)
    return {
        "symbol": traded.inst_id,
        "contractType": "LinearPerpetual",
        "status": "Trading" if traded.state == "live" else "Closed",
        "baseCoin": traded.base,
        "quoteCoin": traded.quote,
        "settleCoin": traded.quote,
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": str(traded.max_leverage),
            "leverageStep": "0.01",
        },
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999", "tickSize": tick},
        "lotSizeFilter": {
            "minOrderQty": short(traded.minimum),
            "maxOrderQty": short(traded.max_limit),
            "maxMktOrderQty": short(traded.max_market),
            "qtyStep": lot,
            "minNotionalValue": "5",
        },
        "fundingInterval": 480,
        "unifiedMarginTrade": True,
    }


def _ticker(market: LocalMarket, name: str) -> Json:
    price = market.price(name)
    return {
        "symbol": name,
        "lastPrice": short(price.last),
        "markPrice": short(price.mark),
        "indexPrice": short(price.mark),
        "bid1Price": short(price.bid),
        "bid1Size": "20",
        "ask1Price": short(price.ask),
        "ask1Size": "20",
    }


def _instrument_of(market: LocalMarket, params: Json) -> Instrument:
    traded = market.instruments.get(str(params.get("symbol") or ""))
    if traded is None:
        raise BybitRefused("10001", "params error: symbol invalid")
    return traded


def _number(params: Json, name: str) -> Decimal:
    try:
        value = Decimal(str(params.get(name)))
    except InvalidOperation:
        raise BybitRefused("10001", f"params error: {name}") from None
    if not value.is_finite() or value <= 0:
        raise BybitRefused("10001", f"params error: {name}")
    return value


def _list(rows: list[Json]) -> Json:
    return {"category": "linear", "list": rows, "nextPageCursor": ""}


def _envelope(code: str, message: str, result: Json, now: int) -> Json:
    return {"retCode": int(code), "retMsg": message, "result": result, "retExtInfo": {}, "time": now}


def _result(server: Server, request: web.Request, body: str) -> Json:
    query, path = dict(request.query), request.path
    if request.method == "GET" and path in PUBLIC:
        return PUBLIC[path](server.market, query)
    known = READING if request.method == "GET" else CHANGING
    if path not in known:
        raise BybitRefused("10001", "Request path is not known here")
    account = signed_in(server, request, body)
    if request.method == "GET":
        return READING[path](account, query)
    if "trade" not in account.permissions:
        raise BybitRefused("10005")
    return CHANGING[path](account, json.loads(body))


PUBLIC: dict[str, Callable[[LocalMarket, Json], Json]] = {
    "/v5/market/instruments-info": instruments,
    "/v5/market/tickers": tickers,
    "/v5/market/orderbook": order_book,
}
READING: dict[str, Callable[[Account, Json], Json]] = {
    "/v5/asset/coin/query-info": lambda account, query: {"rows": []},
    "/v5/account/wallet-balance": wallet,
    "/v5/account/info": account_info,
    "/v5/user/query-api": api_key,
    "/v5/position/list": positions,
    "/v5/order/realtime": open_orders,
    "/v5/order/history": order_history,
}
CHANGING: dict[str, Callable[[Account, Json], Json]] = {
    "/v5/order/create": create_order,
    "/v5/order/cancel": cancel_order,
    "/v5/position/set-leverage": set_leverage,
}
