"""How numbers and times stand in the sentences that users read."""

from datetime import datetime, timedelta
from decimal import Decimal

from core.money import to_cents


def number(value: Decimal) -> str:
    """Write a number without exponent and without trailing zeros: `0.0025`, `1200`."""
    return _trimmed(format(value, "f"))


def grouped(value: Decimal) -> str:
    """Write a number, a price above all, with its thousands apart: `74,284.49`, `0.0025`."""
    return _trimmed(format(value, ",f"))


def _trimmed(plain: str) -> str:
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def money(value: Decimal, currency: str | None = None) -> str:
    """Write an amount to the cent, with its currency where it is known: `5,000.00 USD`."""
    amount = f"{to_cents(value):,}"
    return f"{amount} {currency}" if currency else amount


def percent(value: Decimal) -> str:
    """Write a percentage to two places: `10.53 %`."""
    return f"{number(to_cents(value))} %"


def seconds(span: timedelta) -> str:
    """Write a span in whole seconds, rounded up so that none over a limit reads as equal to it: `412 s`."""
    return f"{-(-span // timedelta(seconds=1))} s"


def moment(at: datetime) -> str:
    """Write a time with its zone, to the minute: `2025-01-02 14:30 UTC`."""
    return at.strftime("%Y-%m-%d %H:%M %Z")
