"""Ten thousand messages while the listener, the broker and the database are killed in turn."""

import json
import signal
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

from database import embedded, migrate
from tests.mqtt_broker import Broker
from tests.mqtt_broker.desk import Publisher, WatchDesk, wait_for
from tests.mqtt_broker.process import ListenerProcess

MESSAGES = 10_000
ROUNDS = 2
AT_ONCE = 50
# Mosquitto writes its memory to disk a moment after it accepted a message; a bot that must not lose
# one to a killed broker sends what it had accepted just before once more.
REPEATED = 2000


@pytest.fixture
def durable_server(free_port):
    """Run PostgreSQL that keeps what it committed, whoever kills it."""
    with TemporaryDirectory(prefix="dashtrade-test-") as folder:
        server = embedded.Server(folder=Path(folder) / "data", port=free_port, password="a test's password")
        server.start()
        migrate.apply(server.url())
        yield server
        server.stop()


class Bot(threading.Thread):
    """Publish every message and see to it that the broker has it, whatever dies."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._publisher = Publisher(port)
        self.sent = 0
        self.repeat = threading.Event()

    def run(self) -> None:
        while self.sent < MESSAGES or self.repeat.is_set():
            if self.repeat.is_set():
                wait_for(self._publisher.client.is_connected)
                self.repeat.clear()
                self.sent = max(0, self.sent - REPEATED)
            last = min(self.sent + AT_ONCE, MESSAGES)
            waiting = [self._send(number) for number in range(self.sent, last)]
            for each in waiting:
                each.wait_for_publish(120)
            self.sent = last

    def finish(self) -> None:
        self.join(300)
        assert not self.is_alive()
        self._publisher.close()

    def _send(self, number: int):
        topic, payload = message(number)
        return self._publisher.client.publish(topic, payload, 1)


STAMPS = {}


def message(number: int) -> tuple[str, bytes]:
    """Return one message: each is sent with one time of its own, however often."""
    stamp = STAMPS.setdefault(number, time.time())
    if number % 10 == 0:
        topic, fields = "status/bot/heartbeat", {"uptime_seconds": number}
    elif number % 10 == 1:
        topic, fields = "balance/update", {"balance": number, "equity": number}
    else:
        topic, fields = (
            "trading/trade/completed",
            {"trade_id": f"trade {number}", "pnl": number, "symbol": "BTC/USD"},
        )
    return f"polyspike/{topic}", json.dumps({"timestamp": stamp, "number": number, **fields}).encode()


def kill_database(server: embedded.Server) -> None:
    """Kill every process of PostgreSQL and start it again."""
    process = psutil.Process(int((server.folder / "postmaster.pid").read_text().split()[0]))
    children = process.children()
    for each in (process, *children):
        each.send_signal(signal.SIGKILL)
    psutil.wait_procs([process, *children], timeout=30)
    server.start()


@pytest.mark.slow
@pytest.mark.parametrize(
    "victims", [("listener", "database"), ("listener", "broker", "database")], ids="-".join
)
def test_nothing_is_lost_or_doubled(durable_server, tmp_path, victims):
    broker = Broker(folder=tmp_path / "broker", port=embedded.free_port())
    if "broker" in victims and not broker.keeps_on_disk:
        pytest.skip("iotcore keeps nothing on disk: a kill loses what it accepted; runs with Mosquitto")
    if "broker" not in victims and broker.keeps_on_disk:
        pytest.skip("with Mosquitto the broker is killed as well")
    broker.start()
    desk = WatchDesk(durable_server.url(), broker)
    listener = ListenerProcess(desk.settings, tmp_path / "listener.log")
    listener.start()
    wait_for(lambda: desk.rows("SELECT FROM mqtt_status WHERE is_connected"), explain=listener.written)
    bot = Bot(broker.port)
    bot.start()
    turns = victims * ROUNDS
    try:
        for turn, victim in enumerate(turns, start=1):
            due = MESSAGES * turn // (len(turns) + 1)
            wait_for(lambda due=due: count(desk) >= due, 180, explain=listener.written)
            assert count(desk) < MESSAGES, "the kill came too late to disturb anything"
            if victim == "listener":
                listener.stop(signal.SIGKILL)
                listener.start()
            elif victim == "database":
                kill_database(durable_server)
            else:
                broker.kill()
                broker.start()
                bot.repeat.set()
        bot.finish()
        wait_for(lambda: count(desk) >= MESSAGES, 180, explain=lambda: (count(desk), listener.written()))
        assert listener.stop() == 0
    finally:
        listener.stop(signal.SIGKILL)
        broker.kill()
    check(desk)
    desk.close()


def count(desk: WatchDesk) -> int:
    try:
        return int(desk.rows("SELECT count(*) AS count FROM watched_events")[0]["count"])
    except psycopg2.Error:
        return 0


def check(desk: WatchDesk) -> None:
    numbers = desk.rows(
        "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'number')::int AS number, kind FROM watched_events"
    )
    assert sorted(row["number"] for row in numbers) == list(range(MESSAGES))
    trades = [f"trade {number}" for number in range(MESSAGES) if number % 10 > 1]
    told = [content["trade_id"] for kind, content in desk.alerts() if kind == "WATCHED_TRADE_COMPLETED"]
    assert sorted(told) == sorted(trades)
    assert sorted(row["trade_id"] for row in desk.rows("SELECT trade_id FROM watched_trades")) == sorted(
        trades
    )
    kinds = set(desk.kinds())
    assert kinds == {"WATCHED_TRADE_COMPLETED", "WATCHED_BALANCE_CHANGED"}
    assert desk.kinds().count("WATCHED_BALANCE_CHANGED") == MESSAGES // 10
    bot = desk.bot()
    assert (bot["state"], bot["messages"], bot["bad_messages"]) == ("ONLINE", MESSAGES, 0)
    assert int(desk.rows("SELECT count(*) AS count FROM watched_balances")[0]["count"]) == MESSAGES // 10
