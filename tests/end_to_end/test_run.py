"""`run.py` as a person uses it: start, kill a part, Ctrl-C, start again, kill it altogether."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

import supervision
from encryption import new_key
from tests.discord_gateway import Gateway

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "database": "bin/postgres",
    "webhook": "gunicorn",
    "worker": "jobs.py",
    "watch": "broker_watch.py",
    "reversal": "reversal_watch.py",
    "dashboard": "streamlit",
    "mqtt broker": "embedded_broker",
    "mqtt": "mqtt_listener.py",
}


class Run:
    """A `run.py` in a process group of its own, with what it wrote."""

    def __init__(self, environ):
        self.log = Path(environ["DASHTRADE_HOME"]).parent / f"log-{time.monotonic_ns()}"
        with open(self.log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "run.py"],
                cwd=ROOT,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_for(self, words, seconds=60):
        return wait(lambda: words in self.written() and self.written(), seconds, lambda: self.written())

    def written(self):
        return self.log.read_text()

    def part(self, name):
        """Return the process of a part, None where it does not run."""
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if PARTS[name] in " ".join(process.cmdline()):
                    return process
        return None

    def stop(self, number=signal.SIGINT, seconds=40):
        self.process.send_signal(number)
        return self.process.wait(seconds)


def wait(condition, seconds, explain=lambda: ""):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{explain()}"
        time.sleep(0.05)
    return found


def free_ports(count):
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def processes_of(home, part=""):
    """Return what runs for this folder, or those of them whose command holds `part`."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            marked = process.environ().get(supervision.MARK) == str(home)
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        if alive and part in command and (marked or str(home) in command):
            found.append(process)
    return found


def kill_all(home):
    """Kill what runs for this folder, and return it: a supervisor may have started more meanwhile."""
    left = processes_of(home)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return left


@pytest.fixture
def environ():
    """Give the environment of a machine that has never run DashTrade."""
    with TemporaryDirectory(prefix="dashtrade-run-") as folder:
        dashboard, webhook, mqtt = free_ports(3)
        home = Path(folder) / "home"
        yield {
            **os.environ,
            "DASHTRADE_HOME": str(home),
            "DASHBOARD_PORT": str(dashboard),
            "WEBHOOK_PORT": str(webhook),
            "MQTT_BROKER_PORT": str(mqtt),
            "LISTEN_ADDRESS": "127.0.0.1",
        }
        wait(lambda: not kill_all(home), 20)


@pytest.fixture
def started(environ):
    run = Run(environ)
    run.wait_for("Dashboard  http://localhost:" + environ["DASHBOARD_PORT"], 90)
    yield run
    kill_all(Path(environ["DASHTRADE_HOME"]))
    run.process.wait(10)


def kept_url(environ):
    return (Path(environ["DASHTRADE_HOME"]) / "DATABASE_URL").read_text().strip()


def answer(environ, statement):
    with (
        closing(psycopg2.connect(kept_url(environ))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


def nothing_runs(environ):
    left = processes_of(Path(environ["DASHTRADE_HOME"]))
    return not left and not listens(environ["WEBHOOK_PORT"]) and not listens(environ["DASHBOARD_PORT"])


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def test_it_starts_stops_on_ctrl_c_and_finds_its_data_again(environ):
    home = Path(environ["DASHTRADE_HOME"])
    first = Run(environ)
    written = first.wait_for("Sign-up code", 90)
    assert f"http://localhost:{environ['WEBHOOK_PORT']}/webhook?token=" in written
    # Others may at most pass through, to the folder of the database's own account
    assert home.stat().st_mode & 0o777 in (0o700, 0o701, 0o711)
    kept = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir() if path.is_file()}
    assert {kept[name] for name in ("DATABASE_URL", "ENCRYPTION_KEY", "SIGNAL_API_KEY")} == {0o600}
    assert not {name: oct(mode) for name, mode in kept.items() if mode & 0o022}
    key = (home / "ENCRYPTION_KEY").read_text()
    for secret in (key.strip(), (home / "SIGNAL_API_KEY").read_text().strip()):
        assert secret not in written
    assert answer(environ, "SELECT count(*) FROM service_keys") == (1,)
    answer(environ, "INSERT INTO users (email, password_hash) VALUES ('ann@example.org', 'x')")
    first.process.send_signal(signal.SIGINT)

    # A restart does not wait until the first has stopped
    second = Run(environ)
    written = second.wait_for("Dashboard  http", 60)
    assert first.process.wait(1) == 0
    assert "Sign-up code" not in written
    assert answer(environ, "SELECT email FROM users") == ("ann@example.org",)
    assert (home / "ENCRYPTION_KEY").read_text() == key
    assert second.stop(signal.SIGTERM) == 0
    wait(lambda: nothing_runs(environ), 10)


def test_a_killed_part_is_back(started):
    for name in PARTS:
        before = started.part(name)
        before.kill()
        wait(lambda: (now := started.part(name)) and now.pid != before.pid, 20, started.written)  # noqa: B023
    for name in PARTS:
        assert wait(lambda: started.part(name), 20)  # noqa: B023
    assert started.stop() == 0


def test_after_the_death_of_the_database_it_answers_again(started, environ):
    answer(environ, "CREATE TABLE remembered AS SELECT 7 AS number")
    started.part("database").kill()

    def answers():
        try:
            return answer(environ, "SELECT number FROM remembered")
        except psycopg2.OperationalError:
            return None

    assert wait(answers, 20, started.written) == (7,)


def test_a_killed_run_leaves_nothing_that_hinders_the_next(started, environ):
    answer(environ, "CREATE TABLE remembered AS SELECT 7 AS number")
    started.process.kill()
    started.process.wait()
    assert processes_of(Path(environ["DASHTRADE_HOME"]))

    again = Run(environ)
    again.wait_for("that an earlier run left behind")
    again.wait_for("Dashboard  http", 90)
    assert answer(environ, "SELECT number FROM remembered") == (7,)
    assert len(processes_of(Path(environ["DASHTRADE_HOME"]), "jobs.py")) == 1
    assert again.stop() == 0
    wait(lambda: nothing_runs(environ), 10)


def test_everything_killed_at_once_starts_again(started, environ):
    kill_all(Path(environ["DASHTRADE_HOME"]))
    started.process.kill()
    started.process.wait()
    again = Run(environ)
    again.wait_for("Dashboard  http", 90)
    assert again.stop() == 0
    wait(lambda: nothing_runs(environ), 10)


def test_a_second_run_from_the_same_folder_is_refused(started, environ):
    second = Run(environ)
    assert second.process.wait(30) == 1
    holder = f"already runs from {environ['DASHTRADE_HOME']} (process {started.process.pid})"
    assert holder in second.written()
    assert started.part("database")


def test_a_closed_terminal_stops_everything(started, environ):
    assert started.stop(signal.SIGHUP) == 0
    wait(lambda: nothing_runs(environ), 10)


def test_the_discord_bot_runs_with_a_token_and_its_environment_holds_no_key(environ):
    gateway = Gateway("a.test.token")
    secrets = {
        "APCA_API_SECRET_KEY": "alpacas", "BLOFIN_API_KEY": "blofins", "MQTT_PASSWORD": "mosquittos",
        "DISCORD_CLIENT_SECRET": "discords", "ENCRYPTION_KEY": new_key(),
    }  # fmt: skip
    believed = {"FORWARDED_ALLOW_IPS": "*"}
    of_discord = {"DISCORD_BOT_TOKEN": gateway.token, "DISCORD_BASE_URL": gateway.base}
    run = Run({**environ, **secrets, **believed, **of_discord})
    try:
        run.wait_for("Dashboard  http", 90)
        wait(lambda: gateway.is_joined, 60, run.written)
        of_bot = next(
            process
            for process in psutil.Process(run.process.pid).children()
            if "discord_bot" in " ".join(process.cmdline())
        )
        given = Path(f"/proc/{of_bot.pid}/environ").read_bytes().decode()
        names = {pair.partition("=")[0] for pair in given.split("\0")}
        assert not names & secrets.keys()
        assert not [value for value in secrets.values() if value in given]
        assert {"DISCORD_BOT_TOKEN", "DASHTRADE_HOME"} <= names
        # Nor do the HTTP servers see what a host says of whom to believe
        for part in ("dashboard", "webhook"):
            assert not believed.keys() & run.part(part).environ().keys()
        # The others get what they got before
        worker = Path(f"/proc/{run.part('worker').pid}/environ").read_bytes().decode()
        assert all(f"{name}={value}" in worker for name, value in secrets.items())
        assert run.stop() == 0
    finally:
        kill_all(Path(environ["DASHTRADE_HOME"]))
        run.process.wait(10)
        gateway.close()
