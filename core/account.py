"""What a whole account holds, as its broker says."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The whole connection's money, in `currency`, as the broker says at `at`."""

    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    currency: str
    shorting_enabled: bool
    at: datetime
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPosition:
    """What the whole connection holds in a symbol: `quantity` is signed, shorts negative."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    current_price: Decimal
    unrealized: Decimal
