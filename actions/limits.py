"""Check the limits that bots and signal channels share: leverage, and protection beyond a stop and a target."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from actions.acting import Refused
from core.money import ZERO

HIGHEST_LEVERAGE = 125
HUNDRED = Decimal(100)


def check(columns: Mapping[str, Any]) -> None:
    """Raise `Refused` for the first limit that cannot be, alone or beside the others; what is missing is none."""
    leverage, most = columns.get("leverage"), columns.get("max_leverage")
    if most is not None and (leverage or 1) > most:
        raise Refused(f"The leverage of {leverage}x is above its maximum, {most}x.", "leverage")
    trailing = columns.get("trailing_stop_percent")
    if trailing is not None and trailing >= HUNDRED:
        raise Refused("The trailing stop must be below 100 %.", "trailing_stop_percent")
    if columns.get("trailing_activation_percent") is not None and trailing is None:
        raise Refused("Say the trailing stop's distance too.", "trailing_stop_percent")
    _check_shares(columns.get("target_shares") or ())


def shares_of(text: str) -> list[Decimal] | None:
    """Return shares for targets as they are typed, `50, 30, 20`; None for nothing; raise `Refused`."""
    parts = text.replace("%", " ").replace(",", " ").replace("/", " ").split()
    try:
        return [Decimal(part) for part in parts] or None
    except ArithmeticError:
        raise Refused("Shares are percents, such as: 50, 30, 20", "target_shares") from None


def _check_shares(shares: Collection[Decimal]) -> None:
    if any(not (share.is_finite() and share > ZERO) for share in shares) or sum(shares, ZERO) > HUNDRED:
        raise Refused("Shares are percents above 0 that make at most 100 together.", "target_shares")
