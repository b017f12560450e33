"""The control routes by which tests set prices, open accounts, order faults and read what was received."""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from core.instrument import symbol_key
from tests.blofin_server import matching, settings, wire
from tests.blofin_server.account import Account
from tests.blofin_server.market import Instrument
from tests.blofin_server.orders import Order, Position
from tests.blofin_server.state import DEFAULT_BALANCE, SERVER, Server
from tests.faults import Fault, FaultKind

Json = dict[str, Any]
INSTRUMENT_NUMBERS = (
    "contract_value",
    "lot",
    "minimum",
    "tick",
    "maintenance_rate",
    "max_limit",
    "max_market",
)


def set_price(server: Server, body: Json) -> Json:
    """Set `bid`, and `ask`, `last`, `mark` if they differ, of `instrument`; everything is worked at once."""
    numbers = {
        name: Decimal(str(body[name])) for name in ("ask", "last", "mark") if body.get(name) is not None
    }
    _refuse_misspelled(server, body["instrument"])
    server.market.set_price(body["instrument"], Decimal(str(body["bid"])), **numbers)
    for account in server.accounts.values():
        matching.price_moved(account, body["instrument"])
    return {}


def tick(server: Server, body: Json) -> Json:
    """Work every open order once more at the present prices."""
    for account in server.accounts.values():
        for name in server.market.instruments:
            matching.touch_orders(account, name)
    return {}


def put_instrument(server: Server, body: Json) -> Json:
    """Add `inst_id` or change it by the other fields of `Instrument`."""
    fields = {n: Decimal(str(v)) if n in INSTRUMENT_NUMBERS else v for n, v in body.items()}
    known = server.market.instruments.get(fields["inst_id"])
    if known is None:
        server.market.instruments[fields["inst_id"]] = Instrument(**fields)
        server.market.set_price(fields["inst_id"], Decimal(1))
        return {}
    for name, value in fields.items():
        setattr(known, name, value)
    return {}


def open_account(server: Server, body: Json) -> Json:
    """Open an account `key, secret, passphrase` with the fields of `Account`."""
    fields = {n: v for n, v in body.items() if n not in ("key", "secret", "passphrase")}
    for name in ("balance", "funding"):
        if name in fields:
            fields[name] = Decimal(str(fields[name]))
    fields.setdefault("balance", DEFAULT_BALANCE)
    if "permissions" in fields:
        fields["permissions"] = frozenset(fields["permissions"])
    fields["ips"] = tuple(fields.get("ips", ()))
    server.open_account(body["key"], body["secret"], body["passphrase"], fields)
    return {}


def change_settings(server: Server, body: Json) -> Json:
    """Change fields of `Settings`."""
    settings.change(server.settings, body)
    return tick(server, body) if body.get("hold_fills") is False else {}


def add_fault(server: Server, body: Json) -> Json:
    """Queue a `Fault` by its fields."""
    server.faults.waiting.append(Fault(**{**body, "kind": FaultKind(body["kind"])}))
    return {}


def clear_faults(server: Server, body: Json) -> Json:
    """Forget all queued faults."""
    server.faults.waiting.clear()
    return {}


def fill_order(server: Server, body: Json) -> Json:
    """Fill an order of `key` by hand: `order`, its id or the client's, and `size` and `price` if not whole."""
    account = server.accounts[body["key"]]
    order = _order(account, body["order"])
    size, price = (None if body.get(n) is None else Decimal(str(body[n])) for n in ("size", "price"))
    matching.fill(account, order, order.remaining if size is None else size, price)
    return {}


def end_order(server: Server, body: Json) -> Json:
    """End an open order of `key` as the exchange, with `reason`."""
    account = server.accounts[body["key"]]
    account.end(_order(account, body["order"]), "system_canceled", body.get("reason", ""))
    return {}


def change_account(server: Server, body: Json) -> Json:
    """Change `balance` or `permissions` of `key`, as by a hand at the exchange's own page."""
    account = server.accounts[body["key"]]
    if body.get("balance") is not None:
        account.balance = Decimal(str(body["balance"]))
    if body.get("permissions") is not None:
        account.permissions = frozenset(body["permissions"])
    return {}


def reset(server: Server, body: Json) -> Json:
    """Forget everything."""
    server.reset()
    return {}


def list_requests(server: Server, query: Json) -> list[Json]:
    """Return every request that came, with its headers, body, and the answer's status and code."""
    return list(server.requests)


def list_orders(server: Server, query: Json) -> list[Json]:
    """Return every order that was ever accepted, the oldest first, each with its `key`."""
    return [
        {**wire.order_json(order), "key": account.key}
        for account in _accounts(server, query)
        for order in account.orders.values()
    ]


def list_protections(server: Server, query: Json) -> list[Json]:
    """Return every TP/SL order that was ever accepted."""
    return [
        {**wire.protection_json(protection), "key": account.key}
        for account in _accounts(server, query)
        for protection in account.protections.values()
    ]


def read_account(server: Server, query: Json) -> Json:
    """Return balance, positions and fills of `key`."""
    account = server.accounts[query["key"]]
    return {
        "balance": wire.balance_json(account),
        "positions": [wire.position_json(account, p) for p in account.positions.values()],
        "fills": [wire.fill_json(fill) for fill in account.fills],
    }


def list_cover(server: Server, query: Json) -> list[Json]:
    """Return for each open position how many contracts are held, and for how many of them a stop rests."""
    return [
        {"key": account.key, "instrument": position.inst_id, "held": str(abs(position.size)),
         "covered": str(_covered(account, position))}
        for account in _accounts(server, query)
        for position in account.positions.values()
    ]  # fmt: skip


def _covered(account: Account, position: Position) -> Decimal:
    resting = [
        protection
        for protection in account.protections.values()
        if protection.state == "live"
        and protection.position_key == (position.inst_id, position.margin_mode, position.side)
        and protection.exits.sl_trigger is not None
        and (protection.side == "sell") == (position.size > 0)
    ]
    sizes = [abs(position.size) if each.size is None else each.size for each in resting]
    return sum(sizes, Decimal(0))


def list_faults(server: Server, query: Json) -> list[Json]:
    """Return the faults that have not struck out yet."""
    return [{"kind": f.kind, "path": f.path, "count": f.count} for f in server.faults.waiting]


def _refuse_misspelled(server: Server, name: str) -> None:
    """Let prices of things that are not traded here pass, but not those meant for one that is."""
    known = {symbol_key(inst_id): inst_id for inst_id in server.market.instruments}
    meant = known.get(symbol_key(name), name)
    if meant != name:
        raise KeyError(f"no instrument is called {name}, {meant} is")


def _accounts(server: Server, query: Json) -> list[Account]:
    return [a for a in server.accounts.values() if query.get("key") in (None, a.key)]


def _order(account: Account, name: str) -> Order:
    if name in account.orders:
        return account.orders[name]
    return next(order for order in account.orders.values() if order.client_id == name)


def _handler(work: Callable[[Server, Json], object]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        body = await request.text()
        given = json.loads(body) if body else dict(request.query)
        try:
            found = work(request.app[SERVER], given)
        except (KeyError, StopIteration, TypeError, ValueError, ArithmeticError) as error:
            raise web.HTTPBadRequest(text=f"{type(error).__name__}: {error}") from error
        return web.Response(text=json.dumps(found), content_type="application/json")

    return handle


POSTS = {
    "price": set_price,
    "tick": tick,
    "instrument": put_instrument,
    "account": open_account,
    "change_account": change_account,
    "settings": change_settings,
    "faults": add_fault,
    "fill": fill_order,
    "end": end_order,
    "reset": reset,
}
GETS: dict[str, Callable[[Server, Json], object]] = {
    "requests": list_requests,
    "orders": list_orders,
    "protections": list_protections,
    "account": read_account,
    "cover": list_cover,
    "faults": list_faults,
}
ROUTES = [
    *(web.post(f"/_control/{name}", _handler(work)) for name, work in POSTS.items()),
    *(web.get(f"/_control/{name}", _handler(work)) for name, work in GETS.items()),
    web.delete("/_control/faults", _handler(clear_faults)),
]
