"""The dashboard's whole process: every route that may change something, and pages whose session ended."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection

from database import accounts, bots, embedded
from tests.end_to_end.dashboard_desk import (
    COOKIE,
    PASSWORD,
    ROOT,
    Dashboard,
    a_user,
    run_script,
    running_dashboard,
)
from ui.forwarding import is_forwarded

# Streamlit's own among them: an update of it may bring more.
LIST_ROUTES = """
import app
for route in app.app._build_starlette_app().routes:
    print(route.path or "/", *sorted(getattr(route, "methods", None) or ()))
"""
PLACE = "Anns place"
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
EMAIL = "ann@example.com"


@pytest.fixture(scope="module")
def dashboard(server: embedded.Server) -> Iterator[Dashboard]:
    with running_dashboard(server) as dashboard:
        a_user(dashboard, EMAIL)
        with dashboard.database.transaction() as transaction:
            user = accounts.user_by_email(transaction, EMAIL)
            assert user is not None
            bots.create_connection(transaction, user_id=user.id, broker="paper", mode="paper", label=PLACE)
        yield dashboard


def routes(dashboard: Dashboard) -> list[tuple[str, str]]:
    """Return the method and an address of every route that may change something with a browser's session.

    The webhook server's are not among them: they are not told of any session.
    """
    listed = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES],
        cwd=ROOT, env=dashboard.environ, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = [line.split(" ") for line in listed.splitlines()]
    found = [
        (method, re.sub(r"\{\w+(:path)?\}", "x", path))
        for path, *methods in lines
        for method in methods
        if method in CHANGING
    ]
    return [(method, path) for method, path in found if not is_forwarded(path)]


def ask(dashboard: Dashboard, method: str, path: str, token: str, origin: str) -> requests.Response:
    return requests.request(
        method, dashboard.url + path, headers={"Origin": origin}, cookies={COOKIE: token},
        data={"email": EMAIL, "password": PASSWORD}, timeout=20, allow_redirects=False,
    )  # fmt: skip


def test_no_other_site_changes_anything_by_any_route(dashboard: Dashboard) -> None:
    token, asked = a_user(dashboard, EMAIL), routes(dashboard)
    for method, path in asked:
        # Another program on this machine has its page at another port, which a cookie does not know
        for origin in ("https://evil.example", "http://127.0.0.1:9", "null"):
            answer = ask(dashboard, method, path, token, origin)
            assert answer.status_code == 403, (method, path, origin, answer.status_code)
            assert "set-cookie" not in answer.headers
            assert answer.headers.get("access-control-allow-origin") not in (origin, "*")
    assert {"/auth/login", "/auth/logout", "/_stcore/upload_file/x/x"} <= {path for _, path in asked}
    assert dashboard.get("/", token).status_code == 200


def test_no_page_is_framed_elsewhere_taken_for_another_kind_or_kept_by_a_proxy(dashboard: Dashboard) -> None:
    token = a_user(dashboard, EMAIL)
    for path in ("/", "/signals", "/auth/login", "/_stcore/host-config", "/static/nothing", "/media/nothing"):
        for session in (token, None):
            headers = dashboard.get(path, session).headers
            assert headers["x-frame-options"] in ("SAMEORIGIN", "DENY"), path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["referrer-policy"] == "same-origin", path
    assert dashboard.get("/media/a-file.csv", token).headers["cache-control"] == "no-store"
    told = dashboard.get("/_stcore/host-config", token).json()
    assert told["allowedOrigins"] == []


def test_error_pages_tell_nothing_of_the_program(dashboard: Dashboard) -> None:
    token = a_user(dashboard, EMAIL)
    too_many = {f"field{number}": "x" for number in range(50)}
    answers = [
        dashboard.get("/media/%00", token),
        dashboard.get("/component/../../app.py", token),
        dashboard.get("/no/such/page", token),
        dashboard.get("/auth/reset?code=%00%ff", token),
        ask(dashboard, "DELETE", "/auth/login", token, dashboard.url),
        ask(dashboard, "PUT", "/_stcore/upload_file/x/x", token, dashboard.url),
        dashboard.post("/auth/login", token=token, **too_many),
        dashboard.post("/auth/code", token=token, ticket="\x00", code="\x00"),
        dashboard.post("/auth/signup", email="a@example.org", password="\x00" * 12, again="\x00" * 12),
        dashboard.post("/auth/login", email="a\x00@example.org", password="x"),
    ]
    for answer in answers:
        assert answer.status_code < 500, (answer.url, answer.status_code)
        assert "Traceback" not in answer.text
        assert str(ROOT) not in answer.text
        assert ".py" not in answer.text


def part_run(part: str) -> bytes:
    return BackMsg(rerun_script=ClientState(fragment_id=part)).SerializeToString()


def parts_of(page: ClientConnection) -> list[str]:
    """Run a page's whole script; return the ids of the parts of it that refresh alone."""
    page.send(part_run(""))
    found: dict[str, None] = {}
    while True:
        message = ForwardMsg.FromString(page.recv(timeout=30))
        kind = message.WhichOneof("type")
        if kind == "auto_rerun":
            found[message.auto_rerun.fragment_id] = None
        elif kind == "script_finished":
            return list(found)


def test_a_page_whose_session_ended_gets_no_part_of_it_refreshed(dashboard: Dashboard) -> None:
    """A part that refreshes alone asks nobody whose page it is; a thief's would go on until it is closed."""
    token = a_user(dashboard, EMAIL)
    with dashboard.page(token) as page:
        parts = parts_of(page)
        assert len(parts) >= 4
        assert dashboard.post("/auth/logout", token=token).status_code == 303
        for part in parts:
            page.send(part_run(part))
            drawn = run_to_the_end(page)
            assert "You are signed out" in drawn
            assert PLACE not in drawn
            assert EMAIL not in drawn


def run_to_the_end(page: ClientConnection) -> str:
    drawn: list[str] = []
    while True:
        message = ForwardMsg.FromString(page.recv(timeout=30))
        if message.WhichOneof("type") == "script_finished":
            return "\n".join(drawn)
        drawn.append(str(message.delta))


def test_a_page_of_a_living_session_refreshes_its_parts_alone(dashboard: Dashboard) -> None:
    token = a_user(dashboard, EMAIL)
    with dashboard.page(token) as page:
        drawn = []
        for part in parts_of(page):
            page.send(part_run(part))
            drawn.append(run_to_the_end(page))
        assert PLACE in "".join(drawn)
        assert all(EMAIL not in each for each in drawn)
        assert EMAIL in run_script(page)
