"""Fixtures of the webhook server's tests."""

import pytest

from tests.end_to_end.webhook_desk import WebhookDesk
from tests.mqtt_broker import Broker
from tests.mqtt_broker.desk import WatchDesk


@pytest.fixture
def desk(database_url):
    """Give the webhook server on a database of its own."""
    desk = WebhookDesk(database_url)
    yield desk
    desk.close()


@pytest.fixture
def ann(desk):
    """Give a user with an account at the paper broker and a webhook token."""
    return desk.trader()


@pytest.fixture
def broker(tmp_path, free_port):
    """Run the chosen MQTT broker on a port of its own."""
    broker = Broker(folder=tmp_path / "broker", port=free_port)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def watching(database_url, broker):
    """Give a broker and a database to watch bots with; no listener runs yet."""
    desk = WatchDesk(database_url, broker)
    yield desk
    desk.close()
