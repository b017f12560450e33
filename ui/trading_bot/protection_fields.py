"""The fields that bots and signal channels share: leverage, and protection beyond a stop and a target."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from actions.acting import Refused
from actions.limits import HIGHEST_LEVERAGE, shares_of
from core.order import MarginMode
from core.wording import number
from ui.inputs import Slots, amount, amount_input, whole

MOST_MINUTES = 525_600
MOST_TARGETS = 20
MARGIN = {MarginMode.ISOLATED: "Isolated", MarginMode.CROSS: "Cross"}
MARGIN_HELP = (
    "Isolated: a position can lose its own margin and no more. Cross: all free money of the account backs it."
)
LEVERAGE_HELP = "For signals that name none. It is set at the broker when the bot is flat."
MAX_HELP = "A signal that asks for more is refused."
SHARES_HELP = (
    "Percent of the position to leave at each target in turn, such as 50, 30, 20; the last target takes the"
    " rest. Empty: equal shares."
)
EVEN_HELP = "Once the target of this number is reached, the stop goes to the entry price."
TRAILING_HELP = "The stop follows the best price at this distance, and never goes back."
ACTIVATION_HELP = "The stop follows only once the price has gone so far from the entry. Empty: at once."
TIME_HELP = "The position is closed at the market after so many minutes."
NONE_LIMITS: dict[str, Any] = {
    "leverage": None, "max_leverage": None, "margin_mode": MarginMode.ISOLATED, "target_shares": None,
    "break_even_after": None, "trailing_stop_percent": None, "trailing_activation_percent": None,
    "time_limit_minutes": None, "entry_valid_minutes": None,
}  # fmt: skip


def lending_fields(
    row: Mapping[str, Any], modes: Sequence[MarginMode], key: str, slots: Slots, *, optional: bool
) -> dict[str, Any]:
    """Draw leverage, its maximum and the margin mode; `optional` leaves them empty for no leverage."""
    left, middle, right = st.columns(3)
    typed: dict[str, Any] = {}
    with left:
        typed["leverage"] = number_input(slots, "leverage", "Leverage", row["leverage"], key=key,
                                         help=LEVERAGE_HELP, nothing="1" if optional else None)  # fmt: skip
    with middle:
        nothing = "as leverage" if optional else None
        typed["max_leverage"] = number_input(slots, "max_leverage", "Maximum leverage", row["max_leverage"],
                                             key=key, help=MAX_HELP, nothing=nothing)  # fmt: skip
    with right:
        current = MarginMode(row["margin_mode"])
        listed = list(modes) if current in modes else [*modes, current]
        typed["margin_mode"] = st.selectbox("Margin", listed, listed.index(current), key=f"{key}-margin",
                                            format_func=MARGIN.__getitem__, help=MARGIN_HELP)  # fmt: skip
        slots["margin_mode"] = st.empty()
    return typed


def protection_fields(
    row: Mapping[str, Any], key: str, slots: Slots, *, asks_waiting: bool = False
) -> dict[str, Any]:
    """Draw what protects a position beside its stop and target; `asks_waiting`: and how long a limit entry waits."""
    typed: dict[str, Any] = {}
    places = iter([column for _ in range(3) for column in st.columns(2)])
    with next(places):
        shares = ", ".join(number(share) for share in row["target_shares"] or ())
        typed["target_shares"] = st.text_input("Targets' shares (%)", shares, key=f"{key}-shares", help=SHARES_HELP,
                                               placeholder="equal", autocomplete="off") or ""  # fmt: skip
        slots["target_shares"] = st.empty()
    with next(places):
        typed["break_even_after"] = number_input(
            slots, "break_even_after", "Stop to the entry after target", row["break_even_after"], key=key,
            help=EVEN_HELP, nothing="never",
        )  # fmt: skip
    with next(places):
        typed["trailing_stop_percent"] = amount_input(
            slots, "trailing_stop_percent", "Trailing stop (%)", row["trailing_stop_percent"],
            key=f"{key}-trailing", help=TRAILING_HELP, optional=True,
        )  # fmt: skip
    with next(places):
        typed["trailing_activation_percent"] = amount_input(
            slots, "trailing_activation_percent", "Trailing begins at (%)", row["trailing_activation_percent"],
            key=f"{key}-activation", help=ACTIVATION_HELP, optional=True, placeholder="at once",
        )  # fmt: skip
    with next(places):
        typed["time_limit_minutes"] = number_input(
            slots, "time_limit_minutes", "Time limit (minutes)", row["time_limit_minutes"], key=key,
            help=TIME_HELP, nothing="none",
        )  # fmt: skip
    if asks_waiting:
        with next(places):
            typed["entry_valid_minutes"] = number_input(
                slots, "entry_valid_minutes", "A limit entry waits for (minutes)", row["entry_valid_minutes"],
                key=key, help="Then it is cancelled.", nothing="for ever",
            )  # fmt: skip
    return typed


def number_input(
    slots: Slots,
    name: str,
    label: str,
    value: int | None,
    *,
    key: str,
    help: str | None = None,
    nothing: str | None = None,
) -> str:
    """Draw an input for a whole number and a place for its error; `nothing` is what leaving it empty means."""
    shown = "" if value is None else str(value)
    typed = st.text_input(
        label, shown, key=f"{key}-{name}", help=help, placeholder=nothing, autocomplete="off"
    )
    slots[name] = st.empty()
    return typed or ""


def read_lending(typed: Mapping[str, Any], *, optional: bool) -> dict[str, Any]:
    """Return the columns of `lending_fields`; raise `Refused` with the field that cannot be."""
    if "leverage" not in typed:
        return {}
    leverage = read_whole(typed, "leverage", "Leverage", most=HIGHEST_LEVERAGE, optional=optional)
    most = read_whole(typed, "max_leverage", "Maximum leverage", most=HIGHEST_LEVERAGE, optional=optional)
    return {"leverage": leverage, "max_leverage": most, "margin_mode": typed["margin_mode"]}


def read_protection(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of `protection_fields`; raise `Refused` with the field that cannot be."""
    trailing = amount(typed["trailing_stop_percent"], "trailing_stop_percent", "Trailing stop", optional=True)
    begins = amount(typed["trailing_activation_percent"], "trailing_activation_percent", "Trailing begins at",
                    optional=True)  # fmt: skip
    return {
        "target_shares": shares_of(typed["target_shares"]),
        "break_even_after": read_whole(typed, "break_even_after", "Stop to the entry after target",
                                       most=MOST_TARGETS, optional=True),
        "trailing_stop_percent": trailing,
        "trailing_activation_percent": begins,
        "time_limit_minutes": read_whole(typed, "time_limit_minutes", "Time limit", most=MOST_MINUTES, optional=True),
    }  # fmt: skip


def read_whole(
    typed: Mapping[str, Any], name: str, label: str, *, most: int, optional: bool = False
) -> int | None:
    """Return what was typed as a whole number from 1 to `most`, None for an optional one left empty."""
    value = whole(typed[name], name, label, optional=optional)
    if value is not None and value > most:
        raise Refused(f"{label}: at most {most:,}, not {value:,}.", name)
    return value
