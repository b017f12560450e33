"""The gate's websockets: what an application behind it hears when a session ends."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from starlette.types import Message, Receive, Scope, Send

from database import accounts, sign_in
from database.pool import Database
from encryption import new_key
from ui.gate import COOKIE, SIGNED_OUT, USER_HEADER, WHOLE_SCRIPT, Gate, Sessions
from ui.services import services

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def dashboard(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point the dashboard's services at the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", new_key())
    services.cache_clear()
    yield
    services().database.close()
    services.cache_clear()


@pytest.fixture
def token(database: Database) -> str:
    with database.transaction() as transaction:
        user = accounts.create_user(transaction, "ann@example.com", PASSWORD)
        return sign_in.open_session(transaction, user.id, agent="", now=datetime.now(UTC))


class Page:
    """A browser's end of a websocket, and an application that tells what it hears."""

    def __init__(self, token: str) -> None:
        self.to_application: asyncio.Queue[Message] = asyncio.Queue()
        self.to_browser: list[Message] = []
        self.heard: list[str] = []
        self.asked: list[bytes] = []
        self.scope: Scope = {
            "type": "websocket",
            "path": "/_stcore/stream",
            "headers": [(b"cookie", f"{COOKIE}={token}".encode()), (USER_HEADER, b"eve@example.com")],
        }
        self.seen_headers: list[tuple[bytes, bytes]] = []

    async def application(self, scope: Scope, receive: Receive, _send: Send) -> None:
        self.seen_headers = scope["headers"]
        while True:
            message = await receive()
            self.heard.append(message["type"])
            self.asked.append(message.get("bytes", b""))
            if message["type"] == "websocket.disconnect":
                return

    async def serve(self, sessions: Sessions) -> None:
        async def send(message: Message) -> None:
            self.to_browser.append(message)

        await Gate(self.application, sessions)(self.scope, self.to_application.get, send)


async def page_whose_session_ended(token: str, *, elsewhere: bool) -> Page:
    sessions = Sessions(check_every=0.05, close_after=0.2)
    page = Page(token)
    watch = asyncio.create_task(sessions.watch())
    serving = asyncio.create_task(page.serve(sessions))
    await page.to_application.put({"type": "websocket.receive", "bytes": b"one"})
    await asyncio.sleep(0.2)
    assert page.heard == ["websocket.receive"]
    if elsewhere:
        with services().database.transaction() as transaction:
            sign_in.end_session(transaction, token)
    else:
        sessions.end(token)
    await asyncio.wait_for(serving, 5)
    watch.cancel()
    return page


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_page_that_does_not_leave_is_closed(token: str, elsewhere: bool) -> None:
    page = asyncio.run(page_whose_session_ended(token, elsewhere=elsewhere))
    assert page.heard == ["websocket.receive", "websocket.disconnect"]
    assert [(each["type"], each["code"]) for each in page.to_browser] == [("websocket.close", SIGNED_OUT)]


def test_a_page_whose_session_ended_elsewhere_is_run_as_a_whole_whatever_it_asks(token: str) -> None:
    async def heard() -> Page:
        sessions, page = Sessions(check_every=0.05, close_after=60), Page(token)
        tasks = [asyncio.create_task(sessions.watch()), asyncio.create_task(page.serve(sessions))]
        await page.to_application.put({"type": "websocket.receive", "bytes": b"a part"})
        while not page.asked:
            await asyncio.sleep(0.05)
        with services().database.transaction() as transaction:
            sign_in.end_session(transaction, token)
        while not sessions.has_ended(token):
            await asyncio.sleep(0.05)
        await page.to_application.put({"type": "websocket.receive", "bytes": b"a part"})
        await page.to_application.put({"type": "websocket.disconnect"})
        await tasks[1]
        tasks[0].cancel()
        return page

    page = asyncio.run(asyncio.wait_for(heard(), 20))
    assert page.asked == [b"a part", WHOLE_SCRIPT, b""]


def test_the_application_sees_the_sessions_user_and_no_other(token: str) -> None:
    page = asyncio.run(page_whose_session_ended(token, elsewhere=False))
    assert [value for name, value in page.seen_headers if name == USER_HEADER] == [b"ann@example.com"]
