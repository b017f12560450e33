"""The listener at a real broker: what is kept, who is away, and what each setting does."""

import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.mqtt_broker import Broker, need_mosquitto
from tests.mqtt_broker.certificate import localhost_certificate, password_line
from tests.mqtt_broker.desk import Publisher, WatchDesk, wait_for
from watching.listener import Listener


class Clock:
    """A clock that can be set."""

    def __init__(self):
        self.ahead = timedelta(0)

    def __call__(self):
        return datetime.now(UTC) + self.ahead


class Beating(threading.Thread):
    """A bot that beats until the end of the block."""

    def __init__(self, port, prefix, pause=0.3):
        super().__init__()
        self._pause = pause
        self._publisher, self._topic = Publisher(port), f"{prefix}status/bot/heartbeat"
        self._ended = threading.Event()

    def run(self):
        while not self._ended.wait(self._pause):
            self._publisher.client.publish(self._topic, '{"uptime_seconds": 1}', 0)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self._ended.set()
        self.join()
        self._publisher.close()


class FailingOnce:
    """A companion with a fault in its first call from the network's thread."""

    has_failed = False

    def prepare(self, client):
        pass

    def connected(self, client):
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("whatever it was")

    def leave(self):
        pass


def beats(watching):
    """Return how often the listener has said that it lives, as the moment of the last time."""
    [row] = watching.rows("SELECT max(beat_at) AS at FROM heartbeats WHERE part = 'mqtt listener'")
    return row["at"]


def wait_beats(watching, times):
    """Wait until the listener has gone round several times."""
    for _ in range(times):
        last = beats(watching)
        wait_for(lambda last=last: beats(watching) != last)


def test_what_the_broker_kept_is_shown_and_not_told(watching):
    watching.send("balance/update", {"timestamp": 1234567890, "balance": 7}, retain=True)
    watching.send("stats/session", {"session_id": "old", "total_pnl": 3}, retain=True)
    for _ in range(2):
        with watching.listening():
            watching.wait_events(2)
            watching.send("status/bot/stopped", {"timestamp": datetime.now(UTC).timestamp()})
            wait_for(lambda: watching.bot()["state"] == "STOPPED")
    assert watching.bot()["balance"]["balance"] == "7"
    assert watching.bot()["session"]["session"] == "old"
    assert len(watching.events("BALANCE")) == len(watching.events("SESSION_STATS")) == 1
    assert watching.kinds() == ["WATCHED_STOPPED"] * 2


def test_what_is_sent_while_nobody_listens_is_not_lost(watching):
    with watching.listening():
        pass
    for number in range(300):
        watching.send("trading/trade/completed", {"trade_id": str(number), "symbol": "A", "pnl": number})
    with watching.listening():
        watching.wait_events(300)
    told = [content["trade_id"] for _, content in watching.alerts()]
    assert told == [str(number) for number in range(300)]


def test_hostile_messages_are_kept_and_the_listener_lives(watching):
    hostile = (b"", b"\xff", b"[" * 20_000, b"null", b'{"timestamp": NaN}', b'"\\ud800"', b"x" * 1_000_000)
    with watching.listening():
        for payload in hostile:
            watching.send("trading/trade/completed", payload)
        watching.send("status/bot/started", {"session_id": "after"})
        watching.wait_events(len(hostile) + 1)
    assert [row["kind"] for row in watching.events()] == ["BAD"] * 4 + [
        "TRADE_COMPLETED",
        "BAD",
        "BAD",
        "STARTED",
    ]
    assert watching.events()[6]["payload_bytes"] == 1_000_000
    assert watching.bot()["bad_messages"] == 6
    assert watching.kinds() == ["WATCHED_TRADE_COMPLETED", "WATCHED_STARTED"]


def test_an_error_in_the_networks_thread_does_not_end_it(watching):
    faults = []

    def now():
        if (
            threading.current_thread().name.startswith("paho")
            and watching.bot()["messages"] == 1
            and not faults
        ):
            faults.append("once")
            raise RuntimeError("the clock is broken")
        return datetime.now(UTC)

    listener = Listener(watching.settings, watching.database, now)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    wait_for(lambda: listener.link.is_listening)
    for name in ("first", "second", "third"):
        watching.send("status/bot/started", {"session_id": name})
        wait_for(lambda name=name: (watching.bot()["messages"] == 1) if name == "first" else faults)
    watching.wait_events(3)
    listener.stop()
    thread.join()
    assert faults
    assert {row["understood"]["session"] for row in watching.events()} == {"first", "second", "third"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_networks_thread_that_died_all_the_same_is_replaced_and_told_of(watching):
    companion = FailingOnce()
    listener = Listener(watching.settings, watching.database, companions=[companion])
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    wait_for(lambda: companion.has_failed)
    wait_for(lambda: watching.rows("SELECT FROM faults WHERE position('died' in words) > 0"))
    wait_for(lambda: listener.link.is_listening)
    watching.send("status/bot/started", {})
    watching.wait_events(1)
    listener.stop()
    thread.join()


def test_a_prefix_of_ones_own_is_heard_and_no_other(watching):
    with watching.listening(mqtt_topic_prefix="my/own/"):
        watching.send("status/bot/started", {})
        watching.send("status/bot/started", {}, prefix="my/own/")
        watching.wait_events(1)
    assert [row["topic"] for row in watching.events()] == ["my/own/status/bot/started"]
    assert watching.kinds() == ["WATCHED_STARTED"]
    assert watching.bot("my/own/")["is_default"]


def test_another_bot_is_heard_as_soon_as_it_is_watched(watching):
    with watching.listening():
        watching.watch("second/", "Second")

        def heard():
            watching.send("status/bot/started", {}, prefix="second/")
            return watching.bot("second/")["messages"]

        wait_for(heard)
        watching.rows("DELETE FROM watched_bots WHERE prefix = 'second/' RETURNING id")
        watching.send("status/bot/started", {"session_id": "one"}, prefix="second/")
        watching.send("status/bot/started", {"session_id": "one"})
        wait_for(lambda: watching.bot()["messages"])
    assert {content["watched_bot"] for _, content in watching.alerts()} == {"Second", "polyspike"}


QUICK = {"heartbeat_timeout_seconds": 2, "heartbeat_check_interval": 1}


def test_a_silent_bot_is_told_once_and_its_return_once(watching):
    watching.watch("second/", "Second")
    with watching.listening(**QUICK):
        watching.send("status/bot/heartbeat", {"timestamp": 1234567890})
        assert watching.wait_state("OFFLINE")["offline_since"] == watching.bot()["last_heartbeat_at"]
        assert watching.kinds() == ["WATCHED_OFFLINE"]
        [(_, content)] = watching.alerts()
        assert datetime.fromisoformat(content["last_seen"]) == watching.bot()["last_heartbeat_at"]
        assert content["away_seconds"] >= 2
    with watching.listening(**QUICK):
        watching.send("status/bot/heartbeat", {}, prefix="second/")
        watching.wait_state("OFFLINE", "second/")
        assert watching.kinds() == ["WATCHED_OFFLINE"] * 2
        watching.send("status/bot/heartbeat", {})
        watching.send("status/bot/stopped", {})
        watching.wait_state("STOPPED")
        watching.send("status/bot/heartbeat", {}, prefix="second/")
        watching.wait_state("ONLINE", "second/")
        watching.wait_state("OFFLINE", "second/")
    assert watching.bot()["state"] == "STOPPED"
    assert watching.kinds()[2:] == ["WATCHED_BACK", "WATCHED_STOPPED", "WATCHED_BACK", "WATCHED_OFFLINE"]


def test_time_in_which_nobody_listened_is_no_outage_and_hides_none(watching):
    with watching.listening():
        watching.watch("silent/", "Silent")
    hour = timedelta(hours=1)
    watching.rows(
        "UPDATE watched_bots SET state = 'ONLINE', last_heartbeat_at = %s RETURNING id",
        datetime.now(UTC) - hour,
    )
    quick = {"heartbeat_timeout_seconds": 6, "heartbeat_check_interval": 1}
    with Beating(watching.broker.port, "polyspike/"), watching.listening(**quick):
        watching.wait_state("OFFLINE", "silent/")
        assert watching.bot()["state"] == "ONLINE"
    [(kind, content)] = watching.alerts()
    assert (kind, content["watched_bot"]) == ("WATCHED_OFFLINE", "Silent")
    assert content["away_seconds"] >= 3600


@pytest.mark.parametrize("setting", ["heartbeat_timeout_seconds", "heartbeat_check_interval"])
def test_a_longer_timeout_or_interval_waits_longer(watching, setting):
    quickest = {"heartbeat_timeout_seconds": 1, "heartbeat_check_interval": 1}
    with watching.listening(**{**quickest, setting: 3600}):
        watching.send("status/bot/heartbeat", {})
        heard_at = watching.wait_state("ONLINE")["last_heartbeat_at"]
        wait_for(lambda: datetime.now(UTC) - heard_at > timedelta(seconds=3))
        wait_beats(watching, 1)
        assert watching.bot()["state"] == "ONLINE"
    with watching.listening(**quickest):
        watching.wait_state("OFFLINE")


def test_a_broker_that_is_down_at_the_start_is_waited_for(watching):
    watching.broker.stop()
    clock = Clock()
    for ahead in (timedelta(0), timedelta(minutes=5), timedelta(minutes=11)):
        listener = Listener(watching.settings, watching.database, clock)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        wait_for(lambda listener=listener: listener.link.words)
        clock.ahead = ahead
        wait_beats(watching, 2)
        told = watching.kinds()
        if ahead < timedelta(minutes=11):
            # As a killed one leaves it
            before = watching.rows("SELECT words, changed_at FROM mqtt_status")[0]
            listener.stop()
            thread.join()
            watching.rows(
                "UPDATE mqtt_status SET words = %s, changed_at = %s RETURNING words",
                before["words"], before["changed_at"],
            )  # fmt: skip
        assert told == ([] if ahead == timedelta(0) else ["MQTT_BROKER_DOWN"])
    assert "cannot be reached" in watching.alerts()[0][1]["sentence"]
    watching.broker.start()
    wait_for(lambda: watching.kinds() == ["MQTT_BROKER_DOWN", "MQTT_BROKER_BACK"], explain=watching.alerts)
    watching.send("status/bot/started", {})
    watching.wait_events(1)
    listener.stop()
    thread.join()


def test_a_broker_that_comes_back_is_heard_again(watching):
    with watching.listening() as listener:
        watching.send("status/bot/heartbeat", {})
        watching.wait_events(1)
        watching.broker.stop()
        wait_for(
            lambda: watching.rows("SELECT FROM mqtt_status WHERE NOT is_connected AND words IS NOT NULL")
        )
        watching.broker.start()
        wait_for(lambda: listener.link.is_listening)
        wait_for(watching.publisher.client.is_connected)
        watching.send("status/bot/heartbeat", {})
        watching.wait_events(2)
        wait_for(lambda: watching.rows("SELECT FROM mqtt_status WHERE is_connected AND words IS NULL"))
    assert watching.kinds() == []
    [status] = watching.rows("SELECT * FROM mqtt_status")
    assert (status["is_connected"], status["broker"]) == (False, f"127.0.0.1:{watching.broker.port}")


@pytest.fixture
def guarded_broker(tmp_path, free_port, monkeypatch):
    """Run Mosquitto that wants TLS, a user and a password."""
    need_mosquitto()
    certificate, key = localhost_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    passwords = tmp_path / "passwords"
    passwords.write_text(password_line("ann", "the right one"))
    lines = (
        f"certfile {certificate}",
        f"keyfile {key}",
        "allow_anonymous false",
        f"password_file {passwords}",
    )
    broker = Broker(folder=tmp_path / "guarded", port=free_port, kind="mosquitto", lines=lines)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def guarded(database_url, guarded_broker):
    """Give a database and a broker that wants TLS, a user and a password."""
    desk = WatchDesk(
        database_url, guarded_broker, mqtt_tls="true", mqtt_username="ann", mqtt_password="the right one"
    )
    yield desk
    desk.close()


def test_user_password_and_tls_are_used(guarded):
    with guarded.listening(mqtt_broker_host="localhost"):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mqtt_tls": False}, ""),
        ({"mqtt_username": "bob"}, "Not authorized"),
        ({"mqtt_username": None}, "Not authorized"),
        ({"mqtt_broker_host": "127.0.0.2"}, "refused"),
    ],
    ids=str,
)
def test_without_them_the_reason_is_told(guarded, change, words):
    settings = guarded.settings.model_copy(update={"mqtt_broker_host": "localhost", **change})
    listener = Listener(settings, guarded.database)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    status = "SELECT words FROM mqtt_status WHERE words <> '' AND NOT is_connected"
    [row] = wait_for(lambda: guarded.rows(status))
    listener.stop()
    thread.join()
    assert words in row["words"]


def test_a_clock_that_is_set_back_is_believed(watching):
    clock = Clock()
    clock.ahead = timedelta(hours=1)
    listener = Listener(watching.settings, watching.database, clock)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    wait_for(lambda: listener.link.is_listening)
    watching.send("status/bot/heartbeat", {})
    assert watching.wait_events(1)[0]["received_at"] > datetime.now(UTC) + timedelta(minutes=30)
    clock.ahead = timedelta(0)
    watching.send("status/bot/heartbeat", {})
    assert watching.wait_events(2)[1]["received_at"] <= datetime.now(UTC)
    listener.stop()
    thread.join()


def test_a_prefix_that_is_no_longer_watched_is_not_heard_after_a_start_either(watching):
    watching.watch("second/", "Second")
    with watching.listening():
        pass
    watching.rows("DELETE FROM watched_bots WHERE prefix = 'second/' RETURNING id")
    watching.watch("second/inside/", "Inside")
    with watching.listening():
        watching.send("status/bot/started", {}, prefix="second/inside/")
        watching.send("status/bot/started", {})
        wait_for(lambda: watching.bot()["messages"])
    assert watching.bot("second/inside/")["messages"] == 1


def test_what_dashtrade_itself_publishes_is_no_watched_bots(watching):
    watching.watch("ours/", "Another's")
    with watching.listening(mqtt_publish_prefix="ours/"):
        watching.send("status/bot/started", {}, prefix="ours/")
        watching.send("status/bot/started", {})
        wait_for(lambda: watching.bot()["messages"])
    assert watching.bot("ours/")["messages"] == 0
    assert len(watching.kinds()) == 1


def test_old_messages_go_while_new_ones_keep_coming(watching):
    with watching.listening():
        pass
    old = "FROM watched_events WHERE received_at < now() - interval '8 days'"
    with watching.database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO watched_events (watched_bot_id, topic, kind, payload, payload_bytes, is_retained,
                                        received_at, identity, is_unique)
            SELECT watched_bots.id, 'x', 'HEARTBEAT', '', 0, false, now() - interval '9 days', '', false
              FROM watched_bots, generate_series(1, 7000)
            """
        )
    with Beating(watching.broker.port, "polyspike/", pause=0.001), watching.listening():
        wait_for(lambda: not watching.rows(f"SELECT {old} LIMIT 1"), 50)


def deaf_broker(server):
    """Be a broker that accepts who comes and refuses to tell them anything."""
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection, suppress(ConnectionError):
                connection.recv(1000)
                connection.sendall(b"\x20\x02\x00\x00")
                subscribe = connection.recv(1000)
                connection.sendall(b"\x90\x03" + subscribe[2:4] + b"\x80")
                while connection.recv(1000):
                    pass


def test_a_broker_that_lets_us_connect_but_not_listen_counts_as_away(watching):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=deaf_broker, args=(server,), daemon=True).start()
        settings = watching.settings.model_copy(update={"mqtt_broker_port": server.getsockname()[1]})
        listener = Listener(settings, watching.database)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        [status] = wait_for(lambda: watching.rows("SELECT * FROM mqtt_status WHERE words IS NOT NULL"))
        listener.stop()
        thread.join()
    assert "refuses to let us listen" in status["words"]
    assert not status["is_connected"]


def test_a_port_of_ones_own_is_used(watching, free_port):
    with socket.create_server(("127.0.0.1", free_port + 1 if free_port < 65535 else free_port - 1)) as other:
        settings = watching.settings.model_copy(update={"mqtt_broker_port": other.getsockname()[1]})
        other.settimeout(60)
        listener = Listener(settings, watching.database)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        connection, _ = other.accept()
        assert connection.recv(1) == b"\x10"
        listener.stop()
        connection.close()
        thread.join()
