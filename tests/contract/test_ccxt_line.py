"""What comes over the wire to the adapter of exchanges: slowly, squeezed, cut off, or on a line that is dead."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from brokers.ccxt_client import Line
from core.errors import Unknown

BODY = b'{"code": "0"}'


class _Ear:
    """A socket that notes every request it hears."""

    def __init__(self, connection: socket.socket, heard: list[bytes]) -> None:
        self.sendall, self._recv, self._heard = connection.sendall, connection.recv, heard

    def hear(self) -> bytes:
        data = self._recv(65_536)
        if data:
            self._heard.append(data)
        return data


@contextmanager
def speaking(conversation: Callable[[_Ear, int], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Serve each connection by `conversation`, given the socket and how many came before; keep what it read."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for number in range(100):
                with suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        conversation(_Ear(connection, heard), number)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard


def head(length: int, more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def test_an_answer_in_drops_ends() -> None:
    """Each drop comes within the time-out; the lane that waits for the last one would wait for hours."""

    def drip(ear: _Ear, _: int) -> None:
        ear.hear()
        ear.sendall(head(200))
        for _drop in range(200):
            ear.sendall(b" ")
            threading.Event().wait(0.1)

    with speaking(drip) as (url, _heard), pytest.raises(Unknown):
        Line("BloFin", (0.4, 0.4)).request("POST", url, data=b"{}")


def test_an_answer_in_pieces_is_whole() -> None:
    def piecemeal(ear: _Ear, _: int) -> None:
        ear.hear()
        ear.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (BODY[:5], BODY[5:]):
            ear.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        ear.sendall(b"0\r\n\r\n")

    with speaking(piecemeal) as (url, _):
        assert Line("BloFin", (5, 5)).request("GET", url).text == BODY.decode()


def test_a_squeezed_answer_is_read() -> None:
    squeezed = gzip.compress(BODY * 20_000)

    def answer(ear: _Ear, _: int) -> None:
        ear.hear()
        ear.sendall(head(len(squeezed), "Content-Encoding: gzip\r\n") + squeezed)

    with speaking(answer) as (url, _):
        assert Line("BloFin", (5, 5)).request("GET", url).content == BODY * 20_000


@pytest.mark.parametrize(
    "answer",
    [
        head(100) + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        head(9, "Content-Encoding: gzip\r\n") + b"not gzip!",
        b"",
    ],
    ids=["short", "short chunk", "no chunk", "no gzip", "nothing"],
)
def test_an_answer_that_breaks_off_is_none(answer: bytes) -> None:
    def cut(ear: _Ear, _: int) -> None:
        ear.hear()
        ear.sendall(answer)

    with speaking(cut) as (url, _), pytest.raises(Unknown):
        Line("BloFin", (5, 5)).request("POST", url, data=b"{}")


def test_an_order_into_a_line_that_was_cut_is_sent_once() -> None:
    """The connection is kept, and dies with the second request: nobody knows whether it was read."""

    def die_at_the_second(ear: _Ear, number: int) -> None:
        while ear.hear():
            if number == 0 and len(heard) == 2:
                return
            ear.sendall(head(len(BODY)) + BODY)

    with speaking(die_at_the_second) as (url, heard):
        line = Line("BloFin", (5, 5))
        line.request("GET", url)
        with pytest.raises(Unknown):
            line.request("POST", url, data=b"{}")
        line.request("GET", f"{url}/afterwards")
    assert [each.split()[0] for each in heard] == [b"GET", b"POST", b"GET"]
