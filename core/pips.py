"""Count pips and points, and say what they are worth; pure.

A pip is 0.0001, and 0.01 where the quote is yen; a standard lot is 100,000 units of the base currency. What is
not a pair of currencies moves by its tick, counts points, and has lots of one share or coin.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

CURRENCIES = frozenset(
    (
        *("USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK"),
        *("PLN", "HUF", "CZK", "TRY", "ZAR", "MXN", "SGD", "HKD", "CNH", "CNY"),
    )
)
STANDARD_LOT = Decimal(100_000)
PIP, YEN_PIP, TICK = Decimal("0.0001"), Decimal("0.01"), Decimal("0.01")
TENTH = Decimal("0.1")
SMALLEST_LOT, LARGEST_LOT = Decimal("0.01"), Decimal(100)
BETWEEN = "USD"
_PAIR = re.compile(r"([A-Z0-9]{1,20})(?:/([A-Z0-9]{1,20}))?")


class MarketKind(StrEnum):
    """What is traded under a pair's name."""

    FOREX = "FOREX"
    CRYPTO = "CRYPTO"
    STOCK = "STOCK"


class Direction(StrEnum):
    """Which way a trade earns."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """Return 1 for a long and -1 for a short."""
        return 1 if self is Direction.LONG else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One pair: `step` is the price of one pip or point, `lot` how many units one lot has."""

    pair: str
    kind: MarketKind
    base: str
    quote: str
    step: Decimal
    lot: Decimal

    @property
    def unit(self) -> str:
        """Return what its steps are called."""
        return "pips" if self.kind is MarketKind.FOREX else "points"

    @property
    def decimals(self) -> int:
        """Return how many decimals a price has at least: one more than a pip has, for currencies."""
        return -int(self.step.as_tuple().exponent) + (self.kind is MarketKind.FOREX)

    def decimals_of(self, price: Decimal) -> int:
        """Return how many decimals a price is shown with: five digits at least.

        Coins and shares have no pip: theirs has six digits where it carries them.
        """
        first = price.adjusted()
        least = max(self.decimals, 4 - first)
        carried = -int(price.normalize().as_tuple().exponent)
        return least if self.kind is MarketKind.FOREX else max(least, min(carried, 5 - first))

    def shown(self, price: Decimal, *, grouped: bool = False) -> str:
        """Return a price as people write it, with its thousands apart where it is not to be typed again."""
        return f"{price:{',' if grouped else ''}.{self.decimals_of(price)}f}"

    def steps(self, direction: Direction, entry: Decimal, price: Decimal) -> Decimal:
        """Return the pips or points won by `price`, to a tenth; lost ones are negative."""
        return ((price - entry) * direction.sign / self.step).quantize(TENTH, ROUND_HALF_EVEN)

    def profit(self, direction: Direction, entry: Decimal, price: Decimal, lots: Decimal) -> Decimal:
        """Return what is won by `price`, in the quote currency."""
        return (price - entry) * direction.sign * lots * self.lot


def market_of(pair: str) -> Market:
    """Return the market of `EUR/USD`, `BTC/USD` or `AAPL`; raise ValueError with what is allowed.

    `EURUSD` is EUR/USD too: nobody who writes it means a share of that name.
    """
    match = _PAIR.fullmatch(pair.strip().upper())
    base, quote = (match[1], match[2]) if match else ("", None)
    if quote is None and {base[:3], base[3:]} <= CURRENCIES:
        base, quote = base[:3], base[3:]
    if not base or base == quote:
        raise ValueError(f"{pair[:40]!r} is no pair: write EUR/USD, BTC/USD or AAPL")
    if quote is None:
        return Market(pair=base, kind=MarketKind.STOCK, base=base, quote="USD", step=TICK, lot=Decimal(1))
    name = f"{base}/{quote}"
    if {base, quote} <= CURRENCIES:
        step = YEN_PIP if quote == "JPY" else PIP
        return Market(pair=name, kind=MarketKind.FOREX, base=base, quote=quote, step=step, lot=STANDARD_LOT)
    return Market(pair=name, kind=MarketKind.CRYPTO, base=base, quote=quote, step=TICK, lot=Decimal(1))


def rate_between(source: str, target: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what one unit of `source` is worth in `target`, or None where no price says so.

    `prices` has the price of each pair known, `EUR/USD` style; a cross goes by way of the dollar.
    """
    direct = _direct(source, target, prices)
    if direct is not None:
        return direct
    first, second = _direct(source, BETWEEN, prices), _direct(BETWEEN, target, prices)
    return None if first is None or second is None else first * second


def pip_value(market: Market, currency: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return what one pip or point of one lot is worth in `currency`, or None where no price says so."""
    rate = rate_between(market.quote, currency, prices)
    return None if rate is None else market.step * market.lot * rate


def _direct(source: str, target: str, prices: Mapping[str, Decimal]) -> Decimal | None:
    if source == target:
        return Decimal(1)
    if (price := prices.get(f"{source}/{target}")) is not None:
        return price
    price = prices.get(f"{target}/{source}")
    return None if price is None else 1 / price
