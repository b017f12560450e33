"""Post a body once and hear the answer, within bounds of time and size, whoever is on the other side.

Redirects are not followed and proxies of the environment are not asked. The socket is dialled to an
address found beforehand while TLS and the Host header keep the name: between the check of an address
and its use, no second look into the DNS can bring another one.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from functools import cache
from urllib.parse import urlsplit

import certifi

LONGEST_BODY = 64 * 1024
USER_AGENT = "DashTrade"
PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], Sequence[str]]


class NoAnswer(Exception):
    """Send again later: no status came back. The words name no address and hold no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How many seconds to wait for a connection, and then for the answer from its first byte to its last."""

    connect: float = 5.0
    answer: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; the body is at most `LONGEST_BODY` and may be cut."""

    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is posted and where to."""

    url: str
    body: bytes
    headers: Mapping[str, str]


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host; raise `NoAnswer`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise NoAnswer("the host name could not be resolved") from error
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))


def host_and_port(url: str) -> tuple[str, int]:
    """Return where a URL with a host leads."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


@cache
def public_trust() -> ssl.SSLContext:
    """Return a context that trusts what the system trusts and what Mozilla does."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def post(
    letter: Letter, addresses: Sequence[str], *, patience: Patience, trust: ssl.SSLContext | None = None
) -> Answer:
    """Return the answer of the first address that takes the connection; raise `NoAnswer`."""
    host, port = host_and_port(letter.url)
    context = (trust or public_trust()) if urlsplit(letter.url).scheme == "https" else None
    with _named_faults(patience), _dialled(host, port, addresses, patience, context) as sock:
        connection = _connection(host, port, context)
        connection.sock = sock
        with contextlib.closing(connection), _cut_off(sock, patience.answer) as late:
            return _answer(connection, letter, late)


def _connection(host: str, port: int, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if context:
        return http.client.HTTPSConnection(host, port, context=context)
    return http.client.HTTPConnection(host, port)


@contextlib.contextmanager
def _dialled(
    host: str, port: int, addresses: Sequence[str], patience: Patience, context: ssl.SSLContext | None
) -> Iterator[socket.socket]:
    with _first_open(addresses, port, time.monotonic() + patience.connect) as plain:
        sock = context.wrap_socket(plain, server_hostname=host) if context else plain
        with sock:
            sock.settimeout(patience.answer)
            yield sock


def _first_open(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    fault: OSError = TimeoutError()
    for address in addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            fault = error
    raise fault


def _answer(connection: http.client.HTTPConnection, letter: Letter, late: threading.Event) -> Answer:
    parts = urlsplit(letter.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**letter.headers, "User-Agent": USER_AGENT, "Connection": "close"}
    try:
        connection.request("POST", target, body=letter.body, headers=headers)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    with contextlib.closing(response):
        return Answer(status=response.status, headers=response.headers, body=_body(response))


def _body(response: http.client.HTTPResponse) -> bytes:
    """Return what comes of the body: the status alone says already whether the letter was taken."""
    taken = bytearray()
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        while len(taken) < LONGEST_BODY and (piece := response.read1(LONGEST_BODY - len(taken))):
            taken += piece
    return bytes(taken)


@contextlib.contextmanager
def _cut_off(sock: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Cut the connection after so many seconds: a socket's own timeout starts anew with every byte."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            # Not the TLS socket's own method, which takes TLS away under the reader's hands
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


@contextlib.contextmanager
def _named_faults(patience: Patience) -> Iterator[None]:
    """Put every fault of the network into words of ours: those of the libraries may hold the URL."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise NoAnswer(f"the certificate was not accepted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise NoAnswer(f"the TLS connection failed: {error.reason or 'cut'}") from None
    except TimeoutError:
        limits = f"{patience.connect:g} s to connect, {patience.answer:g} s to answer"
        raise NoAnswer(f"no answer in time ({limits})") from None
    except ConnectionRefusedError:
        raise NoAnswer("the connection was refused") from None
    except (ConnectionError, http.client.IncompleteRead):
        raise NoAnswer("the connection was cut before an answer came") from None
    except OSError as error:
        raise NoAnswer(f"the connection failed: {error.strerror or type(error).__name__}") from None
    except (http.client.HTTPException, ValueError):
        raise NoAnswer("the answer was not HTTP") from None
