"""The rules of a simulated broker as switches, and what it asks of a market."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.instrument import AssetClass, Instrument, MarketClock, Quote
from core.money import ZERO


class Venue(Protocol):
    """Answer for prices, instruments and sessions at a moment, without waiting on anything.

    `instrument` takes any spelling and raises `Rejected` for an unknown one; `quote` takes the
    instrument's own spelling. `next_close` of a closed market is the close after `next_open`.
    """

    def instrument(self, symbol: str) -> Instrument: ...
    def quote(self, symbol: str, now: datetime) -> Quote: ...
    def clock(self, asset_class: AssetClass, now: datetime) -> MarketClock: ...


def _crypto_only(rate: str) -> dict[AssetClass, Decimal]:
    return {AssetClass.STOCK: ZERO, AssetClass.CRYPTO: Decimal(rate)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Every rule that can be turned; the defaults are Alpaca's for a margin account.

    | rule | meaning |
    |---|---|
    | multiplier | buying power for stocks per unit of equity; crypto is never bought on margin |
    | minimum_short_equity | equity below which nothing is sold short |
    | taker_fees | share of the traded value; crypto buys pay it in the base asset |
    | fill_on_submit | a marketable order fills while it is submitted; else at the next `advance` |
    | queue_outside_session | stock orders are taken while the market is closed and wait for the open |
    | full_fill_notional | an order worth more fills in pieces, one per `advance`; None: never |
    | partial_fill_share | this share of the other orders fills in two pieces (Alpaca's paper: 0.1) |
    | seed | picks which orders fill partially and where they break |
    | market_buy_collar_* | a market buy must be affordable at this factor of the ask |
    | short_collar | a short sale must be affordable at this factor of the ask |
    | minimum_for_exits | the minimum order value also holds for an order that reduces a holding |
    | check_* | the check of that name is made |

    Sources: Alpaca's order, margin, crypto and paper-trading pages; the refusals as observed
    by its users.
    """

    multiplier: Decimal = Decimal(2)
    shorting_enabled: bool = True
    trading_blocked: bool = False
    minimum_short_equity: Decimal = Decimal(2000)
    taker_fees: dict[AssetClass, Decimal] = field(default_factory=lambda: _crypto_only("0.0025"))
    fill_on_submit: bool = True
    queue_outside_session: bool = True
    full_fill_notional: Decimal | None = Decimal(100_000)
    partial_fill_share: Decimal = ZERO
    seed: str = ""
    market_buy_collar_high: Decimal = Decimal("1.025")
    market_buy_collar_low: Decimal = Decimal("1.04")
    collar_boundary: Decimal = Decimal(50)
    short_collar: Decimal = Decimal("1.03")
    minimum_for_exits: bool = False
    check_unique_ids: bool = True
    check_prices: bool = True
    check_minimum: bool = True
    check_fractions: bool = True
    check_wash_trades: bool = True
    check_position_intent: bool = True
    check_available_quantity: bool = True
    check_shorting: bool = True
    check_buying_power: bool = True
