"""A listener at a real broker on a database of its own, a publisher, and what came of it."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from database.pool import Database
from settings import Settings
from tests.mqtt_broker import Broker
from watching.listener import Listener

PREFIX = "polyspike/"


def wait_for(look: Callable[[], Any], seconds: float = 60.0, explain: Callable[[], Any] = str) -> Any:
    """Return the first truthy thing that `look` finds; fail with `explain` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {explain()}"
        time.sleep(0.02)
    return found


class Publisher:
    """A bot's connection to the broker."""

    def __init__(self, port: int, name: str = "bot") -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"{name}-{id(self)}")
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def send(self, topic: str, payload: Any, qos: int = 1, *, retain: bool = False) -> None:
        """Publish and wait until the broker has it; what is not bytes is sent as JSON."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.client.publish(topic, body, qos, retain).wait_for_publish(60)

    def close(self) -> None:
        """Leave the broker."""
        self.client.disconnect()
        self.client.loop_stop()


class WatchDesk:
    """One watched world: settings, a broker, a database, and listeners that are started when asked."""

    def __init__(self, database_url: str, broker: Broker, **settings: Any) -> None:
        self.broker = broker
        self.database = Database(database_url)
        self.settings = Settings(
            database_url=database_url,
            public_url="http://localhost:8080",
            mqtt_broker_host="127.0.0.1",
            mqtt_broker_port=broker.port,
            **settings,
        )
        self._publisher: Publisher | None = None

    @contextmanager
    def listening(self, **changes: Any):
        """Run a listener in a thread until the end of the block, and stop it cleanly."""
        settings = self.settings.model_copy(update=changes)
        database = Database(settings.database, size=2)
        listener = Listener(settings, database)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        try:
            wait_for(lambda: listener.link.is_listening, explain=lambda: listener.link.words)
            yield listener
        finally:
            listener.stop()
            thread.join(60)
            database.close()
        assert not thread.is_alive()

    @property
    def publisher(self) -> Publisher:
        """Return a bot's connection to the broker."""
        if self._publisher is None:
            self._publisher = Publisher(self.broker.port)
        return self._publisher

    def send(self, below: str, payload: Any, *, prefix: str = PREFIX, **more: Any) -> None:
        """Publish below a prefix."""
        self.publisher.send(prefix + below, payload, **more)

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return rows of the database."""
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the stored messages in their order."""
        rows = self.rows("SELECT * FROM watched_events ORDER BY id")
        return [row for row in rows if kind in (None, row["kind"])]

    def alerts(self) -> list[tuple[str, dict[str, Any]]]:
        """Return kind and content of what is to be told, in its order."""
        rows = self.rows("SELECT kind, content FROM notifications ORDER BY id")
        return [(row["kind"], row["content"]) for row in rows]

    def kinds(self) -> list[str]:
        """Return the kinds of what is to be told."""
        return [kind for kind, _ in self.alerts()]

    def bot(self, prefix: str = PREFIX) -> dict[str, Any]:
        """Return the row of a watched bot."""
        return self.rows("SELECT * FROM watched_bots WHERE prefix = %s", prefix)[0]

    def watch(self, prefix: str, name: str, user_id: int | None = None) -> int:
        """Watch another bot and return its id."""
        with self.database.transaction() as transaction:
            return int(
                transaction.value(
                    "INSERT INTO watched_bots (user_id, prefix, name) VALUES (%s, %s, %s) RETURNING id",
                    (user_id, prefix, name),
                )
            )

    def wait_events(self, count: int, kind: str | None = None) -> list[dict[str, Any]]:
        """Wait for a number of stored messages and return them."""
        wait_for(lambda: len(self.events(kind)) >= count, explain=lambda: self.events())
        return self.events(kind)

    def wait_state(self, state: str, prefix: str = PREFIX) -> dict[str, Any]:
        """Wait until a bot's row has a state and return it."""
        wait_for(lambda: self.bot(prefix)["state"] == state, explain=lambda: self.bot(prefix))
        return self.bot(prefix)

    def close(self) -> None:
        """Let go of everything."""
        if self._publisher is not None:
            self._publisher.close()
        self.database.close()
