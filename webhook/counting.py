"""Count the requests that are answered, and write the counts down for all processes to read."""

import logging
import threading
import time

import psycopg2
from flask import Flask, Response, g, request

from core.tallies import Tallies
from database import tallies
from database.pool import Database

WRITTEN_EVERY_SECONDS = 2.0
# A sender may make up any method, and each would be a figure of its own for ever.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"

logger = logging.getLogger(__name__)


class Counted:
    """The counts of this process on their way to the database: nothing runs while there is nothing to write."""

    def __init__(self, database: Database) -> None:
        self.tallies = Tallies()
        self._database = database
        self._armed = threading.Lock()

    def count(self, figure: str, *labels: str, seconds: float = 0.0) -> None:
        """Count one event; it is written down within `WRITTEN_EVERY_SECONDS`."""
        self.tallies.count(figure, *labels, seconds=seconds)
        if self._armed.acquire(blocking=False):
            timer = threading.Timer(WRITTEN_EVERY_SECONDS, self._write_in_time)
            timer.daemon = True
            try:
                timer.start()
            except RuntimeError:
                # No thread is to be had: whoever counts next tries again, and the answer goes out.
                self._armed.release()

    def write(self) -> None:
        """Write down what was counted; while the database is away the counts wait for the next time."""
        taken = self.tallies.take()
        if not taken:
            return
        try:
            with self._database.transaction() as transaction:
                tallies.write_down(transaction, taken)
        except psycopg2.Error as error:
            self.tallies.put_back(taken)
            logger.warning("counts of requests wait for the database", exc_info=error)

    def _write_in_time(self) -> None:
        # Before the writing, so that what is counted meanwhile sets a clock of its own.
        self._armed.release()
        self.write()


def install(app: Flask, counted: Counted) -> None:
    """Count every request of an app, whatever its answer."""

    def begin() -> None:
        g.began = time.perf_counter()

    def end(response: Response) -> Response:
        now = time.perf_counter()
        seconds = now - g.get("began", now)
        counted.count("http_request", _route(), _method(), str(response.status_code), seconds=seconds)
        code = g.get("refusal")
        if code is not None:
            counted.count("http_refusal", _route(), code)
        return response

    app.before_request(begin)
    app.after_request(end)


def note_refusal(code: str) -> None:
    """Remember the code of the error that this request is answered with."""
    g.refusal = str(code)


def _route() -> str:
    rule = request.url_rule
    if rule is None:
        return UNKNOWN
    # Who asked to wait waits for the trade and not for us.
    return f"{rule.rule}?wait" if "wait" in request.args else rule.rule


def _method() -> str:
    return request.method if request.method in METHODS else UNKNOWN
