"""TradingView's certificate behind a real Caddy with deploy/Caddyfile: who has it comes in, who claims it does not."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from requests.exceptions import ConnectionError as Unreachable

from database import embedded
from tests.conftest import TEMPLATE, _database_for_one_test, _free_port
from tests.discord_server.certificates import Authority
from tests.end_to_end.stack import wait_for
from tests.end_to_end.test_deploy_caddy import CADDY, ROOT, SENDER, STRANGER, _From
from tests.end_to_end.webhook_desk import WebhookDesk, gunicorn
from webhook.access import CERTIFICATE_HEADER, TRADINGVIEW

ALERT = {"action": "buy", "symbol": "AAPL", "timeframe": "15 Min"}
AUTHORITY_IN_FILE = "/etc/caddy/tradingview-ca.pem"
# A program could take an underscore for a hyphen, where Caddy does not
CLAIMS = (CERTIFICATE_HEADER, CERTIFICATE_HEADER.lower(), CERTIFICATE_HEADER.replace("-", "_"))

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CADDY is None, reason="caddy is not installed")]


@dataclass(frozen=True, slots=True)
class Door:
    """A webhook server that wants the certificate, and Caddy in front; `folder` holds what Caddy trusts."""

    https: str
    direct: str
    token: str
    folder: Path
    authority: Authority

    @property
    def root(self) -> Path:
        """Return what vouches for Caddy itself."""
        return self.folder / "kept/pki/authorities/local/root.crt"

    def is_open(self) -> bool:
        """Tell whether Caddy answers."""
        return self.root.exists() and self.knock()[0] > 0

    def knock(
        self, certificate: Path | None = None, address: str = STRANGER, url: str = "", **headers: str
    ) -> tuple[int, str | None]:
        """Send an alert and return what was answered; 0 where no connection came about."""
        with requests.Session() as session:
            session.trust_env = False
            session.mount("https://", _From(address))
            session.verify = str(self.root)
            session.cert = str(certificate) if certificate else None
            try:
                path = f"{url or self.https}/webhook?token={self.token}"
                answer = session.post(path, json=ALERT, headers=headers, timeout=20)
            except Unreachable:
                return 0, None
        return answer.status_code, answer.json().get("code")


def uncommented(text: str) -> str:
    """Return the Caddyfile with the lines about certificates in force, as the guide says to put them."""
    before, start, rest = text.partition("\t# tls {\n")
    inside, end, after = rest.partition("\t# }\n")
    assert start
    assert end
    return "\n".join([before, "\ttls {", inside.replace("\t# ", "\t"), "\t}", after])


@pytest.fixture(scope="module")
def door(server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder, authority = tmp_path_factory.mktemp("caddy"), Authority.new()
    port, https, http = _free_port(), _free_port(), _free_port()
    written = uncommented((ROOT / "deploy/Caddyfile").read_text())
    trusted = authority.file(folder / "tradingview-ca.pem")
    (folder / "Caddyfile").write_text(
        f"{{\n\tadmin off\n\tskip_install_trust\n\thttps_port {https}\n\thttp_port {http}\n\tdefault_bind 127.0.0.1\n"
        f"\tstorage file_system {folder / 'kept'}\n}}\n" + written.replace(AUTHORITY_IN_FILE, str(trusted))
    )
    for url in _database_for_one_test(server, TEMPLATE):
        desk = WebhookDesk(url)
        trader = desk.trader()
        trader.bot()
        wants = {"TRADINGVIEW_CERTIFICATE": "require", "WEBHOOK_ALLOWED_ADDRESSES": SENDER}
        with gunicorn(desk, port, **wants), open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [str(CADDY), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
                env={"HOME": str(folder), "SITE": "localhost", "WEBHOOK": f"127.0.0.1:{port}"},
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            made = Door(
                f"https://localhost:{https}", f"http://127.0.0.1:{port}", trader.token, folder, authority
            )
            try:
                wait_for(made.is_open, 60, (folder / "log").read_text)
                yield made
            finally:
                process.terminate()
                process.wait(20)
                desk.close()


def test_an_alert_with_tradingviews_certificate_is_taken(door: Door, tmp_path: Path) -> None:
    for number, name in enumerate(("TradingView Webhooks", TRADINGVIEW)):
        certificate = door.authority.client(tmp_path / f"{number}.pem", TRADINGVIEW, name)
        assert door.knock(certificate)[0] in (200, 202)


def test_ones_own_script_needs_none_from_an_address_that_is_named(door: Door) -> None:
    assert door.knock(address=SENDER)[0] in (200, 202)
    assert door.knock() == (403, "CERTIFICATE_REQUIRED")


def test_another_certificate_of_the_same_authority_is_not_tradingviews(door: Door, tmp_path: Path) -> None:
    other = door.authority.client(tmp_path / "other.pem", "mallory@example.com")
    assert door.knock(other) == (403, "CERTIFICATE_REQUIRED")


def test_a_certificate_that_anybody_made_does_not_get_through_the_handshake(
    door: Door, tmp_path: Path
) -> None:
    own = Authority.new().client(tmp_path / "own.pem", TRADINGVIEW)
    assert door.knock(own) == (0, None)


@pytest.mark.parametrize("header", CLAIMS)
def test_what_a_sender_claims_counts_for_nothing(door: Door, tmp_path: Path, header: str) -> None:
    other = door.authority.client(tmp_path / "other.pem", "mallory@example.com")
    for certificate in (None, other):
        assert door.knock(certificate, **{header: TRADINGVIEW}) == (403, "CERTIFICATE_REQUIRED")
