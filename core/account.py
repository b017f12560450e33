"""What a whole account holds, as its broker says."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.money import ZERO
from core.order import MarginMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The whole connection's money, in `currency`, as the broker says at `at`.

    `buying_power` is what entries may tie up: money, or the free margin where the broker lends.
    `warning` is what the user must know of the account or its key although it can trade.
    """

    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    currency: str
    shorting_enabled: bool
    at: datetime
    problem: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPosition:
    """What the whole connection holds in a symbol: `quantity` is signed, shorts negative.

    What follows `unrealized` is known of leveraged positions only; `margin` is money.
    """

    symbol: str
    quantity: Decimal
    average_price: Decimal
    current_price: Decimal
    unrealized: Decimal
    leverage: Decimal | None = None
    margin_mode: MarginMode | None = None
    margin: Decimal | None = None
    liquidation_price: Decimal | None = None

    @classmethod
    def flat(cls, symbol: str) -> "AccountPosition":
        """Return the position of an account that holds nothing of a symbol."""
        return cls(symbol=symbol, quantity=ZERO, average_price=ZERO, current_price=ZERO, unrealized=ZERO)
