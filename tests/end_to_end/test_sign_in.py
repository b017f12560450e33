"""The dashboard as a real process: who comes in, what an open page gets, what is forwarded."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import requests
from websockets.exceptions import InvalidStatus

from core.instrument import AssetClass, Instrument
from database import accounts, bots, embedded, keys, sign_in, tokens
from tests.end_to_end.dashboard_desk import (
    COOKIE,
    PASSWORD,
    ROOT,
    Dashboard,
    a_user,
    run_script,
    running_dashboard,
    wait_for,
    wait_until,
)


@pytest.fixture(scope="module")
def dashboard(server: embedded.Server) -> Iterator[Dashboard]:
    with running_dashboard(server) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def ann(dashboard: Dashboard) -> str:
    """Make the first account by the form, with the code that is printed; return its session's token."""
    assert dashboard.get("/auth/login").headers["location"] == "/auth/signup"
    with dashboard.database.transaction() as transaction:
        code = keys.new_sign_up_code(transaction, dashboard.vault) or ""
    form = {"email": "ann@example.com", "password": PASSWORD, "again": PASSWORD}
    wrong = dashboard.post("/auth/signup", **form, code="not the code")
    assert wrong.status_code == 400
    assert "printed" in wrong.text
    unequal = dashboard.post("/auth/signup", **{**form, "again": "something else"}, code=code)
    assert "not the same" in unequal.text
    answer = dashboard.post("/auth/signup", **form, code=code)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return answer.cookies[COOKIE]


def test_the_first_account_is_the_admins(dashboard: Dashboard, ann: str) -> None:
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, "ann@example.com")
    assert user is not None
    assert user.is_admin
    assert dashboard.get("/", ann).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-Dashtrade-User": "ann@example.com"}])
def test_nobody_gets_in_without_a_session(dashboard: Dashboard, ann: str, headers: dict[str, str]) -> None:
    home = dashboard.get("/", headers=headers)
    assert (home.status_code, home.headers["location"]) == (303, "/auth/login")
    for path in ("/_stcore/host-config", "/media/x", "/overview", "/_stcore/metrics", "/component/x"):
        assert dashboard.get(path, headers=headers).status_code == 401, path
        assert dashboard.get(path, "a made up token", headers=headers).status_code == 401, path
    for token in (None, "a made up token"):
        with pytest.raises(InvalidStatus) as refused, dashboard.page(token, **headers):
            pass
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path", ["/auth/../_stcore/host-config", "/static/../_stcore/host-config", "//_stcore/host-config"]
)
def test_a_crooked_path_does_not_lead_around_the_gate(dashboard: Dashboard, ann: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", dashboard.port)) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = line.makefile("rb").readline().split()[1]
    assert status in (b"400", b"401", b"404")


def test_the_cookie_is_out_of_scripts_reach_and_secure_under_https(dashboard: Dashboard, ann: str) -> None:
    form = {"email": "ann@example.com", "password": PASSWORD}
    plain = dashboard.post("/auth/login", **form).headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=lax" in plain
    assert "path=/;" in plain
    assert "secure" not in plain
    behind_tls = dashboard.post("/auth/login", origin=f"https://127.0.0.1:{dashboard.port}", **form)
    assert "secure" in behind_tls.headers["set-cookie"].lower()


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1", "127.0.0.1"])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/logout", "/auth/signup", "/auth/reset", "/auth/code"])
def test_a_form_from_elsewhere_is_refused(
    dashboard: Dashboard, ann: str, origin: str | None, path: str
) -> None:
    answer = dashboard.post(path, origin=origin, token=ann, email="ann@example.com", password=PASSWORD)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert dashboard.get("/", ann).status_code == 200


def test_a_form_that_is_too_long_is_refused(dashboard: Dashboard, ann: str) -> None:
    assert dashboard.post("/auth/login", email="x" * 20_000, password=PASSWORD).status_code == 413


def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(dashboard: Dashboard, ann: str) -> None:
    answers = [
        dashboard.post("/auth/login", email=email, password="a wrong password")
        for email in ("ann@example.com", "nob@example.com")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text.replace("ann@", "nob@") == answers[1].text
    assert all("set-cookie" not in answer.headers for answer in answers)


def test_what_was_typed_is_never_markup(dashboard: Dashboard, ann: str) -> None:
    answer = dashboard.post("/auth/login", email='"><script>alert(1)</script>', password="x")
    assert "<script" not in answer.text
    assert (
        "script-src" in answer.headers["content-security-policy"]
        or "default-src 'none'" in (answer.headers["content-security-policy"])
    )


def test_a_page_shows_its_users_things_and_nobody_elses(dashboard: Dashboard, ann: str) -> None:
    bob = a_user(dashboard, "bob@example.com")
    a_bot(dashboard, "ann@example.com", "AAPL")
    a_bot(dashboard, "bob@example.com", "MSFT")
    with dashboard.page(ann) as page:
        drawn = run_script(page)
    assert "ann@example.com" in drawn
    assert "Practice of ann@example.com" in drawn.replace("\\\\", "")
    assert "bob@example.com" not in drawn
    with dashboard.page(bob, **{"X-Dashtrade-User": "ann@example.com"}) as page:
        drawn = run_script(page)
    assert "bob@example.com" in drawn
    assert "ann@example.com" not in drawn


def test_reload_second_tab_and_restart_keep_the_user_signed_in(dashboard: Dashboard, ann: str) -> None:
    with dashboard.page(ann) as first, dashboard.page(ann) as second:
        assert "ann@example.com" in run_script(first)
        assert "ann@example.com" in run_script(second)
    dashboard.stop()
    dashboard.start()
    with dashboard.page(ann) as page:
        assert "ann@example.com" in run_script(page)


def test_signing_out_ends_every_open_page_of_the_session_and_no_other(dashboard: Dashboard, ann: str) -> None:
    token, other = dashboard.sign_in("ann@example.com"), dashboard.sign_in("ann@example.com")
    with dashboard.page(token) as page, dashboard.page(other) as elsewhere:
        assert "ann@example.com" in run_script(page)
        assert dashboard.post("/auth/logout", token=token).headers["location"] == "/auth/login"
        drawn = run_script(page)
        assert "You are signed out" in drawn
        assert "Overview" not in drawn
        assert "ann@example.com" not in drawn
        assert "ann@example.com" in run_script(elsewhere)
    assert dashboard.get("/", token).status_code == 303
    with pytest.raises(InvalidStatus), dashboard.page(token):
        pass


def test_a_session_revoked_elsewhere_is_dead_here(dashboard: Dashboard, ann: str) -> None:
    token = dashboard.sign_in("ann@example.com")
    with dashboard.page(token) as page:
        run_script(page)
        with dashboard.database.transaction() as transaction:
            sign_in.end_session(transaction, token)
        assert "You are signed out" in run_script(page)
        wait_until(lambda: dashboard.get("/", token).status_code == 303)


def test_a_reset_link_sets_a_new_password_once(dashboard: Dashboard, ann: str) -> None:
    token = a_user(dashboard, "carl@example.com")
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, "carl@example.com")
        assert user is not None
        code = accounts.allow_reset(transaction, user.id, datetime.now(UTC))
    assert dashboard.get("/auth/reset?code=nonsense").status_code == 404
    assert dashboard.get(f"/auth/reset?code={code}").status_code == 200
    form = {"password": "another password", "again": "another password", "code": code}
    assert dashboard.post("/auth/reset", **form).status_code == 200
    assert dashboard.post("/auth/reset", **form).status_code == 400
    wait_until(lambda: dashboard.get("/", token).status_code == 303)
    assert dashboard.post("/auth/login", email="carl@example.com", password=PASSWORD).status_code == 401
    dashboard.sign_in("carl@example.com", "another password")


def test_an_account_needs_an_invitation(dashboard: Dashboard, ann: str) -> None:
    form = {"email": "dora@example.com", "password": PASSWORD, "again": PASSWORD}
    assert dashboard.get("/auth/signup").status_code == 403
    assert dashboard.post("/auth/signup", **form).status_code == 403
    assert dashboard.post("/auth/signup", **form, code="made up").status_code == 400
    with dashboard.database.transaction() as transaction:
        code = accounts.invite(transaction, datetime.now(UTC))
    assert dashboard.get(f"/auth/signup?code={code}").status_code == 200
    assert dashboard.post("/auth/signup", **form, code=code).status_code == 303


def test_guessing_ends_with_429(dashboard: Dashboard, ann: str) -> None:
    for _ in range(sign_in.FAILURES_PER_ACCOUNT):
        answer = dashboard.post("/auth/login", email="victim@example.com", password="a guess")
        assert answer.status_code == 401
    answer = dashboard.post("/auth/login", email="victim@example.com", password="a guess")
    assert answer.status_code == 429


# --- forwarding -------------------------------------------------------------------------------------


@contextmanager
def webhook_server(dashboard: Dashboard) -> Iterator[None]:
    """Run the real webhook server where the dashboard looks for it."""
    environ = {**dashboard.environ, "LISTEN_ADDRESS": "127.0.0.1", "WEBHOOK_PROCESSES": "1"}
    process = subprocess.Popen([sys.executable, "-m", "gunicorn"], cwd=ROOT, env=environ)
    try:
        wait_for(dashboard.webhook_port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_alerts_pass_through_the_dashboards_port_without_a_session(dashboard: Dashboard, ann: str) -> None:
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, "ann@example.com")
        assert user is not None
        token = tokens.create_token(transaction, dashboard.vault, user.id)
    a_bot(dashboard, "ann@example.com", "NVDA")
    alert = json.dumps({"action": "buy", "symbol": "NVDA", "timeframe": "15"})
    with webhook_server(dashboard):
        through = requests.post(f"{dashboard.url}/webhook?token={token}", data=alert, timeout=10)
        assert through.status_code == 202, through.text
        direct = f"http://127.0.0.1:{dashboard.webhook_port}"
        again = requests.post(f"{direct}/webhook?token={token}", data=alert, timeout=10)
        assert again.json() == {
            **again.json(),
            "status": "duplicate",
            "signal_id": through.json()["signal_id"],
        }
        in_path = requests.post(f"{dashboard.url}/webhook/usr_wrong", data=alert, timeout=10)
        assert (in_path.status_code, in_path.json()["code"]) == (401, "INVALID_TOKEN")
        explained = requests.post(f"{dashboard.url}/test-webhook", data=alert, timeout=10)
        assert explained.json()["signal"]["symbol"] == "NVDA"
        assert requests.get(f"{dashboard.url}/health", timeout=10).json()["database"] == "ok"
        bots_url = f"/user/{user.id}/bots"
        assert requests.get(dashboard.url + bots_url, timeout=10).status_code == 401
        found = requests.get(dashboard.url + bots_url, params={"token": token}, timeout=10)
        assert found.status_code == 200
        assert "NVDA" in found.text


def test_a_body_over_64_kb_is_refused_here(dashboard: Dashboard, ann: str) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(70):
            yield b"x" * 1024

    for body in (b"x" * (64 * 1024 + 1), parts()):
        answer = requests.post(f"{dashboard.url}/webhook?token=x", data=body, timeout=10)
        assert answer.status_code == 413


def test_without_a_webhook_server_the_sender_is_told_to_send_again(dashboard: Dashboard, ann: str) -> None:
    answer = requests.post(f"{dashboard.url}/webhook?token=x", data="{}", timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_STORED")


class Peer:
    """A server that keeps what comes and answers as it is told, or hangs up."""

    def __init__(self, port: int, answer: bytes) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                heard = line.recv(65536)
                while b"\r\n\r\n" not in heard or not heard.endswith(b"}"):
                    heard += line.recv(65536)
                self.heard.append(heard)
                line.sendall(self._answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def test_a_post_is_sent_once_whatever_becomes_of_it(dashboard: Dashboard, ann: str) -> None:
    peer = Peer(dashboard.webhook_port, b"")
    answer = requests.post(f"{dashboard.url}/webhook?token=x", data="{}", timeout=10)
    peer.close()
    assert (answer.status_code, answer.json()["code"]) == (502, "NO_ANSWER")
    assert len(peer.heard) == 1


def test_status_body_query_and_headers_pass_on_but_not_the_session(dashboard: Dashboard, ann: str) -> None:
    reply = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow"
    peer = Peer(dashboard.webhook_port, reply)
    answer = requests.post(
        f"{dashboard.url}/api/v1/signals?a=%2F%20b&a=2",
        data="{}",
        headers={"X-API-Key": "k", "X-Dashtrade-User": "eve", "X-Forwarded-For": "203.0.113.7"},
        cookies={COOKIE: ann},
        timeout=10,
    )
    peer.close()
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (429, "slow", "7")
    (heard,) = (text.decode().lower() for text in peer.heard)
    assert heard.startswith("post /api/v1/signals?a=%2f%20b&a=2 http/1.1\r\n")
    assert "x-api-key: k\r\n" in heard
    assert "x-forwarded-for: 203.0.113.7, " in heard
    assert COOKIE not in heard
    assert "eve" not in heard


def test_discord_sends_a_browser_back_with_its_session(dashboard: Dashboard, ann: str) -> None:
    for path, told in (
        ("/discord/callback?state=x", True),
        ("/discord/callback/x", False),
        ("/discord/x", False),
    ):
        peer = Peer(dashboard.webhook_port, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        requests.post(f"{dashboard.url}{path}", data="{}", cookies={COOKIE: ann}, timeout=10)
        peer.close()
        (heard,) = (text.decode() for text in peer.heard)
        assert (f"{COOKIE}={ann}" in heard) is told, path


def a_bot(dashboard: Dashboard, email: str, symbol: str) -> None:
    """Give a user a bot at a connection whose label names the user."""
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, email)
        assert user is not None
        places = bots.connections_of(transaction, user.id)
        place = places[0].id if places else bots.create_connection(
            transaction, user_id=user.id, broker="paper", mode="paper", label=f"Practice of {email}"
        )  # fmt: skip
        bots.create_bot(
            transaction, user_id=user.id, connection_id=place, timeframe="15 Min", position_size=5000,
            instrument=Instrument(symbol=symbol, asset_class=AssetClass.STOCK),
        )  # fmt: skip
