"""Everybody who sends: alerts over HTTP, bots over MQTT, a person in the Discord channel; each keeps a record."""

import heapq
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import requests
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from brokers.base import BrokerName
from tests.chaos.script import AlertDeed, MessageDeed
from tests.chaos.stage import PREFIXES, Stage

# TradingView hangs up after three seconds
TIMEOUT_SECONDS = 3
AGAIN_SECONDS = 1.0
MOST_TRIES = 90
SENDERS = 8
# Mosquitto writes to disk a moment after it accepted; a bot that must not lose a message repeats the last.
REPEATED = 200
LONGEST_OUTAGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer to an alert: HTTP status, the word of the body, and the signal it names."""

    number: int
    status: int
    word: str | None
    signal_id: str | None


@dataclass(slots=True)
class Alerts:
    """Send every alert of the script, in as many threads as a busy service has."""

    stage: Stage
    answers: list[Answer] = field(default_factory=list)
    posts: int = 0
    unanswered: int = 0
    given_up: list[int] = field(default_factory=list)
    _bodies: dict[int, bytes] = field(default_factory=dict)
    _due: list[tuple[float, int, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _deeds: dict[int, AlertDeed] = field(default_factory=dict)

    def run(self, began: float) -> None:
        """Send until every alert had its answer or was given up."""
        for deed in self.stage.script.alerts:
            heapq.heappush(self._due, (began + deed.at, deed.number, 0))
        self._deeds = {deed.number: deed for deed in self.stage.script.alerts}
        threads = [threading.Thread(target=self._send_due, name="sender") for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_due(self) -> None:
        with requests.Session() as session:
            while (due := self._next()) is not None:
                at, number, tries = due
                time.sleep(max(0.0, at - time.monotonic()))
                self._send(session, self._deeds[number], tries)

    def _next(self) -> tuple[float, int, int] | None:
        with self._lock:
            return heapq.heappop(self._due) if self._due else None

    def _send(self, session: requests.Session, deed: AlertDeed, tries: int) -> None:
        answer = self.post(session, deed)
        accepted = answer is not None and 200 <= answer.status < 300
        with self._lock:
            if answer is not None:
                self.answers.append(answer)
            if accepted and tries >= 0:
                for after in deed.copies:
                    # A copy is sent once, like what a sender repeats although it was answered
                    heapq.heappush(self._due, (time.monotonic() + after, deed.number, -1))
            elif not accepted and deed.named and 0 <= tries < MOST_TRIES:
                heapq.heappush(self._due, (time.monotonic() + AGAIN_SECONDS, deed.number, tries + 1))
            elif not accepted and deed.named and tries >= MOST_TRIES:
                self.given_up.append(deed.number)

    def post(self, session: requests.Session, deed: AlertDeed) -> Answer | None:
        """Send an alert once; return None where there was no answer."""
        seat = self.stage.script.seats[deed.seat]
        url = f"{self.stage.stack.url}/webhook?token={self.stage.tokens[seat.user]}"
        headers = {"Content-Type": "application/json; charset=utf-8"}
        with self._lock:
            body = self._bodies.setdefault(deed.number, self._body(deed))
            self.posts += 1
        try:
            got = session.post(url, body, headers=headers, timeout=TIMEOUT_SECONDS)
            content = got.json()
        except (requests.RequestException, ValueError):
            with self._lock:
                self.unanswered += 1
            return None
        return Answer(
            number=deed.number,
            status=got.status_code,
            word=content.get("status"),
            signal_id=content.get("signal_id"),
        )

    def _body(self, deed: AlertDeed) -> bytes:
        seat = self.stage.script.seats[deed.seat]
        named = self.stage.script.users[seat.user].broker is BrokerName.ALPACA
        fields: dict[str, object] = {
            "action": deed.action,
            "ticker": seat.part.symbol if named else seat.part.symbol.replace("/", ""),
            "interval": seat.part.interval,
            "mark": f"alert {deed.number}",
        }
        if deed.named:
            fields["id"] = f"alert {deed.number}"
        if deed.skew is not None:
            sent_at = datetime.now(UTC) + timedelta(seconds=deed.skew)
            fields["timenow"] = sent_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        if seat.part.limit_price is not None and deed.action == "buy":
            fields |= {"order_type": "limit", "limit_price": seat.part.limit_price}
        return json.dumps(fields).encode()


@dataclass(slots=True)
class Messages:
    """Publish every message of the watched bots; each is the broker's before it counts as sent."""

    stage: Stage
    repeat: threading.Event = field(default_factory=threading.Event)
    published: int = 0
    _bodies: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def run(self, began: float) -> None:
        """Send until all have been accepted by the broker."""
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"chaos-{id(self)}")
        client.max_queued_messages_set(0)
        client.reconnect_delay_set(1, 1)
        client.connect("127.0.0.1", self.stage.mosquitto.port)
        client.loop_start()
        accepted: deque[MessageDeed] = deque(maxlen=REPEATED)
        for deed in self.stage.script.messages:
            time.sleep(max(0.0, began + deed.at - time.monotonic()))
            self._send(client, [deed] * (deed.copies + 1))
            accepted.append(deed)
            self._repeat(client, accepted)
        time.sleep(max(0.0, began + self.stage.script.scale.storm_seconds - time.monotonic()))
        self._repeat(client, accepted)
        client.disconnect()
        client.loop_stop()

    def _repeat(self, client: Client, accepted: deque[MessageDeed]) -> None:
        if self.repeat.is_set():
            self.repeat.clear()
            self._send(client, list(accepted))

    def _send(self, client: Client, deeds: list[MessageDeed]) -> None:
        """Publish and wait until the broker has it all; what found no connection is published again."""
        left, deadline = deeds, time.monotonic() + LONGEST_OUTAGE_SECONDS
        while left and time.monotonic() < deadline:
            sent = [(deed, self._publish(client, deed)) for deed in left]
            left = [deed for deed, info in sent if not _is_taken(info)]
            time.sleep(0.2 if left else 0.0)

    def _publish(self, client: Client, deed: MessageDeed) -> MQTTMessageInfo:
        topic, body = self._bodies.setdefault(deed.number, _message(deed))
        self.published += 1
        return client.publish(topic, body, 1)


def _is_taken(info: MQTTMessageInfo) -> bool:
    try:
        info.wait_for_publish(LONGEST_OUTAGE_SECONDS)
    except RuntimeError:
        return False
    return info.is_published()


def _message(deed: MessageDeed) -> tuple[str, bytes]:
    fields: dict[str, object] = {"timestamp": time.time() + deed.skew, "mark": deed.number}
    match deed.kind:
        case "trade":
            topic = "trading/trade/completed"
            fields |= {"trade_id": f"trade {deed.number}", "pnl": deed.number, "symbol": "BTC/USD"}
        case "balance":
            topic = "balance/update"
            fields |= {"balance": deed.number, "equity": deed.number}
        case _:
            topic = "status/bot/heartbeat"
            fields |= {"uptime_seconds": deed.number}
    return PREFIXES[deed.bot] + topic, json.dumps(fields).encode()


@dataclass(slots=True)
class Posts:
    """Let a person write in the Discord channel; `posted` is each message's number by Discord's id."""

    stage: Stage
    posted: dict[str, int] = field(default_factory=dict)

    def run(self, began: float) -> None:
        """Write everything."""
        for deed in self.stage.script.posts:
            time.sleep(max(0.0, began + deed.at - time.monotonic()))
            self.posted[self.stage.discord.gateway.say(deed.text)] = deed.number
