"""Which brokers there are, and the open broker of each connection."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from brokers.alpaca import DATA_URL, LIVE_URL, PAPER_URL, AlpacaBroker, Market
from brokers.alpaca_stream import AlpacaStream
from brokers.base import Broker, BrokerName, Mode, OrderStream
from brokers.blofin import BlofinBroker
from brokers.ccxt_exchange import CcxtBroker, broker_class
from brokers.ccxt_listing import Listing
from brokers.ccxt_venues import VENUES
from brokers.paper import PaperBroker
from core.errors import Rejected
from database import bots
from database.pool import Database
from encryption import Vault, WrongKey
from settings import Settings

# Those with code of their own; the others of the table of exchanges need none.
_OWN: Mapping[BrokerName, type[CcxtBroker]] = {BrokerName.BLOFIN: BlofinBroker}
EXCHANGES: Mapping[BrokerName, type[CcxtBroker]] = {
    name: _OWN.get(name) or broker_class(venue) for name, venue in VENUES.items()
}
CLASSES: Mapping[BrokerName, type[Broker]] = {
    BrokerName.PAPER: PaperBroker,
    BrokerName.ALPACA: AlpacaBroker,
    **EXCHANGES,
}
BLOFIN_LIVE_URL = "https://openapi.blofin.com"
LOOK_AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    broker: Broker
    sealed: bytes | None
    looked_at: float


class Registry:
    """Open each connection's broker once per process and keep it while its credentials stand.

    New credentials take effect within `LOOK_AGAIN_SECONDS`. The paper broker works on a pool of
    its own, for its callers hold connections of ours while they trade.
    """

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._paper_database = Database(settings.database, size=32, application_name="dashtrade paper")
        self._opened: dict[int, _Opened] = {}
        self._markets: dict[str, Market] = {}
        self._listings: dict[tuple[BrokerName, Mode], Listing] = {}
        self._lock = threading.Lock()

    def broker(self, connection_id: int) -> Broker:
        """Return the broker of a connection; raise Rejected where it has no usable credentials."""
        opened = self._opened.get(connection_id)
        if opened is not None and time.monotonic() - opened.looked_at < LOOK_AGAIN_SECONDS:
            return opened.broker
        with self._lock:
            return self._look(connection_id)

    def stream(self, connection_id: int) -> OrderStream | None:
        """Return a new stream of a connection's order updates, None where its broker has none."""
        with self._database.transaction() as transaction:
            connection = bots.connection(transaction, connection_id)
            sealed = bots.sealed_credentials(transaction, connection_id)
        if connection.broker != BrokerName.ALPACA:
            return None
        keys = self._credentials(sealed, BrokerName.ALPACA)
        url = self._trading_url(Mode(connection.mode))
        return AlpacaStream(keys["api_key"], keys["api_secret"], base_url=url)

    def open(
        self, name: BrokerName, mode: Mode, credentials: Mapping[str, str], connection_id: int | None = None
    ) -> Broker:
        """Open a broker with credentials that need not be stored yet, as when they are tried first."""
        if name is BrokerName.PAPER:
            if connection_id is None:
                raise Rejected("The paper broker needs a stored connection.")
            return PaperBroker(self._paper_database, connection_id)
        missing = [field.name for field in CLASSES[name].credential_fields if not credentials.get(field.name)]
        if missing:
            raise Rejected(f"Credentials are incomplete, missing: {', '.join(missing)}.")
        if name in EXCHANGES:
            return self._exchange(name, mode, credentials)
        return self._alpaca(mode, credentials)

    def _alpaca(self, mode: Mode, credentials: Mapping[str, str]) -> Broker:
        url = self._trading_url(mode)
        return AlpacaBroker(
            credentials["api_key"],
            credentials["api_secret"],
            base_url=url,
            data_url=self._settings.apca_api_data_url or DATA_URL,
            read_timeout=float(self._settings.broker_read_timeout_seconds),
            calls_per_minute=self._settings.alpaca_calls_per_minute,
            market=self._markets.setdefault(url, Market()),
        )

    def _exchange(self, name: BrokerName, mode: Mode, credentials: Mapping[str, str]) -> Broker:
        return EXCHANGES[name](
            credentials,
            mode=mode,
            base_url=self._blofin_url(mode) if name is BrokerName.BLOFIN else None,
            read_timeout=float(self._settings.broker_read_timeout_seconds),
            listing=self._listings.setdefault((name, mode), Listing()),
        )

    def _look(self, connection_id: int) -> Broker:
        with self._database.transaction() as transaction:
            connection = bots.connection(transaction, connection_id)
            sealed = bots.sealed_credentials(transaction, connection_id)
        opened = self._opened.get(connection_id)
        if opened is not None and opened.sealed == sealed:
            broker = opened.broker
        else:
            name, mode = BrokerName(connection.broker), Mode(connection.mode)
            keys = {} if name is BrokerName.PAPER else self._credentials(sealed, name)
            broker = self.open(name, mode, keys, connection_id)
        self._opened[connection_id] = _Opened(broker=broker, sealed=sealed, looked_at=time.monotonic())
        return broker

    def _credentials(self, sealed: bytes | None, name: BrokerName) -> dict[str, str]:
        if sealed is None:
            title = VENUES[name].title if name in VENUES else name.capitalize()
            raise Rejected(f"No {title} API keys found: enter them in Setup.")
        try:
            keys: dict[str, Any] = json.loads(self._vault.open(sealed))
        except WrongKey as error:
            raise Rejected(str(error)) from error
        return {name: str(value) for name, value in keys.items()}

    def _trading_url(self, mode: Mode) -> str:
        override = self._settings.apca_api_base_url
        _check_place("APCA_API_BASE_URL", override, LIVE_URL, mode)
        return LIVE_URL if mode is Mode.LIVE else override or PAPER_URL

    def _blofin_url(self, mode: Mode) -> str | None:
        override = self._settings.blofin_base_url
        _check_place("BLOFIN_BASE_URL", override, BLOFIN_LIVE_URL, mode)
        return None if mode is Mode.LIVE else override


def _check_place(setting: str, override: str | None, live: str, mode: Mode) -> None:
    """Raise `Rejected` where real money would go to another address, or play money to the real one."""
    if override is None:
        return
    is_live = urlsplit(override).hostname == urlsplit(live).hostname
    if mode is Mode.LIVE and not is_live:
        raise Rejected(
            f"{setting} is {override}, but this connection is live: remove the override or the connection."
        )
    if mode is not Mode.LIVE and is_live:
        raise Rejected(
            f"{setting} is {override}, where real money is traded, but this connection is not live:"
            " remove the override or the connection."
        )
