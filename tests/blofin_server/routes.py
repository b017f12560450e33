"""BloFin's private endpoints that read: balances, positions, orders, protection, fills, the key."""

from collections.abc import Callable
from typing import Any

from tests.blofin_server import checks, wire
from tests.blofin_server.account import Account
from tests.blofin_server.errors import Refused
from tests.blofin_server.market import LocalMarket
from tests.blofin_server.orders import OPEN_STATES

Json = dict[str, Any]
ACCOUNT_KINDS = ("funding", "futures", "copy_trading", "earn", "spot", "inverse_contract")
CHAINS = (("USDT", "TRC20"), ("USDT", "ERC20"), ("BTC", "Bitcoin"))


def instruments(market: LocalMarket, query: Json) -> list[Json]:
    """List instruments, or one."""
    return [wire.instrument_json(market.instrument(name)) for name in _names(market, query)]


def tickers(market: LocalMarket, query: Json) -> list[Json]:
    """List tickers, or one."""
    return [wire.ticker_json(name, market.price(name)) for name in _names(market, query)]


def mark_prices(market: LocalMarket, query: Json) -> list[Json]:
    """List mark prices, or one."""
    return [wire.mark_json(name, market.price(name)) for name in _names(market, query)]


def books(market: LocalMarket, query: Json) -> list[Json]:
    """Return an order book, of one level unless asked for more."""
    traded = market.instrument(checks.required(query, "instId"))
    depth = checks.decimal(query, "size") or 1
    if not 1 <= depth <= 100:
        raise Refused("152002", "size")
    return [wire.book_json(traded, market.price(traded.inst_id), int(depth))]


def position_tiers(market: LocalMarket, query: Json) -> list[Json]:
    """Return the one tier that every size is in here."""
    traded = market.instrument(checks.required(query, "instId"))
    mode = checks.one_of(query, "marginMode", ("cross", "isolated"))
    return [wire.tier_json(traded, mode)]


def asset_balances(account: Account, query: Json) -> list[Json]:
    """Return the balance of one kind of account."""
    kind = checks.one_of(query, "accountType", ACCOUNT_KINDS)
    return [wire.asset_json(account, kind)]


def currencies(account: Account, query: Json) -> list[Json]:
    """List the currencies of the funding account, which only the live host has."""
    if account.demo:
        raise Refused("152404")
    return [wire.currency_json(name, chain) for name, chain in CHAINS]


def balance(account: Account, query: Json) -> Json:
    """Return the futures balance."""
    return wire.balance_json(account)


def config(account: Account, query: Json) -> Json:
    """Return the level of the account: normal."""
    return {"accountLevel": "0"}


def positions(account: Account, query: Json) -> list[Json]:
    """List positions."""
    only = checks.text(query, "instId")
    held = [p for p in account.positions.values() if only in ("", p.inst_id)]
    return [wire.position_json(account, position) for position in held]


def margin_mode(account: Account, query: Json) -> Json:
    """Return the margin mode."""
    return {"marginMode": account.margin_mode}


def position_mode(account: Account, query: Json) -> Json:
    """Return the position mode."""
    return {"positionMode": account.position_mode}


def leverage(account: Account, query: Json) -> Json:
    """Return the leverage of one instrument."""
    row = batch_leverage(account, query)[0]
    return {name: row[name] for name in ("leverage", "marginMode", "instId")}


def batch_leverage(account: Account, query: Json) -> list[Json]:
    """Return the leverage of up to twenty instruments, for isolated hedge positions one row a side."""
    names = checks.required(query, "instId").split(",")
    if len(names) > 20:
        raise Refused("152015")
    mode = checks.one_of(query, "marginMode", ("cross", "isolated"))
    sides = (
        ("long", "short") if mode == "isolated" and account.position_mode == "long_short_mode" else ("net",)
    )
    return [
        {
            "leverage": str(account.leverage(account.market.instrument(name).inst_id, mode, side)),
            "marginMode": mode,
            "instId": name,
            "positionSide": side,
        }
        for name in names
        for side in sides
    ]


def price_range(account: Account, query: Json) -> Json:
    """Return between which prices a limit order may be."""
    inst_id = checks.instrument(account, query).inst_id
    checks.one_of(query, "side", ("buy", "sell"))
    low, high = checks.price_range(account, inst_id)
    return {"maxPrice": wire.long(high), "minPrice": wire.long(low)}


def api_key(account: Account, query: Json) -> Json:
    """Return what the key may do."""
    return wire.key_json(account)


def pending_orders(account: Account, query: Json) -> list[Json]:
    """List open orders."""
    rows = [wire.order_json(order) for order in account.open_orders()]
    return page(rows, query, "orderId", ("instId", "orderType", "state"))


def order_history(account: Account, query: Json) -> list[Json]:
    """List orders that have ended."""
    rows = [wire.order_json(order) for order in account.orders.values() if not order.is_open]
    return page(rows, query, "orderId", ("instId", "orderType", "state"))


def order_detail(account: Account, query: Json) -> Json | None:
    """Return one order by its id, the client's, or that of the algo order that sent it."""
    inst_id = checks.instrument(account, query).inst_id
    named = [
        (checks.text(query, "orderId"), "orderId"),
        (checks.text(query, "clientOrderId"), "clientOrderId"),
        (checks.text(query, "algoClientOrderId"), "algoClientOrderId"),
    ]
    value, name = next((pair for pair in named if pair[0]), ("", ""))
    if not value:
        raise Refused("152003", "orderId", "clientOrderId")
    rows = [wire.order_json(order) for order in account.orders.values() if order.inst_id == inst_id]
    return _one(account, [row for row in rows if row[name] == value])


def pending_protections(account: Account, query: Json) -> list[Json]:
    """List TP/SL orders that wait."""
    rows = [row for row in _protections(account) if row["state"] in OPEN_STATES]
    return page(rows, query, "tpslId", ("instId", "tpslId", "clientOrderId"))


def protection_history(account: Account, query: Json) -> list[Json]:
    """List TP/SL orders that have ended."""
    rows = [row for row in _protections(account) if row["state"] not in OPEN_STATES]
    return page(rows, query, "tpslId", ("instId", "tpslId", "clientOrderId", "state"))


def protection_detail(account: Account, query: Json) -> Json | None:
    """Return one TP/SL order."""
    inst_id = checks.instrument(account, query).inst_id
    name = "tpslId" if checks.text(query, "tpslId") else "clientOrderId"
    if not checks.text(query, name):
        raise Refused("152003", "tpslId", "clientOrderId")
    rows = [row for row in _protections(account) if row["instId"] == inst_id]
    return _one(account, [row for row in rows if row[name] == query[name]])


def pending_triggers(account: Account, query: Json) -> list[Json]:
    """List algo orders that wait."""
    return _triggers(account, query, waiting=True)


def trigger_history(account: Account, query: Json) -> list[Json]:
    """List algo orders that have ended."""
    return _triggers(account, query, waiting=False)


def fills(account: Account, query: Json) -> list[Json]:
    """List executions."""
    return page(
        [wire.fill_json(fill) for fill in account.fills], query, "tradeId", ("instId", "orderId"), "ts"
    )


def page(
    rows: list[Json], query: Json, id_name: str, filters: tuple[str, ...], time_name: str = "createTime"
) -> list[Json]:
    """Return the newest rows first, as the filters, `after`, `before`, `begin`, `end` and `limit` want them."""
    limit = checks.decimal(query, "limit") or 20
    if not 1 <= limit <= 100:
        raise Refused("152002", "limit")
    if checks.text(query, "after") and checks.text(query, "before"):
        raise Refused("152005")
    wanted = {name: checks.text(query, name) for name in filters if checks.text(query, name)}
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    bounds: tuple[tuple[str, str, Callable[[int, int], bool]], ...] = (
        ("after", id_name, lambda value, bound: value < bound),
        ("before", id_name, lambda value, bound: value > bound),
        ("begin", time_name, lambda value, bound: value >= bound),
        ("end", time_name, lambda value, bound: value <= bound),
    )
    for name, field, holds in bounds:
        bound = checks.decimal(query, name)
        if bound is not None:
            found = [row for row in found if holds(int(row[field]), int(bound))]
    return sorted(found, key=lambda row: int(row[id_name]), reverse=True)[: int(limit)]


def _names(market: LocalMarket, query: Json) -> list[str]:
    only = checks.text(query, "instId")
    return [market.instrument(only).inst_id] if only else list(market.instruments)


def _one(account: Account, rows: list[Json]) -> Json | None:
    if rows:
        return rows[-1]
    if account.settings.unknown_order_code:
        raise Refused(account.settings.unknown_order_code)
    return None


def _protections(account: Account) -> list[Json]:
    return [wire.protection_json(protection) for protection in account.protections.values()]


def _triggers(account: Account, query: Json, *, waiting: bool) -> list[Json]:
    checks.one_of(query, "orderType", ("trigger",))
    rows = [wire.trigger_json(trigger) for trigger in account.triggers.values()]
    rows = [row for row in rows if (row["state"] in OPEN_STATES) is waiting]
    return page(rows, query, "algoId", ("instId", "algoId", "clientOrderId"))


PUBLIC = {
    "/api/v1/market/instruments": instruments,
    "/api/v1/market/tickers": tickers,
    "/api/v1/market/mark-price": mark_prices,
    "/api/v1/market/books": books,
    "/api/v1/market/position-tiers": position_tiers,
}
READING: dict[str, Callable[[Account, Json], object]] = {
    "/api/v1/asset/balances": asset_balances,
    "/api/v1/asset/currencies": currencies,
    "/api/v1/account/balance": balance,
    "/api/v1/account/config": config,
    "/api/v1/account/positions": positions,
    "/api/v1/account/margin-mode": margin_mode,
    "/api/v1/account/position-mode": position_mode,
    "/api/v1/account/leverage-info": leverage,
    "/api/v1/account/batch-leverage-info": batch_leverage,
    "/api/v1/trade/order/price-range": price_range,
    "/api/v1/user/query-apikey": api_key,
    "/api/v1/trade/orders-pending": pending_orders,
    "/api/v1/trade/orders-history": order_history,
    "/api/v1/trade/order-detail": order_detail,
    "/api/v1/trade/orders-tpsl-pending": pending_protections,
    "/api/v1/trade/orders-tpsl-history": protection_history,
    "/api/v1/trade/order-tpsl-detail": protection_detail,
    "/api/v1/trade/orders-algo-pending": pending_triggers,
    "/api/v1/trade/orders-algo-history": trigger_history,
    "/api/v1/trade/fills-history": fills,
}
