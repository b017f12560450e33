"""The connection to the broker: one paho client, whose callbacks do as little as possible.

paho's network thread dies of an exception in `on_message`, so that one is caught here; and an
acknowledgement may only go out on the connection that brought its message.
"""

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from settings import Settings
from watching.heartbeats import CLOCK_STEP
from watching.inbox import Inbox, Message

SHORTEST_WAIT, LONGEST_WAIT = 1, 60
LONGEST_KEEPALIVE, SHORTEST_KEEPALIVE = 30, 2
QOS = 1

logger = logging.getLogger("mqtt_listener")


def topmost(prefixes: Iterable[str]) -> set[str]:
    """Return the prefixes that are below no other: a broker delivers once for each filter that matches."""
    every = set(prefixes)
    return {each for each in every if not any(each != other and each.startswith(other) for other in every)}


class Companion(Protocol):
    """Use the listener's connection beside it."""

    def prepare(self, client: Client) -> None:
        """Set a client up before it connects."""

    def connected(self, client: Client) -> None:
        """Hear of each connecting, in the network's thread."""

    def leave(self) -> None:
        """Say goodbye before the connection is closed on purpose."""


class Link:
    """Keep connected to the broker, with back-off and for ever, and put what comes into the inbox."""

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        now: Callable[[], datetime],
        companions: Sequence[Companion] = (),
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._now = now
        self._companions = companions
        self._client: Client | None = None
        self._thread = ""
        self._lock = threading.Lock()
        self._generation = 0
        self._connected_at: datetime | None = None
        self._last_moment = datetime.min.replace(tzinfo=UTC)
        self._prefixes: set[str] = set()
        self._former: set[str] = set()
        self._subscribed_in = -1
        self._asking: int | None = None
        self._leaving: int | None = None
        self.words: str | None = None

    @property
    def address(self) -> str:
        """Return the broker's host and port."""
        return f"{self._host}:{self._settings.mqtt_broker_port}"

    @property
    def connected_at(self) -> datetime | None:
        """Return since when the broker is there, or None while it is not."""
        return self._connected_at

    @property
    def listening_since(self) -> datetime | None:
        """Return since when the broker is there, or None where it has not agreed to send us what comes."""
        return self._connected_at if self._subscribed_in == self._generation else None

    @property
    def is_listening(self) -> bool:
        """Tell whether the broker has agreed to send us what comes."""
        return self.listening_since is not None

    @property
    def generation(self) -> int:
        """Return a number that changes with each connecting and each loss of the connection."""
        return self._generation

    @property
    def subscribed(self) -> set[str]:
        """Return the prefixes that the broker may remember for us: it does so while we are away, too."""
        with self._lock:
            return self._prefixes | self._former

    def open(self, client_id: str, prefixes: Iterable[str], subscribed: Iterable[str] = ()) -> None:
        """Connect in the background, again and again until it works; leave what is `subscribed` beyond the prefixes."""
        self._inbox.open()
        self._prefixes = topmost(prefixes)
        self._former = set(subscribed) - self._prefixes
        self._client = self.make_client(client_id)
        self._client.connect_async(self._host, self._settings.mqtt_broker_port, self._keepalive)
        self._client.loop_start()
        self._thread = f"paho-mqtt-client-{client_id}"  # paho's name for it

    def close(self) -> None:
        """Leave the broker, which keeps what comes for us from then on."""
        client, self._client = self._client, None
        self._inbox.close()
        if client is not None:
            client.disconnect()
            client.loop_stop()
            self._lost()

    def say_goodbye(self) -> None:
        """Let the companions take their leave while the connection stands."""
        for companion in self._companions:
            companion.leave()

    def check(self) -> None:
        """Raise RuntimeError where the network's thread died of an error, which it logged."""
        if self._client is not None and not any(each.name == self._thread for each in threading.enumerate()):
            raise RuntimeError("the thread of the connection to the broker died")

    def watch(self, prefixes: Iterable[str]) -> None:
        """Listen below these prefixes and no other from now on."""
        with self._lock:
            wanted, had = topmost(prefixes), self._prefixes
            self._prefixes = wanted
            self._former = (self._former | had) - wanted
            client = self._client if self._connected_at is not None else None
        if client is None:
            return
        if had - wanted:
            self._leave_former(client)
        if wanted - had:
            client.subscribe([(f"{prefix}#", QOS) for prefix in sorted(wanted - had)])

    def _leave_former(self, client: Client) -> None:
        if former := sorted(self._former):
            # iotcore lets go only of what was subscribed to on the same connection
            client.subscribe([(f"{prefix}#", QOS) for prefix in former])
            _, self._leaving = client.unsubscribe([f"{prefix}#" for prefix in former])

    def _unsubscribed(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], _: Properties | None
    ) -> None:
        with self._lock:
            if mid == self._leaving:
                self._former = set()

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that messages are stored; those of an earlier connection it delivers again."""
        with self._lock:
            for message in messages:
                if self._client is not None and message.generation == self._generation and message.qos:
                    self._client.ack(message.mid, message.qos)

    def make_client(self, client_id: str) -> Client:
        """Return the client, not yet connected."""
        settings = self._settings
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(SHORTEST_WAIT, LONGEST_WAIT)
        if settings.mqtt_username is not None:
            password = settings.mqtt_password
            client.username_pw_set(settings.mqtt_username, password.get_secret_value() if password else None)
        if settings.mqtt_tls:
            client.tls_set()
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        for companion in self._companions:
            companion.prepare(client)
        return client

    @property
    def _host(self) -> str:
        return self._settings.mqtt_broker_host or "localhost"

    @property
    def _keepalive(self) -> int:
        # A broker that vanished without a word must be noticed before its silence looks like a bot's
        third = self._settings.heartbeat_timeout_seconds // 3
        return min(LONGEST_KEEPALIVE, max(SHORTEST_KEEPALIVE, third))

    def _connected(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        if reason.is_failure:
            self._say(f"the broker refuses the connection: {reason}")
            return
        with self._lock:
            self._generation += 1
            self._connected_at = self._moment()
            self.words = None
            prefixes = sorted(self._prefixes)
        logger.info("connected to the broker at %s", self.address)
        self._leave_former(client)
        self._asking = client.subscribe([(f"{prefix}#", QOS) for prefix in prefixes])[1]
        for companion in self._companions:
            companion.connected(client)

    def _unreachable(self, client: Client, userdata: Any) -> None:
        self._say(f"the broker cannot be reached: {sys.exception()}")

    def _disconnected(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        self._lost()
        if reason.is_failure and self.words is None:
            self._say(f"the connection to the broker was lost: {reason}")

    def _lost(self) -> None:
        with self._lock:
            self._generation += 1
            self._connected_at = None

    def _subscribed(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], _: Properties | None
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._say(f"the broker refuses to let us listen: {', '.join(refused)}")
        if mid == self._asking and len(refused) < len(reasons):
            self._subscribed_in = self._generation

    def _say(self, words: str) -> None:
        if words != self.words:
            logger.warning("%s (%s)", words, self.address)
        self.words = words

    def _arrived(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        try:
            self._inbox.put(self._taken(message))
        except Exception:
            logger.exception("a message could not be taken; the broker is asked for it again")
            self._begin_anew(client)

    def _begin_anew(self, client: Client) -> None:
        """Break the connection: what was not acknowledged comes again, in its order."""
        self._lost()
        if isinstance(connection := client.socket(), socket.socket):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _taken(self, message: MQTTMessage) -> Message:
        now = self._moment()
        return Message(
            generation=self._generation,
            connected_at=self._connected_at or now,
            mid=message.mid,
            qos=message.qos,
            topic=_topic(message),
            payload=bytes(message.payload),
            is_retained=message.retain,
            received_at=now,
            again=message.dup,
        )

    def _moment(self) -> datetime:
        # No two messages arrive at the same moment, so that the moment tells them apart; but a clock that
        # was set back is believed, or every message until then would lie in the future
        now = self._now()
        if self._last_moment - now < CLOCK_STEP:
            now = max(now, self._last_moment + timedelta(microseconds=1))
        self._last_moment = now
        return now


def _topic(message: MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError as error:
        return bytes(error.object).decode("utf-8", "replace")
