"""A small local server that answers as Binance's USD-M futures do: `/fapi`, one-way and hedge mode, both margins.

The book, the faults and the control are those of `tests.blofin_server`; only what Binance words and signs
otherwise is here. `with running(binance()) as control:` of `tests.blofin_server.local` runs it; an account has
no passphrase. What it shows of orders to the control is in BloFin's words.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.blofin_server import margin, trading
from tests.blofin_server.account import HEDGE, NET, Account, new_id
from tests.blofin_server.errors import OperationFailed
from tests.blofin_server.market import Instrument, LocalMarket, coin_market
from tests.blofin_server.matching import crosses
from tests.blofin_server.orders import ZERO, Order, Position
from tests.blofin_server.state import Server
from tests.blofin_server.wire import short
from tests.local_server import answer_json

Json = dict[str, Any]

STATES = {"live": "NEW", "partially_filled": "PARTIALLY_FILLED", "filled": "FILLED"}
KINDS = {"GTC": "limit", "IOC": "ioc", "FOK": "fok", "GTX": "post_only"}
WORDS = {kind: word for word, kind in KINDS.items()}
SIDES = {"BOTH": "net", "LONG": "long", "SHORT": "short"}
SIDE_WORDS = {side: word for word, side in SIDES.items()}
CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
# https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code
MESSAGES = {
    "-1003": "Too many requests.",
    "-1021": "Timestamp for this request is outside of the recvWindow.",
    "-1022": "Signature for this request is not valid.",
    "-1102": "Mandatory parameter was not sent, was empty/null, or malformed.",
    "-1111": "Precision is over the maximum defined for this asset.",
    "-1121": "Invalid symbol.",
    "-2011": "Unknown order sent.",
    "-2013": "Order does not exist.",
    "-2015": "Invalid API-key, IP, or permissions for action.",
    "-2019": "Margin is insufficient.",
    "-2022": "ReduceOnly Order is rejected.",
    "-4003": "Quantity less than or equal to zero.",
    "-4015": "Client order id is not valid.",
    "-4028": "Leverage is not valid.",
    "-4046": "No need to change margin type.",
    "-4047": "Margin type cannot be changed if there exists open orders.",
    "-4048": "Margin type cannot be changed if there exists position.",
    "-4059": "No need to change position side.",
    "-4061": "Order's position side does not match user's setting.",
    "-4068": "Position side cannot be changed if there exists position.",
    "-4116": "ClientOrderId is duplicated.",
    "-4140": "Invalid symbol status for opening position.",
    "-5022": "Due to the order could not be executed as maker, the Post Only order will be rejected.",
}


class BinanceRefused(Exception):
    """A request that is refused, by Binance's code."""

    def __init__(self, code: str, status: int = 400) -> None:
        self.code, self.status = code, status
        super().__init__(code)


def binance(mode: str = "live") -> Server:
    """Return the state of a server that stands for Binance's futures."""
    return Server(mode, skin=Binance(), make_market=coin_market)


class Binance:
    """The manners of Binance: plain answers, and failures as HTTP 400 with a negative code."""

    key_header = "X-MBX-APIKEY"

    def carry_out(self, server: Server, request: web.Request, body: str) -> web.Response:
        """Return the answer to a request."""
        try:
            return answer_json(_result(server, request, body))
        except BinanceRefused as refused:
            return _failure(refused.code, refused.status)

    def too_many(self) -> web.Response:
        """Return the answer beyond a rate limit."""
        return _failure("-1003", 429)


def signed_in(server: Server, request: web.Request, sent: str, params: Json) -> Account:
    """Return the account whose key signed: hexadecimal HMAC of everything before `&signature=`."""
    account = server.accounts.get(request.headers.get("X-MBX-APIKEY", ""))
    if account is None or account.expired or (account.ips and request.remote not in account.ips):
        raise BinanceRefused("-2015", 401)
    signed, _, signature = sent.rpartition("&signature=")
    expected = hmac.new(account.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise BinanceRefused("-1022")
    stamp, window = params.get("timestamp", ""), int(params.get("recvWindow", 5000))
    if not stamp.isdigit():
        raise BinanceRefused("-1102")
    if not server.now() - window <= int(stamp) < server.now() + 1000:
        raise BinanceRefused("-1021")
    return account


def exchange_info(market: LocalMarket, params: Json) -> Json:
    """List symbols with their filters."""
    return {"timezone": "UTC", "rateLimits": [], "symbols": [_symbol(i) for i in market.instruments.values()]}


def book_ticker(market: LocalMarket, params: Json) -> Any:
    """Return best bid and ask of one symbol, or of all."""
    names = [_instrument(market, params).inst_id] if params.get("symbol") else list(market.instruments)
    rows = [_ticker(market, name) for name in names]
    return rows[0] if params.get("symbol") else rows


def depth(market: LocalMarket, params: Json) -> Json:
    """Return an order book of one level."""
    price = market.price(_instrument(market, params).inst_id)
    sides = {"bids": [[short(price.bid), "20"]], "asks": [[short(price.ask), "20"]]}
    return {"lastUpdateId": 1, "E": price.at, "T": price.at, **sides}


def account(account: Account, params: Json) -> Json:
    """Return the account's money."""
    needs = {
        "totalInitialMargin": account.cross_margin() + account.isolated_margin() + account.order_margin(),
        "totalWalletBalance": account.balance,
        "totalUnrealizedProfit": account.profit(),
        "totalMarginBalance": account.balance + account.profit(),
        "availableBalance": max(account.available(), ZERO),
    }
    asset = {
        "asset": "USDT",
        "walletBalance": short(account.balance),
        "unrealizedProfit": short(account.profit()),
        "marginBalance": short(account.balance + account.profit()),
        "initialMargin": short(needs["totalInitialMargin"]),
        "positionInitialMargin": short(account.cross_margin() + account.isolated_margin()),
        "openOrderInitialMargin": short(account.order_margin()),
        "availableBalance": short(needs["availableBalance"]),
        "crossWalletBalance": short(account.balance - account.isolated_margin()),
        "crossUnPnl": short(account.profit(cross=True)),
        "updateTime": account.now(),
    }
    return {**{name: short(value) for name, value in needs.items()}, "assets": [asset], "positions": []}


def position_risk(account: Account, params: Json) -> list[Json]:
    """List positions; version 3 leaves out what is flat, and the leverage."""
    held = account.positions.values()
    return [_position(account, p) for p in held if params.get("symbol") in (None, p.inst_id)]


def symbol_config(account: Account, params: Json) -> list[Json]:
    """List margin type and leverage of one symbol, or of all."""
    names = (
        [_instrument(account.market, params).inst_id] if params.get("symbol") else account.market.instruments
    )
    return [
        {
            "symbol": name,
            "marginType": "ISOLATED" if _margin_of(account, name) == "isolated" else "CROSSED",
            "leverage": _leverage(account, name),
            "maxNotionalValue": "1000000",
        }
        for name in names
    ]


def leverage_brackets(account: Account, params: Json) -> list[Json]:
    """List the one bracket of each symbol."""
    return [
        {
            "symbol": traded.inst_id,
            "brackets": [
                {
                    "bracket": 1,
                    "initialLeverage": traded.max_leverage,
                    "notionalCap": 1_000_000_000,
                    "notionalFloor": 0,
                    "maintMarginRatio": float(traded.maintenance_rate),
                    "cum": 0.0,
                }
            ],
        }
        for traded in account.market.instruments.values()
        if params.get("symbol") in (None, traded.inst_id)
    ]


def position_mode(account: Account, params: Json) -> Json:
    """Return the position mode."""
    return {"dualSidePosition": account.position_mode == HEDGE}


def key_restrictions(account: Account, params: Json) -> Json:
    """Return what the key may do."""
    return {
        "ipRestrict": bool(account.ips),
        "createTime": account.created,
        "enableReading": True,
        "enableWithdrawals": "withdraw" in account.permissions,
        "enableFutures": "trade" in account.permissions,
        **account.extra,
    }


def find_order(account: Account, params: Json) -> Json:
    """Return one order of a symbol by its id or the client's."""
    name = _instrument(account.market, params).inst_id
    for order in reversed(account.orders.values()):
        if order.inst_id == name and _is_named(order, params):
            return _order(account, order)
    raise BinanceRefused("-2013")


def open_orders(account: Account, params: Json) -> list[Json]:
    """List open orders."""
    return [_order(account, order) for order in account.open_orders(params.get("symbol"))]


def create_order(account: Account, params: Json) -> Json:
    """Place an order; without newOrderRespType=RESULT the answer shows it as if untouched."""
    order = _read_order(account, params)
    untouched = _order(account, order)
    try:
        trading.admit(account, order)
    except OperationFailed:
        raise BinanceRefused("-2019") from None
    return _order(account, order) if params.get("newOrderRespType") == "RESULT" else untouched


def cancel_order(account: Account, params: Json) -> Json:
    """Cancel an order."""
    name = _instrument(account.market, params).inst_id
    for order in account.open_orders(name):
        if _is_named(order, params):
            account.end(order, "user_canceled", "")
            return _order(account, order)
    raise BinanceRefused("-2011")


def set_leverage(account: Account, params: Json) -> Json:
    """Set the leverage of a symbol, which counts for both margin types."""
    traded, wanted = _instrument(account.market, params), _number(params, "leverage")
    if wanted % 1 or not 1 <= wanted <= traded.max_leverage:
        raise BinanceRefused("-4028")
    for mode in ("cross", "isolated"):
        for side in SIDES.values():
            account.leverages[traded.inst_id, mode, side] = int(wanted)
    return {"leverage": int(wanted), "maxNotionalValue": "1000000", "symbol": traded.inst_id}


def set_margin_type(account: Account, params: Json) -> Json:
    """Set the margin type of a symbol; the one it has already is an error of its own."""
    name = _instrument(account.market, params).inst_id
    mode = {"ISOLATED": "isolated", "CROSSED": "cross"}.get(params.get("marginType", ""))
    if mode is None:
        raise BinanceRefused("-1102")
    if mode == _margin_of(account, name):
        raise BinanceRefused("-4046")
    if account.open_orders(name):
        raise BinanceRefused("-4047")
    if any(position.inst_id == name for position in account.positions.values()):
        raise BinanceRefused("-4048")
    account.symbol_margin[name] = mode
    return {"code": 200, "msg": "success"}


def set_position_mode(account: Account, params: Json) -> Json:
    """Set the position mode of the account."""
    mode = HEDGE if params.get("dualSidePosition") == "true" else NET
    if mode == account.position_mode:
        raise BinanceRefused("-4059")
    if account.positions or account.open_orders():
        raise BinanceRefused("-4068")
    account.position_mode = mode
    return {"code": 200, "msg": "success"}


def _read_order(account: Account, params: Json) -> Order:
    traded = _instrument(account.market, params)
    kind = KINDS.get(params.get("timeInForce", "GTC"))
    by_market = params.get("type") == "MARKET"
    if params.get("side") not in ("BUY", "SELL") or params.get("type") not in ("MARKET", "LIMIT") or not kind:
        raise BinanceRefused("-1102")
    if traded.state != "live":
        raise BinanceRefused("-4140")
    size, price = _number(params, "quantity"), None if by_market else _number(params, "price")
    if size < traded.minimum or size % traded.lot or (price is not None and price % traded.tick):
        raise BinanceRefused("-1111")
    side = _position_side(account, params)
    closes_hedge = (params["side"], side) in (("SELL", "long"), ("BUY", "short"))
    order = Order(
        id=new_id(),
        client_id=_client_id(account, params),
        inst_id=traded.inst_id,
        margin_mode=_margin_of(account, traded.inst_id),
        position_side=side,
        side=params["side"].lower(),
        kind="market" if by_market else kind,
        price=price,
        size=size,
        reduce_only=params.get("reduceOnly", "").lower() == "true" or closes_hedge,
        leverage=_leverage(account, traded.inst_id),
        created=account.now(),
        updated=account.now(),
    )
    if order.reduce_only and account.reducible(order) == 0:
        raise BinanceRefused("-2022")
    if kind == "post_only" and crosses(account, order):
        raise BinanceRefused("-5022")
    return order


def _position_side(account: Account, params: Json) -> str:
    side = SIDES.get(params.get("positionSide", "BOTH"))
    if side is None or (side == "net") is (account.position_mode == HEDGE):
        raise BinanceRefused("-4061")
    # in hedge mode the position side says what is reduced, and reduceOnly may not be sent
    if side != "net" and "reduceOnly" in params:
        raise BinanceRefused("-1102")
    return side


def _client_id(account: Account, params: Json) -> str:
    value = str(params.get("newClientOrderId") or "")
    if value and not CLIENT_ID.fullmatch(value):
        raise BinanceRefused("-4015")
    if value and any(order.client_id == value for order in account.open_orders()):
        raise BinanceRefused("-4116")
    return value


def _margin_of(account: Account, name: str) -> str:
    return account.symbol_margin.get(name, "cross")


def _leverage(account: Account, name: str) -> int:
    return account.leverages.get((name, "cross", "net"), 20)


def _is_named(order: Order, params: Json) -> bool:
    if params.get("orderId"):
        return order.id == params["orderId"]
    return bool(order.client_id) and order.client_id == params.get("origClientOrderId")


def _order(account: Account, order: Order) -> Json:
    by_itself = order.cancel_source == "system_canceled"
    ended = "EXPIRED" if by_itself else "CANCELED"
    kind = "MARKET" if order.kind == "market" else "LIMIT"
    return {
        "orderId": int(order.id),
        "symbol": order.inst_id,
        "status": STATES.get(order.state, ended),
        "clientOrderId": order.client_id,
        "price": short(order.price or ZERO),
        "avgPrice": short(order.average),
        "origQty": short(order.size),
        "executedQty": short(order.filled),
        "cumQuote": short(order.value * account.market.instrument(order.inst_id).contract_value),
        "timeInForce": "GTC" if order.kind == "market" else WORDS[order.kind],
        "type": kind,
        "origType": kind,
        "reduceOnly": order.reduce_only and order.position_side == "net",
        "closePosition": False,
        "side": order.side.upper(),
        "positionSide": SIDE_WORDS[order.position_side],
        "stopPrice": "0",
        "time": order.created,
        "updateTime": order.updated,
    }


def _position(account: Account, position: Position) -> Json:
    traded, mark = account.market.instrument(position.inst_id), account.market.price(position.inst_id).mark
    at = account.liquidation_price(position)
    gain = margin.profit(position, traded, mark)
    needed = margin.initial_margin(position, traded, mark)
    isolated = ZERO if position.is_cross else position.margin
    return {
        "symbol": position.inst_id,
        "positionSide": SIDE_WORDS[position.side],
        "positionAmt": short(position.size),
        "entryPrice": short(position.average),
        "markPrice": short(mark),
        "unRealizedProfit": short(gain),
        "liquidationPrice": "0" if at is None else short(at),
        "isolatedMargin": short(ZERO if position.is_cross else isolated + gain),
        "isolatedWallet": short(isolated),
        "notional": short(position.size * traded.contract_value * mark),
        "marginAsset": "USDT",
        "initialMargin": short(needed),
        "maintMargin": short(margin.maintenance_margin(position, traded, mark)),
        "positionInitialMargin": short(needed),
        "updateTime": position.updated,
    }


def _symbol(traded: Instrument) -> Json:
    lot, tick = short(traded.lot), short(traded.tick)
    sizes = {"minQty": short(traded.minimum), "stepSize": lot}
    return {
        "symbol": traded.inst_id,
        "pair": traded.inst_id,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING" if traded.state == "live" else "SETTLING",
        "baseAsset": traded.base,
        "quoteAsset": traded.quote,
        "marginAsset": traded.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
            {"filterType": "LOT_SIZE", "maxQty": short(traded.max_limit), **sizes},
            {"filterType": "MARKET_LOT_SIZE", "maxQty": short(traded.max_market), **sizes},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": list(KINDS),
    }


def _ticker(market: LocalMarket, name: str) -> Json:
    price = market.price(name)
    sides = {"bidPrice": short(price.bid), "bidQty": "20", "askPrice": short(price.ask), "askQty": "20"}
    return {"symbol": name, **sides, "lastPrice": short(price.last), "time": price.at}


def _instrument(market: LocalMarket, params: Json) -> Instrument:
    traded = market.instruments.get(params.get("symbol", ""))
    if traded is None:
        raise BinanceRefused("-1121")
    return traded


def _number(params: Json, name: str) -> Decimal:
    try:
        value = Decimal(params.get(name, ""))
    except InvalidOperation:
        raise BinanceRefused("-1102") from None
    if not value.is_finite() or value <= 0:
        raise BinanceRefused("-4003")
    return value


def _failure(code: str, status: int) -> web.Response:
    return answer_json({"code": int(code), "msg": MESSAGES[code]}, status)


def _result(server: Server, request: web.Request, body: str) -> Any:
    query = request.raw_path.partition("?")[2]
    sent = body if request.method in ("POST", "PUT") and body else query
    params = dict(parse_qsl(sent, keep_blank_values=True))
    if request.method == "GET" and request.path in PUBLIC:
        return PUBLIC[request.path](server.market, params)
    work = PRIVATE.get((request.method, request.path))
    if work is None:
        raise BinanceRefused("-1121", 404)
    account = signed_in(server, request, sent, params)
    if request.method != "GET" and "trade" not in account.permissions:
        raise BinanceRefused("-2015", 401)
    return work(account, params)


PUBLIC: dict[str, Callable[[LocalMarket, Json], Any]] = {
    "/fapi/v1/exchangeInfo": exchange_info,
    "/fapi/v1/ticker/bookTicker": book_ticker,
    "/fapi/v1/depth": depth,
}
PRIVATE: dict[tuple[str, str], Callable[[Account, Json], Any]] = {
    ("GET", "/sapi/v1/capital/config/getall"): lambda account, params: [],
    ("GET", "/sapi/v1/margin/allPairs"): lambda account, params: [],
    ("GET", "/sapi/v1/account/apiRestrictions"): key_restrictions,
    ("GET", "/fapi/v3/account"): account,
    ("GET", "/fapi/v3/positionRisk"): position_risk,
    ("GET", "/fapi/v1/symbolConfig"): symbol_config,
    ("GET", "/fapi/v1/leverageBracket"): leverage_brackets,
    ("GET", "/fapi/v1/positionSide/dual"): position_mode,
    ("POST", "/fapi/v1/positionSide/dual"): set_position_mode,
    ("POST", "/fapi/v1/leverage"): set_leverage,
    ("POST", "/fapi/v1/marginType"): set_margin_type,
    ("GET", "/fapi/v1/order"): find_order,
    ("POST", "/fapi/v1/order"): create_order,
    ("DELETE", "/fapi/v1/order"): cancel_order,
    ("GET", "/fapi/v1/openOrders"): open_orders,
}
