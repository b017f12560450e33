"""Decimal arithmetic for money and size."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Round `value` toward zero to a multiple of `step`."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def nearest_step(value: Decimal, step: Decimal) -> Decimal:
    """Round `value` to the nearest multiple of `step`, halves to even."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


def to_cents(value: Decimal) -> Decimal:
    """Round an amount of money to the cent, halves to even."""
    return value.quantize(CENT, ROUND_HALF_EVEN)
