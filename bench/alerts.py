"""Measure the way of a watched bot's message: from its publishing to its row, and to its alert at Discord.

`python -m bench.alerts [SECONDS]`. A real broker (Mosquitto where it is installed, else the embedded one), the
listener and a worker as processes of their own, and a local server that behaves like Discord and
answers at once. Ten bots of ten users publish steadily; every hundredth message is a trade, which is
an alert, the rest are heartbeats, statistics and balances. Then the most that comes through, from a
queue that waited. Times are differences of one machine's clock: the payload holds when it was sent, and
PostgreSQL keeps when each row was committed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr

from bench import ground
from database import accounts, alert_channels, embedded, migrate
from database.pool import Database
from encryption import Vault, new_key
from tests.conftest import KEPT_FROM_OUTSIDE, _free_port
from tests.discord_server.server import DiscordServer
from tests.mqtt_broker import Broker, mosquitto

ROOT = Path(__file__).resolve().parents[1]
BOTS = 10
PER_SECOND = 1000
SECONDS = 30
BACKLOG = 20_000
ALERT_EVERY = 100
# As in deploy/mosquitto.conf
SAVING = ("autosave_interval 10", "max_inflight_messages 1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that a message passes, running."""

    database: Database
    broker: Broker
    listener: "subprocess.Popen[bytes]"
    worker: "subprocess.Popen[bytes]"

    def one(self, sql: str) -> dict:
        with self.database.transaction() as transaction:
            return transaction.one(sql)


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything; at the end nothing of it is left."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dashtrade-bench-")))
        options = {"track_commit_timestamp": "on"}
        server = embedded.Server(
            folder=folder / "data", port=_free_port(), password=new_key(), options=options
        )
        server.start()
        stack.callback(server.stop)
        url, key = server.url("dashtrade"), new_key()
        migrate.apply(url)
        database = stack.enter_context(closing(Database(url)))
        discord = stack.enter_context(DiscordServer())
        kind = "mosquitto" if mosquitto() else "iotcore"
        broker = Broker(folder / "broker", _free_port(), kind=kind, saving=SAVING)
        broker.start()
        stack.callback(broker.stop)
        make_people(database, Vault(SecretStr(key)), discord)
        environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
            "DATABASE_URL": url, "ENCRYPTION_KEY": key, "DASHTRADE_ENV_FILE": "/nowhere/.env",
            "MQTT_BROKER_HOST": "127.0.0.1", "MQTT_BROKER_PORT": str(broker.port), "LOG_LEVEL": "WARNING",
            "DISCORD_BASE_URL": discord.base,
        }  # fmt: skip
        listener = stack.enter_context(running("mqtt_listener.py", environ))
        worker = stack.enter_context(running("jobs.py", environ))
        made = Stage(database=database, broker=broker, listener=listener, worker=worker)
        wait(made, "SELECT is_connected AS done FROM mqtt_status")
        time.sleep(4)  # the listener looks for new bots every few seconds
        yield made


def make_people(database: Database, vault: Vault, discord: DiscordServer) -> None:
    """Make users with a watched bot and a Discord webhook each."""
    for number in range(BOTS):
        with database.transaction() as transaction:
            user = accounts.create_user(transaction, f"user{number}@example.org", "correct horse battery")
            alert_channels.keep_channel(
                transaction, vault, user.id, "DISCORD", discord.url_of(100 + number), "local"
            )
            transaction.execute(
                "INSERT INTO watched_bots (user_id, prefix, name) VALUES (%s, %s, %s)",
                (user.id, f"bot{number}/", f"Bot {number}"),
            )


@contextmanager
def running(part: str, environ: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a part of DashTrade inside."""
    process = subprocess.Popen([sys.executable, part], cwd=ROOT, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def message(number: int) -> tuple[str, str]:
    """Return topic and payload of the message of a number, with the time it is made."""
    bot, now = number % BOTS, time.time()
    if number % ALERT_EVERY == 0:
        said = {
            "trade_id": f"trade-{number}", "symbol": "BTC/USD", "side": "long", "entry_price": 50_000.0,
            "exit_price": 51_000.0, "pnl": 10.0, "pnl_pct": 0.02, "duration_seconds": 3600,
        }  # fmt: skip
        topic = "trading/trade/completed"
    elif number % 10 == 1:
        topic, said = (
            "status/bot/heartbeat",
            {"uptime_seconds": number, "balance": 1010.0, "open_positions": 2},
        )
    else:
        topic = "stats/periodic"
        said = {
            "balance": 1010.0,
            "equity": 1010.0,
            "total_trades": number,
            "win_rate": 0.6,
            "total_pnl": 10.0,
        }
    return f"bot{bot}/{topic}", json.dumps(said | {"timestamp": now})


def publish(port: int, numbers: range, *, per_second: float | None) -> float:
    """Publish messages with QoS 1, at a pace or as fast as it goes; return the seconds until all are taken."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{numbers.start}")
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", port)
    client.loop_start()
    began, taken = time.monotonic(), []
    for place, number in enumerate(numbers):
        if per_second is not None:
            ahead = place / per_second - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
        taken.append(client.publish(*message(number), qos=1))
    for each in taken:
        each.wait_for_publish(120)
    took = time.monotonic() - began
    client.disconnect()
    client.loop_stop()
    return took


def wait(stage: Stage, sql: str, seconds: float = 180.0) -> float:
    """Wait until a query says done; return the seconds it took."""
    began = time.monotonic()
    while not stage.one(sql)["done"]:
        if time.monotonic() - began > seconds:
            raise TimeoutError(sql)
        time.sleep(0.05)
    return time.monotonic() - began


_ALL_STORED = "SELECT count(*) >= {count} AS done FROM watched_events"
_ALL_SENT = """
    SELECT NOT EXISTS (SELECT FROM notifications WHERE routed_at IS NULL)
           AND NOT EXISTS (SELECT FROM alert_deliveries WHERE state = 'WAITING' AND not_before <= now()) AS done
"""
_TO_ROW = """
    SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - sent_at)::float AS seconds FROM watched_events
     WHERE sent_at >= to_timestamp({since}) AND sent_at < to_timestamp({until})
"""
_TO_ALERT = """
    SELECT extract(epoch FROM deliveries.sent_at - (told.content->>'sent_at')::timestamptz)::float AS seconds
      FROM alert_deliveries AS deliveries JOIN notifications AS told ON told.id = deliveries.notification_id
     WHERE deliveries.state = 'SENT' AND told.kind = 'WATCHED_TRADE_COMPLETED'
       AND (told.content->>'sent_at')::timestamptz >= to_timestamp({since})
"""


def seconds_of(stage: Stage, sql: str) -> list[float]:
    """Return the seconds a query gives."""
    with stage.database.transaction() as transaction:
        return [row["seconds"] for row in transaction.all(sql)]


def steady(stage: Stage, seconds: int) -> None:
    """Publish at the aim's pace and show how long everything took."""
    count, since = PER_SECOND * seconds, time.time()
    before = {part: cpu(part) for part in (stage.listener, stage.worker)}
    took = publish(stage.broker.port, range(count), per_second=PER_SECOND)
    behind = wait(stage, _ALL_STORED.format(count=count))
    wait(stage, _ALL_SENT)
    rows = seconds_of(stage, _TO_ROW.format(since=since, until=time.time()))
    alerts = seconds_of(stage, _TO_ALERT.format(since=since))
    ground.table(
        f"{count:,} messages of {BOTS} bots at {PER_SECOND}/s, broker {stage.broker.kind}",
        ("from publishing to", "count", "p50 ms", "p95 ms", "p99 ms", "largest ms"),
        [
            ("the row, committed", len(rows), *ground.spread(rows)),
            ("the alert, taken by Discord", len(alerts), *ground.spread(alerts)),
        ],
    )
    ground.table(
        "Beside it",
        ("", ""),
        [
            ("published in", f"{took:.1f} s"),
            ("the last row came after the last publishing by", f"{behind:.2f} s"),
            ("the listener's processor time", f"{cpu(stage.listener) - before[stage.listener]:.1f} s"),
            ("the worker's processor time", f"{cpu(stage.worker) - before[stage.worker]:.1f} s"),
            ("the listener's memory (RSS)", f"{rss(stage.listener):.0f} MB"),
        ],
    )


def backlog(stage: Stage, already: int) -> None:
    """Let many messages come as fast as the broker takes them, and show the pace."""
    began = time.monotonic()
    publish(stage.broker.port, range(already, already + BACKLOG), per_second=None)
    wait(stage, _ALL_STORED.format(count=already + BACKLOG))
    pace = BACKLOG / (time.monotonic() - began)
    ground.table(
        f"{BACKLOG:,} messages as fast as they go",
        ("", ""),
        [
            ("rows per second", f"{pace:,.0f}"),
            ("the listener's memory (RSS)", f"{rss(stage.listener):.0f} MB"),
        ],
    )


def cpu(process: "subprocess.Popen[bytes]") -> float:
    """Return the processor seconds of a process."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def rss(process: "subprocess.Popen[bytes]") -> float:
    """Return the resident memory of a process in MB."""
    return float(psutil.Process(process.pid).memory_info().rss / 2**20)


def main() -> None:
    """Measure the steady pace, then the most."""
    seconds = int(sys.argv[1]) if sys.argv[1:] else SECONDS
    print(ground.load_words())
    with stage() as made:
        steady(made, seconds)
        backlog(made, PER_SECOND * seconds)


if __name__ == "__main__":
    main()
