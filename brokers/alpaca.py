"""Trade at one Alpaca account through alpaca-trade-api's REST client.

The library is used for addresses, credentials and the session. What it does with answers is
replaced: it knows no time-outs, resends POST on 429 and 504, loses the precision of numbers
and raises four unrelated families of errors.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote as quote_path

import requests
from alpaca_trade_api.rest import REST
from requests.adapters import HTTPAdapter

from brokers import alpaca_mapping as mapping
from brokers.answers import Json
from brokers.base import (
    Account,
    AccountPosition,
    BrokerName,
    Capabilities,
    CredentialField,
    Mode,
)
from brokers.transport import retry_wait, transport_error
from core.errors import Rejected, Unknown
from core.instrument import AssetClass, Instrument, MarketClock, Quote, symbol_key
from core.order import Order, OrderIntent

PAPER_URL = "https://paper-api.alpaca.markets"
LIVE_URL = "https://api.alpaca.markets"
DATA_URL = "https://data.alpaca.markets"

CONNECT_TIMEOUT = 3.05
READ_TIMEOUT = 10.0
INSTRUMENT_SECONDS = 3600.0
CALLS_PER_MINUTE = 200
CLOCK_SECONDS = 60.0
CONNECTIONS = 32
ORDERS_PER_PAGE = 500


def api_root(url: str) -> str:
    """Return the address without its version: the library adds `/v2` itself; raise ValueError if not HTTP."""
    root = url.strip().rstrip("/").removesuffix("/v2").rstrip("/")
    if not root.startswith(("http://", "https://")):
        raise ValueError(f"not an http address: {url!r}")
    return root


@dataclass(slots=True)
class Market:
    """What is the same for every account at one host: its assets, each with its last moment.

    Give one to all brokers of a host, and an asset is asked for once, not once per account.
    """

    instruments: dict[str, tuple[Instrument, float]] = field(default_factory=dict)


class AlpacaBroker:
    """Carry out `brokers.base.Broker` at Alpaca, paper or live by `base_url`.

    Safe to use from several threads; make one object per connection and keep it, since it
    keeps its TCP connections. Time-outs are in seconds: to connect, and between two pieces
    of an answer. `submit` sends exactly one POST, whatever comes back.
    """

    name: ClassVar[BrokerName] = BrokerName.ALPACA
    capabilities: Capabilities = Capabilities(
        modes=(Mode.PAPER, Mode.LIVE),
        asset_classes=(AssetClass.STOCK, AssetClass.CRYPTO),
        shorts=True,
        streams=True,
        holds_protection=False,
        # the latest moment at which a request can still be under way
        read_timeout_seconds=CONNECT_TIMEOUT + READ_TIMEOUT,
    )
    credential_fields: ClassVar[tuple[CredentialField, ...]] = (
        CredentialField(name="api_key", label="API key ID", secret=False),
        CredentialField(name="api_secret", label="API secret key"),
    )

    def __init__(
        self,
        key: str,
        secret: str,
        *,
        base_url: str = PAPER_URL,
        data_url: str = DATA_URL,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        clock_seconds: float = CLOCK_SECONDS,
        calls_per_minute: int = CALLS_PER_MINUTE,
        market: "Market | None" = None,
    ) -> None:
        timeout = (connect_timeout, read_timeout)
        self.capabilities = replace(
            self.capabilities, read_timeout_seconds=sum(timeout), calls_per_minute=calls_per_minute
        )
        self._rest = _Library(_header(key), _header(secret), api_root(base_url), timeout)
        self._data_url = api_root(data_url)
        self._clock_seconds = clock_seconds
        self._clock: tuple[MarketClock, float] | None = None
        self._market = market or Market()

    def __repr__(self) -> str:
        return f"AlpacaBroker({self._rest.root})"

    def account(self) -> Account:
        """Return the account's money and whatever keeps it from trading."""
        raw = self._rest.get("/account")
        with _understood():
            return mapping.read_account(raw, datetime.now(UTC))

    def positions(self) -> tuple[AccountPosition, ...]:
        """Return every holding that is not zero."""
        raw = self._rest.get("/positions")
        with _understood():
            return tuple(mapping.read_position(position) for position in _objects(raw))

    def position(self, symbol: str) -> AccountPosition:
        """Return one holding; zero only when Alpaca itself says that there is none."""
        order_symbol = self._order_symbol(symbol)
        try:
            raw = self._rest.get(f"/positions/{_path(mapping.path_symbol(order_symbol))}")
        except Rejected as error:
            if _is_absent(error):
                return AccountPosition.flat(order_symbol)
            raise
        with _understood():
            return mapping.read_position(raw)

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of a symbol in any spelling, kept for an hour; raise `Rejected` if unknown."""
        key = symbol_key(symbol)
        kept = self._market.instruments.get(key)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        instrument = self._fetch_instrument(symbol)
        self._market.instruments[key] = (instrument, time.monotonic() + INSTRUMENT_SECONDS)
        return instrument

    def quote(self, symbol: str) -> Quote:
        """Return the latest best bid and ask; raise `Rejected` when either side is missing."""
        order_symbol = self._order_symbol(symbol)
        if mapping.asset_class_of(order_symbol) is AssetClass.CRYPTO:
            raw = self._data("/crypto/us/latest/quotes", "v1beta3", {"symbols": order_symbol})
            with _understood():
                quotes = dict(raw["quotes"])
            if order_symbol not in quotes:
                raise Rejected(f"No quote for {order_symbol}")
            with _understood():
                return mapping.read_quote(order_symbol, quotes[order_symbol])
        raw = self._data(f"/stocks/{_path(order_symbol)}/quotes/latest", "v2")
        with _understood():
            return mapping.read_quote(order_symbol, raw["quote"])

    def clock(self, asset_class: AssetClass) -> MarketClock:
        """Return the session; the stock market's is kept until it changes, at most `clock_seconds`."""
        if asset_class is AssetClass.CRYPTO:
            return MarketClock(is_open=True)
        kept = self._clock
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        raw = self._rest.get("/clock")
        with _understood():
            clock, at = mapping.read_clock(raw)
        self._clock = (clock, time.monotonic() + self._clock_life(clock, at))
        return clock

    def submit(self, intent: OrderIntent) -> Order:
        """Send the order once and return it as first known.

        Raises the classes of `core.errors`. `DuplicateOrder` means that our id is taken: an
        earlier attempt may have arrived, so look it up.
        """
        body = mapping.order_body(replace(intent, symbol=self._order_symbol(intent.symbol)))
        raw = self._rest.post("/orders", body)
        with _understood():
            order = mapping.read_order(raw)
        if order.client_order_id != intent.client_order_id:
            raise Unknown(f"Alpaca answered with another order: {order.client_order_id}")
        return order

    def find_order(self, client_order_id: str, symbol: str | None = None) -> Order | None:
        """Return the order with our id; None only when Alpaca itself says that there is none."""
        try:
            raw = self._rest.get("/orders:by_client_order_id", {"client_order_id": client_order_id})
        except Rejected as error:
            if _is_absent(error):
                return None
            raise
        with _understood():
            return mapping.read_order(raw)

    def open_orders(self) -> tuple[Order, ...]:
        """Return every order that is not final, ours or not, the oldest first."""
        query = {"status": "open", "limit": str(ORDERS_PER_PAGE), "direction": "asc"}
        found = self._all_pages("/orders", query, "after_order_id", ORDERS_PER_PAGE)
        with _understood():
            return tuple(mapping.read_order(raw) for raw in found if mapping.is_ours_to_read(raw))

    def cancel(self, broker_order_id: str) -> None:
        """Ask for the order's end; an order that has ended already is no error."""
        path = f"/orders/{_path(broker_order_id)}"
        try:
            self._rest.delete(path)
        except Rejected as error:
            if error.status != 422 or not self._is_ending(path):
                raise

    def _all_pages(self, path: str, query: dict[str, str], token: str, size: int) -> list[Json]:
        found: dict[str, Json] = {}
        while True:
            raw = self._rest.get(path, query)
            with _understood():
                page = {item["id"]: item for item in _objects(raw)}
            # an answer without anything new would be the same page for ever
            if len(page) < size or page.keys() <= found.keys():
                return list({**found, **page}.values())
            found.update(page)
            query = {**query, token: list(page)[-1]}

    def _order_symbol(self, symbol: str) -> str:
        kept = self._market.instruments.get(symbol_key(symbol))
        return kept[0].symbol if kept is not None else mapping.spellings(symbol)[0]

    def _fetch_instrument(self, symbol: str) -> Instrument:
        for spelling in mapping.spellings(symbol):
            try:
                raw = self._rest.get(f"/assets/{_path(spelling)}")
            except Rejected as error:
                if not _is_absent(error):
                    raise
            else:
                with _understood():
                    return mapping.read_instrument(raw)
        raise Rejected(f"Alpaca does not know {symbol}", code=mapping.NOT_FOUND, status=404)

    def _data(self, path: str, version: str, query: dict[str, str] | None = None) -> Any:
        return self._rest.market_data(path, query, self._data_url, version)

    def _clock_life(self, clock: MarketClock, at: datetime) -> float:
        moments = (clock.next_open, clock.next_close)
        changes = [moment for moment in moments if moment is not None and moment > at]
        until_change = min(changes, default=at + timedelta(days=1)) - at
        return min(self._clock_seconds, until_change.total_seconds())

    def _is_ending(self, path: str) -> bool:
        raw = self._rest.get(path)
        with _understood():
            order = mapping.read_order(raw)
        return order.state.is_final or bool(raw["status"] == "pending_cancel")


class _Library(REST):  # type: ignore[misc]
    """alpaca-trade-api's client with time-outs, exact numbers, our errors, and no resending."""

    def __init__(self, key: str, secret: str, root: str, timeout: tuple[float, float]) -> None:
        super().__init__(key, secret, root, api_version="v2", raw_data=True)
        self.root = root
        self._timeout = timeout
        # APCA_API_OAUTH_TOKEN in the environment would trade every user's orders in one account
        self._oauth = None
        self._retry = 0
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=CONNECTIONS, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def market_data(self, path: str, query: dict[str, str] | None, data_url: str, version: str) -> Any:
        return self._request("GET", path, query, base_url=data_url, api_version=version)

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:
        try:
            response = self._session.request(method, url, timeout=self._timeout, **opts)
        except requests.RequestException as error:
            raise transport_error(error, "Alpaca") from error
        if response.status_code >= 300:
            wait = retry_wait(response.headers, time.time())
            raise mapping.broker_error(response.status_code, _body_or_none(response), wait)
        return _body(response)


def _body(response: requests.Response) -> Any:
    if not response.content:
        return None
    try:
        return json.loads(response.content, parse_float=Decimal)
    except ValueError as error:
        raise Unknown("Alpaca's answer is not JSON", status=response.status_code) from error


def _body_or_none(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None


@contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unknown(f"Alpaca's answer is not understood: {type(error).__name__} {error}") from error


def _objects(raw: object) -> list[Json]:
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise ValueError("not a list of objects")
    return raw


def _is_absent(error: Rejected) -> bool:
    # a 404 without Alpaca's own code comes from a wrong address, not from the account
    return error.status == 404 and error.code == mapping.NOT_FOUND


def _path(part: str) -> str:
    return quote_path(part, safe="")


def _header(text: str) -> str:
    word = text.strip()
    if not word or not word.isascii() or not word.isprintable():
        raise Rejected("An Alpaca key is empty or holds characters that keys do not have")
    return word
