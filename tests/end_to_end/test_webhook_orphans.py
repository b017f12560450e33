"""The webhook server whose first process was killed: what is left of it makes way for the next."""

import socket

from tests.end_to_end.stack import wait_for
from tests.end_to_end.webhook_desk import gunicorn

BODY = b'{"action": "buy", "symbol": "AAPL", "timeframe": "15 Min"}'


def can_listen(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def test_an_orphan_leaves_the_port_at_once_and_answers_what_it_was_asked(desk, ann, free_port):
    ann.bot()
    patient = ("--graceful-timeout", "3600")
    with (
        gunicorn(desk, free_port, *patient) as server,
        socket.create_connection(("127.0.0.1", free_port)) as asking,
    ):
        head = f"POST /webhook?token={ann.token} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n"
        asking.sendall(head.encode() + BODY[:20])
        server.kill()
        server.wait(20)
        # The request is still under way: its second half has not been sent
        wait_for(lambda: can_listen(free_port), 40)
        asking.sendall(BODY[20:])
        asking.settimeout(30)
        assert asking.recv(100).startswith(b"HTTP/1.1 202 ")
    assert len(ann.signals()) == 1
