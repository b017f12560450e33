"""Ask a service over HTTP so that nothing hangs, floods the memory or shows a key."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from reversal.sources.base import SourceDown, SourceRefused, SourceUnavailable

CONNECT_SECONDS, READ_SECONDS = 3.05, 10.0
WHOLE_SECONDS = 20.0
MOST_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 65_536
LONGEST_WORDS = 200
SHORTEST_SECRET = 4


class Line(requests.Session):
    """A session that follows nothing, keeps no cookies, and bounds the time and the size of every answer.

    `title` names the service in messages; `secrets` are hidden from them.
    """

    def __init__(self, title: str, secrets: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.title = title
        self._secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=2, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: str | bytes, url: str | bytes, *more: Any, **options: Any) -> requests.Response:
        """Send one request and read its whole answer; raise SourceUnavailable where none comes."""
        options |= {"timeout": (CONNECT_SECONDS, READ_SECONDS), "allow_redirects": False, "stream": True}
        try:
            response = super().request(method, url, *more, **options)
            with response:
                response._content = self._read(response)
        except (requests.RequestException, HTTPError) as error:
            failure = SourceDown(f"No answer from {self.title}: {type(error).__name__}.")
        else:
            return response
        # outside of the except: the error's address may bear the key
        raise failure

    def json(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Any:
        """Return a service's JSON, its numbers exact; raise by what its status says."""
        response = self.get(url, params=dict(parameters), headers=dict(headers or {}))
        self.check(response.status_code, response.content)
        try:
            return json.loads(response.content, parse_float=Decimal, parse_constant=Decimal)
        except (ValueError, RecursionError):
            raise self.not_understood("it is no JSON") from None

    def check(self, status: int, body: bytes | str) -> None:
        """Raise what a status that is no success means."""
        if status == 429 or status >= 500:
            words = "asks us to wait" if status == 429 else "has a fault of its own"
            raise SourceDown(f"{self.title} {words} (HTTP {status}).")
        if status != 200:
            raise SourceRefused(f"{self.title} refuses (HTTP {status}){self._message(body)}.")

    def shown(self, words: object) -> str:
        """Return words of a service as people may see them: short, on one line, without secrets."""
        text = " ".join(str(words).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"

    def not_understood(self, why: object) -> SourceUnavailable:
        """Return the failure of an answer that is not what it should be."""
        return SourceUnavailable(f"{self.title}'s answer is not understood: {self.shown(why)}.")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what an unexpected shape of an answer raises into a failure of the source."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
            failure = self.not_understood(f"{type(error).__name__} {error}")
        else:
            return
        raise failure

    def _read(self, response: requests.Response) -> bytes:
        """Read an answer; one that comes in drops would pass every time-out between two of them."""
        end, size = time.monotonic() + WHOLE_SECONDS, 0
        pieces = []
        while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise self.not_understood(f"it has more than {MOST_BYTES // 1024 // 1024} MB")
            if time.monotonic() > end:
                raise requests.ReadTimeout()
        return b"".join(pieces)

    def _message(self, body: bytes | str) -> str:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return ""
        said = content.get("message") if isinstance(content, dict) else None
        return f": {self.shown(said)}" if isinstance(said, str) and said else ""
