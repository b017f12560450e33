"""The application: sign-in, rate limit and faults around Alpaca's routes."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from brokers.simulator import Refusal
from tests.alpaca_server import control, routes
from tests.alpaca_server.faults import Fault, FaultKind
from tests.alpaca_server.state import PUBLIC_PATHS, SERVER, NotAuthorized, Server, answer_json
from tests.alpaca_server.stream import stream

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BAD_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


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
    return response if response is not None else _cut_off(request)


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
    return await _struck(fault, request, handler)


async def _carry_out(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return answer_json(refusal.body, refusal.status or 422)
    except NotAuthorized:
        return answer_json({"message": "unauthorized."}, 401)


async def _struck(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse | None:
    response: web.StreamResponse | None = None
    if fault.kind.is_after or fault.kind is FaultKind.DELAY_BEFORE:
        await asyncio.sleep(fault.delay if fault.kind is FaultKind.DELAY_BEFORE else 0)
        response = await _carry_out(request, handler)
    if fault.kind in (FaultKind.ANSWER_BEFORE, FaultKind.ANSWER_AFTER):
        return _faulty_answer(fault)
    if fault.kind in (FaultKind.SILENCE_BEFORE, FaultKind.SILENCE_AFTER):
        await _until_client_goes(request)
        return None
    if fault.kind is FaultKind.DELAY_AFTER:
        await asyncio.sleep(fault.delay)
    if fault.kind in (FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER):
        return None
    return response


def _faulty_answer(fault: Fault) -> web.Response:
    html = fault.body is None and fault.status >= 500
    default = BAD_GATEWAY.format(fault.status) if html else f'{{"message": "fault {fault.status}"}}'
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
