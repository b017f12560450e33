"""The promise: a signal answered with 2xx is never lost and never executed twice, whatever dies in between."""

import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from database import embedded, migrate
from tests.alpaca_server.local import Control

# So that a failed comparison of books shows both sides
pytest.register_assert_rewrite("tests.end_to_end.promise.hall")
from tests.end_to_end.promise.hall import ROOT, Hall, Seat  # noqa: E402

USERS = 6
WORKER_STEPS = {
    "lane looked over",
    "signal read",
    "decision committed",
    "exit committed",
    "entry read",
    "exit to be freed",
    "exit sized",
    "leg started",
    "order committed",
    "order sent",
    "order recorded",
    "attempt committed",
    "order looked up",
    "look-up recorded",
    "cancel noted",
    "cancel asked",
    "leg finished",
    "plan finished",
}
WATCH_STEPS = {
    "orders adopted",
    "orders brought up to date",
    "positions compared",
    "risk judged",
    "news booked",
}
ALL_STEPS = {f"worker {step}" for step in WORKER_STEPS} | {f"watch {step}" for step in WATCH_STEPS}

HELD = '{"code": 40310000, "message": "insufficient qty available for order", "held_for_orders": "1"}'
# What was committed survives the death of every process of PostgreSQL, though not a power cut
DURABLE = {"fsync": "off"}
BY_ID, POSITIONS, QUOTES = "/v2/orders:by_client_order_id", "/v2/positions*", "/v2/stocks/*"
FAULTS = (
    {"kind": "answer_after", "status": 504, "count": 8},
    {"kind": "drop_after", "count": 8},
    {"kind": "drop_before", "count": 8},
    {"kind": "delay_after", "delay": 3.0, "count": 6},
    {"kind": "delay_before", "delay": 3.5, "count": 4},
    {"kind": "silence_after", "count": 4},
    {"kind": "silence_before", "count": 4},
    {"kind": "answer_before", "status": 429, "headers": {"Retry-After": "1"}, "count": 8},
    {"kind": "answer_before", "status": 403, "body": HELD, "count": 8},
    {"kind": "answer_before", "method": "GET", "path": BY_ID, "status": 500, "count": 10},
    {"kind": "silence_before", "method": "GET", "path": BY_ID, "count": 3},
    {"kind": "answer_before", "method": "GET", "path": POSITIONS, "status": 502, "count": 10},
    {"kind": "drop_before", "method": "GET", "path": QUOTES, "count": 10},
)


@pytest.fixture
def broker() -> Iterator[Control]:
    """Run the Alpaca-like server as a process of its own."""
    command = [sys.executable, "-m", "tests.alpaca_server", "--port", "0", "--seed", "11"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        control = Control(process.stdout.readline().strip())
        with control.session:
            yield control
    finally:
        process.terminate()
        process.communicate(timeout=10)


@pytest.fixture
def hall(database_url: str, broker: Control, tmp_path: Path) -> Iterator[Hall]:
    broker.settings(partial_fill_share="0.3", fill_delay=0.03, cancel_delay=0.03)
    hall = Hall(database_url, broker, tmp_path, USERS)
    yield hall
    hall.close()


def actions_for(seat: Seat, chances: random.Random, count: int) -> list[str]:
    """Return what a bot is told, in turn.

    One whose entries rest is told to leave at the end; one on NVDA enters again after each of its stops.
    """
    if seat.symbol == "NVDA":
        return ["buy"] * count
    if seat.limit_price is None:
        return chances.choices(["buy", "sell", "close"], [4, 4, 2], k=count)
    return (["buy", chances.choice(["close", "sell"])] * count)[:count]


@contextmanager
def bells_lost_and_doubled(hall: Hall, chances: random.Random) -> Iterator[None]:
    """Steal half of the bells while this lasts, and ring lanes twice for nothing."""
    stop = threading.Event()

    def steal() -> None:
        while not stop.wait(0.2):
            hall.deafen()
            hall.ring_twice(chances.choice(hall.seats))

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def send_rounds(hall: Hall, chances: random.Random, rounds: int, pause: float) -> None:
    """Send every bot `rounds` alerts, all bots at once, with a pause between."""
    told = {seat: actions_for(seat, chances, rounds) for seat in hall.seats}
    for number in range(rounds):
        hall.broker.price("NVDA", "119.99", "120.01")
        for seat in hall.seats:
            hall.alert(seat, told[seat][number])
        if number % 2:
            hall.let_fall("NVDA")
        threading.Event().wait(pause)


def keep_promise(hall: Hall) -> None:
    """Wait for the end of everything, hold the books against each other, leave all positions and do it again."""
    hall.settle(90)
    hall.assert_promise_kept()
    for seat in hall.seats:
        hall.alert(seat, "close")
    hall.settle(60)
    hall.assert_promise_kept()
    assert hall.desk.all("SELECT id FROM user_bot_configs WHERE quantity <> 0") == []
    assert len(hall.answered) >= 200


def test_parts_that_die_between_every_two_steps_and_bells_that_are_lost_or_doubled(hall: Hall) -> None:
    chances = random.Random(20261120)
    hall.broker.fault("answer_before", status=403, body=HELD, chance=0.2, count=16)
    with hall.parts("worker", "worker", "watch", repeats=2):
        with bells_lost_and_doubled(hall, chances):
            send_rounds(hall, chances, 6, 4.0)
            # Which step a part dies after is chance, and some steps are seldom
            for _ in range(20):
                if steps_not_died_after(hall):
                    send_rounds(hall, chances, 2, 3.0)
        keep_promise(hall)
    assert steps_not_died_after(hall) == set()
    assert hall.desk.all("SELECT subject, words FROM faults") == []


def test_a_broker_that_answers_late_or_wrongly_or_not_at_all(hall: Hall) -> None:
    chances = random.Random(20261121)
    for fault in FAULTS:
        hall.broker.fault(chance=0.12, **fault)
    with hall.parts("worker", "worker", "watch", repeats=0):
        send_rounds(hall, chances, 4, 3.0)
        hall.broker.settings(mute_streams=True)
        send_rounds(hall, chances, 2, 3.0)
        hall.broker.settings(mute_streams=False)
        hall.broker.drop_streams()
        left = hall.broker.faults()
        hall.broker.clear_faults()
        keep_promise(hall)
    assert len(left) < len(FAULTS) / 2, left
    assert hall.desk.all("SELECT subject, words FROM faults") == []


def test_the_restart_and_the_crash_of_the_database(broker: Control, tmp_path: Path) -> None:
    chances = random.Random(20261122)
    with own_database() as server:
        migrate.apply(server.url())
        hall = Hall(server.url(), broker, tmp_path, USERS)
        with hall.parts("worker", "worker", "watch", repeats=0):
            send_rounds(hall, chances, 2, 2.0)
            server.stop()
            send_rounds(hall, chances, 1, 0.5)
            server.start()
            send_rounds(hall, chances, 2, 2.0)
            crash(server)
            server.start()
            send_rounds(hall, chances, 2, 2.0)
            keep_promise(hall)
        assert hall.refused > 0
        assert words_of_other_faults(hall) == []
        hall.close()


def steps_not_died_after(hall: Hall) -> set[str]:
    """Return the steps after which no part has died yet; every step that one died after is known here."""
    died = hall.died_after()
    assert died <= ALL_STEPS
    return ALL_STEPS - died


@contextmanager
def own_database() -> Iterator[embedded.Server]:
    """Run a PostgreSQL that only this test may stop."""
    with socket.socket() as probe, TemporaryDirectory(prefix="dashtrade-promise-") as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = embedded.Server(folder=Path(folder) / "data", port=port, password="x", options=DURABLE)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def crash(server: embedded.Server) -> None:
    """End PostgreSQL without a checkpoint, as a crash does."""
    process = psutil.Process(int((server.folder / "postmaster.pid").read_text().split()[0]))
    process.send_signal(signal.SIGQUIT)
    process.wait(30)


def words_of_other_faults(hall: Hall) -> list[str]:
    """Return what went wrong in a loop besides the loss of the database."""
    lost = ("OperationalError", "InterfaceError", "AdminShutdown", "CannotConnectNow", "CrashShutdown")
    words = [row["words"] for row in hall.desk.all("SELECT words FROM faults")]
    return [each for each in words if not each.startswith(lost)]
