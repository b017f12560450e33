"""Let nobody without a session past: every HTTP request and every page's websocket.

Pure ASGI, since Starlette's BaseHTTPMiddleware does not see websockets.
"""

import asyncio
import hmac
import logging
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import psycopg2
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState

from database import sign_in
from database.accounts import User
from ui.forwarding import is_forwarded
from ui.services import now, services

COOKIE = "dashtrade_session"
USER_HEADER = b"x-dashtrade-user"
CHECK_SECONDS = 5.0
# A page whose session ended gets nothing more and leaves by itself at its next look (ui/session.py), a
# hidden tab's timers run once a minute. Closed at once it would be left standing with its last figures.
CLOSE_AFTER_SECONDS = 75.0
OPEN_PATHS = ("/auth/login", "/auth/code", "/auth/logout", "/auth/signup", "/auth/reset")
# Streamlit's own scripts, the same for everybody: a page that must leave still loads one of them.
PROGRAM = "/static/"
SIGNED_OUT = 4401
# Whatever a page whose session ended asks for: the whole script, which asks first whose page it is. A part that
# refreshes alone (a fragment) would be drawn, and its buttons would act, without that question.
WHOLE_SCRIPT = BackMsg(rerun_script=ClientState()).SerializeToString()
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Said of every answer; the sign-in pages and the webhook server's own say more, and are left as they are.
SAFE_HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
# A user's files and the picture of their second factor: a proxy that kept them would give them to anybody.
FILES = "/media/"
KEPT_NOWHERE = {"Cache-Control": "no-store"}

logger = logging.getLogger(__name__)


class Sessions:
    """Know whose a session is, and which pages are open with it."""

    def __init__(
        self, *, check_every: float = CHECK_SECONDS, close_after: float = CLOSE_AFTER_SECONDS
    ) -> None:
        self._check_every = check_every
        self._close_after = close_after
        self._pages: dict[str, set[asyncio.Event]] = {}
        self._ended: set[str] = set()

    async def user(self, token: str) -> User | None:
        """Return whose session it is, None where it ended; asked anew each time, so that an end holds at once."""
        return await asyncio.to_thread(_look_up, token)

    def end(self, token: str) -> None:
        """Close those pages of a session that ended that do not leave by themselves."""
        if token in self._pages and token not in self._ended:
            self._ended.add(token)
            asyncio.get_running_loop().call_later(self._close_after, self._close_pages, token)

    def has_ended(self, token: str) -> bool:
        """Tell whether it is known of an open page's session that it ended."""
        return token in self._ended

    def open_page(self, token: str) -> asyncio.Event:
        """Return what is set when the page must close."""
        page = asyncio.Event()
        self._pages.setdefault(token, set()).add(page)
        return page

    def close_page(self, token: str, page: asyncio.Event) -> None:
        """Forget a page that closed."""
        pages = self._pages.get(token, set())
        pages.discard(page)
        if not pages:
            self._pages.pop(token, None)

    def _close_pages(self, token: str) -> None:
        self._ended.discard(token)
        for page in self._pages.get(token, ()):
            page.set()

    async def watch(self) -> None:
        """Find, for ever, open pages whose session ended elsewhere: another process, a new password."""
        while True:
            await asyncio.sleep(self._check_every)
            try:
                for token in await asyncio.to_thread(_ended, list(self._pages)):
                    self.end(token)
            except psycopg2.Error:
                logger.warning("the sessions of open pages could not be checked; trying again")


class Gate:
    """Refuse what has no session, and tell the pages whose session it is."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; a header that claims an identity never does."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != USER_HEADER]
        scope, send = {**scope, "headers": headers}, _with_safe_headers(scope, send)
        if scope["type"] == "http" and is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if _may_act(scope) and _is_from_elsewhere(Headers(scope=scope)):
            await _refuse(scope, receive, send, 403, "This page is not of this dashboard.")
            return
        token = session_token(Headers(scope=scope))
        try:
            user = await self._sessions.user(token) if token else None
        except psycopg2.Error:
            logger.exception("a session could not be looked up")
            await _refuse(scope, receive, send, 503, "The database does not answer. Try again in a moment.")
            return
        if user is None or token is None:
            await _turn_away(scope, receive, send)
            return
        scope["headers"].append((USER_HEADER, user.email.encode()))
        if scope["type"] == "websocket":
            await self._serve_page(scope, receive, send, token)
        else:
            await self._app(scope, receive, send)

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        page = self._sessions.open_page(token)
        ended = asyncio.create_task(page.wait())

        async def receive_until_ended() -> Message:
            message = asyncio.ensure_future(receive())
            try:
                await asyncio.wait({message, ended}, return_when=asyncio.FIRST_COMPLETED)
                if message.done():
                    return self._heard(token, message.result())
            finally:
                message.cancel()
            await send({"type": "websocket.close", "code": SIGNED_OUT, "reason": "signed out"})
            return {"type": "websocket.disconnect", "code": SIGNED_OUT}

        try:
            await self._app(scope, receive_until_ended, send)
        finally:
            ended.cancel()
            self._sessions.close_page(token, page)

    def _heard(self, token: str, message: Message) -> Message:
        if message["type"] == "websocket.receive" and self._sessions.has_ended(token):
            return {"type": "websocket.receive", "bytes": WHOLE_SCRIPT}
        return message


def is_open(path: str) -> bool:
    """Tell whether a path needs no session: forms, Streamlit's program, what the webhook server guards."""
    return path in OPEN_PATHS or is_forwarded(path) or (path.startswith(PROGRAM) and ".." not in path)


def is_same_origin(headers: Headers) -> bool:
    """Tell whether the browser says that a request came from a page of this very host and port."""
    origin = urlsplit(headers.get("origin", ""))
    host = headers.get("host", "")
    same = hmac.compare_digest(origin.netloc.lower().encode(), host.lower().encode())
    return origin.scheme in ("http", "https") and bool(host) and same


def session_token(headers: Headers) -> str | None:
    """Return the session's token from the browser's cookies."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None and cookie.value else None


def _may_act(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS


def _with_safe_headers(scope: Scope, send: Send) -> Send:
    added = SAFE_HEADERS | (KEPT_NOWHERE if scope["path"].startswith(FILES) else {})

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


def _is_from_elsewhere(headers: Headers) -> bool:
    # A browser always names the origin of a websocket, and of all that may change something. Streamlit's own
    # check lets every port of this machine pass, and cookies know no ports: another program's page on this
    # host would come with the session.
    return "origin" in headers and not is_same_origin(headers)


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    wants_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
    if wants_page or "text/html" in Headers(scope=scope).get("accept", ""):
        await RedirectResponse("/auth/login", status_code=303)(scope, receive, send)
    else:
        await _refuse(scope, receive, send, 401, "Sign in first.")


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": SIGNED_OUT, "reason": words})
    else:
        await PlainTextResponse(words, status_code=status)(scope, receive, send)


def _look_up(token: str) -> User | None:
    with services().database.transaction() as transaction:
        return sign_in.user_of_session(transaction, token, now())


def _ended(tokens: list[str]) -> list[str]:
    if not tokens:
        return []
    with services().database.transaction() as transaction:
        living = sign_in.living_sessions(transaction, tokens, now())
    return [token for token in tokens if token not in living]
