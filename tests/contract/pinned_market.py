"""A simulated market in which a test may name the prices."""

from datetime import datetime
from decimal import Decimal

from brokers.simulated_market import SimulatedMarket
from core.instrument import Instrument, Quote, symbol_key


class PinnedMarket(SimulatedMarket):
    """Quote what was pinned, and simulate what was not; the same for instruments."""

    def __init__(self) -> None:
        self._prices: dict[str, tuple[Decimal, Decimal]] = {}
        self._instruments: dict[str, Instrument] = {}

    def pin(self, symbol: str, bid: Decimal | str, ask: Decimal | str) -> None:
        """Hold a symbol's bid and ask until they are pinned anew."""
        self._prices[symbol_key(symbol)] = (Decimal(bid), Decimal(ask))

    def describe(self, instrument: Instrument) -> None:
        """Put an instrument into the market, or other rules on one that is there."""
        self._instruments[symbol_key(instrument.symbol)] = instrument

    def instrument(self, symbol: str) -> Instrument:
        """Return the rules of a symbol."""
        return self._instruments.get(symbol_key(symbol)) or super().instrument(symbol)

    def quote(self, symbol: str, now: datetime) -> Quote:
        """Return the pinned prices as of `now`, or simulated ones."""
        pinned = self._prices.get(symbol_key(symbol))
        if pinned is None:
            return super().quote(symbol, now)
        return Quote(symbol=self.instrument(symbol).symbol, bid=pinned[0], ask=pinned[1], at=now)
