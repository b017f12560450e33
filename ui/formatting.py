"""How figures look: money with sign, thousands and two decimals; times in the user's zone with its name."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.money import to_cents
from core.wording import number

MINUS = "−"
MINUTE, HOUR, DAY = 60, 3600, 86400
NOTHING = "–"


def money(amount: Decimal | None, currency: str | None = None) -> str:
    """Write an amount: `5,000.00 USD`, `−12.30`; a dash where it is not known."""
    if amount is None:
        return NOTHING
    text = f"{abs(to_cents(amount)):,}"
    sign = MINUS if to_cents(amount) < 0 else ""
    return f"{sign}{text} {currency}" if currency else sign + text


def gain(amount: Decimal | None, currency: str | None = None) -> str:
    """Write a profit or loss so that it reads without colour: `▲ +12.30`, `▼ −4.00`, `0.00`."""
    if amount is None or to_cents(amount) == 0:
        return money(amount, currency)
    return f"▲ +{money(amount, currency)}" if amount > 0 else f"▼ {money(amount, currency)}"


def painted(text: str, amount: Decimal | None) -> str:
    """Return a figure as Markdown in the colour of its amount: gains green, losses red; the text has the sign."""
    if amount is None or to_cents(amount) == 0:
        return text
    return f":green[{text}]" if amount > 0 else f":red[{text}]"


def quantity(amount: Decimal | None) -> str:
    """Write a size exactly, without trailing zeros: `0.0025`, `1,200`."""
    if amount is None:
        return NOTHING
    whole, _, rest = number(abs(amount)).partition(".")
    sign = MINUS if amount < 0 else ""
    return f"{sign}{int(whole):,}" + (f".{rest}" if rest else "")


def price(amount: Decimal | None) -> str:
    """Write a price with at least two decimals and no more than it has: `143.10`, `0.0123`."""
    if amount is None:
        return NOTHING
    return _decimals(round(amount, max(6, 4 - amount.adjusted())))


def average(amount: Decimal | None) -> str:
    """Write an average price to about six digits, at least two decimals: `74,532.47`, `0.170889`."""
    return NOTHING if amount is None else _decimals(round(amount, max(2, 5 - amount.adjusted())))


def _decimals(amount: Decimal) -> str:
    whole, _, rest = number(amount).partition(".")
    return f"{int(whole):,}.{rest.ljust(2, '0')}"


def moment(at: datetime | None, zone: str) -> str:
    """Write a time in a zone, with the zone's name: `21 Nov 14:30:05 EST`."""
    return NOTHING if at is None else at.astimezone(ZoneInfo(zone)).strftime("%d %b %H:%M:%S %Z")


def age(at: datetime | None, now: datetime) -> str:
    """Write how long ago something was: `12 s ago`, `3 min ago`."""
    if at is None:
        return "never"
    seconds = max(int((now - at).total_seconds()), 0)
    for size, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return f"{seconds} s ago"


def ended(text: str) -> str:
    """Return a text that another sentence may follow."""
    return text if not text or text[-1] in ".!?…" else f"{text}."
