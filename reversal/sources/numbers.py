"""Read prices as they were written."""

from decimal import Decimal

NOT_A_NUMBER = Decimal("NaN")


def number(value: object) -> Decimal:
    """Return a price as it was written; what is no number is NaN, for the caller to judge."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str | int) or isinstance(value, bool):
        return NOT_A_NUMBER
    try:
        return Decimal(value)
    except ArithmeticError:
        return NOT_A_NUMBER
