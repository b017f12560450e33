"""What can be traded, how finely, and what a symbol looks like."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from core.money import ZERO, floor_to_step, nearest_step


class AssetClass(StrEnum):
    STOCK = "STOCK"
    CRYPTO = "CRYPTO"


def symbol_key(symbol: str) -> str:
    """Return the spelling under which all spellings of one symbol are equal.

    `BTC/USDT`, `BTC-USDT`, `btcusdt` and `BTCUSDT.P` give `BTCUSDT`; `BRK.B` gives `BRKB`.
    """
    upper = symbol.strip().upper()
    return re.sub(r"[^A-Z0-9]", "", upper.removesuffix(".P"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable thing at one broker; all rounding of prices and sizes happens here.

    `symbol` is the broker's own spelling for orders. `price_steps` are (from price, tick)
    pairs in ascending order of price. `minimum_notional` is in the quote currency.
    `quantity_step` applies to longs, `short_quantity_step` to orders that open a short; quantities are
    shares or coins, also where the broker counts in contracts. `maximum_leverage` is None where the
    broker does not lend on it; `maintenance_rate` is the share of a leveraged position's value below
    which the broker liquidates it.
    """

    symbol: str
    asset_class: AssetClass
    tradable: bool = True
    shortable: bool = False
    price_steps: tuple[tuple[Decimal, Decimal], ...] = (
        (ZERO, Decimal("0.0001")),
        (Decimal(1), Decimal("0.01")),
    )
    quantity_step: Decimal = Decimal(1)
    short_quantity_step: Decimal = Decimal(1)
    minimum_quantity: Decimal = ZERO
    minimum_notional: Decimal = ZERO
    base_asset: str | None = None
    quote_asset: str = "USD"
    exchange: str = ""
    maximum_leverage: int | None = None
    maintenance_rate: Decimal = Decimal("0.005")

    def tick(self, price: Decimal) -> Decimal:
        """Return the price step that holds at `price`."""
        return [step for start, step in self.price_steps if price >= start][-1]

    def round_price(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick."""
        return nearest_step(price, self.tick(price))

    def round_quantity(self, quantity: Decimal, *, short: bool = False) -> Decimal:
        """Round a size down to what the broker takes."""
        return floor_to_step(quantity, self.short_quantity_step if short else self.quantity_step)

    def is_dust(self, quantity: Decimal) -> bool:
        """Tell whether a holding is too small to be sold: it counts as flat."""
        return abs(quantity) < max(self.minimum_quantity, self.quantity_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best bid and ask of a symbol and when they were current."""

    symbol: str
    bid: Decimal
    ask: Decimal
    at: datetime

    @property
    def middle(self) -> Decimal:
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketClock:
    """Whether a market is open, and when that changes next (None where it never closes)."""

    is_open: bool
    next_open: datetime | None = None
    next_close: datetime | None = None
