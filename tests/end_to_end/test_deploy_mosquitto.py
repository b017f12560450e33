"""A real Mosquitto with the files of deploy/: it starts, knows its users, keeps what waits."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.conftest import _free_port
from tests.end_to_end.stack import wait_for

ROOT = Path(__file__).resolve().parents[2]
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin"
MOSQUITTO, PASSWD = shutil.which("mosquitto", path=PATH), shutil.which("mosquitto_passwd", path=PATH)
WAITING = 10_000

pytestmark = pytest.mark.skipif(not (MOSQUITTO and PASSWD), reason="mosquitto is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that the account of Mosquitto may write in, which pytest's own is not for root."""
    with TemporaryDirectory(prefix="dashtrade-mosquitto-") as path:
        Path(path).chmod(0o777)
        yield Path(path)


def configuration(name: str, folder: Path, port: int) -> str:
    """Return one of our files with the places of this test, and what Debian's own file adds to the first."""
    written = (ROOT / "deploy" / name).read_text()
    for old, new in {
        "listener 1883 127.0.0.1": f"listener {port} 127.0.0.1",
        "listener 1883\n": f"listener {port} 127.0.0.1\n",
        "/etc/mosquitto": str(folder),
        "/mosquitto/config/": f"{folder}/",
        "/mosquitto/data/": f"{folder}/",
    }.items():
        written = written.replace(old, new)
    if "persistence_location" not in written:
        written += f"\npersistence true\npersistence_location {folder}/\nlog_dest stdout\n"
    return written


@contextmanager
def mosquitto(name: str, folder: Path, port: int) -> Iterator[None]:
    """Run the broker; the user and its password are made as the guide says."""
    if not (folder / "dashtrade.passwords").exists():
        (folder / "dashtrade.passwords").write_text("dashtrade:a secret\npolyspike:another\n")
        subprocess.run([str(PASSWD), "-U", folder / "dashtrade.passwords"], check=True)
        (folder / "dashtrade.passwords").chmod(0o644)
    (folder / "conf").write_text(configuration(name, folder, port))
    shutil.copy(ROOT / "deploy/mosquitto.acl", folder / "dashtrade.acl")
    (folder / "dashtrade.acl").chmod(0o644)
    with open(folder / "log", "a") as log:
        process = subprocess.Popen(
            [str(MOSQUITTO), "-c", folder / "conf"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_for(
            lambda: connecting(port, "dashtrade", "a secret") == "Success", 30, (folder / "log").read_text
        )
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def client(name: str, password: str | None, client_id: str = "") -> mqtt.Client:
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
    if password is not None:
        made.username_pw_set(name, password)
    return made


def session_kept() -> Properties:
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 3600
    return kept


def connecting(port: int, name: str, password: str | None) -> str:
    """Return what the broker says to a client."""
    said: list[str] = []
    made = client(name, password)
    made.on_connect = lambda _client, _data, _flags, reason, _properties: said.append(str(reason))
    try:
        made.connect("127.0.0.1", port)
    except OSError as error:
        return str(error)
    made.loop_start()
    try:
        return wait_for(lambda: said)[0]
    finally:
        made.disconnect()
        made.loop_stop()


@pytest.mark.parametrize("name", ["mosquitto.conf", "mosquitto-compose.conf"])
def test_only_known_names_come_in(name: str, folder: Path, free_port: int) -> None:
    with mosquitto(name, folder, free_port):
        assert connecting(free_port, "dashtrade", None) == "Not authorized"
        assert connecting(free_port, "dashtrade", "a guess") == "Not authorized"
        assert connecting(free_port, "polyspike", "another") == "Success"


@pytest.mark.parametrize("name", ["mosquitto.conf", "mosquitto-compose.conf"])
def test_a_bot_says_and_hears_what_is_below_its_own_name(name: str, folder: Path, free_port: int) -> None:
    heard: dict[str, list[str]] = {"dashtrade": [], "polyspike": []}
    with mosquitto(name, folder, free_port), ExitStack() as ending:
        ours, bot = (_listening(ending, each, free_port, heard[each]) for each in heard)
        for sender, topics in (
            (bot, ("other/trade", "dashtrade/trade", "polyspike/one")),
            (ours, ("other/trade", "dashtrade/trade", "polyspike/two")),
        ):
            for topic in topics:
                sender.publish(topic, "x", qos=1).wait_for_publish(20)
        wait_for(lambda: "polyspike/two" in heard["polyspike"] and "polyspike/two" in heard["dashtrade"])
    assert heard["polyspike"] == ["polyspike/one", "polyspike/two"]
    assert sorted(heard["dashtrade"]) == ["dashtrade/trade", "other/trade", "polyspike/one", "polyspike/two"]


def _listening(ending: ExitStack, name: str, port: int, heard: list[str]) -> mqtt.Client:
    """Connect as somebody and listen to everything."""
    subscribed: list[int] = []
    made = client(name, {"dashtrade": "a secret", "polyspike": "another"}[name])
    made.on_message = lambda _client, _data, message: heard.append(message.topic)
    made.on_subscribe = lambda *_: subscribed.append(1)
    made.connect("127.0.0.1", port)
    made.loop_start()
    ending.callback(made.loop_stop)
    ending.callback(made.disconnect)
    made.subscribe("#", qos=1)
    wait_for(lambda: subscribed)
    return made


@pytest.mark.slow
def test_ten_thousand_messages_wait_through_a_restart(folder: Path) -> None:
    port, heard = _free_port(), []
    with mosquitto("mosquitto.conf", folder, port):
        away = client("dashtrade", "a secret", "listener")
        subscribed: list[int] = []
        away.on_subscribe = lambda *_: subscribed.append(1)
        away.connect("127.0.0.1", port, clean_start=False, properties=session_kept())
        away.loop_start()
        away.subscribe("polyspike/#", qos=1)
        wait_for(lambda: subscribed)
        away.disconnect()
        away.loop_stop()
        bot = client("polyspike", "another")
        bot.connect("127.0.0.1", port)
        bot.loop_start()
        sent = [bot.publish("polyspike/x", str(number), qos=1) for number in range(WAITING)]
        for message in sent:
            message.wait_for_publish(60)
        assert all(message.is_published() for message in sent)
        bot.disconnect()
        bot.loop_stop()
    with mosquitto("mosquitto.conf", folder, port):
        back = client("dashtrade", "a secret", "listener")
        back.on_message = lambda _client, _data, message: heard.append(int(message.payload))
        back.connect("127.0.0.1", port, clean_start=False, properties=session_kept())
        back.loop_start()
        wait_for(lambda: len(heard) >= WAITING, 60, lambda: len(heard))
        back.disconnect()
        back.loop_stop()
    assert sorted(set(heard)) == list(range(WAITING))
