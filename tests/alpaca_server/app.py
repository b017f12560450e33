"""The application: sign-in, rate limit and faults around Alpaca's routes."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from brokers.simulator import Refusal
from tests.alpaca_server import control, routes
from tests.alpaca_server.state import PUBLIC_PATHS, SERVER, NotAuthorized, Server
from tests.alpaca_server.stream import stream
from tests.faults import cut_off, struck
from tests.local_server import answer_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(server: Server) -> web.Application:
    """Return the application around a server's state."""
    app = web.Application(middlewares=[gate])
    app[SERVER] = server
    app.add_routes([*routes.ROUTES, *control.ROUTES])
    app.add_routes([web.get("/stream", stream), web.get("/stream/", stream)])
    return app


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request, then limit it, strike it with a fault, or carry it out."""
    if request.path.startswith(PUBLIC_PATHS):
        return await handler(request)
    server = request.app[SERVER]
    key = request.headers.get("APCA-API-KEY-ID", "")
    # written down on arrival: a test must see what hangs and what is cut off
    record = [request.method, request.path, key, 0]
    server.requests.append(record)
    response = await _limited_or_struck(server, key, request, handler)
    record[3] = 0 if response is None else response.status
    return response if response is not None else cut_off(request)


async def _limited_or_struck(
    server: Server, key: str, request: web.Request, handler: Handler
) -> web.StreamResponse | None:
    wait = server.seconds_to_wait(key)
    if wait:
        response = answer_json({"code": 42910000, "message": "too many requests."}, 429)
        response.headers["Retry-After"] = f"{wait:.3f}"
        return response
    fault = server.faults.take(request.method, request.path, key)
    if fault is None:
        return await _carry_out(request, handler)
    plain = {"message": f"fault {fault.status}"}
    return await struck(fault, request, lambda: _carry_out(request, handler), plain)


async def _carry_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer_json(refusal.body, refusal.status or 422)
    except NotAuthorized:
        return answer_json({"message": "unauthorized."}, 401)
