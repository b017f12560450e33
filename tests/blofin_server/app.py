"""The application: rate limit, faults and sign-in around BloFin's endpoints."""

import asyncio
import hmac
import json
from typing import Any

from aiohttp import web

from tests.alpaca_server.faults import Fault, FaultKind
from tests.blofin_server import control, signing
from tests.blofin_server.account import Account
from tests.blofin_server.errors import Refused, refusal, success
from tests.blofin_server.routes import PUBLIC, READING
from tests.blofin_server.state import SERVER, Server, Skin
from tests.blofin_server.trading import CHANGING

Json = dict[str, Any]
BAD_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def make_app(server: Server) -> web.Application:
    """Return the application around a server's state."""
    app = web.Application()
    app[SERVER] = server
    app.add_routes(control.ROUTES)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


async def answer(request: web.Request) -> web.StreamResponse:
    """Write a request down, then limit it, strike it with a fault, or carry it out."""
    server, body = request.app[SERVER], await request.text()
    skin = server.skin or BloFin()
    record = _record(request, body, server.now(), skin.key_header)
    server.requests.append(record)
    response = await _limited_or_struck(server, skin, request, body)
    if response is None:
        return _cut_off(request)
    record["status"], record["code"] = response.status, _code(response)
    return response


async def _limited_or_struck(
    server: Server, skin: Skin, request: web.Request, body: str
) -> web.Response | None:
    key = request.headers.get(skin.key_header, "")
    if _is_limited(server, request, key):
        return skin.too_many()
    fault = server.faults.take(request.method, request.path, key)
    if fault is None:
        return skin.carry_out(server, request, body)
    return await _struck(server, skin, fault, request, body)


def _is_limited(server: Server, request: web.Request, key: str) -> bool:
    settings = server.settings
    is_trade = "/trade/" in request.path or "order" in request.path
    trades = is_trade and server.is_over(f"trade {key}", settings.trades_per_10_seconds, 10)
    return trades or server.is_over("address", settings.requests_per_minute, 60)


class BloFin:
    """The manners of BloFin."""

    key_header = "ACCESS-KEY"

    def carry_out(self, server: Server, request: web.Request, body: str) -> web.Response:
        """Return the answer to a request."""
        try:
            return answer_json(_envelope(server, request, body))
        except Refused as refused:
            return answer_json(refusal(refused))

    def too_many(self) -> web.Response:
        """Return the answer beyond a rate limit."""
        return answer_json(refusal(Refused("429")), 429)


def _envelope(server: Server, request: web.Request, body: str) -> Json:
    query, path = dict(request.query), request.path
    if request.method == "GET" and path in PUBLIC:
        return success(PUBLIC[path](server.market, query))
    known = READING if request.method == "GET" else CHANGING if request.method == "POST" else {}
    if path not in known:
        raise Refused("404")
    account = signed_in(server, request, body)
    if request.method == "GET":
        return success(READING[path](account, query))
    if "trade" not in account.permissions:
        raise Refused("152404")
    return CHANGING[path](account, _parsed(body))


def signed_in(server: Server, request: web.Request, body: str) -> Account:
    """Return the account whose key signed a request; raises `Refused`.

    The codes are BloFin's; in which order it checks is not documented.
    """
    headers, now = request.headers, server.now()
    key, sign, timestamp, nonce, phrase = (signing.header(headers, name) for name in signing.HEADERS)
    account = server.accounts.get(key)
    if account is None:
        raise Refused("152401")
    if account.expired:
        raise Refused("152402")
    if account.ips and request.remote not in account.ips:
        raise Refused("152406")
    signing.checked_timestamp(timestamp, now)
    if not hmac.compare_digest(phrase, account.passphrase):
        raise Refused("152408")
    target = request.raw_path
    expected = signing.signature(account.secret, target, request.method, timestamp, nonce, body)
    if not hmac.compare_digest(sign, expected):
        raise Refused("152409")
    server.nonces.use(key, nonce, now)
    return account


async def _struck(
    server: Server, skin: Skin, fault: Fault, request: web.Request, body: str
) -> web.Response | None:
    response: web.Response | None = None
    if fault.kind.is_after or fault.kind is FaultKind.DELAY_BEFORE:
        await asyncio.sleep(fault.delay if fault.kind is FaultKind.DELAY_BEFORE else 0)
        response = skin.carry_out(server, request, body)
    if fault.kind in (FaultKind.ANSWER_BEFORE, FaultKind.ANSWER_AFTER):
        return _faulty_answer(fault)
    if fault.kind in (FaultKind.SILENCE_BEFORE, FaultKind.SILENCE_AFTER):
        await _until_client_goes(request)
        return None
    if fault.kind is FaultKind.DELAY_AFTER:
        await asyncio.sleep(fault.delay)
    return None if fault.kind in (FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER) else response


def _faulty_answer(fault: Fault) -> web.Response:
    html = fault.body is None and fault.status >= 500
    plain = json.dumps({"code": str(fault.status), "msg": f"fault {fault.status}", "data": None})
    default = BAD_GATEWAY.format(fault.status) if html else plain
    return web.Response(
        text=default if fault.body is None else fault.body,
        status=fault.status,
        content_type="text/html" if html else "application/json",
        headers=fault.headers,
    )


async def _until_client_goes(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)


def _cut_off(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise Refused("152004") from None


def _record(request: web.Request, body: str, now: int, key_header: str) -> Json:
    return {
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "body": body,
        "headers": dict(request.headers),
        "key": request.headers.get(key_header, ""),
        "at": now,
        "status": 0,
        "code": None,
    }


def _code(response: web.Response) -> str | None:
    try:
        found = json.loads(response.text or "")
    except ValueError:
        return None
    return next((str(found[n]) for n in ("code", "retCode") if isinstance(found, dict) and n in found), None)


def answer_json(body: object, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")
