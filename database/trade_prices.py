"""The newest prices that tracked trades are worth something by; what a recording gives stays among its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.pips import market_of
from core.trade_outcome import rate_pairs
from core.trade_wording import REPLAY
from database import market_bars
from database.pool import Row, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The newest price of each pair, from markets and from recordings.

    A trade in a real market is never worth something by a price of years ago.
    """

    live: Mapping[str, Decimal]
    replayed: Mapping[str, Decimal]

    def rates(self, trade: Row) -> Mapping[str, Decimal]:
        """Return what may put a trade's profit into its account's currency."""
        return {**self.live, **self.replayed} if trade["source"] == REPLAY else self.live

    def own(self, trade: Row) -> Decimal | None:
        """Return the newest price of a trade's pair, None where none is known of its kind."""
        known = self.replayed if trade["source"] == REPLAY else self.live
        return known.get(trade["pair"])


def prices_for(transaction: Transaction, trades: Iterable[Row], now: datetime) -> Prices:
    """Return the newest prices of trades' pairs and of what puts them into their accounts' currencies.

    The rows need pair and account_currency alone.
    """
    wanted: set[str] = set()
    for pair, currency in {(trade["pair"], trade["account_currency"]) for trade in trades}:
        wanted |= {pair} | rate_pairs(market_of(pair), currency)
    known = market_bars.last_prices(transaction, wanted, now)
    recorded = _recorded(transaction, wanted)
    return Prices(
        live={pair: price for pair, price in known.items() if pair not in recorded},
        replayed={pair: price for pair, price in known.items() if pair in recorded},
    )


def _recorded(transaction: Transaction, pairs: Iterable[str]) -> set[str]:
    rows = transaction.all(
        "SELECT DISTINCT pair FROM market_feeds WHERE pair = ANY(%s) AND source = %s", (sorted(pairs), REPLAY)
    )
    return {row["pair"] for row in rows}
