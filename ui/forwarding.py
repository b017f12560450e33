"""Pass webhook and API requests from the dashboard's port to the webhook server.

TradingView reaches only the ports 80 and 443, and a host with one port has the dashboard there. A
request is sent once, whatever becomes of it: sending it again is the sender's decision.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from yarl import URL

from ui.bodies import BodyTooLarge, read_body
from ui.services import services

LARGEST_BODY = 64 * 1024
CONNECT_SECONDS = 2.0
# Longer than the longest `?wait=` of the webhook server.
ANSWER_SECONDS = 35.0
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
PATHS = ("/webhook", "/test-webhook", "/health", "/openapi.json", "/docs")
FOLDERS = ("/webhook", "/user", "/api", "/discord")

HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect"),
    }
)
# What the client would add by itself: the webhook server must see what came, not what we would send.
NOT_ADDED = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
# The browser's session is none of the webhook server's business, but where Discord sends a browser back.
WITH_SESSION = "/discord/callback"
# What a proxy says of a certificate counts only where the proxy itself says it to the webhook server.
KEPT_HERE = frozenset({"cookie", "x-dashtrade-user", "x-forwarded-for", "x-tradingview-certificate"})


class Forwarder:
    """Hold the HTTP client for as long as the dashboard runs."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the client and close it at the end."""
        # A connection used once cannot have gone stale, which would leave a POST in doubt.
        connector = aiohttp.TCPConnector(force_close=True, limit=100)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as client:
            self._client = client
            yield

    async def forward(self, request: Request) -> Response:
        """Send the request on and return the answer, whatever its status.

        413: longer than the webhook server takes. 503: it cannot be reached, nothing was sent. 502: it
        was reached and gave no answer.
        """
        if self._client is None:
            return _refusal(503, "NOT_STORED", "The dashboard is starting. Send it again in a moment.")
        try:
            body = await read_body(request, LARGEST_BODY)
        except BodyTooLarge:
            words = f"The body is longer than {LARGEST_BODY // 1024} KB."
            return _refusal(413, "TOO_LARGE", words)
        try:
            return await self._send(self._client, request, body)
        except aiohttp.ClientConnectorError:
            words = "The webhook server does not run. Nothing was stored; send it again."
            return _refusal(503, "NOT_STORED", words)
        except aiohttp.ConnectionTimeoutError:
            words = "The webhook server does not accept connections. Nothing was stored; send it again."
            return _refusal(503, "NOT_STORED", words)
        except (aiohttp.ClientError, TimeoutError):
            words = "The webhook server gave no answer. Whether it stored the request is not known."
            return _refusal(502, "NO_ANSWER", words)

    async def _send(self, client: aiohttp.ClientSession, request: Request, body: bytes) -> Response:
        async with client.request(
            request.method,
            _target(request),
            data=body,
            headers=_headers(request),
            skip_auto_headers=NOT_ADDED,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            response = Response(content, status_code=answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.append(name, value)
            return response


def routes(forwarder: Forwarder) -> list[Route]:
    """Return the routes that are passed on."""
    paths = [*PATHS, *(f"{folder}/{{rest:path}}" for folder in FOLDERS)]
    return [Route(path, forwarder.forward, methods=METHODS) for path in paths]


def is_forwarded(path: str) -> bool:
    """Tell whether a path belongs to the webhook server."""
    return path in PATHS or path.startswith(tuple(f"{folder}/" for folder in FOLDERS))


def _target(request: Request) -> URL:
    port = services().settings.webhook_port
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"]
    address = f"http://127.0.0.1:{port}{path.decode('latin-1')}"
    return URL(address + (f"?{query.decode('latin-1')}" if query else ""), encoded=True)


def _headers(request: Request) -> list[tuple[str, str]]:
    kept = [
        (name, value)
        for name, value in request.headers.items()
        if name not in HOP_BY_HOP and name not in KEPT_HERE
    ]
    if request.scope["path"] == WITH_SESSION:
        kept += [("cookie", cookie) for cookie in request.headers.getlist("cookie")]
    way = request.headers.getlist("x-forwarded-for")
    # Our peer goes last: the webhook server believes no address left of one that is not a proxy of ours.
    kept.append(("x-forwarded-for", ", ".join([*way, request.client.host if request.client else "unknown"])))
    kept.append(("host", request.headers.get("host", "localhost")))
    return kept


def _refusal(status: int, code: str, words: str) -> JSONResponse:
    return JSONResponse({"error": words, "code": code}, status_code=status)
