"""A market that exists nowhere: its prices are a pure function of symbol and time.

Every process computes the same quote for the same second, so that no process has to tell another
and a test can name a price. All arithmetic is in integers, since floats of two machines may differ.
"""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from brokers.simulator.sessions import stock_clock
from core.errors import Rejected
from core.instrument import AssetClass, Instrument, MarketClock, Quote, symbol_key
from core.money import ZERO, floor_to_step

BILLION = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Waves of value noise: (period in seconds, amplitude in parts per billion of the base price).
# The short ones bound how far a price moves in one second, the long ones how far it strays.
WAVES = (
    (90 * 86_400, 100_000_000),
    (11 * 86_400, 40_000_000),
    (86_400, 18_000_000),
    (7_200, 6_000_000),
    (600, 2_000_000),
    (60, 600_000),
    (10, 150_000),
)
CRYPTO_FACTOR = 2
SPREAD = {AssetClass.STOCK: Decimal("0.0002"), AssetClass.CRYPTO: Decimal("0.0004")}

STOCK_PRICES = {
    "AAPL": 200, "AMD": 160, "AMZN": 210, "BRKB": 480, "DIA": 430, "GOOG": 180, "GOOGL": 179,
    "IWM": 220, "META": 620, "MSFT": 450, "NFLX": 950, "NVDA": 140, "QQQ": 520, "SPY": 600, "TSLA": 300,
}  # fmt: skip
CRYPTO_PRICES = {
    "AAVE": "250", "ADA": "0.8", "AVAX": "30", "BCH": "450", "BNB": "600", "BTC": "60000", "CRV": "0.6",
    "DOGE": "0.2", "DOT": "6", "ETH": "3000", "GRT": "0.15", "LINK": "15", "LTC": "90", "SHIB": "0.00002",
    "SOL": "150", "SUSHI": "1", "UNI": "9", "XRP": "2", "XTZ": "0.9", "YFI": "7000",
}  # fmt: skip
QUOTE_ASSETS = ("USDT", "USDC", "USD")
CLASS_SHARES = {"BRKA": "BRK.A", "BRKB": "BRK.B", "BFA": "BF.A", "BFB": "BF.B"}
CRYPTO_TICKS = (
    (ZERO, Decimal("0.000000001")),
    (Decimal("0.01"), Decimal("0.00001")),
    (Decimal(1), Decimal("0.0001")),
    (Decimal(100), Decimal("0.01")),
)
FINEST = Decimal("0.000000001")
MINIMUM_STOCK_NOTIONAL = Decimal(1)
MINIMUM_CRYPTO_NOTIONAL = Decimal(10)
LONGEST_STOCK_SYMBOL = 5


class SimulatedMarket:
    """Quote, describe and open the simulated universe.

    Stocks: every symbol of one to five letters, well-known ones near their real price, in
    regular New York hours. Crypto: the pairs of `CRYPTO_PRICES` with USD, USDT or USDC, each
    taken as a dollar, at all hours.
    """

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of a symbol in any spelling; raise `Rejected` for one outside the universe."""
        found = _instrument(symbol_key(symbol))
        if found is None:
            raise Rejected(f"asset not found for {symbol}", code="40410000", status=404)
        return found

    def quote(self, symbol: str, now: datetime) -> Quote:
        """Return bid and ask of the second that `now` lies in."""
        instrument = self.instrument(symbol)
        at = now.astimezone(UTC).replace(microsecond=0)
        name = instrument.base_asset or symbol_key(symbol)
        middle = _middle(name, instrument.asset_class, int((at - EPOCH).total_seconds()))
        tick = instrument.tick(middle)
        half = middle * SPREAD[instrument.asset_class] / 2
        bid = max(floor_to_step(middle - half, tick), tick)
        ask = max(floor_to_step(middle + half, tick), bid) + tick
        return Quote(symbol=instrument.symbol, bid=bid, ask=ask, at=at)

    def clock(self, asset_class: AssetClass, now: datetime) -> MarketClock:
        """Return the session of an asset class."""
        return stock_clock(now) if asset_class is AssetClass.STOCK else MarketClock(is_open=True)


@lru_cache(maxsize=4096)
def _instrument(key: str) -> Instrument | None:
    pair = _crypto_pair(key)
    if pair is not None:
        return _crypto(*pair)
    if key.isalpha() and key.isascii() and len(key) <= LONGEST_STOCK_SYMBOL:
        return _stock(CLASS_SHARES.get(key, key))
    return None


def _crypto_pair(key: str) -> tuple[str, str] | None:
    for quote_asset in QUOTE_ASSETS:
        base = key.removesuffix(quote_asset)
        if base != key and base in CRYPTO_PRICES:
            return base, quote_asset
    return None


def _stock(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        asset_class=AssetClass.STOCK,
        shortable=True,
        quantity_step=FINEST,
        minimum_notional=MINIMUM_STOCK_NOTIONAL,
        exchange="SIMULATED",
    )


def _crypto(base: str, quote_asset: str) -> Instrument:
    return Instrument(
        symbol=f"{base}/{quote_asset}",
        asset_class=AssetClass.CRYPTO,
        price_steps=CRYPTO_TICKS,
        quantity_step=FINEST,
        minimum_quantity=_power_of_ten_below(1 / Decimal(CRYPTO_PRICES[base])),
        minimum_notional=MINIMUM_CRYPTO_NOTIONAL,
        base_asset=base,
        quote_asset=quote_asset,
        exchange="SIMULATED",
    )


def _power_of_ten_below(value: Decimal) -> Decimal:
    return Decimal(1).scaleb(value.adjusted())


def _middle(name: str, asset_class: AssetClass, second: int) -> Decimal:
    factor = CRYPTO_FACTOR if asset_class is AssetClass.CRYPTO else 1
    seed = f"{asset_class}:{name}"
    parts = sum(_wave(seed, period, amplitude, second) for period, amplitude in WAVES) * factor
    return _base_price(name, asset_class) * Decimal(BILLION + parts) / BILLION


def _base_price(name: str, asset_class: AssetClass) -> Decimal:
    if asset_class is AssetClass.CRYPTO:
        return Decimal(CRYPTO_PRICES[name])
    if name in STOCK_PRICES:
        return Decimal(STOCK_PRICES[name])
    return Decimal(10) + Decimal(_hash(name, "base") % 49_000) / 100


def _wave(seed: str, period: int, amplitude: int, second: int) -> int:
    """Interpolate smoothly between random values that stand `period` apart."""
    step, inside = divmod(second, period)
    left, right = _lattice(seed, period, step), _lattice(seed, period, step + 1)
    ratio = inside * BILLION // period
    smooth = ratio * ratio * (3 * BILLION - 2 * ratio) // BILLION**2
    return (left * BILLION + (right - left) * smooth) * amplitude // BILLION**2


@lru_cache(maxsize=65_536)
def _lattice(seed: str, period: int, step: int) -> int:
    return _hash(seed, str(period), str(step)) % (2 * BILLION + 1) - BILLION


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("|".join(parts).encode(), digest_size=8).digest())
