"""Signal channels on the dashboard: registering, trying messages, what came, and the Discord account."""

from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from actions import connections as connection_actions
from actions import signal_channels as actions
from database import signal_channels
from tests.database.office import Office, open_office
from tests.database.test_setup_pages import press, words
from ui.alert_pages import page

ROOM, GUILD, AUTHOR = 900_000_000_000_000_001, 800_000_000_000_000_001, 700_000_000_000_000_001
LONG = "LONG BTC-USDT Entry: 60000 SL: 58000 TP: 65000"
TAB = "Signal channels"


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def settled(office: Office) -> Office:
    """Give an office with a connection at the built-in paper broker."""
    connection_actions.connect_paper(office.services, office.acting)
    return office


@pytest.fixture
def registered(settled: Office) -> Office:
    """Give an office with a registered channel that takes an author."""
    register(settled)
    return settled


def register(office: Office, **columns: object) -> int:
    given = {"channel_id": ROOM, "name": "signals", "author_ids": [AUTHOR], **columns}
    return actions.create(office.services, office.acting, connection_id=1, **given)


def opened(office: Office, tab: str = TAB, **query: str) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.session_state["tab"] = tab
    for name, value in query.items():
        drawn.query_params[name] = value
    return drawn.run()


def channel(office: Office, number: int = 1) -> signal_channels.SignalChannel:
    with office.services.database.transaction() as transaction:
        found = signal_channels.find(transaction, number)
    assert found is not None
    return found


def typed(drawn: AppTest, label: str, text: str) -> None:
    (field,) = [each for each in drawn.text_input if each.label == label]
    field.set_value(text)


def tried(drawn: AppTest, text: str) -> AppTest:
    (field,) = [each for each in drawn.text_area if each.label == "Message"]
    field.set_value(text)
    return press(drawn, "Read it")


class TestRegistering:
    def test_without_a_broker_it_leads_to_setup(self, office: Office) -> None:
        assert "Connect a broker first" in words(opened(office))

    def test_a_channel_is_registered_by_its_link_with_the_usual_settings(self, settled: Office) -> None:
        drawn = opened(settled)
        typed(drawn, "Channel's id or link", f"https://discord.com/channels/{GUILD}/{ROOM}")
        typed(drawn, "Name", "#btc-signals")
        drawn = press(drawn, "Register the channel")
        text = words(drawn)
        assert "#btc-signals is registered" in text
        assert "● ACTIVE" in text
        assert "Nobody's messages count yet" in text
        made, usual = channel(settled), actions.defaults(settled.services.settings)
        assert (made.channel_id, made.guild_id, made.name) == (ROOM, GUILD, "#btc-signals")
        assert {name: getattr(made, name) for name in usual} == usual
        assert (made.entry_mode, made.entry_valid_minutes) == (signal_channels.EntryMode.LIMIT, 60)
        assert made.max_price_deviation_percent == Decimal("0.5")
        assert (made.stop_required, made.allow_short, made.max_signal_age_seconds) == (True, True, 120)
