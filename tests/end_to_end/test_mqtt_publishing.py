"""What DashTrade does itself can be watched over MQTT: by any tool, and by another DashTrade."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from database.pool import Database
from encryption import new_key
from tests.conftest import KEPT_FROM_OUTSIDE
from tests.database.trading_floor import TradingFloor
from tests.mqtt_broker import Broker
from tests.mqtt_broker.desk import wait_for
from watching.messages import Kind, understand
from watching.publishing import Publisher

ROOT = Path(__file__).resolve().parents[2]


class Tool:
    """Any MQTT client that watches everything below `dashtrade/`."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, dict[str, Any], bool]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("dashtrade/#", 1)
        self._client.loop_start()

    def _take(self, _client: Client, _data: object, message: Any) -> None:
        self.heard.append((message.topic, json.loads(message.payload), message.retain))

    def said(self, topic: str) -> list[dict[str, Any]]:
        return [payload for where, payload, _ in self.heard if where == f"dashtrade/{topic}"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path, free_port: int) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker", free_port)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def tool(broker: Broker) -> Iterator[Tool]:
    tool = Tool(broker.port)
    yield tool
    tool.close()


@contextmanager
def listener(url: str, port: int, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the listener's own process inside."""
    environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
        "DATABASE_URL": url, "ENCRYPTION_KEY": new_key(), "MQTT_BROKER_HOST": "127.0.0.1",
        "MQTT_BROKER_PORT": str(port), "DASHTRADE_ENV_FILE": os.environ["DASHTRADE_ENV_FILE"], **settings,
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "mqtt_listener.py"], cwd=ROOT, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def test_a_trade_is_told_to_any_tool_and_understood_as_one_of_a_watched_bot(
    database: Database, broker: Broker, tool: Tool
) -> None:
    with listener(database.url, broker.port):
        wait_for(lambda: tool.said("status/bot/heartbeat"), explain=lambda: tool.heard)
        floor = TradingFloor(database)
        bot = floor.bot("AAPL")
        floor.market.pin("AAPL", "100", "100.10")
        floor.send(bot, "BUY")
        floor.market.pin("AAPL", "110", "110.10")
        floor.send(bot, "CLOSE")
        wait_for(lambda: tool.said("trading/trade/completed"), explain=lambda: tool.heard)
    (started,) = tool.said("status/bot/started")
    assert started["version"]
    (opened,) = tool.said("trading/position/opened")
    assert (opened["symbol"], opened["side"], opened["entry_price"]) == ("AAPL", "long", 100.1)
    (closed,) = tool.said("trading/trade/completed")
    booked = floor.one("SELECT * FROM bot_trades WHERE action = 'CLOSE'")
    assert closed["pnl"] == float(booked["realized_pnl"]) > 0
    assert closed["entry_price"] == pytest.approx(100.1, abs=0.2)
    (stopped,) = wait_for(lambda: tool.said("status/bot/stopped"), explain=lambda: tool.heard)
    assert stopped["final_stats"]["total_trades"] == 1
    for topic, payload, _ in tool.heard:
        event = understand(
            topic, "dashtrade/", json.dumps(payload).encode(), datetime.now(UTC), is_retained=False
        )
        assert event.problem is None, topic
        assert event.kind is not Kind.UNKNOWN or topic.endswith("status/bot/state")
    rows = floor.all("SELECT state FROM alert_deliveries")
    assert [row["state"] for row in rows] == ["SENT", "SENT"]


def test_the_state_is_retained_and_a_death_is_told_by_the_last_will(
    database: Database, broker: Broker, tool: Tool
) -> None:
    with listener(database.url, broker.port) as process:
        wait_for(lambda: tool.said("status/bot/state"), explain=lambda: tool.heard)
        assert tool.said("status/bot/state")[-1]["state"] == "online"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        wait_for(lambda: tool.said("status/bot/state")[-1]["state"] == "offline", explain=lambda: tool.heard)
    assert tool.said("status/bot/stopped") == []
    late = Tool(broker.port)
    wait_for(lambda: late.said("status/bot/state"), explain=lambda: late.heard)
    assert late.heard[0][2], "a late tool is told by what the broker retained"
    late.close()


def test_what_happens_while_the_broker_is_away_is_told_when_it_is_back(
    database: Database, broker: Broker, tool: Tool
) -> None:
    with listener(database.url, broker.port):
        wait_for(lambda: tool.said("status/bot/heartbeat"), explain=lambda: tool.heard)
        broker.stop()
        floor = TradingFloor(database)
        bot = floor.bot("AAPL")
        floor.market.pin("AAPL", "100", "100.10")
        floor.send(bot, "BUY")
        wait_for(lambda: floor.all("SELECT FROM alert_deliveries WHERE error IS NOT NULL"))
        broker.start()
        wait_for(
            lambda: [row["state"] for row in floor.all("SELECT state FROM alert_deliveries")] == ["SENT"],
            120.0,
        )


def test_another_prefix_is_published_below(database: Database, broker: Broker) -> None:
    heard: list[str] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(message.topic)
    client.connect("127.0.0.1", broker.port)
    client.subscribe("#", 1)
    client.loop_start()
    with listener(database.url, broker.port, MQTT_PUBLISH_PREFIX="house/one/"):
        wait_for(lambda: "house/one/status/bot/heartbeat" in heard, explain=lambda: heard)
    client.disconnect()
    client.loop_stop()
    assert not [topic for topic in heard if not topic.startswith("house/one/")]


def test_without_a_database_a_clean_stop_is_still_told(
    database: Database, broker: Broker, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(database, "dashtrade/", lambda: datetime.now(UTC))
    client = Client(CallbackAPIVersion.VERSION2)
    publisher.prepare(client)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_for(client.is_connected)
    publisher.connected(client)
    away = Database("postgresql://nobody@127.0.0.1:1/none", connect_timeout=1)
    monkeypatch.setattr(publisher, "_database", away)
    publisher.leave()
    wait_for(lambda: [each["state"] for each in tool.said("status/bot/state")] == ["online", "offline"])
    client.disconnect()
    client.loop_stop()


def test_a_fault_in_telling_is_recorded_and_the_next_telling_follows(
    database: Database, broker: Broker, tool: Tool
) -> None:
    # Read at the making, then by the first telling
    faults = iter([None, RuntimeError("whatever it was")])

    def now() -> datetime:
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return datetime.now(UTC)

    publisher = Publisher(database, "dashtrade/", now)
    publisher._client = client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_for(client.is_connected)
    stopping = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stopping,))
    thread.start()
    wait_for(lambda: tool.said("status/bot/heartbeat"), explain=lambda: tool.heard)
    stopping.set()
    thread.join(60)
    client.disconnect()
    client.loop_stop()
    with database.transaction() as transaction:
        (fault,) = transaction.all("SELECT subject, words FROM faults")
    assert fault == {"subject": "mqtt publisher", "words": "RuntimeError: whatever it was"}
