"""What every broker can do for us, and what its failures mean."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from core.account import Account as Account
from core.account import AccountPosition as AccountPosition
from core.instrument import AssetClass, Instrument, MarketClock, Quote
from core.order import Order, OrderIntent


class BrokerName(StrEnum):
    PAPER = "paper"
    ALPACA = "alpaca"


class Mode(StrEnum):
    PAPER = "paper"
    LIVE = "live"
    DEMO = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """One input of the form that connects an account; a secret one is never shown again."""

    name: str
    label: str
    secret: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a broker can and cannot do; decisions ask this, never the broker's name.

    `calls_per_minute` is the broker's limit on one connection's calls, None where it has none.
    """

    modes: tuple[Mode, ...]
    asset_classes: tuple[AssetClass, ...]
    shorts: bool
    streams: bool
    holds_protection: bool
    read_timeout_seconds: float
    calls_per_minute: int | None = None


class Broker(Protocol):
    """Trade at one account. Safe to use from several threads.

    | method | gives | raises besides `Unavailable`, `Unknown` |
    |---|---|---|
    | account | the account's money | Rejected: credentials |
    | positions | every holding that is not zero | Rejected |
    | position | one holding, zero when flat | Rejected |
    | instrument | the rules of one symbol; any spelling is accepted | Rejected: no such symbol |
    | quote | best bid and ask | Rejected: none to be had |
    | clock | session of an asset class | |
    | submit | the order as first known; it may be filled already | Rejected, DuplicateOrder, Conflict |
    | find_order | by our id, within the broker's look-back; None = the broker says no | Rejected |
    | open_orders | every order that is not final | Rejected |
    | cancel | nothing; the end comes by stream or look-up; cancelling a final order is no error | Rejected |

    Reading calls may raise `Unknown` as well; for them it means no more than `Unavailable`.
    `submit` never sends twice. Symbols in results are in the broker's spelling for orders.
    """

    name: ClassVar[BrokerName]
    capabilities: Capabilities
    credential_fields: ClassVar[tuple[CredentialField, ...]]

    def account(self) -> Account: ...
    def positions(self) -> tuple[AccountPosition, ...]: ...
    def position(self, symbol: str) -> AccountPosition: ...
    def instrument(self, symbol: str) -> Instrument: ...
    def quote(self, symbol: str) -> Quote: ...
    def clock(self, asset_class: AssetClass) -> MarketClock: ...
    def submit(self, intent: OrderIntent) -> Order: ...
    def find_order(self, client_order_id: str) -> Order | None: ...
    def open_orders(self) -> tuple[Order, ...]: ...
    def cancel(self, broker_order_id: str) -> None: ...


class OrderStream(Protocol):
    """Bring a connection's order updates as they happen, for as long as `run` runs.

    `on_order` gets every update; `on_connected` is called after each (re)connect, so that
    the caller reconciles what was missed. `run` returns after `stop` and on nothing else
    but `Rejected` (credentials, or another session took the stream for good).
    """

    async def run(self, on_order: Callable[[Order], None], on_connected: Callable[[], None]) -> None: ...
    def stop(self) -> None: ...
