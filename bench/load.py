"""Send HTTP requests from a process of its own, over a bounded number of connections.

`python -m bench.load` reads one `Plan` as JSON from standard input and prints one `Result`. A request
that falls due while every connection is busy waits, and its time counts from when it was due.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60.0
Target = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send to 127.0.0.1: each of `targets` is a path and a JSON object, taken in turn.

    With `per_second` the requests fall due at that rate, else each connection sends as soon as it has
    an answer. It ends after `count` requests or `seconds`. Every body gets a number, so none is a copy.
    Where connections are not `kept`, each request opens one of its own.
    """

    port: int
    targets: list[Target]
    connections: int
    seconds: float = 60.0
    count: int = 1_000_000_000
    per_second: float | None = None
    first_number: int = 0
    kept: bool = True


@dataclass(slots=True, kw_only=True)
class Result:
    """What came back: answers by status, seconds from due to answered, and when it began and ended."""

    statuses: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    began_at: float = 0.0
    last_sent_at: float = 0.0
    ended_at: float = 0.0

    def accepted(self, status: int = 202) -> int:
        """Return how many answers had that status."""
        return self.statuses.get(str(status), 0)

    @property
    def per_second(self) -> float:
        """Return answers in a second."""
        return len(self.latencies) / (self.ended_at - self.began_at)


def send(plan: Plan) -> Result:
    """Carry out a plan in another process and return what came of it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(plan)), capture_output=True, text=True, cwd=ROOT, timeout=plan.seconds + 120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr[-2000:]}")
    return Result(**json.loads(done.stdout))


class _Generator:
    """Hand out requests to the connections and keep what came back."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.free: deque[_Connection] = deque()
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.made = self.answered = 0
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.last_sent_at = 0.0
        self.deadline = 0.0
        self.finished = asyncio.Event()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._targets = [_parts(path, body | {"timenow": now}, plan) for path, body in plan.targets]

    async def run(self) -> Result:
        for _ in range(self.plan.connections):
            connection = _Connection(self)
            self.free.append(connection)
            if self.plan.kept:
                await connection.open()
        began_at, begin = time.time(), time.monotonic()
        self.deadline = begin + self.plan.seconds
        if self.plan.per_second is None:
            for connection in self.free:
                self.give(connection)
        else:
            await self._at_a_rate(begin, self.plan.per_second)
        await asyncio.wait_for(self.finished.wait(), self.plan.seconds + PATIENCE_SECONDS)
        return Result(
            statuses=dict(self.statuses), latencies=self.latencies, began_at=began_at,
            last_sent_at=self.last_sent_at, ended_at=time.time(),
        )  # fmt: skip

    async def _at_a_rate(self, begin: float, per_second: float) -> None:
        count = min(self.plan.count, int(self.plan.seconds * per_second))
        while self.made < count:
            due = begin + self.made / per_second
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            self.waiting.append((due, self.next_request()))
            if self.free:
                self.free.popleft().send(*self.waiting.popleft())
            elif self.made % 64 == 0:
                await asyncio.sleep(0)
        self.deadline = 0.0
        self.end_if_done()

    def next_request(self) -> bytes:
        head, begin, end = self._targets[self.made % len(self._targets)]
        number = b"%012d" % (self.plan.first_number + self.made)
        self.made += 1
        return head + begin + number + end

    def give(self, connection: "_Connection") -> None:
        """Give a free connection its next request where there is one."""
        now = time.monotonic()
        if self.waiting:
            connection.send(*self.waiting.popleft())
        elif self.plan.per_second is None and now < self.deadline and self.made < self.plan.count:
            connection.send(now, self.next_request())
        else:
            if self.plan.per_second is not None:
                self.free.append(connection)
            self.end_if_done(closed=self.plan.per_second is None)

    def end_if_done(self, *, closed: bool = False) -> None:
        over = closed or self.deadline == 0.0
        if over and self.answered == self.made and not self.waiting:
            self.finished.set()


class _Connection(asyncio.Protocol):
    """A place for one request at a time, on a kept connection or on one for each."""

    def __init__(self, generator: _Generator) -> None:
        self.generator = generator
        self.buffer = self.request = b""
        self.due = 0.0
        self.opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        port = self.generator.plan.port
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        except OSError:
            if self.generator.plan.kept:
                raise
            self._end("refused")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.request:
            self._write()

    def send(self, due: float, request: bytes) -> None:
        self.due, self.request = due, request
        if self.generator.plan.kept:
            self._write()
        else:
            self.opening = asyncio.get_running_loop().create_task(self.open())

    def _write(self) -> None:
        self.transport.write(self.request)  # type: ignore[attr-defined]
        self.generator.last_sent_at = time.time()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        if not self.generator.plan.kept:
            self.transport.close()
        self.generator.latencies.append(time.monotonic() - self.due)
        self._end(head[9:12].decode())

    def _end(self, status: str) -> None:
        self.generator.answered += 1
        self.generator.statuses[status] += 1
        self.buffer = self.request = b""
        self.generator.give(self)

    def eof_received(self) -> None:
        # What was answered has been closed by us: this one was not.
        if not self.generator.plan.kept:
            self._end("closed")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.generator.plan.kept and error is not None:
            self._end("closed")
        elif self.generator.plan.kept and not self.generator.finished.is_set():
            self.generator.statuses["closed"] += 1


def _parts(path: str, body: dict[str, Any], plan: Plan) -> tuple[bytes, bytes, bytes]:
    begin, _, end = json.dumps(body | {"comment": "#"}).partition("#")
    length = len(begin) + len(end) + 12
    close = "" if plan.kept else "Connection: close\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"User-Agent: Go-http-client/1.1\r\nContent-Length: {length}\r\n{close}\r\n"
    )
    return head.encode(), begin.encode(), end.encode()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> None:
    """Read a plan, carry it out, print the result."""
    plan = Plan(**json.load(sys.stdin))
    gc.disable()
    print(json.dumps(asdict(asyncio.run(_run(plan)))))


async def _run(plan: Plan) -> Result:
    return await _Generator(plan).run()


if __name__ == "__main__":
    main()
