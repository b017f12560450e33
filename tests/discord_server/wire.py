"""An HTTP server on loopback that answers what it is told and remembers what it was asked."""

import contextlib
import socket
import ssl
import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.discord_server.answers import Answer, Cut

LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def place(self) -> str:
        """Return what scripts and records are kept by; a path here."""
        return self.path


class ScriptedServer:
    """Serve between `with` and its end; every request takes the next answer of its path's script.

    Without a script the answer is `otherwise(asked)`. With `tls` it speaks TLS.
    """

    def __init__(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._scripts: dict[str, deque[Answer]] = defaultdict(deque)
        self._asked: list[tuple[str, Asked]] = []
        self._stopping = threading.Event()
        self._http = _Server(("127.0.0.1", port), _handler(self))
        self._http.tls = tls
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._http.server_address[1])

    @property
    def base(self) -> str:
        """Return the start of every URL of it."""
        return f"{'https' if self._http.tls else 'http'}://127.0.0.1:{self.port}"

    def script(self, place: str, *answers: Answer) -> None:
        """Give these answers next, in order, one for each request to the place."""
        with self._lock:
            self._scripts[place].extend(answers)

    def asked(self, place: str) -> list[Asked]:
        """Return the requests to a place in the order they came, refused ones too."""
        with self._lock:
            return [asked for one, asked in self._asked if one == place]

    def wait_for(self, place: str, count: int, timeout: float = LONGEST_WAIT) -> list[Asked]:
        """Wait until so many requests came to a place, and return them; raise `TimeoutError`."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.asked(place)) >= count, timeout):
                raise TimeoutError(f"{len(self.asked(place))} of {count} requests came")
            return self.asked(place)

    def place_of(self, asked: Asked) -> str:
        """Return what scripts and records are kept by."""
        return asked.path

    def otherwise(self, asked: Asked) -> Answer:
        """Answer a request for which nothing is scripted."""
        return Answer(status=204)

    def answered(self, asked: Asked, answer: Answer) -> Answer:
        """Return the answer to send; a place to keep what was delivered."""
        return answer

    def reply(self, asked: Asked) -> Answer:
        """Remember a request and return its answer."""
        with self._news:
            place = self.place_of(asked)
            self._asked.append((place, asked))
            scripted = self._scripts[place]
            answer = self.answered(asked, scripted.popleft() if scripted else self.otherwise(asked))
            self._news.notify_all()
            return answer

    def cut_before_reading(self, place: str) -> bool:
        """Tell whether the next answer of a place is to hang up at once, and use it up."""
        with self._lock:
            scripted = self._scripts[place]
            if scripted and scripted[0].cut == Cut.BEFORE_READING:
                scripted.popleft()
                return True
            return False

    def pause(self, seconds: float) -> bool:
        """Wait so long unless the server stops; tell whether it goes on."""
        return not self._stopping.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the request's own thread: a handshake must not hold the others up
        with contextlib.suppress(OSError):
            if not self.tls:
                super().finish_request(request, client_address)
                return
            with self.tls.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client went away."""


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = LONGEST_WAIT

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            seen = Asked(path=path, query=query, headers=dict(self.headers.items()), body=b"")
            if server.cut_before_reading(server.place_of(seen)):
                self._hang_up()
                return
            length = int(self.headers.get("Content-Length") or 0)
            whole = Asked(path=path, query=query, headers=seen.headers, body=self.rfile.read(length))
            self._send(server.reply(whole))

        def _send(self, answer: Answer) -> None:
            if answer.cut == Cut.AFTER_READING or not server.pause(answer.delay):
                self._hang_up()
                return
            wire = _bytes_of(answer)
            if answer.cut == Cut.IN_THE_BODY:
                wire = wire[: -max(1, len(answer.body) // 2)]
            pieces = [wire] if not answer.drip else [wire[at : at + 1] for at in range(len(wire))]
            for piece in pieces:
                self.wfile.write(piece)
                if answer.drip and not server.pause(answer.drip):
                    break
            if answer.cut != Cut.NOWHERE or answer.drip:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: tests look at what was asked."""

    return Handler


def _bytes_of(answer: Answer) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = ""
    headers = {**answer.headers}
    if answer.status != HTTPStatus.NO_CONTENT:
        headers.setdefault("Content-Length", str(len(answer.body)))
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
