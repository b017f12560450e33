"""Read a number as people write it in a signal, or say why it cannot be known which one is meant."""

import re
from collections.abc import Iterable
from decimal import Decimal

from core.wording import number as shown
from signals.fields import LARGEST

LONGEST = 24
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_GROUPED = re.compile(
    r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?|[1-9][0-9]{0,2}(?:'[0-9]{3})+(?:\.[0-9]+)?"
)
_POINT_OR_GROUP = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_THOUSAND = Decimal(1000)


class BadNumber(ValueError):
    """Say why a number cannot be read; the message is the end of a sentence that names it."""


def read_number(text: str) -> Decimal:
    """Return the number above zero that `60000`, `60,000.5`, `60'000`, `0.52` or `1.2k` means.

    A comma groups thousands and is never a decimal sign. Raises BadNumber for anything else.
    """
    digits, thousand = (text[:-1], True) if text[-1:] in ("k", "K") else (text, False)
    if len(text) > LONGEST or not (_PLAIN.fullmatch(digits) or (_GROUPED.fullmatch(digits) and not thousand)):
        raise BadNumber(_hint(digits))
    number = Decimal(digits.replace(",", "").replace("'", ""))
    if number == 0:
        raise BadNumber("is zero, and nothing costs nothing")
    return _in_range(number * _THOUSAND if thousand else number)


def ambiguous(texts: Iterable[str]) -> str | None:
    """Return the first number that may be thousands or thousandths (`60.000`), or None.

    It is none where another number of the message shows that a point is a decimal sign: `0.5`, `60,000`,
    `145.25`, `1234.567`.
    """
    doubtful = None
    for text in texts:
        if _POINT_OR_GROUP.fullmatch(text):
            doubtful = doubtful or text
        elif _GROUPED.fullmatch(text) or ("." in text and _PLAIN.fullmatch(text)):
            return None
    return doubtful


def both_readings(text: str) -> str:
    """Return how to write each of the two numbers that an ambiguous one may be."""
    small = shown(Decimal(text))
    return f"{text.replace('.', '')} or {small if '.' in small else small + '.0'}"


def _in_range(number: Decimal) -> Decimal:
    if not 1 / LARGEST <= number <= LARGEST:
        raise BadNumber("is no price that anything has")
    return Decimal(shown(number))


def _hint(digits: str) -> str:
    if "," in digits:
        return "cannot be read: write 60000, 60,000 or 0.52 (a comma groups thousands)"
    return "cannot be read as a number: write 60000, 60,000, 60k or 0.52"
