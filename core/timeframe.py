"""Give every spelling of a timeframe one form: `15 Min`, `1 Hour`, `4 Hour`, `1 Day`, `1 Week`, `1 Month`.

TradingView writes `15`, `60`, `240`, `D`, `1W`, `30S`, `M`; people write `15m`, `15 Min`, `1h`, `1 Day`.
A small `m` is a minute and a capital `M` a month, as on TradingView's charts.
"""

import re

COMMON = (
    *("1 Min", "5 Min", "15 Min", "30 Min", "45 Min"),
    *("1 Hour", "2 Hour", "4 Hour"),
    *("1 Day", "1 Week", "1 Month"),
)
ALLOWED = (
    "minutes as a number (15, 60, 240), or a number with a unit: "
    "30S, 15m, 15 Min, 1h, 4 Hour, 1D, 1 Week, 1M (M is a month, m a minute)"
)

# The largest count TradingView takes for a unit; more is a slip such as 15M for fifteen minutes.
_LARGEST = {"Sec": 86_400, "Min": 1_440, "Hour": 24, "Day": 365, "Week": 52, "Month": 12}
_SECONDS = {"Sec": 1, "Min": 60, "Hour": 3_600, "Day": 86_400, "Week": 604_800, "Month": 2_592_000}
_UNITS = {
    "Sec": ("s", "sec", "secs", "second", "seconds"),
    "Min": ("m", "min", "mins", "minute", "minutes"),
    "Hour": ("h", "hr", "hrs", "hour", "hours", "hourly"),
    "Day": ("d", "day", "days", "daily"),
    "Week": ("w", "wk", "wks", "week", "weeks", "weekly"),
    "Month": ("mo", "mon", "month", "months", "monthly"),
}
_UNIT_BY_WORD = {word: unit for unit, words in _UNITS.items() for word in words}
_MERGES = (("Sec", 60, "Min"), ("Min", 60, "Hour"), ("Hour", 24, "Day"))
_SHAPE = re.compile(r"([0-9]{0,6}) ?([A-Za-z]{0,8})")


def canonical(text: str) -> str:
    """Return the one form of a timeframe; equal lengths give equal forms (`60`, `1h`, `60 Min` → `1 Hour`).

    Raises ValueError with what is allowed.
    """
    match = _SHAPE.fullmatch(text.strip())
    if match is None or not match[0]:
        raise ValueError(ALLOWED)
    unit = _unit(match[2], bare=not match[1])
    count = int(match[1] or 1)
    if not 1 <= count <= _LARGEST[unit]:
        raise ValueError(f"{ALLOWED}; {count} {unit} is outside 1 to {_LARGEST[unit]}")
    return _merged(count, unit)


def seconds(timeframe: str) -> int:
    """Return the length in seconds of any spelling of a timeframe; a month counts 30 days."""
    count, unit = canonical(timeframe).split()
    return int(count) * _SECONDS[unit]


def _unit(word: str, *, bare: bool) -> str:
    if word == "M":
        return "Month"
    if not word and not bare:
        return "Min"
    unit = _UNIT_BY_WORD.get(word.lower())
    # "D" and "W" are TradingView's own; a lone "m" or "s" says too little to trade on.
    if unit is None or (bare and unit in ("Sec", "Min")):
        raise ValueError(ALLOWED)
    return unit


def _merged(count: int, unit: str) -> str:
    for small, factor, large in _MERGES:
        if unit == small and count % factor == 0:
            count, unit = count // factor, large
    return f"{count} {unit}"
