"""The whole of DashTrade behind a real Caddy with deploy/Caddyfile: alerts, the sign-in, a page's websocket."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from database.sign_in import FAILURES_PER_ADDRESS
from tests.conftest import _free_port
from tests.end_to_end.stack import PASSWORD, Stack, Trader, running_stack, wait_for

ROOT = Path(__file__).resolve().parents[2]
CADDY = shutil.which("caddy", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin:/usr/local/bin")
COOKIE = "dashtrade_session"
# Addresses of this machine that are not Caddy's own, so that one can be told from the other
SENDER, STRANGER = "127.0.0.2", "127.0.0.3"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CADDY is None, reason="caddy is not installed")]


@dataclass(frozen=True, slots=True)
class Site:
    """DashTrade's address outside, and what vouches for its certificate."""

    stack: Stack
    https: str
    http: str
    authority: str

    def session(self, address: str = SENDER) -> requests.Session:
        """Return a client that calls from one of this machine's addresses."""
        session = requests.Session()
        session.verify = self.authority
        session.trust_env = False
        session.mount("https://", _From(address))
        session.mount("http://", _From(address))
        return session


class _From(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: object, **named: object) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **named)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the stack and Caddy in front; only one address may send alerts."""
    folder = tmp_path_factory.mktemp("caddy")
    with running_stack(WEBHOOK_ALLOWED_ADDRESSES=SENDER) as stack, caddy(stack, folder) as running:
        yield running


@contextmanager
def caddy(stack: Stack, folder: Path) -> Iterator[Site]:
    """Run Caddy with our file; for `localhost` it makes a certificate of its own."""
    https, http = _free_port(), _free_port()
    # The ports, and where it keeps things, are all that differs from what an operator runs
    of_the_test = (
        f"{{\n\tadmin off\n\tskip_install_trust\n\thttps_port {https}\n\thttp_port {http}\n"
        f"\tdefault_bind 127.0.0.1\n\tstorage file_system {folder / 'kept'}\n}}\n"
    )
    (folder / "Caddyfile").write_text(of_the_test + (ROOT / "deploy/Caddyfile").read_text())
    environ = {
        "HOME": str(folder),
        "SITE": "localhost",
        "WEBHOOK": f"127.0.0.1:{stack.environ['WEBHOOK_PORT']}",
        "DASHBOARD": f"127.0.0.1:{stack.environ['DASHBOARD_PORT']}",
    }
    command = [str(CADDY), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    authority = folder / "kept/pki/authorities/local/root.crt"
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
    site = Site(stack, f"https://localhost:{https}", f"http://localhost:{http}", str(authority))
    try:
        wait_for(lambda: authority.exists() and _answers(site), 60, (folder / "log").read_text)
        yield site
    finally:
        process.terminate()
        process.wait(20)


def _answers(site: Site) -> bool:
    try:
        return site.session().get(site.https + "/auth/login", timeout=10).ok
    except (requests.ConnectionError, requests.exceptions.SSLError):
        return False


@pytest.fixture(scope="module")
def ann(site: Site) -> Trader:
    """Give a user with a bot."""
    trader = Trader(site.stack, "ann@example.com")
    trader.bot("NVDA", "15", trader.connect_paper())
    return trader


def test_the_file_is_valid_as_it_stands() -> None:
    said = subprocess.run(
        [str(CADDY), "validate", "--config", ROOT / "deploy/Caddyfile", "--adapter", "caddyfile"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr


def test_http_is_sent_on_to_https(site: Site) -> None:
    answer = site.session().get(site.http + "/auth/login", allow_redirects=False, timeout=10)
    assert answer.status_code in (301, 302, 307, 308)
    assert answer.headers["location"].startswith("https://localhost")


def test_an_alert_comes_through_with_its_senders_address(site: Site, ann: Trader) -> None:
    def send(address: str, **headers: str) -> requests.Response:
        alert = ann.message("buy", "NVDA", "15")
        with site.session(address) as session:
            return session.post(
                f"{site.https}/webhook?token={ann.token}", alert, timeout=40,
                headers={"Content-Type": "application/json", **headers},
            )  # fmt: skip

    assert send(STRANGER).json()["code"] == "ADDRESS_NOT_ALLOWED"
    # What a sender claims of himself counts for nothing
    claimed = send(STRANGER, **{"X-Forwarded-For": SENDER})
    assert (claimed.status_code, claimed.json()["code"]) == (403, "ADDRESS_NOT_ALLOWED")
    accepted = send(SENDER, **{"X-Forwarded-For": STRANGER})
    assert accepted.status_code == 202, accepted.text
    assert ann.trace(accepted.json()["signal_id"])["signal_id"] == accepted.json()["signal_id"]


def test_the_webhook_servers_addresses_lead_to_it(site: Site, ann: Trader) -> None:
    with site.session() as session:
        assert session.get(site.https + "/health", timeout=10).json()["database"] == "ok"
        bots = session.get(f"{site.https}/user/{ann.id}/bots", params={"token": ann.token}, timeout=10)
        assert bots.json()["bots"][0]["id"] in ann.bots()
        in_path = session.post(site.https + "/webhook/usr_wrong", data="{}", timeout=10)
        assert (in_path.status_code, in_path.json()["code"]) == (401, "INVALID_TOKEN")
        explained = session.post(
            site.https + "/test-webhook", json={"action": "buy", "symbol": "A"}, timeout=10
        )
        assert explained.json()["signal"]["symbol"] == "A"
        unknown = session.get(site.https + "/api/v1/stats", timeout=10)
        assert unknown.json()["code"] == "INVALID_API_KEY"
        assert (
            session.post(site.https + "/webhook?token=x", data=b"x" * 70_000, timeout=10).status_code == 413
        )
        assert (
            session.post(site.https + "/webhook?token=x", data=b"x" * 1_100_000, timeout=10).status_code
            == 413
        )


def test_the_sign_in_works_and_its_cookie_is_for_https_alone(site: Site, ann: Trader) -> None:
    with site.session() as session:
        page = session.get(site.https + "/auth/login", timeout=10)
        assert "Sign in to DashTrade" in page.text
        assert page.headers["strict-transport-security"].startswith("max-age=")
        assert page.headers["x-content-type-options"] == "nosniff"
        form = {"email": "ann@example.com", "password": PASSWORD}
        # A browser sends this; "null" is what Referrer-Policy: no-referrer would make of it
        answer = session.post(
            site.https + "/auth/login",
            data=form,
            headers={"Origin": site.https},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code == 303, answer.text
        assert "secure" in answer.headers["set-cookie"].lower()
        assert session.get(site.https + "/", timeout=20, allow_redirects=False).status_code == 200
        refused = session.post(
            site.https + "/auth/login", data=form, headers={"Origin": "https://evil.example"}, timeout=20
        )
        assert refused.status_code == 403
        assert _a_page_runs(site, answer.cookies[COOKIE], site.https)
        with pytest.raises(InvalidStatus):
            _a_page_runs(site, answer.cookies[COOKIE], "https://evil.example")


def _a_page_runs(site: Site, token: str, origin: str) -> bool:
    trust = ssl.create_default_context(cafile=site.authority)
    address = site.https.replace("https:", "wss:") + "/_stcore/stream"
    headers = {"Cookie": f"{COOKIE}={token}"}
    with connect(
        address, ssl=trust, additional_headers=headers, origin=origin, max_size=None, proxy=None
    ) as page:
        page.send(BackMsg(rerun_script={}).SerializeToString())
        return len(page.recv(timeout=40)) > 0


def test_one_who_guesses_passwords_locks_nobody_else_out(site: Site, ann: Trader) -> None:
    def guess(session: requests.Session, email: str) -> int:
        return session.post(
            site.https + "/auth/login", data={"email": email, "password": "a guess"}, timeout=20,
            headers={"Origin": site.https, "X-Forwarded-For": "203.0.113.9"},
        ).status_code  # fmt: skip

    with site.session(STRANGER) as stranger, site.session(SENDER) as another:
        tries = (guess(stranger, f"nobody{number}@example.com") for number in range(FAILURES_PER_ADDRESS + 1))
        assert 429 in tries
        assert guess(another, "nobody@example.com") == 401
