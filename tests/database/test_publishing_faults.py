"""A broker that stops answering: what was published waits for it, and is not published once more."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from alerts.transport import Delivered, TryLater
from core.alert import Alert, Tone
from database.pool import Database
from tests.mqtt_broker import Broker
from tests.mqtt_broker.desk import wait_for
from watching.publishing import Publisher


@pytest.fixture
def broker(tmp_path: Path, free_port: int) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker", free_port)
    broker.start()
    yield broker
    broker.stop()


def connected(broker: Broker, name: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_for(client.is_connected)
    return client


def trouble(number: int) -> Alert:
    data: dict[str, Any] = {"sentence": f"No {number}."}
    return Alert(kind="BOT_REJECTED", title="", tone=Tone.BAD, at=datetime.now(UTC), data=data)


def freeze(pid: int) -> None:
    """Stop a process; a signal that was sent has not stopped every thread yet."""
    os.kill(pid, signal.SIGSTOP)
    threads = psutil.Process(pid).threads()
    wait_for(lambda: all(psutil.Process(each.id).status() == psutil.STATUS_STOPPED for each in threads))


def test_what_a_broker_acknowledges_late_is_published_once(database: Database, broker: Broker) -> None:
    heard: list[str] = []
    tool, client = connected(broker, "tool"), connected(broker, "publisher")
    tool.on_message = lambda _client, _data, message: heard.append(
        json.loads(message.payload).get("error_message")
    )
    subscribed: list[int] = []
    tool.on_subscribe = lambda _client, _data, mid, _reasons, _properties: subscribed.append(mid)
    tool.subscribe("dashtrade/status/bot/error", 1)
    wait_for(lambda: subscribed)
    publisher = Publisher(database, "dashtrade/", lambda: datetime.now(UTC), patience=0.5)
    publisher.connected(client)
    message = publisher.render([trouble(1), trouble(2)])
    assert broker.process is not None
    freeze(broker.process.pid)
    try:
        for _ in range(3):
            assert isinstance(publisher.send("", message, "7"), TryLater)
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    wait_for(lambda: isinstance(publisher.send("", message, "7"), Delivered))
    assert isinstance(publisher.send("", publisher.render([trouble(3)]), "8"), Delivered)
    wait_for(lambda: "No 3." in heard)
    assert heard == ["No 1.", "No 2.", "No 3."]
    for each in (tool, client):
        each.disconnect()
        each.loop_stop()
