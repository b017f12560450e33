"""The embedded server: closed to others, and robust against whatever a crash leaves behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

from database import embedded
from database.embedded import Server, is_free, kept_server


@pytest.fixture
def home():
    with TemporaryDirectory(prefix="dashtrade-test-") as folder:
        yield Path(folder) / "home"


@pytest.fixture
def server(home, free_port):
    server = Server(folder=home / "database", port=free_port, password="it's 100% @ secret/:")
    yield server
    server.stop()


def ask(server, statement="SELECT 1"):
    with closing(psycopg2.connect(server.url(), connect_timeout=5)) as connection, connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None


def postmaster(server):
    return psutil.Process(int((server.folder / "postmaster.pid").read_text().split()[0]))


def test_it_wants_its_password_and_listens_on_loopback_only(server):
    server.start()
    assert ask(server) == (1,)
    stranger = Server(folder=server.folder, port=server.port, password="guess")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(stranger)
    listening = {entry.laddr.ip for entry in postmaster(server).net_connections() if entry.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    assert server.folder.stat().st_mode & 0o777 == 0o700


def test_the_account_may_pass_but_not_read_the_folders_above(server):
    server.start()
    assert server.folder.parent.parent.stat().st_mode & 0o777 in (0o700, 0o701)


def test_text_sorts_alike_everywhere(server):
    server.start()
    provider, encoding = ask(
        server,
        "SELECT datlocprovider, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()",
    )
    assert (provider, encoding) == ("b", "UTF8")


def test_starting_twice_and_stopping_twice_do_no_harm(server):
    server.start()
    server.start()
    assert ask(server) == (1,)
    server.stop()
    server.stop()
    assert not server.is_running()
    assert is_free(server.port)


def test_data_survive_a_kill(server):
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
    process = postmaster(server)
    process.kill()
    deadline = time.monotonic() + 10
    while server.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    start_when_the_dead_servers_memory_is_free(server)
    assert ask(server, "SELECT number FROM kept") == (7,)


def start_when_the_dead_servers_memory_is_free(server):
    deadline = time.monotonic() + 10
    while True:
        try:
            return server.start()
        except embedded.EmbeddedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_lock_file_that_names_somebody_elses_process_does_not_hinder(server):
    server.create()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lock = f"{other.pid}\n{server.folder}\n1700000000\n{server.port}\n\n127.0.0.1\n        0         0\nready\n"
        (server.folder / "postmaster.pid").write_text(lock)
        assert not server.is_running()
        server.start()
        assert ask(server) == (1,)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_lock_file_that_names_a_zombie_does_not_hinder(server):
    server.create()
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    (server.folder / "postmaster.pid").write_text(f"{zombie.pid}\n{server.folder}\n1\n{server.port}\n")
    server.start()
    assert ask(server) == (1,)
    zombie.wait()


def test_a_creation_that_was_cut_short_is_begun_anew(server):
    half = server.folder.with_name("database.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server.start()
    assert ask(server) == (1,)
    assert not half.exists()


def test_a_lost_password_is_set_anew(home, server):
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 7 AS number")
    anew = kept_server(home, None)
    assert anew.password != server.password
    anew.start()
    try:
        assert ask(anew, "SELECT number FROM kept") == (7,)
    finally:
        anew.stop()


def test_the_kept_address_is_used_again_with_another_port_if_taken(home, server):
    assert kept_server(home, server.url()) == server
    with closing(embedded.socket.create_server(("127.0.0.1", server.port))):
        moved = kept_server(home, server.url())
    assert moved.port != server.port
    assert moved.password == server.password


def test_the_foreground_command_serves_and_stops_on_int(server):
    server.create()
    account = embedded.account()
    process = subprocess.Popen(
        server.command(), user=account, group=account, extra_groups=[] if account else None
    )
    try:
        deadline = time.monotonic() + 10
        while not server.is_running():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        server.start()
        assert ask(server) == (1,)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_a_password_does_not_show(server):
    assert "secret" not in repr(server)
