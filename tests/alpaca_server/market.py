"""The market that the server's accounts trade in: assets, prices that stand still, and a clock."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_DNS, uuid5

from core.errors import Rejected
from core.instrument import AssetClass, Instrument, MarketClock, Quote, symbol_key
from core.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One line of the asset list; `spread` is the first bid and ask, the crypto fields are steps."""

    symbol: str
    spread: tuple[str, str]
    exchange: str = "NASDAQ"
    asset_class: AssetClass = AssetClass.STOCK
    fractionable: bool = True
    shortable: bool = True
    easy_to_borrow: bool = True
    tradable: bool = True
    status: str = "active"
    min_order_size: str = "0"
    min_trade_increment: str = "0.000000001"
    price_increment: str = "0.01"

    @property
    def id(self) -> str:
        return str(uuid5(NAMESPACE_DNS, self.symbol))


def _coin(symbol: str, bid: str, ask: str, least: str, tick: str) -> Asset:
    return Asset(
        symbol=symbol,
        spread=(bid, ask),
        exchange="CRYPTO",
        asset_class=AssetClass.CRYPTO,
        shortable=False,
        easy_to_borrow=False,
        min_order_size=least,
        price_increment=tick,
    )


ASSETS = (
    Asset(symbol="AAPL", spread=("199.98", "200.00")),
    Asset(symbol="MSFT", spread=("399.96", "400.00")),
    Asset(symbol="TSLA", spread=("249.95", "250.05")),
    Asset(symbol="NVDA", spread=("119.99", "120.01")),
    Asset(symbol="AMZN", spread=("179.99", "180.01")),
    Asset(symbol="GOOGL", spread=("159.99", "160.01")),
    Asset(symbol="META", spread=("499.90", "500.10")),
    Asset(symbol="AMD", spread=("149.98", "150.02")),
    Asset(symbol="SPY", spread=("499.99", "500.01"), exchange="ARCA"),
    Asset(symbol="QQQ", spread=("429.99", "430.01")),
    Asset(symbol="F", spread=("11.99", "12.00"), exchange="NYSE"),
    Asset(symbol="BRK.B", spread=("419.90", "420.10"), exchange="NYSE"),
    Asset(symbol="PENY", spread=("0.4998", "0.5000"), exchange="AMEX"),
    Asset(symbol="WHOLE", spread=("49.99", "50.01"), exchange="NYSE", fractionable=False),
    Asset(symbol="NOSHRT", spread=("29.99", "30.01"), exchange="NYSE", shortable=False),
    Asset(symbol="HARD", spread=("19.99", "20.01"), exchange="NYSE", easy_to_borrow=False),
    Asset(symbol="GONE", spread=("9.99", "10.01"), exchange="OTC", tradable=False, status="inactive"),
    _coin("BTC/USD", "59990", "60000", "0.00001", "0.01"),
    _coin("ETH/USD", "2999", "3000", "0.0001", "0.01"),
    _coin("SOL/USD", "149.9", "150", "0.001", "0.001"),
    _coin("LTC/USD", "79.95", "80", "0.001", "0.001"),
    _coin("DOGE/USD", "0.1199", "0.12", "1", "0.000001"),
    _coin("BTC/USDT", "59990", "60000", "0.00001", "0.01"),
)


@dataclass(slots=True)
class LocalMarket:
    """Answer the simulator as `Venue`; every price stays where it was put.

    `shown` holds quotes that only the market data endpoints show (a closed market's zeros, an
    old time) while orders go on trading at the real ones.
    """

    assets: dict[str, Asset] = field(default_factory=lambda: {symbol_key(a.symbol): a for a in ASSETS})
    prices: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    shown: dict[str, Quote] = field(default_factory=dict)
    is_open: bool = True

    def asset(self, symbol: str) -> Asset | None:
        """Return an asset by any spelling, or by its id."""
        found = self.assets.get(symbol_key(symbol))
        return found or next((a for a in self.assets.values() if a.id == symbol), None)

    def instrument(self, symbol: str) -> Instrument:
        """Return an asset's trading rules; raise `Rejected` for an unknown symbol."""
        asset = self.asset(symbol)
        if asset is None:
            raise Rejected(f"asset not found for {symbol}")
        return _stock(asset) if asset.asset_class is AssetClass.STOCK else _crypto(asset)

    def quote(self, symbol: str, now: datetime) -> Quote:
        """Return the price that orders trade at."""
        asset = self.assets[symbol_key(symbol)]
        bid, ask = self.prices.get(asset.symbol) or (Decimal(asset.spread[0]), Decimal(asset.spread[1]))
        return Quote(symbol=asset.symbol, bid=bid, ask=ask, at=now)

    def shown_quote(self, symbol: str, now: datetime) -> Quote:
        """Return the price that the market data endpoints show."""
        return self.shown.get(symbol) or self.quote(symbol, now)

    def clock(self, asset_class: AssetClass, now: datetime) -> MarketClock:
        """Return the session: stocks open or close only when they are told to, crypto never closes."""
        if asset_class is AssetClass.CRYPTO:
            return MarketClock(is_open=True)
        if self.is_open:
            return MarketClock(
                is_open=True, next_open=now + timedelta(hours=23), next_close=now + timedelta(hours=6)
            )
        return MarketClock(
            is_open=False, next_open=now + timedelta(hours=12), next_close=now + timedelta(hours=18)
        )

    def set_price(self, symbol: str, bid: Decimal, ask: Decimal) -> str:
        """Put a price and return the symbol's spelling; the market data shows it too."""
        asset = self.assets[symbol_key(symbol)]
        self.prices[asset.symbol] = (bid, ask)
        self.shown.pop(asset.symbol, None)
        return asset.symbol

    def show(self, symbol: str, bid: Decimal, ask: Decimal, at: datetime | None) -> None:
        """Show another quote than the one that orders trade at."""
        asset = self.assets[symbol_key(symbol)]
        moment = at or datetime.now(UTC)
        self.shown[asset.symbol] = Quote(symbol=asset.symbol, bid=bid, ask=ask, at=moment)

    def put_asset(self, symbol: str, changes: dict[str, object]) -> None:
        """Add an asset or change one."""
        known = self.assets.get(symbol_key(symbol)) or Asset(symbol=symbol, spread=("99.99", "100.01"))
        self.assets[symbol_key(symbol)] = replace(known, **changes)  # type: ignore[arg-type]


def _stock(asset: Asset) -> Instrument:
    return Instrument(
        symbol=asset.symbol,
        asset_class=AssetClass.STOCK,
        tradable=asset.tradable,
        shortable=asset.shortable and asset.easy_to_borrow,
        quantity_step=Decimal("0.000000001") if asset.fractionable else Decimal(1),
        minimum_notional=Decimal(1),
        exchange=asset.exchange,
    )


def _crypto(asset: Asset) -> Instrument:
    base, _, quote = asset.symbol.partition("/")
    return Instrument(
        symbol=asset.symbol,
        asset_class=AssetClass.CRYPTO,
        tradable=asset.tradable,
        price_steps=((ZERO, Decimal(asset.price_increment)),),
        quantity_step=Decimal(asset.min_trade_increment),
        minimum_quantity=Decimal(asset.min_order_size),
        minimum_notional=Decimal(10),
        base_asset=base,
        quote_asset=quote,
        exchange=asset.exchange,
    )
