"""How the figures of an alert look; they come as JSON, and may be missing or not be figures at all."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from core.alert import AlertField, Tone
from core.money import to_cents
from core.wording import grouped

Content = Mapping[str, Any]

MINUTE, HOUR = 60, 3600
MOST_DIGITS = 18


def amount(value: object) -> Decimal | None:
    """Return a number that can be a figure, None for anything else, the absurdly large and small too."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or (number and abs(number.adjusted()) > MOST_DIGITS):
        return None
    return number


def plain(value: object) -> str | None:
    """Write a quantity or price exactly, with thousands apart; None where there is none."""
    number = amount(value)
    return None if number is None else grouped(number)


def money(value: object) -> str | None:
    """Write an amount of dollars to the cent: `$1,010.00`, `−$3.20`."""
    number = amount(value)
    if number is None:
        return None
    cents = to_cents(number)
    return f"{'−' if cents < 0 else ''}${abs(cents):,}"


def signed(value: object) -> str | None:
    """Write a profit or loss with its sign: `+$10.00`, `−$3.20`."""
    number = amount(value)
    text = money(value)
    return f"+{text}" if text is not None and number is not None and to_cents(number) > 0 else text


def percent(value: object, *, sign: bool = False) -> str | None:
    """Write a fraction as a percentage to two places: 0.02 is `2.00 %`, with its sign `+2.00 %`."""
    number = amount(value)
    if number is None:
        return None
    hundredths = to_cents(number * 100)
    plus = "+" if sign and hundredths > 0 else "−" if hundredths < 0 else ""
    return f"{plus}{abs(hundredths):,} %"


def duration(value: object) -> str | None:
    """Write a span of seconds: `45s`, `2m 30s`, `1h 1m 5s`, without parts that are zero at the hour's scale."""
    number = amount(value)
    if number is None or number < 0:
        return None
    seconds = int(number)
    if seconds < MINUTE:
        return f"{seconds}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}m {seconds % MINUTE}s"
    parts = ((seconds // HOUR, "h"), (seconds % HOUR // MINUTE, "m"), (seconds % MINUTE, "s"))
    return " ".join(f"{part}{unit}" for part, unit in parts if part)


def words(value: object) -> str | None:
    """Write a name made for machines as words: `take_profit` is `Take profit`."""
    text = str(value).replace("_", " ").strip() if value is not None else ""
    return text[:1].upper() + text[1:] if text else None


def gain_tone(value: object) -> Tone:
    """Return how a profit or loss feels; nothing is no loss, and what is no figure says neither."""
    number = amount(value)
    if number is None:
        return Tone.INFO
    return Tone.BAD if number < 0 else Tone.GOOD


def fields_of(**figures: str | None) -> tuple[AlertField, ...]:
    """Return the figures that are there, named by their keys: `entry_price` is `Entry price`."""
    named = ((_name(key), value) for key, value in figures.items())
    return tuple(AlertField(name, value) for name, value in named if value)


def _name(key: str) -> str:
    return {"pnl": "P&L", "pnl_fraction": "P&L %"}.get(key) or str(words(key))
