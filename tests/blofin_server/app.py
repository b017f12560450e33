"""The application: rate limit, faults and sign-in around BloFin's endpoints."""

import hmac
import json
from typing import Any

from aiohttp import web

from tests.blofin_server import control, signing
from tests.blofin_server.account import Account
from tests.blofin_server.errors import Refused, refusal, success
from tests.blofin_server.routes import PUBLIC, READING
from tests.blofin_server.state import SERVER, Server, Skin
from tests.blofin_server.trading import CHANGING
from tests.faults import cut_off, struck
from tests.local_server import answer_json

Json = dict[str, Any]


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
        return cut_off(request)
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

    async def carry_out() -> web.Response:
        return skin.carry_out(server, request, body)

    plain = {"code": str(fault.status), "msg": f"fault {fault.status}", "data": None}
    return await struck(fault, request, carry_out, plain)


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
