"""The fields of a bot, for a new one and for one that is edited."""

from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any

import streamlit as st

from actions.acting import Refused
from actions.bots import DEFAULT_RISK_PERCENT, DEFAULT_SIZE, DEFAULT_TIMEFRAME, DEFAULT_ZONE
from core.bot import SizeMode
from core.order import MarginMode
from ui.inputs import Slots, amount, amount_input, whole
from ui.trading_bot.protection_fields import (
    MOST_MINUTES,
    NONE_LIMITS,
    lending_fields,
    protection_fields,
    read_lending,
    read_protection,
    read_whole,
)

TIMEFRAMES = ("5 Min", "15 Min", "30 Min", "45 Min", "1 Hour", "4 Hour", "1 Day")
ANY = "Any timeframe"
SIZE_MODES = {
    SizeMode.NOTIONAL: "Money per trade ($)",
    SizeMode.UNITS: "Units per trade (shares, coins)",
    SizeMode.RISK_PERCENT: "Percent of equity lost at the stop",
}
SIZES = {
    SizeMode.NOTIONAL: "Position size ($)",
    SizeMode.UNITS: "Position size (units)",
    SizeMode.RISK_PERCENT: "Position size (% at risk)",
}
NEW: dict[str, Any] = NONE_LIMITS | {
    "name": "", "timeframe": DEFAULT_TIMEFRAME, "position_size": DEFAULT_SIZE, "size_mode": "notional",
    "risk_limit_percent": DEFAULT_RISK_PERCENT, "daily_loss_limit": None, "max_position_size": None,
    "stop_loss_percent": None, "take_profit_percent": None, "allow_short": True, "use_signal_quantity": False,
    "max_signal_age_seconds": 120, "max_price_deviation_percent": None, "cooldown_minutes": 0,
    "window_start": None, "window_end": None, "window_zone": DEFAULT_ZONE,
}  # fmt: skip
# Each limit that may be left out: its label and what it means.
LIMITS = {
    "daily_loss_limit": (
        "Daily loss limit ($)",
        "A loss of the day at which the bot closes and enters no more.",
    ),
    "max_position_size": ("Max position size ($)", "More than this is never held; a larger size is reduced."),
    "stop_loss_percent": ("Stop loss (%)", "From the entry, where the alert names none."),
    "take_profit_percent": ("Take profit (%)", "From the entry, where the alert names none."),
    "max_price_deviation_percent": (
        "Price may have moved (%)",
        "More than this from the alert's price: no entry.",
    ),
}


def main_fields(row: Mapping[str, Any], key: str, slots: Slots) -> dict[str, Any]:
    """Draw timeframe, size and risk limit; return what was typed."""
    listed = [*TIMEFRAMES, ANY]
    current = row["timeframe"] or ANY
    if current not in listed:
        listed.append(current)
    typed: dict[str, Any] = {}
    left, middle, right = st.columns(3)
    with left:
        typed["timeframe"] = st.selectbox("Timeframe", listed, listed.index(current), key=f"{key}-timeframe")
        slots["timeframe"] = st.empty()
    with middle:
        label = SIZES[SizeMode(row["size_mode"])]
        typed["position_size"] = amount_input(
            slots, "position_size", label, row["position_size"], key=f"{key}-size"
        )
    with right:
        typed["risk_limit_percent"] = amount_input(
            slots, "risk_limit_percent", "Risk limit (%)", row["risk_limit_percent"], key=f"{key}-risk",
            optional=True, help="Loss, in percent of what the position cost, at which the bot closes and stops.",
        )  # fmt: skip
    return typed


def advanced_fields(
    row: Mapping[str, Any], key: str, slots: Slots, margin_modes: Sequence[MarginMode] = ()
) -> dict[str, Any]:
    """Draw every other limit of a bot; return what was typed. `margin_modes` are those its broker lends in."""
    typed: dict[str, Any] = {}
    if margin_modes:
        typed |= lending_fields(row, margin_modes, key, slots, optional=True)
    # Row by row, so that the Tab key goes the way that people read.
    places = iter([column for _ in range(4) for column in st.columns(2)])
    modes = list(SIZE_MODES)
    with next(places):
        typed["size_mode"] = st.selectbox(
            "Size counts",
            modes,
            modes.index(SizeMode(row["size_mode"])),
            key=f"{key}-mode",
            format_func=SIZE_MODES.__getitem__,
            help="What the number under Position size means.",
        )
    for name, (label, help) in LIMITS.items():
        with next(places):
            typed[name] = amount_input(
                slots, name, label, row[name], key=f"{key}-{name}", help=help, optional=True
            )
    with next(places):
        typed["max_signal_age_seconds"] = st.text_input(
            "Oldest signal that enters (seconds)", str(row["max_signal_age_seconds"]), key=f"{key}-age",
            autocomplete="off",
        )  # fmt: skip
        slots["max_signal_age_seconds"] = st.empty()
    with next(places):
        typed["cooldown_minutes"] = st.text_input("Minutes without entry after a stop", str(row["cooldown_minutes"]),
                                                  key=f"{key}-cooldown", autocomplete="off")  # fmt: skip
        slots["cooldown_minutes"] = st.empty()
    typed |= protection_fields(row, key, slots, asks_waiting=True)
    typed |= _window_fields(row, key, slots)
    typed["allow_short"] = st.checkbox("May sell short", row["allow_short"], key=f"{key}-short",
                                       help="Without it a sell only closes a long position.")  # fmt: skip
    typed["use_signal_quantity"] = st.checkbox("Let an alert's own quantity count", row["use_signal_quantity"],
                                               key=f"{key}-quantity")  # fmt: skip
    return typed


def _window_fields(row: Mapping[str, Any], key: str, slots: Slots) -> dict[str, Any]:
    start, end, zone = st.columns(3)
    typed = {
        "window_start": start.text_input("Enter only from", _clock(row["window_start"]), key=f"{key}-from",
                                         placeholder="09:30", autocomplete="off"),
        "window_end": end.text_input("to", _clock(row["window_end"]), key=f"{key}-to", placeholder="16:00",
                                     autocomplete="off", help="May be before the start: the hours cross midnight."),
        "window_zone": zone.text_input("in the time zone", row["window_zone"], key=f"{key}-zone", autocomplete="off"),
    }  # fmt: skip
    slots["window_start"] = st.empty()
    slots["window_zone"] = slots["window_start"]
    return typed


def read(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that the fields give; raise `Refused` with the field that cannot be read."""
    columns: dict[str, Any] = {
        "timeframe": None if typed["timeframe"] == ANY else typed["timeframe"],
        "position_size": amount(typed["position_size"], "position_size", "Position size"),
        "risk_limit_percent": _optional(typed, "risk_limit_percent", "Risk limit"),
    }
    for name, (label, _) in LIMITS.items():
        columns[name] = _optional(typed, name, label)
    age, cooldown = typed["max_signal_age_seconds"], typed["cooldown_minutes"]
    columns |= read_lending(typed, optional=True) | read_protection(typed)
    return columns | {
        "entry_valid_minutes": read_whole(typed, "entry_valid_minutes", "A limit entry waits for",
                                          most=MOST_MINUTES, optional=True),
        "size_mode": typed["size_mode"],
        "max_signal_age_seconds": whole(age, "max_signal_age_seconds", "Oldest signal"),
        "cooldown_minutes": whole(cooldown, "cooldown_minutes", "Minutes", least=0),
        "window_start": _time(typed["window_start"]),
        "window_end": _time(typed["window_end"]),
        "window_zone": typed["window_zone"].strip() or DEFAULT_ZONE,
        "allow_short": typed["allow_short"],
        "use_signal_quantity": typed["use_signal_quantity"],
    }  # fmt: skip


def _optional(typed: Mapping[str, Any], name: str, label: str) -> Decimal | None:
    return amount(typed[name], name, label, optional=True)


def _clock(at: time | None) -> str:
    return "" if at is None else f"{at:%H:%M}"


def _time(text: str) -> time | None:
    if not text.strip():
        return None
    try:
        at = time.fromisoformat(text.strip())
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        raise Refused(f"{text!r} is not a time such as 09:30", "window_start")
    return at
