"""The markets of an exchange, loaded once for all accounts at one address."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brokers import ccxt_mapping as mapping
from brokers.answers import Json
from brokers.ccxt_client import understood
from core.errors import BrokerError, Rejected, Unknown
from core.instrument import Instrument

LISTING_SECONDS = 600.0
LOOK_AGAIN_SECONDS = 60.0


@dataclass(slots=True)
class Listing:
    """What is the same for every account at one address: its markets, and the instruments read of them.

    Give one to all brokers of an address, and the markets are loaded once, not once per account. Sizes,
    and with them the sizes of contracts, are never older than `LISTING_SECONDS`.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    source: Any = None
    loaded_at: float = 0.0
    by_symbol: dict[str, Json] = field(default_factory=dict)
    by_key: dict[str, Json] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)

    def shown_to(self, client: Any, *, fresh: bool = False) -> Mapping[str, Json]:
        """Return the markets by their keys, which `client` knows then too; at most a minute old with `fresh`."""
        with self.lock:
            age = time.monotonic() - self.loaded_at
            if self.source is None or age > (LOOK_AGAIN_SECONDS if fresh else LISTING_SECONDS):
                self._load(client)
            if client.markets is not self.source.markets:
                client.set_markets_from_exchange(self.source)
        return self.by_key

    def _load(self, client: Any) -> None:
        """Load the markets; those there are stay in use where the exchange does not give them.

        What is refused here is no order: it never reads as one that is refused for good.
        """
        try:
            self._read(client)
        except BrokerError as error:
            if self.source is None and isinstance(error, Rejected):
                raise Unknown(error.message, code=error.code, status=error.status) from error
            if self.source is None:
                raise
            self.loaded_at = time.monotonic() - LISTING_SECONDS + LOOK_AGAIN_SECONDS

    def _read(self, client: Any) -> None:
        with understood(client.venue, client.session):
            found = client.fetch_markets()
            if not any(mapping.is_listed(each) for each in found):
                raise Unknown(f"{client.venue.title} lists no perpetual that is settled in USDT.")
            client.set_markets(found)
            listed = [each for each in client.markets.values() if mapping.is_listed(each)]
            by_key = mapping.by_key(listed)
        self.by_symbol, self.by_key = {each["symbol"]: each for each in listed}, by_key
        self.source, self.loaded_at, self.instruments = client, time.monotonic(), {}
