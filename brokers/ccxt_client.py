"""ccxt's exchanges with time-outs, exact numbers, our errors, and without resending, sleeping or logging.

ccxt's own errors lose what we need: whether anything was sent, the code of the single operation, an
unknown code that came with success around it. So an answer is judged before ccxt sees it, and an
error of ours passes through ccxt as it is.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from brokers import ccxt_mapping as mapping
from brokers.base import Mode
from brokers.ccxt_venues import CCXT_NAMES, Venue
from brokers.transport import retry_wait, transport_error
from core.errors import BrokerError, Rejected, Unknown
from core.one_module import one_module

CONNECTIONS = 32
PIECE_BYTES = 65_536

# ccxt writes every request's headers, keys among them, to its logger
_silent = logging.getLogger("brokers.ccxt_client.silent")
_silent.disabled = True


def exchange_class(ccxt_id: str) -> Any:
    """Return ccxt's class of one exchange without loading the hundred others (60 MB, 1.5 s)."""
    try:
        return getattr(one_module("ccxt", ccxt_id), ccxt_id)
    except ModuleNotFoundError:
        raise Rejected("The package ccxt is not installed.") from None


def open_client(
    venue: Venue,
    kind: type,
    credentials: Mapping[str, str],
    mode: Mode,
    base_url: str | None,
    timeout: tuple[float, float],
) -> Any:
    """Return a client of `kind`, a subclass of `Client` and of ccxt's class, with `timeout` in seconds."""
    keys = {CCXT_NAMES[each.name]: credentials[each.name] for each in venue.credential_fields}
    # The price lists need no list of currencies, which costs a call that keys may not be allowed.
    settings = {"enableRateLimit": False, "options": dict(venue.options), "has": {"fetchCurrencies": False}}
    client: Any = kind({**keys, **settings})
    client.venue, client.logger, client.number = venue, _silent, str
    client.session = Line(venue.title, timeout)
    # names as the exchange has them: renamed, one coin could pass for another
    client.commonCurrencies = {}
    if mode is not Mode.LIVE:
        client.urls["api"] = client.urls[venue.demo]
    if base_url is not None:
        client.urls["api"] = _moved(client.urls["api"], base_url)
    return client


def host(client: Any) -> str:
    """Return the address a client talks to, for names and messages."""
    urls = client.urls["api"]
    first = urls if isinstance(urls, str) else next(iter(urls.values()))
    return str(first)


def _moved(urls: Any, base_url: str) -> Any:
    if isinstance(urls, Mapping):
        return {name: _moved(each, base_url) for name, each in urls.items()}
    return base_url.rstrip("/") + urlsplit(urls).path


class Client:
    """Stand before ccxt's class of an exchange: judge answers, keep numbers as text."""

    venue: Venue
    session: "Line"

    @staticmethod
    def on_json_response(body: str) -> Any:
        """Read an answer, its numbers as texts: a float would already be rounded."""
        return json.loads(body, parse_float=str)

    def parse_order_book_bid_ask(self, level: Any, *places: object) -> list[str]:
        """Keep a level of the book as texts, where ccxt makes floats of it."""
        return [str(level[0]), str(level[1])]

    def on_rest_response(
        self,
        code: int,
        reason: str,
        url: str,
        method: str,
        response_headers: Mapping[str, str],
        response_body: str,
        request_headers: object,
        request_body: object,
    ) -> str:
        """Raise what an answer tells us to do, before ccxt makes anything of it."""
        wait = retry_wait(response_headers, time.time())
        mapping.check_answer(self.venue, code, urlsplit(url).path, response_body, wait)
        return response_body.strip()

    def handle_errors(self, *details: object) -> None:
        """Leave an answer that was judged already as it is."""


class Line(requests.Session):
    """A session that follows nothing, keeps no cookies, resends nothing, and notes what it sent.

    `timeout` is how many seconds it may take to connect, and until the answer begins; both together bound
    how long after that the rest of the answer is waited for.
    """

    def __init__(self, title: str, timeout: tuple[float, float]) -> None:
        super().__init__()
        self._title = title
        self._timeout = timeout
        self._sent = threading.local()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=CONNECTIONS, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @contextmanager
    def one_order(self) -> Iterator[None]:
        """Allow this thread one POST within the block; a second one raises `Unknown`."""
        self._sent.posts = 0
        try:
            yield
        finally:
            self._sent.posts = None

    @property
    def has_sent(self) -> bool:
        """Tell whether this thread has sent its order within `one_order`."""
        return bool(getattr(self._sent, "posts", None))

    def request(self, method: str | bytes, url: str | bytes, *more: Any, **options: Any) -> requests.Response:
        """Send one request; raise `Unavailable` or `Unknown` where no answer comes."""
        self._count(str(method))
        options |= {"timeout": self._timeout, "allow_redirects": False, "stream": True}
        try:
            response = super().request(method, url, *more, **options)
            self._read(response)
        except requests.RequestException as error:
            failure = transport_error(error, self._title)
        except HTTPError as error:
            failure = Unknown(f"No answer from {self._title}: {type(error).__name__}")
        else:
            return response
        # outside of the except: the error's address bears the request's signature at some exchanges
        raise failure

    def _read(self, response: requests.Response) -> None:
        """Read the answer; one that comes in drops would pass every time-out between two of them."""
        end = time.monotonic() + sum(self._timeout)
        pieces = []
        while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
            pieces.append(piece)
            if time.monotonic() > end:
                response.close()
                raise requests.ReadTimeout()
        response._content = b"".join(pieces)

    def _count(self, method: str) -> None:
        posts = getattr(self._sent, "posts", None)
        if posts is None or method != "POST":
            return
        if posts:
            raise Unknown(f"A second request would have been sent to {self._title} for one order.")
        self._sent.posts = posts + 1


@contextmanager
def understood(venue: Venue, line: Line) -> Iterator[None]:
    """Turn what ccxt and our reading raise of themselves into errors of ours.

    Before an order was sent that is a refusal of ours (`Rejected`), afterwards nobody knows what
    became of it (`Unknown`); so it is for an answer to a question, where nothing was sent at all.
    """
    try:
        yield
    except BrokerError:
        raise
    except _ccxt_errors() as error:
        words = mapping.without_secrets(str(error))
        refused = type(error).__name__ in mapping.REFUSED_BEFOREHAND and not line.has_sent
        failure: BrokerError = Rejected(words) if refused else Unknown(words)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
        failure = Unknown(f"{venue.title}'s answer is not understood: {type(error).__name__} {error}")
    else:
        return
    raise failure


def _ccxt_errors() -> type[BaseException]:
    module: Any = sys.modules.get("ccxt.base.errors")
    return cast(type[BaseException], module.BaseError) if module else BrokerError
