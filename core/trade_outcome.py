"""Say what a tracked trade has won or lost at a price: the one place where that is counted; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.money import to_cents
from core.pips import BETWEEN, Market, rate_between
from core.tracked_trade import Levels, Result, percentage, result_of

HUNDREDTH = Decimal("0.01")
# Of two of these the first is the base of the pair that markets quote.
QUOTED_FIRST = ("EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "NOK", "SEK", "DKK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trade is worth at `price`: `steps` in pips or points, `profit` in the account's currency.

    `profit` is None where no price says what the quote currency is worth in the account's; `percentage` is
    how far the price went, of the entry, with the trade's own sign.
    """

    price: Decimal
    steps: Decimal
    profit: Decimal | None
    percentage: Decimal
    result: Result


def outcome(
    levels: Levels, lots: Decimal, currency: str, price: Decimal, prices: Mapping[str, Decimal]
) -> Outcome:
    """Return what the trade is worth at `price`; `prices` are the newest of each pair, `EUR/USD` style."""
    market = levels.market
    steps = market.steps(levels.direction, levels.entry, price)
    # The price at hand is the newest that the trade knows of its own pair
    rate = rate_between(market.quote, currency, {**prices, market.pair: price})
    won = market.profit(levels.direction, levels.entry, price, lots)
    moved = percentage(levels, price)
    return Outcome(
        price=price,
        steps=steps,
        profit=None if rate is None else to_cents(won * rate),
        percentage=moved,
        result=result_of(steps, moved),
    )


def reward_to_risk(entry: Decimal, stop: Decimal, target: Decimal) -> Decimal:
    """Return how many times its risk a trade would win, to a hundredth; entry and stop differ."""
    return (abs(target - entry) / abs(entry - stop)).quantize(HUNDREDTH)


def rate_pairs(market: Market, currency: str) -> frozenset[str]:
    """Return the pairs whose prices put the quote currency into the account's, directly or by the dollar."""
    if market.quote == currency:
        return frozenset()
    names = sorted({market.quote, currency, BETWEEN})
    return frozenset(f"{one}/{other}" for one in names for other in names if one != other)


def quoted_pair(one: str, other: str) -> str:
    """Return two currencies as the pair that markets quote: `EUR/USD`, `USD/JPY`."""
    first, last = sorted((one, other), key=lambda each: (_place(each), each))
    return f"{first}/{last}"


def _place(currency: str) -> int:
    return QUOTED_FIRST.index(currency) if currency in QUOTED_FIRST else len(QUOTED_FIRST)
