"""What stands in the way of others at a running dashboard: second factor, limits, origins, fresh sessions."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import requests
from websockets.exceptions import InvalidStatus

from database import accounts, embedded, second_factor, sign_in
from tests.end_to_end.dashboard_desk import (
    COOKIE,
    PASSWORD,
    Dashboard,
    a_user,
    run_script,
    running_dashboard,
    wait_until,
)

SECRET = second_factor.new_secret()
STEP = timedelta(seconds=30)
# A proxy on another machine, whose word counts; X-Forwarded-For of everybody else is only a word.
PROXY = "203.0.113.50"


@pytest.fixture(scope="module")
def dashboard(server: embedded.Server) -> Iterator[Dashboard]:
    with running_dashboard(server, TRUSTED_PROXIES=f"127.0.0.1/32,{PROXY}/32") as dashboard:
        yield dashboard


@pytest.fixture
def ann(dashboard: Dashboard) -> str:
    """Give the e-mail address of an account with a second factor, whose codes are all unused."""
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, "ann@example.com")
        if user is None:
            user = accounts.create_user(transaction, "ann@example.com", PASSWORD)
        then = datetime.now(UTC) - 10 * STEP
        code = pyotp.TOTP(SECRET).at(then)
        assert second_factor.set_second_factor(transaction, dashboard.vault, user.id, SECRET, code, then)
        transaction.execute("DELETE FROM sign_in_attempts")
    return user.email


def ticket(dashboard: Dashboard, email: str) -> str:
    answer = dashboard.post("/auth/login", email=email, password=PASSWORD)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    found = re.search(r'name="ticket"[^>]*value="([^"]+)"', answer.text)
    assert found is not None, answer.text
    return found[1]


def code_of(at: datetime | None = None) -> str:
    return pyotp.TOTP(SECRET).at(at or datetime.now(UTC))


def test_the_password_alone_opens_nothing(dashboard: Dashboard, ann: str) -> None:
    text = ticket(dashboard, ann)
    assert dashboard.get("/", text).status_code == 303
    with pytest.raises(InvalidStatus), dashboard.page(text):
        pass


def test_a_code_opens_once_a_wrong_one_never(dashboard: Dashboard, ann: str) -> None:
    text = ticket(dashboard, ann)
    wrong = dashboard.post("/auth/code", ticket=text, code="000000")
    assert wrong.status_code == 401
    assert sign_in.WRONG_CODE in wrong.text
    assert "set-cookie" not in wrong.headers
    code = code_of()
    right = dashboard.post("/auth/code", ticket=text, code=code)
    assert (right.status_code, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    with dashboard.page(right.cookies[COOKIE]) as page:
        assert ann in run_script(page)
    again = dashboard.post("/auth/code", ticket=ticket(dashboard, ann), code=code)
    assert again.status_code == 401
    assert sign_in.WRONG_CODE in again.text
    made_up = dashboard.post("/auth/code", ticket="made up", code=code_of(datetime.now(UTC) + STEP))
    assert made_up.status_code == 401
    assert sign_in.TICKET_DEAD in made_up.text


def test_guessing_codes_ends_with_429(dashboard: Dashboard, ann: str) -> None:
    text = ticket(dashboard, ann)
    answers = [
        dashboard.post("/auth/code", ticket=text, code="000000").status_code
        for _ in range(sign_in.FAILURES_PER_ACCOUNT)
    ]
    # The password typed for the ticket is the first of the attempts.
    assert answers == [401] * (sign_in.FAILURES_PER_ACCOUNT - 1) + [429]
    assert dashboard.post("/auth/code", ticket=text, code=code_of()).status_code == 429
    assert dashboard.post("/auth/login", email=ann, password=PASSWORD).status_code == 429


def test_a_lost_phone_is_helped_by_a_reset_link(dashboard: Dashboard, ann: str) -> None:
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, ann)
        assert user is not None
        code = accounts.allow_reset(transaction, user.id, datetime.now(UTC))
    form = {"password": PASSWORD, "again": PASSWORD, "code": code}
    assert dashboard.post("/auth/reset", **form).status_code == 200
    assert dashboard.sign_in(ann)


# --- limits per address -----------------------------------------------------------------------------


def guess(dashboard: Dashboard, way: str, email: str) -> int:
    """Try a wrong password over these proxies; return the answer's status."""
    headers = {"Origin": dashboard.url, "X-Forwarded-For": way}
    form = {"email": email, "password": "a guess"}
    return requests.post(f"{dashboard.url}/auth/login", data=form, headers=headers, timeout=20).status_code


@pytest.mark.parametrize(
    ("begun", "way"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.2", f"198.51.100.2, {PROXY}"),
        # What stands left of the last one on the way is the sender's own invention
        ("198.51.100.3", f"192.0.2.99, 198.51.100.3, {PROXY}"),
    ],
)
def test_guesses_from_one_address_end_whoever_they_are_at(
    dashboard: Dashboard, ann: str, begun: str, way: str
) -> None:
    with dashboard.database.transaction() as transaction:
        for number in range(sign_in.FAILURES_PER_ADDRESS - 1):
            transaction.execute(
                "INSERT INTO sign_in_attempts (email, address, succeeded, attempted_at) VALUES (%s, %s, false, now())",
                (f"victim{number}@example.com", begun),
            )
    assert guess(dashboard, way, "one@example.com") == 401
    assert guess(dashboard, way, "two@example.com") == 429
    # Their neighbour behind the same proxies is not locked out
    assert guess(dashboard, way.replace("198.51.100", "198.51.77"), "two@example.com") == 401


# --- origins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:9",
        "http://localhost:{port}",
        "file://",
    ],
)
def test_a_websocket_of_another_site_or_port_is_refused(dashboard: Dashboard, origin: str) -> None:
    """A cookie knows no ports, so that another program's page on this machine would bring it along."""
    token = a_user(dashboard, "bob@example.com")
    headers = {"Origin": origin.format(port=dashboard.port)}
    with pytest.raises(InvalidStatus) as refused, dashboard.page(token, **headers):
        pass
    assert refused.value.response.status_code == 403


def test_a_websocket_of_this_dashboard_passes(dashboard: Dashboard) -> None:
    token = a_user(dashboard, "bob@example.com")
    with dashboard.page(token, Origin=dashboard.url) as page:
        assert "bob@example.com" in run_script(page)


# --- sessions ---------------------------------------------------------------------------------------


def test_a_session_given_by_another_is_not_taken_on(dashboard: Dashboard) -> None:
    """Session fixation: who plants a cookie before must not be signed in after."""
    a_user(dashboard, "carl@example.com")
    form = {"email": "carl@example.com", "password": PASSWORD}
    planted = "planted-by-somebody-else"
    answer = dashboard.post("/auth/login", token=planted, **form)
    assert answer.status_code == 303
    assert answer.cookies[COOKIE] != planted
    assert dashboard.get("/", planted).status_code == 303
    assert dashboard.get("/", answer.cookies[COOKIE]).status_code == 200


def test_signing_in_anew_ends_the_session_before_it(dashboard: Dashboard) -> None:
    mallory = a_user(dashboard, "mallory@example.com")
    a_user(dashboard, "carl@example.com")
    answer = dashboard.post("/auth/login", token=mallory, email="carl@example.com", password=PASSWORD)
    token = answer.cookies[COOKIE]
    assert token != mallory
    assert dashboard.get("/", mallory).status_code == 303
    with dashboard.page(token) as page:
        drawn = run_script(page)
    assert "carl@example.com" in drawn
    assert "mallory@example.com" not in drawn


def test_one_session_is_ended_from_another_and_all_others_at_once(dashboard: Dashboard) -> None:
    email = "dora@example.com"
    here, there, elsewhere = (a_user(dashboard, email) for _ in range(3))
    stranger = a_user(dashboard, "bob@example.com")
    with dashboard.database.transaction() as transaction:
        user = accounts.user_by_email(transaction, email)
        assert user is not None
        number = sign_in.session_id(transaction, there)
        assert number is not None
        assert sign_in.end_session_of(transaction, user.id, number)
    wait_until(lambda: dashboard.get("/", there).status_code == 303)
    assert dashboard.get("/", here).status_code == 200
    assert dashboard.get("/", elsewhere).status_code == 200
    with dashboard.database.transaction() as transaction:
        assert sign_in.end_other_sessions(transaction, user.id, here) == 1
    wait_until(lambda: dashboard.get("/", elsewhere).status_code == 303)
    assert dashboard.get("/", here).status_code == 200
    assert dashboard.get("/", stranger).status_code == 200


def test_a_closed_account_is_out_at_once(dashboard: Dashboard) -> None:
    token = a_user(dashboard, "fay@example.com")
    with dashboard.page(token) as page:
        assert "fay@example.com" in run_script(page)
        with dashboard.database.transaction() as transaction:
            user = accounts.user_by_email(transaction, "fay@example.com")
            assert user is not None
            accounts.set_active(transaction, user.id, active=False)
        drawn = run_script(page)
    assert "You are signed out" in drawn
    assert "fay@example.com" not in drawn
    assert dashboard.post("/auth/login", email="fay@example.com", password=PASSWORD).status_code == 401
