"""How numbers and times stand in the sentences that users read."""

from datetime import datetime, timedelta
from decimal import Decimal

from core.money import to_cents


def number(value: Decimal) -> str:
    """Write a number without exponent and without trailing zeros: `0.0025`, `1200`."""
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def money(value: Decimal, currency: str = "USD") -> str:
    """Write an amount to the cent with its currency: `5,000.00 USD`."""
    return f"{to_cents(value):,} {currency}"


def percent(value: Decimal) -> str:
    """Write a percentage to two places: `10.53 %`."""
    return f"{number(to_cents(value))} %"


def seconds(span: timedelta) -> str:
    """Write a span in whole seconds: `412 s`."""
    return f"{span // timedelta(seconds=1)} s"


def moment(at: datetime) -> str:
    """Write a time with its zone, to the minute: `2025-01-02 14:30 UTC`."""
    return at.strftime("%Y-%m-%d %H:%M %Z")
