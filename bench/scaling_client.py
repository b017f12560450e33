"""Send alerts to several webhook servers, without a load balancer, and to another one where one does not answer.

`python -m bench.scaling_client` reads one `Errand` as JSON from standard input and prints the answers. Alerts of one
series, a bot's, are sent one after the other, each as soon as the one before it is answered, and to each server in
turn; so their order is known.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ATTEMPTS = 40
AGAIN_SECONDS = 0.25
Alert = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What to send to whom.

    Each of `connections` takes the next of `series`; with `per_second` they fall due at that rate. It ends with the
    last one, or begins none after `seconds`; `again` begins with the first one anew.
    """

    servers: list[tuple[str, int]]
    series: list[list[Alert]]
    connections: int
    seconds: float = 60.0
    per_second: float | None = None
    first_number: int = 0
    patience: float = 3.0
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one alert went: seconds from due to answered, and how often it was sent."""

    series: int
    number: int
    status: int
    signal_id: str | None
    due_at: float
    seconds: float
    sent: int


def send(errand: Errand) -> list[Answer]:
    """Do an errand in another process, in the network the caller is in."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.scaling_client"], input=json.dumps(asdict(errand)), capture_output=True,
        text=True, cwd=ROOT, timeout=errand.seconds + 120,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr[-2000:]}")
    return [Answer(**row) for row in json.loads(done.stdout)]


class _Sender:
    """One connection at a time, to one server after the other."""

    def __init__(self, errand: Errand, number: int) -> None:
        self._errand = errand
        self._turn = number
        self._open: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def send(self, alert: Alert, mark: int, due: float) -> tuple[int, dict[str, Any], int]:
        """Send an alert until a server answers; return status, JSON and how often it was sent."""
        path, body = alert
        content = json.dumps(body | {"comment": f"{mark:012d}"}).encode()
        for attempt in range(1, ATTEMPTS + 1):
            server = self._turn % len(self._errand.servers)
            self._turn += 1
            try:
                status, said = await asyncio.wait_for(
                    self._post(server, path, content), self._errand.patience
                )
            except (OSError, EOFError, TimeoutError):
                self._drop(server)
            else:
                if status < 500:
                    return status, said, attempt
            if attempt >= len(self._errand.servers):
                await asyncio.sleep(AGAIN_SECONDS)
        return 0, {}, ATTEMPTS

    async def _post(self, server: int, path: str, content: bytes) -> tuple[int, dict[str, Any]]:
        host, port = self._errand.servers[server]
        if server not in self._open:
            self._open[server] = await asyncio.open_connection(host, port)
        reader, writer = self._open[server]
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
        said = json.loads(await reader.readexactly(length))
        if "connection: close" in answer:
            self._drop(server)
        return int(answer[9:12]), said

    def _drop(self, server: int) -> None:
        if server in self._open:
            self._open.pop(server)[1].close()


async def _do(errand: Errand) -> list[Answer]:
    answers: list[Answer] = []
    began = time.monotonic()
    turns = _turns(errand, began)
    await asyncio.gather(
        *(
            _take_turns(_Sender(errand, number), errand, turns, answers)
            for number in range(errand.connections)
        )
    )
    return answers


def _turns(errand: Errand, began: float) -> Iterator[tuple[int, int, float]]:
    """Give each series with its turn and when it is due, by the monotonic clock."""
    count, turn = len(errand.series), 0
    while turn < count or errand.again:
        due = time.monotonic() if errand.per_second is None else began + turn / errand.per_second
        if due - began > errand.seconds:
            return
        yield turn % count, turn, due
        turn += 1


async def _take_turns(
    sender: _Sender, errand: Errand, turns: Iterator[tuple[int, int, float]], answers: list[Answer]
) -> None:
    longest = max(map(len, errand.series))
    for series, turn, due in turns:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for place, alert in enumerate(errand.series[series]):
            number = errand.first_number + turn * longest + place
            due_at = time.time() - (time.monotonic() - due)
            status, said, sent = await sender.send(alert, number, due)
            done = time.monotonic()
            answers.append(
                Answer(series=series, number=number, status=status, signal_id=said.get("signal_id"),
                       due_at=due_at, seconds=done - due, sent=sent)
            )  # fmt: skip
            due = done


def main() -> None:
    """Read an errand, do it, print the answers."""
    said = json.load(sys.stdin)
    said["servers"] = [tuple(each) for each in said["servers"]]
    print(json.dumps([asdict(answer) for answer in asyncio.run(_do(Errand(**said)))]))


if __name__ == "__main__":
    main()
