"""Kill a webhook server and a worker, and cut another worker off, in the midst of alerts; see how it goes on."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from bench import ground
from bench.scaling_books import TAKEN, judge
from bench.scaling_client import Answer, Errand, send
from bench.scaling_stage import Process, Side, Stage
from database.lanes import CONNECTION_LOCKS, LANE_LOCKS

PER_SECOND = 6.0
SECONDS = 37.0
KILL_AT, CUT_AT, MEND_AT = 3.0, 9.0, 34.0
BURST, BURST_CONNECTIONS = 60, 12
INTO_THE_BURST = 20
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 90
LONGEST_LEASE_SECONDS = 60
_HELD = """
    SELECT locks.objid::bigint AS key FROM pg_locks AS locks JOIN pg_stat_activity AS sessions USING (pid)
     WHERE locktype = 'advisory' AND classid = %s AND granted AND datname = current_database()
       AND client_addr = %s::inet
"""
_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND client_addr = %s::inet
"""
_NEXT_ENDS = """
    SELECT lane_id, extract(epoch FROM min(finished_at))::float AS at FROM signals
     WHERE lane_id = ANY(%s) AND finished_at > to_timestamp(%s) GROUP BY lane_id
"""


@dataclass(slots=True, kw_only=True)
class Loss:
    """A worker that is gone: when, the lanes it held, and the seconds until PostgreSQL had let go of all."""

    at: float
    held: list[int]
    freed_after: float | None = None
    sessions_after: float | None = None


@dataclass(slots=True, kw_only=True)
class Told:
    """What a run of faults showed."""

    answers: list[Answer] = field(default_factory=list)
    killed: Loss | None = None
    cut: Loss | None = None
    back_after: float | None = None
    connections: int = 0
    watched_after: float | None = None


class Faults:
    """One run of faults on one side."""

    def __init__(self, stage: Stage, side: Side) -> None:
        self._stage = stage
        self._side = side
        self._told = Told()

    def run(self) -> None:
        """Send alerts for a while, let the faults come, and print what came of it."""
        sender = threading.Thread(target=self._send_steadily)
        began = time.monotonic()
        sender.start()
        _pause(began + KILL_AT)
        self._told.killed = self._kill()
        if self._stage.machines.separate:
            _pause(began + CUT_AT)
            self._told.cut = self._cut()
            _pause(began + MEND_AT)
            self._told.back_after = self._mend()
        sender.join()
        _wait_for_the_end(self._side)
        _show(self._side, self._told)

    def _send_steadily(self) -> None:
        seats = self._stage.seats[BURST:]
        series = [[seat.alert(action)] for action in ("buy", "close") for seat in seats]
        self._told.answers += send(
            Errand(servers=self._side.servers, series=series, connections=6, seconds=SECONDS,
                   per_second=PER_SECOND, first_number=30_000_000, again=True)
        )  # fmt: skip

    def _burst(self, number: int) -> threading.Thread:
        """Begin to send three alerts in a row to many bots; return when lanes are in every worker's hands."""
        actions = ("buy", "close", "buy")
        series = [[seat.alert(action) for action in actions] for seat in self._stage.seats[:BURST]]
        errand = Errand(
            servers=self._side.servers, series=series, connections=BURST_CONNECTIONS, first_number=number
        )
        before = _count(self._side)
        thread = threading.Thread(target=lambda: self._told.answers.extend(send(errand)))
        thread.start()
        deadline = time.monotonic() + 10
        while _count(self._side) < before + INTO_THE_BURST and time.monotonic() < deadline:
            time.sleep(0.02)
        return thread

    def _kill(self) -> Loss | None:
        """Kill a server and a worker; without machines of their own nobody can tell whose locks are whose."""
        burst = self._burst(10_000_000)
        web, worker = self._side.webs[0], self._side.workers[0]
        loss = Loss(at=time.time(), held=_held(self._side, worker))
        for process in (worker, web):
            _kill_tree(process.pid)
        if self._stage.machines.separate:
            _follow(self._side, worker, loss)
        burst.join()
        return loss if self._stage.machines.separate else None

    def _cut(self) -> Loss:
        burst = self._burst(20_000_000)
        worker, watch = self._side.workers[1], self._side.watches[0]
        loss = Loss(at=time.time(), held=[])
        self._stage.machines.cut(worker.machine)
        loss.held = _held(self._side, worker)
        watching = threading.Thread(target=self._cut_watch, args=(watch,))
        watching.start()
        _follow(self._side, worker, loss)
        burst.join()
        watching.join()
        return loss

    def _cut_watch(self, watch: Process) -> None:
        """Cut a broker watch off and note when the other one watches all that it watched."""
        began = time.monotonic()
        theirs = set(_held(self._side, watch, CONNECTION_LOCKS))
        self._told.connections = len(theirs)
        self._stage.machines.cut(watch.machine)
        other = self._side.watches[1]
        while time.monotonic() - began < LONGEST_LEASE_SECONDS:
            if theirs <= set(_held(self._side, other, CONNECTION_LOCKS)):
                self._told.watched_after = time.monotonic() - began
                return
            time.sleep(LOOK_SECONDS)

    def _mend(self) -> float | None:
        """Put the plug back and return the seconds until that worker hears bells again."""
        began = time.monotonic()
        worker = self._side.workers[1]
        self._stage.machines.mend(worker.machine)
        while time.monotonic() - began < PATIENCE_SECONDS:
            with self._side.database.transaction() as transaction:
                sql = _SESSIONS + " AND application_name = 'dashtrade bells'"
                if transaction.value(sql, (worker.machine.address,)):
                    return time.monotonic() - began
            time.sleep(LOOK_SECONDS)
        return None


def _follow(side: Side, worker: Process, loss: Loss) -> None:
    """Note when a lost worker's locks are free and its sessions gone."""
    deadline = loss.at + MEND_AT - CUT_AT - 1.0
    while time.time() < deadline and loss.sessions_after is None:
        if loss.freed_after is None and not _held(side, worker):
            loss.freed_after = time.time() - loss.at
        with side.database.transaction() as transaction:
            if not transaction.value(_SESSIONS, (worker.machine.address,)):
                loss.sessions_after = time.time() - loss.at
        time.sleep(LOOK_SECONDS)


def _show(side: Side, told: Told) -> None:
    resent = [answer for answer in told.answers if answer.sent > 1]
    seconds = [answer.seconds for answer in told.answers]
    rows = [
        ("alerts sent", str(len(told.answers))),
        ("of these not taken in the end", str(sum(answer.status not in TAKEN for answer in told.answers))),
        ("sent again, to the other server", str(len(resent))),
        ("answers p50 / longest", f"{1000 * ground.percentile(seconds, 50):.0f} / {1000 * max(seconds):.0f} ms"),
    ]  # fmt: skip
    for name, loss in (("killed", told.killed), ("cut off", told.cut)):
        if loss is not None:
            rows += _rows_of(side, name, loss)
    if told.back_after is not None:
        rows.append(("cut off: plugged in, the worker hears bells again after", f"{told.back_after:.1f} s"))
    if told.connections:
        words = f"a broker watch cut off: its {told.connections} connections watched by the other after"
        rows.append((words, _seconds(told.watched_after)))
    ground.table(f"Faults amid alerts ({ground.load_words()})", ("", "measured"), rows)
    print(f"  books: {judge(side.database, told.answers)}")


def _rows_of(side: Side, name: str, loss: Loss) -> list[tuple[str, str]]:
    with side.database.transaction() as transaction:
        ends = [row["at"] - loss.at for row in transaction.all(_NEXT_ENDS, (loss.held, loss.at))]
    went_on = f"{min(ends):.1f} to {max(ends):.1f} s" if ends else "–"
    return [
        (f"{name}: lanes in the worker's hands", str(len(loss.held))),
        (f"{name}: their locks free after", _seconds(loss.freed_after)),
        (f"{name}: their next signal ended after", went_on),
        (f"{name}: last session gone after", _seconds(loss.sessions_after)),
    ]


def _seconds(seconds: float | None) -> str:
    return "not in this run" if seconds is None else f"{seconds:.1f} s"


def _held(side: Side, process: Process, kind: int = LANE_LOCKS) -> list[int]:
    """Return the lanes, or connections, whose locks a machine holds."""
    with side.database.transaction() as transaction:
        return [int(row["key"]) for row in transaction.all(_HELD, (kind, process.machine.address))]


def _count(side: Side) -> int:
    with side.database.transaction() as transaction:
        return int(transaction.value("SELECT count(*) FROM signals"))


def _kill_tree(pid: int) -> None:
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _wait_for_the_end(side: Side) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with side.database.transaction() as transaction:
            if not transaction.value("SELECT count(*) FROM signals WHERE finished_at IS NULL"):
                return
        time.sleep(0.2)


def _pause(until: float) -> None:
    time.sleep(max(0.0, until - time.monotonic()))
