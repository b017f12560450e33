"""The instruments of the local BloFin and the prices that tests set."""

import time
from dataclasses import dataclass, field
from decimal import Decimal

from tests.blofin_server.errors import Refused


@dataclass(slots=True, kw_only=True)
class Instrument:
    """One perpetual; sizes are in contracts of `contract_value` coins.

    The figures of BTC-USDT are BloFin's; the others are of the same kind, but not looked up.
    """

    inst_id: str
    contract_value: Decimal
    lot: Decimal
    minimum: Decimal
    tick: Decimal
    max_leverage: int = 125
    maintenance_rate: Decimal = Decimal("0.005")
    max_limit: Decimal = Decimal(100_000_000)
    max_market: Decimal = Decimal(1_000_000)
    state: str = "live"

    @property
    def base(self) -> str:
        return self.inst_id.replace("-", "").removesuffix("USDT")

    @property
    def quote(self) -> str:
        return "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an instrument trades at; stops go by `last`, margin and liquidation by `mark`."""

    bid: Decimal
    ask: Decimal
    last: Decimal
    mark: Decimal
    at: int


def _instruments() -> dict[str, Instrument]:
    rows = (
        ("BTC-USDT", "0.001", "0.1", "0.1", "0.1", 125, "0.003", "live"),
        ("ETH-USDT", "0.01", "0.1", "0.1", "0.01", 125, "0.004", "live"),
        ("SOL-USDT", "1", "0.01", "0.01", "0.001", 75, "0.005", "live"),
        ("1000BONK-USDT", "1000", "1", "1", "0.000001", 50, "0.01", "live"),
        ("LUNA-USDT", "1", "1", "1", "0.0001", 20, "0.02", "suspend"),
    )
    return {
        name: Instrument(
            inst_id=name,
            contract_value=Decimal(value),
            lot=Decimal(lot),
            minimum=Decimal(minimum),
            tick=Decimal(tick),
            max_leverage=leverage,
            maintenance_rate=Decimal(rate),
            state=state,
        )
        for name, value, lot, minimum, tick, leverage, rate, state in rows
    }


FIRST_PRICES = {
    "BTC-USDT": "60000",
    "ETH-USDT": "3000",
    "SOL-USDT": "150",
    "1000BONK-USDT": "0.025",
    "LUNA-USDT": "0.5",
}


@dataclass(slots=True)
class LocalMarket:
    """Hold instruments and prices."""

    instruments: dict[str, Instrument] = field(default_factory=_instruments)
    prices: dict[str, Price] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, price in FIRST_PRICES.items():
            for spelling in {name, name.replace("-", "")} & set(self.instruments):
                self.set_price(spelling, Decimal(price))

    def set_price(
        self,
        inst_id: str,
        bid: Decimal,
        ask: Decimal | None = None,
        last: Decimal | None = None,
        mark: Decimal | None = None,
    ) -> None:
        """Set prices; the ask is the bid unless given, the last price their middle, the mark the last."""
        ask = bid if ask is None else ask
        last = (bid + ask) / 2 if last is None else last
        mark = last if mark is None else mark
        self.prices[inst_id] = Price(bid=bid, ask=ask, last=last, mark=mark, at=int(time.time() * 1000))

    def instrument(self, inst_id: str) -> Instrument:
        """Return an instrument; raises `Refused` with BloFin's code for an unknown one."""
        if inst_id not in self.instruments:
            raise Refused("152014")
        return self.instruments[inst_id]

    def price(self, inst_id: str) -> Price:
        """Return the prices of an instrument."""
        return self.prices[inst_id]


def coin_market() -> LocalMarket:
    """Return a market that counts in coins and spells BTCUSDT, as Bybit and Binance do."""
    rows = (
        ("BTCUSDT", "0.001", "0.1", 125, "0.004", "live"),
        ("ETHUSDT", "0.001", "0.01", 100, "0.005", "live"),
        ("SOLUSDT", "0.1", "0.01", 75, "0.005", "live"),
        ("1000BONKUSDT", "1", "0.000001", 50, "0.01", "live"),
        ("LUNAUSDT", "1", "0.0001", 20, "0.02", "suspend"),
    )
    instruments = {
        name: Instrument(
            inst_id=name,
            contract_value=Decimal(1),
            lot=Decimal(lot),
            minimum=Decimal(lot),
            tick=Decimal(tick),
            max_leverage=leverage,
            maintenance_rate=Decimal(rate),
            state=state,
        )
        for name, lot, tick, leverage, rate, state in rows
    }
    return LocalMarket(instruments)
