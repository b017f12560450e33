"""BloFin is connected, checked and warned about by the same actions as any other broker."""

from collections.abc import Iterator

import pytest

from actions import connections as actions
from actions.acting import Refused
from actions.connections import Wish
from brokers.base import BrokerName, Mode
from core.errors import Rejected
from database import connections
from database.pool import Row
from tests.blofin_server.local import Control, running_server
from tests.database.office import Office, open_office

KEYS = {"api_key": "blofin0123456789", "api_secret": "the secret of a test", "passphrase": "a phrase"}


@pytest.fixture
def blofin(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Control]:
    """Run BloFin's double, with the account of `KEYS`; before `office`, which reads the settings."""
    with running_server("demo") as broker:
        broker.account(*KEYS.values())
        monkeypatch.setenv("BLOFIN_BASE_URL", broker.url)
        yield broker


@pytest.fixture
def office(blofin: Control, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


def wish(mode: Mode = Mode.DEMO, **changed: str) -> Wish:
    label = "Perpetuals"
    keys = {**KEYS, **changed}
    return Wish(broker=BrokerName.BLOFIN, mode=mode, label=label, credentials=keys, confirmation=label)


def row_of(office: Office, connection_id: int) -> Row:
    with office.services.database.transaction() as transaction:
        row = connections.shown_connection(transaction, office.user.id, connection_id)
    assert row is not None
    return row


def test_it_is_offered_with_its_modes_and_fields() -> None:
    offer = actions.offer(BrokerName.BLOFIN)
    assert (offer.title, offer.modes) == ("BloFin", (Mode.DEMO, Mode.LIVE))
    assert [field.name for field in offer.fields] == ["api_key", "api_secret", "passphrase"]
    assert {each.name for each in actions.offers()} == set(BrokerName)


def test_what_is_unsafe_about_a_key_stays_with_the_connection(blofin: Control, office: Office) -> None:
    made = actions.connect(office.services, office.acting, wish())
    assert made.problem is None
    assert "no IP address" in (made.warning or "")
    row = row_of(office, made.id)
    assert (row["status"], row["warning"], row["mode"]) == ("OK", made.warning, "demo")
    assert row["credentials_prefix"] == "blof…"


def test_a_key_that_may_only_read_is_a_problem(blofin: Control, office: Office) -> None:
    blofin.change_account(KEYS["api_key"], permissions=["read"])
    made = actions.connect(office.services, office.acting, wish())
    assert "may only read" in (made.problem or "")
    assert row_of(office, made.id)["status"] == "PROBLEM"


def test_a_wrong_passphrase_stores_nothing(blofin: Control, office: Office) -> None:
    with pytest.raises(Rejected, match="Passphrase error"):
        actions.connect(office.services, office.acting, wish(passphrase="another"))
    with office.services.database.transaction() as transaction:
        assert connections.shown_connections(transaction, office.user.id) == []


def test_a_passphrase_that_is_missing_is_named(blofin: Control, office: Office) -> None:
    with pytest.raises(Refused, match="API passphrase is missing"):
        actions.connect(office.services, office.acting, wish(passphrase=" "))


def test_real_money_never_goes_to_another_address(blofin: Control, office: Office) -> None:
    with pytest.raises(Rejected, match="BLOFIN_BASE_URL"):
        actions.connect(office.services, office.acting, wish(Mode.LIVE))
    assert blofin.requests() == []


def test_a_check_asks_again(blofin: Control, office: Office) -> None:
    made = actions.connect(office.services, office.acting, wish())
    assert actions.check(office.services, office.acting, made.id) is None
    blofin.fault("answer_before", method="GET", path="/api/v1/account/balance", status=200,
                 body='{"code":"152401","msg":"Access key does not exist"}')  # fmt: skip
    assert actions.check(office.services, office.acting, made.id) == "Access key does not exist"
    assert row_of(office, made.id)["status"] == "PROBLEM"
