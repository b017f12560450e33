"""What every broker can do for us, and what its failures mean."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol

from core.account import Account as Account
from core.account import AccountPosition as AccountPosition
from core.instrument import AssetClass, Instrument, MarketClock, Quote
from core.order import MarginMode, Order, OrderIntent, Side


class BrokerName(StrEnum):
    PAPER = "paper"
    ALPACA = "alpaca"
    BLOFIN = "blofin"
    BYBIT = "bybit"
    BINANCE_FUTURES = "binanceusdm"


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
    A broker with `holds_protection` is a `ProtectingBroker` too. `margin_modes` are those it lends in,
    none where it does not lend.
    """

    modes: tuple[Mode, ...]
    asset_classes: tuple[AssetClass, ...]
    shorts: bool
    streams: bool
    holds_protection: bool
    read_timeout_seconds: float
    calls_per_minute: int | None = None
    margin_modes: tuple[MarginMode, ...] = ()

    @property
    def lends(self) -> bool:
        """Tell whether positions are leveraged."""
        return bool(self.margin_modes)


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
    Some brokers find an order only, or sooner, with its symbol; give it where it is known.
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
    def find_order(self, client_order_id: str, symbol: str | None = None) -> Order | None: ...
    def open_orders(self) -> tuple[Order, ...]: ...
    def cancel(self, broker_order_id: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionIntent:
    """A stop and a target to rest at the broker until the first of them closes `quantity` by market.

    `side` is the closing side. Reduce-only: it never opens anything. Prices and quantity are rounded.
    """

    client_id: str
    symbol: str
    side: Side
    quantity: Decimal
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    margin_mode: MarginMode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingProtection:
    """A stop or a target, or both, that waits at the broker; `quantity` is None where it means the whole."""

    id: str
    symbol: str
    side: Side
    quantity: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    created_at: datetime
    client_id: str | None = None


class ProtectionState(StrEnum):
    """RESTING waits for its price, TRIGGERED has sent its order, GONE never will."""

    RESTING = "RESTING"
    TRIGGERED = "TRIGGERED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionOutcome:
    """What became of a resting protection; `order` is the exit that a TRIGGERED one sent, once it is known."""

    state: ProtectionState
    order: Order | None = None
    is_stop: bool | None = None


class ProtectingBroker(Broker, Protocol):
    """Hold stops and targets where they outlive us.

    | method | gives | raises besides `Unavailable`, `Unknown` |
    |---|---|---|
    | protect | the broker's id of what rests now; with the same `client_id` twice, DuplicateOrder | Rejected |
    | protections | everything of a symbol that rests | Rejected |
    | triggered_protections | the latest of a symbol that have triggered | Rejected |
    | protection_outcome | what became of one, also of one that triggered long ago | Rejected |
    | cancel_protection | nothing; one that is gone or has triggered is no error | Rejected |
    """

    def protect(self, intent: ProtectionIntent) -> str: ...
    def protections(self, symbol: str) -> tuple[RestingProtection, ...]: ...
    def triggered_protections(self, symbol: str) -> tuple[RestingProtection, ...]: ...
    def protection_outcome(self, symbol: str, protection_id: str) -> ProtectionOutcome: ...
    def cancel_protection(self, symbol: str, protection_id: str) -> None: ...


class OrderStream(Protocol):
    """Bring a connection's order updates as they happen, for as long as `run` runs.

    `on_order` gets every update; `on_connected` is called after each (re)connect, so that
    the caller reconciles what was missed. `run` returns after `stop` and on nothing else
    but `Rejected` (credentials, or another session took the stream for good).
    """

    async def run(self, on_order: Callable[[Order], None], on_connected: Callable[[], None]) -> None: ...
    def stop(self) -> None: ...
