"""A seed says everything of a chaos run, and the wire between us and a server does what it is told."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos import machine
from tests.chaos.cover import RECOVERY_SECONDS
from tests.chaos.gathering import excused
from tests.chaos.line import Line, Wire
from tests.chaos.scale import FULL, SHORT
from tests.chaos.script import STALL_SECONDS, Trouble, script
from tests.chaos.stage import TIMES
from tests.chaos.troubles import Struck


def test_a_seed_says_everything_of_a_run() -> None:
    assert script(7, FULL) == script(7, FULL)
    assert script(7, FULL).strikes != script(8, FULL).strikes
    assert script(7, FULL).alerts != script(8, FULL).alerts


def test_a_full_run_is_as_large_as_it_says() -> None:
    whole = script(7, FULL)
    assert (len(whole.users), len(whole.seats)) == (20, 200)
    assert len(whole.alerts) + len(whole.messages) + len(whole.posts) > 6000
    assert {strike.trouble for strike in whole.strikes} == set(Trouble)
    assert all(strike.at + strike.seconds < FULL.storm_seconds for strike in whole.strikes)


def test_what_is_sent_again_can_be_told_from_what_is_meant_anew() -> None:
    for deed in script(7, SHORT).alerts:
        assert not deed.copies or deed.named
        assert not deed.named or deed.skew is not None


def test_a_worker_stalls_only_where_another_goes_on_and_for_long_enough() -> None:
    stalls = [each for each in script(7, FULL).strikes if each.trouble is Trouble.STALL_WORKER]
    assert stalls
    assert {each.seconds for each in stalls} == {STALL_SECONDS}
    assert TIMES["ORDER_SEND_WINDOW_SECONDS"] + TIMES["ORDER_DOUBT_SECONDS"] < STALL_SECONDS
    assert Trouble.STALL_WORKER not in {each.trouble for each in script(7, SHORT).strikes}


def test_a_machine_is_overloaded_where_the_middle_of_its_last_looks_is(tmp_path: Path) -> None:
    factors = (1, 1, 90, 1, 1, 90, 90, 90, 90, 1, 1, 1, 1, 1)
    lines = [f"{at} {factor}\n" for at, factor in enumerate(factors)]
    (tmp_path / "machine").write_text("".join(lines) + "14 9")
    found = machine.overloaded(machine.looks(tmp_path / "machine"))
    assert (found[0][0], found[-1][1]) == (5.0, 10.0)


def test_a_machine_says_how_busy_it_is(tmp_path: Path) -> None:
    with machine.measured(tmp_path / "machine"):
        while len(found := machine.looks(tmp_path / "machine")) < 2:
            time.sleep(0.1)
    assert all(factor >= 1 for _, factor in found)


def test_what_keeps_from_looking_excuses_its_own_broker_and_a_busy_machine_all() -> None:
    struck = [Struck(name="cut.alpaca", began_at=10.0, ended_at=20.0, hit=1)]
    busy = [(100.0, 101.0)]
    assert excused("alpaca", struck, busy) == [
        (10.0, 20.0 + RECOVERY_SECONDS),
        (100.0, 101.0 + RECOVERY_SECONDS),
    ]
    assert excused("blofin", struck, busy) == [(100.0, 101.0 + RECOVERY_SECONDS)]


class Echo:
    """Answer everything with itself."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1000):
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Echo()) as echo, closing(Line("127.0.0.1", echo.port, lag=0.01)) as line:
        yield line


def connect(line: Line) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=30)


@pytest.mark.parametrize("wire", [Wire.OPEN, Wire.SLOW])
def test_an_open_and_a_slow_line_pass_everything_on(line: Line, wire: Wire) -> None:
    line.set(wire)
    with connect(line) as wired:
        wired.sendall(b"hello")
        assert wired.recv(100) == b"hello"


def test_a_cut_line_ends_what_is_connected_and_takes_nobody(line: Line) -> None:
    with connect(line) as before:
        before.sendall(b"hello")
        assert before.recv(100) == b"hello"
        line.set(Wire.CUT)
        assert ended(before)
    with connect(line) as after:
        assert ended(after)
    line.set(Wire.OPEN)
    with connect(line) as again:
        again.sendall(b"hello")
        assert again.recv(100) == b"hello"


def test_what_is_said_into_a_silent_line_arrives_when_it_speaks_again(line: Line) -> None:
    with connect(line) as wired:
        wired.sendall(b"one ")
        assert wired.recv(100) == b"one "
        line.set(Wire.SILENT)
        wired.sendall(b"two")
        wired.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wired.recv(100)
        line.set(Wire.OPEN)
        wired.settimeout(30)
        assert wired.recv(100) == b"two"


def ended(wired: socket.socket) -> bool:
    try:
        return wired.recv(100) == b""
    except ConnectionError:
        return True
