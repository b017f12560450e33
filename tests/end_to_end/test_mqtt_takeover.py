"""One listener at a time: who takes over, and what becomes of the messages that were in hand."""

import json
import signal
import threading
from contextlib import contextmanager

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from database import mqtt_status
from tests.mqtt_broker.desk import wait_for
from tests.mqtt_broker.process import ListenerProcess

# The aim of 60 MB is the bench's to show; one library too many takes more than the rest of this
MEMORY = 75 * 1024 * 1024
LISTENERS_SESSION = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 3 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_one_process_listens_and_the_other_takes_over(watching, tmp_path):
    first = ListenerProcess(watching.settings, tmp_path / "first.log")
    second = ListenerProcess(watching.settings, tmp_path / "second.log")
    alive = "SELECT FROM heartbeats WHERE part = 'mqtt listener'"
    try:
        first.start()
        wait_for(lambda: watching.rows("SELECT FROM mqtt_status WHERE is_connected"), explain=first.written)
        second.start()
        wait_for(lambda: len(watching.rows(alive)) == 2, explain=second.written)
        watching.send("status/bot/started", {"session_id": "to the first"})
        watching.wait_events(1)
        assert "waiting to take over" in second.written()
        assert "connected to the broker" not in second.written()
        assert second.stop() == 0
        assert len(watching.rows(alive)) == 1, "one that waits takes its heartbeat back when it stops"
        assert watching.rows("SELECT FROM mqtt_status WHERE is_connected"), "and the other goes on listening"
        second.start()
        wait_for(lambda: len(watching.rows(alive)) == 2, explain=second.written)
        first.stop(signal.SIGKILL)
        watching.send("status/bot/started", {"session_id": "to the second"})
        watching.wait_events(2)
        assert second.resident() < MEMORY
        assert second.stop() == 0
    finally:
        first.stop(signal.SIGKILL)
        second.stop(signal.SIGKILL)
    assert len(watching.events()) == len(watching.kinds()) == 2
    assert len(watching.rows(alive)) == 1, "the one that was killed could not take its heartbeat back"
    assert watching.rows("SELECT claims FROM mqtt_status") == [{"claims": 2}]


def test_a_listener_that_loses_its_lease_leaves_the_broker_and_begins_anew(watching):
    with watching.listening() as listener:
        generation = listener.link.generation
        end_the_listeners_session(watching)
        wait_for(lambda: listener.link.generation != generation and listener.link.is_listening)
        watching.send("status/bot/started", {})
        watching.wait_events(1)
    assert watching.rows("SELECT claims FROM mqtt_status") == [{"claims": 2}]


@contextmanager
def messages_in_hand(watching, lines):
    """Hold up the listener in the middle of writing these lines, until the end of the block."""
    with watching.database.transaction() as transaction:
        transaction.all("SELECT FROM watched_bots FOR UPDATE")
        for line in lines:
            watching.send("status/bot/started", line)
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        wait_for(lambda: watching.rows(f"{waiting} AND pid IN ({LISTENERS_SESSION})"))
        yield


def end_the_listeners_session(watching):
    watching.rows(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS_SESSION}) AS listener")


def test_what_is_in_hand_when_the_process_is_killed_is_delivered_again(watching, tmp_path):
    lines = [{"session_id": str(number)} for number in range(5)]
    process = ListenerProcess(watching.settings, tmp_path / "listener.log")
    process.start()
    try:
        wait_for(lambda: watching.rows("SELECT FROM mqtt_status WHERE is_connected"), explain=process.written)
        with messages_in_hand(watching, lines):
            process.stop(signal.SIGKILL)
        process.start()
        watching.wait_events(len(lines))
        assert process.stop() == 0
    finally:
        process.stop(signal.SIGKILL)
    assert sessions(watching) == [line["session_id"] for line in lines]
    assert watching.kinds() == ["WATCHED_STARTED"] * len(lines)


def test_what_is_in_hand_when_the_lease_is_lost_is_written_once(watching):
    lines = [{"session_id": str(number)} for number in range(5)]
    with watching.listening() as listener:
        generation = listener.link.generation
        with messages_in_hand(watching, lines):
            end_the_listeners_session(watching)
        wait_for(lambda: listener.link.generation > generation + 1 and listener.link.is_listening)
        watching.send("status/bot/started", {"session_id": "after"})
        wait_for(lambda: "after" in sessions(watching))
    assert sessions(watching) == [*(line["session_id"] for line in lines), "after"]
    assert len(watching.kinds()) == len(lines) + 1


def test_what_is_in_hand_is_left_to_the_process_that_listened_meanwhile(watching):
    lines = [{"session_id": str(number)} for number in range(5)]
    with watching.listening() as listener, Lease(watching) as lease:
        with messages_in_hand(watching, lines):
            end_the_listeners_session(watching)
        lease.wait()
        wait_for(lambda: listener.link.connected_at is None)
        assert lease.listen(len(lines)) == lines
        lease.leave()
        wait_for(lambda: listener.link.is_listening)
        watching.send("status/bot/started", {"session_id": "after"})
        wait_for(lambda: "after" in sessions(watching))
    assert sessions(watching) == ["after"]


def sessions(watching):
    return [row["understood"]["session"] for row in watching.events("STARTED")]


class Lease(threading.Thread):
    """Another process that waits for the lease, is the listener for a while, and keeps to itself what it hears."""

    def __init__(self, watching):
        super().__init__()
        self._watching, self._has_it, self._is_over = watching, threading.Event(), threading.Event()

    def run(self):
        with self._watching.database.session() as session:
            with session.transaction() as transaction:
                transaction.value("SELECT pg_advisory_lock(3, 0)")
                mqtt_status.count_claim(transaction)
            self._has_it.set()
            self._is_over.wait()
            with session.transaction() as transaction:
                mqtt_status.release(transaction)

    def wait(self):
        assert self._has_it.wait(60)

    def listen(self, count):
        """Take and acknowledge what the broker has for the listener."""
        heard = []
        [status] = self._watching.rows("SELECT client_id FROM mqtt_status")
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=status["client_id"], clean_session=False, protocol=MQTTv311
        )
        client.on_message = lambda _client, _data, message: heard.append(json.loads(message.payload))
        client.connect("127.0.0.1", self._watching.broker.port)
        client.loop_start()
        wait_for(lambda: len(heard) >= count, explain=lambda: heard)
        client.disconnect()
        client.loop_stop()
        return heard

    def leave(self):
        self._is_over.set()
        self.join()

    def __enter__(self):
        self.start()
        wait_for(lambda: self._watching.rows("SELECT FROM pg_locks WHERE classid = 3 AND NOT granted"))
        return self

    def __exit__(self, *_):
        self._is_over.set()
