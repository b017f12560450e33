"""Publish what this DashTrade does, in the shapes it understands itself; our own life and death too.

Events are notifications like any other alert: kept until the broker has them. What is only true now, the
heartbeat and the balance, is told afresh each time.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import psycopg2
from paho.mqtt.client import Client, MQTTMessageInfo

from alerts.transport import Delivered, InvalidAddress, Message, Outcome, Refused, TryLater
from core.alert import Alert
from database import health, published
from database.pool import Database, Row
from settings import version
from watching import shapes

HEARTBEAT_SECONDS = 30.0
BALANCE_SECONDS = 60.0
AGAIN_SECONDS = 5.0
ACKNOWLEDGED_WITHIN_SECONDS = 10.0
QOS = 1

logger = logging.getLogger("mqtt_listener")


class Publisher:
    """Be a transport to the broker, and tell it that we live.

    It uses the listener's own connection, so that one process publishes: the one that holds the lease.
    """

    name = "MQTT"
    most = 50
    merges = False

    def __init__(
        self,
        database: Database,
        prefix: str,
        now: Callable[[], datetime],
        *,
        patience: float = ACKNOWLEDGED_WITHIN_SECONDS,
    ) -> None:
        self._database = database
        self._prefix = prefix
        self._now = now
        self._began = now()
        self._session_id = self._began.strftime("%Y%m%d_%H%M%S")
        self._patience = patience
        self._client: Client | None = None
        self._unanswered: tuple[Client, str, list[MQTTMessageInfo]] | None = None
        self._has_started = False
        self._balance: dict[str, Any] | None = None

    def prepare(self, client: Client) -> None:
        """Leave a last will with a client that is about to connect."""
        topic, said = shapes.state(is_online=False, at=self._now())
        client.will_set(self._prefix + topic, json.dumps(said), qos=QOS, retain=True)

    def connected(self, client: Client) -> None:
        """Publish on this client from now on; called at every connecting."""
        self._client = client
        topic, said = shapes.state(is_online=True, at=self._now())
        client.publish(self._prefix + topic, json.dumps(said), qos=QOS, retain=True)

    def leave(self) -> None:
        """Say goodbye before a clean end of the connection, which the broker does not take for a death."""
        client, self._client = self._client, None
        if client is None or not client.is_connected():
            return
        try:
            self._say_last_figures(client)
        except psycopg2.Error as error:
            logger.warning("no last figures are published", exc_info=error)
        self._put(client, *shapes.state(is_online=False, at=self._now()), retain=True)

    def _say_last_figures(self, client: Client) -> None:
        standing, now = self._standing(), self._now()
        seconds = int((now - self._began).total_seconds())
        self._put(client, *shapes.session(standing, now, self._session_id, seconds), retain=True)
        self._put(client, *shapes.stopped(standing, now, self._session_id), retain=False)

    def run(self, stopping: threading.Event) -> None:
        """Tell that we live and what the accounts are worth, until told to stop."""
        due = {self._beat: 0.0, self._tell_balance: 0.0}
        while not stopping.is_set():
            for tell, at in due.items():
                if time.monotonic() >= at and self._client is not None:
                    due[tell] = time.monotonic() + self._told_safely(tell)
            stopping.wait(1.0)

    def _told_safely(self, tell: Callable[[], float]) -> float:
        try:
            return tell()
        except psycopg2.Error as error:
            logger.warning("nothing is published, and it is tried again", exc_info=error)
        except Exception as error:
            logger.exception("nothing published, and it is tried again")
            self._record(error)
        return AGAIN_SECONDS

    def _record(self, error: Exception) -> None:
        with suppress(psycopg2.Error), self._database.transaction() as transaction:
            health.note_fault(transaction, "mqtt publisher", f"{type(error).__name__}: {error}", self._now())

    def checked_address(self, text: str) -> str:
        """Refuse: the broker is a setting, not somebody's address."""
        raise InvalidAddress("The MQTT broker is set by MQTT_BROKER_HOST.")

    def shown(self, address: str) -> str:
        """Return the prefix, which is no secret."""
        return address

    def render(self, alerts: Sequence[Alert]) -> Message:
        """Return topic and payload of each alert, in their order."""
        trades = self._trades([alert.data.get("trade") for alert in alerts])
        told = [self._told(alert, trades.get(alert.data.get("trade"))) for alert in alerts]
        return {"messages": [{"topic": topic, "payload": said} for topic, said in told]}

    def send(self, address: str, message: Message, key: str) -> Outcome:
        """Publish each once and wait for the broker's acknowledgement of all."""
        client = self._client
        if client is None or not client.is_connected():
            return TryLater(reason="The broker is not connected.", seconds=2.0)
        try:
            on_their_way = self._on_their_way(client, message, key)
            if self._have_arrived(on_their_way):
                return Delivered()
        except ValueError as error:
            return Refused(reason=str(error))
        except RuntimeError as error:
            return TryLater(reason=f"The broker was lost: {error}", seconds=2.0)
        self._unanswered = (client, key, on_their_way)
        return TryLater(reason="The broker did not acknowledge it.", seconds=2.0)

    def _on_their_way(self, client: Client, message: Message, key: str) -> list[MQTTMessageInfo]:
        """Publish, or return what was published already: paho itself repeats it until it is answered."""
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None and unanswered[:2] == (client, key):
            return unanswered[2]
        return [
            self._publish(client, each["topic"], each["payload"], retain=False)
            for each in message["messages"]
        ]

    def _put(self, client: Client, topic: str, said: dict[str, Any], *, retain: bool) -> bool:
        try:
            return self._have_arrived([self._publish(client, topic, said, retain=retain)])
        except RuntimeError:
            return False

    def _have_arrived(self, messages: Sequence[MQTTMessageInfo]) -> bool:
        """Wait for all of them together as long as for one."""
        deadline = time.monotonic() + self._patience
        for each in messages:
            each.wait_for_publish(max(0.0, deadline - time.monotonic()))
        return all(each.is_published() for each in messages)

    def _publish(self, client: Client, topic: str, said: dict[str, Any], *, retain: bool) -> MQTTMessageInfo:
        return client.publish(self._prefix + topic, json.dumps(said), qos=QOS, retain=retain)

    def _told(self, alert: Alert, trade: Row | None) -> tuple[str, dict[str, Any]]:
        return shapes.trade(trade, alert.at) if trade else shapes.trouble(alert.kind, alert.data, alert.at)

    def _beat(self) -> float:
        client, standing = self._client, self._standing()
        if client is not None:
            uptime = int((self._now() - self._began).total_seconds())
            if not self._has_started:
                started = shapes.started(standing, self._now(), self._session_id, version())
                self._has_started = self._put(client, *started, retain=False)
            self._put(client, *shapes.heartbeat(standing, self._now(), uptime), retain=True)
        return HEARTBEAT_SECONDS

    def _tell_balance(self) -> float:
        client, standing = self._client, self._standing()
        figures = {name: standing[name] for name in ("balance", "equity", "unrealized_pnl")}
        is_news = standing["equity"] is not None and figures != self._balance
        if client is not None and is_news:
            told = self._put(client, *shapes.balance(standing, self._now()), retain=True)
            self._balance = figures if told else None
        return BALANCE_SECONDS

    def _standing(self) -> dict[str, Any]:
        with self._database.transaction() as transaction:
            return published.standing(transaction, self._began)

    def _trades(self, ids: Sequence[object]) -> dict[Any, Row]:
        known = [each for each in ids if isinstance(each, int)]
        if not known:
            return {}
        with self._database.transaction() as transaction:
            return published.trades_to_publish(transaction, known)
