"""A line between the bot and the webhook server that can be cut, on a port of this machine."""

import contextlib
import socket
import threading
from enum import StrEnum


class Fault(StrEnum):
    """What becomes of one request: refused before it arrives, answered to nobody, or with a 503 or 429."""

    CUT = "CUT"
    ANSWER_LOST = "ANSWER_LOST"
    UNAVAILABLE = "UNAVAILABLE"
    TOO_MANY = "TOO_MANY"
    SILENT = "SILENT"


_REFUSED = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: 31\r\n"
    b'Connection: close\r\n\r\n{"error":"Nothing was stored"}\n'
)
ANSWERS = {
    Fault.UNAVAILABLE: _REFUSED % b"503 Service Unavailable",
    Fault.TOO_MANY: _REFUSED % b"429 Too Many Requests",
}


class Line:
    """Pass each connection on to a port, or let it meet the next of the `faults`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.faults: list[Fault] = []
        self.requests = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Let go of everything."""
        # A blocked accept notices a shutdown, and no close
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for each in [self._listening, *self._open]:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                bot, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(bot)
            threading.Thread(target=self._pass_on, args=(bot,), daemon=True).start()

    def _pass_on(self, bot: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while request := _message(bot):
                self.requests += request.startswith(b"POST")
                fault = self.faults.pop(0) if self.faults else None
                if fault is Fault.SILENT:
                    return
                if fault is Fault.CUT:
                    break
                if fault in ANSWERS:
                    bot.sendall(ANSWERS[fault])
                    break
                answer = self._answer(request)
                if fault is Fault.ANSWER_LOST:
                    break
                bot.sendall(answer)
                break
            bot.close()

    def _answer(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self._to)) as server:
            server.sendall(request)
            return _message(server)


def _message(line: socket.socket) -> bytes:
    """Return one HTTP message whole, empty at the end of the line."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = line.recv(65536)
        if not piece:
            return b""
        text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    length = next(
        (int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length")),
        0,
    )
    while len(body) < length:
        body += line.recv(65536)
    return head + b"\r\n\r\n" + body
