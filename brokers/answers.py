"""Read the values of a broker's answer, whatever broker it is; what cannot be read raises ValueError."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]


def number(value: object) -> Decimal:
    """Read a finite number that is text, an integer or a Decimal; a float would already be rounded."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"not a number: {value!r}")
    try:
        read = Decimal(value)
    except ArithmeticError as error:
        raise ValueError(f"not a number: {value!r}") from error
    if not read.is_finite():
        raise ValueError(f"not a number: {value!r}")
    return read


def positive(value: object) -> Decimal:
    """Read a number above zero."""
    read = number(value)
    if read <= 0:
        raise ValueError(f"not above zero: {value!r}")
    return read


def optional_number(value: object) -> Decimal | None:
    """Read a number that may be missing, or empty."""
    return None if value is None or value == "" else number(value)


def text(value: object) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"not a text: {value!r}")
    return value


def flag(value: object) -> bool:
    """Read true or false, and nothing that only stands for it."""
    if not isinstance(value, bool):
        raise ValueError(f"not true or false: {value!r}")
    return value
