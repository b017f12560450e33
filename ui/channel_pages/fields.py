"""The fields of a signal channel, for a new one and for one that is edited."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import streamlit as st

from actions.acting import Refused
from core.bot import SizeMode
from core.order import MarginMode
from database.signal_channels import EntryMode
from signals.discord_formats import FORMATS
from ui.channel_pages.words import format_title
from ui.inputs import Slots, amount, amount_input
from ui.trading_bot.bot_fields import SIZE_MODES, SIZES
from ui.trading_bot.protection_fields import (
    MOST_MINUTES,
    lending_fields,
    number_input,
    protection_fields,
    read_lending,
    read_protection,
    read_whole,
)

A_DAY = 86_400
COPY_ID = (
    "In Discord: Settings, Advanced, switch on Developer Mode. Then right-click (on a phone: hold) the channel,"
    " author or role and press Copy ID."
)
AUTHORS_HELP = f"Ids, with commas between. Bots and webhooks count when they are named. {COPY_ID}"
ENTRY_MODES = {
    EntryMode.LIMIT: "Limit at the message's entry",
    EntryMode.MARKET: "Market, at once",
}
# A new registration's settings where neither the form nor `actions.signal_channels.defaults` says otherwise.
USUAL: dict[str, Any] = {
    "name": "", "author_ids": (), "role_ids": (), "formats": (), "margin_mode": MarginMode.ISOLATED,
    "entry_mode": EntryMode.LIMIT, "entry_valid_minutes": 60, "max_price_deviation_percent": Decimal("0.5"),
    "max_signal_age_seconds": 120, "stop_required": True, "allow_short": True, "target_shares": None,
    "break_even_after": None, "trailing_stop_percent": None, "trailing_activation_percent": None,
    "time_limit_minutes": None,
}  # fmt: skip
_LINK = re.compile(r"https://(?:\w+\.)?discord(?:app)?\.com/channels/(\d+)/(\d+)(?:/\d+)?/?")


def size_mode_field(current: SizeMode, key: str) -> SizeMode:
    """Draw how the size is counted; outside of the form, since the label of the size follows it."""
    modes = list(SIZE_MODES)
    chosen = st.selectbox("Size counts", modes, modes.index(current), key=f"{key}-mode",
                          format_func=SIZE_MODES.__getitem__)  # fmt: skip
    return SizeMode(chosen or current)


def main_fields(
    row: Mapping[str, Any], mode: SizeMode, modes: Sequence[MarginMode], key: str, slots: Slots
) -> dict[str, Any]:
    """Draw what matters first: size, leverage where the broker lends, whose messages count, formats."""
    typed: dict[str, Any] = {"size_mode": mode}
    left, right = st.columns(2)
    with left:
        shown = row["position_size"] if mode == row["size_mode"] else None
        typed["position_size"] = amount_input(
            slots, "position_size", SIZES[mode], shown, key=f"{key}-size-{mode}"
        )
    with right:
        typed["max_position_size"] = amount_input(
            slots, "max_position_size", "Max position size ($)", row["max_position_size"], key=f"{key}-max",
            help="The whole position's worth, not its margin. A larger size is reduced to it.",
        )  # fmt: skip
    if modes:
        typed |= lending_fields(row, modes, key, slots, optional=False)
    left, right = st.columns(2)
    with left:
        typed["author_ids"] = _ids(row["author_ids"], "Authors", "author_ids", key, slots)
    with right:
        typed["role_ids"] = _ids(row["role_ids"], "Roles", "role_ids", key, slots)
    typed["formats"] = _formats(row["formats"], key, slots)
    return typed


def more_fields(row: Mapping[str, Any], key: str, slots: Slots) -> dict[str, Any]:
    """Draw how it enters, what is refused, and protection."""
    typed: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        listed = list(ENTRY_MODES)
        typed["entry_mode"] = st.selectbox("Entry", listed, listed.index(EntryMode(row["entry_mode"])),
                                           key=f"{key}-entry", format_func=ENTRY_MODES.__getitem__)  # fmt: skip
    with right:
        typed["entry_valid_minutes"] = number_input(
            slots, "entry_valid_minutes", "A limit entry waits for (minutes)", row["entry_valid_minutes"],
            key=key, help="Then it is cancelled; sooner when the price reaches stop or target first.",
        )  # fmt: skip
    left, right = st.columns(2)
    with left:
        typed["max_price_deviation_percent"] = amount_input(
            slots, "max_price_deviation_percent", "Price may have moved (%)", row["max_price_deviation_percent"],
            key=f"{key}-moved", help="For entries at the market: more than this from the message's entry is refused.",
        )  # fmt: skip
    with right:
        typed["max_signal_age_seconds"] = number_input(
            slots, "max_signal_age_seconds", "Oldest message that enters (seconds)",
            row["max_signal_age_seconds"], key=key,
        )  # fmt: skip
    with st.container(horizontal=True, gap="medium"):
        typed["stop_required"] = st.checkbox("Refuse entries without a stop", row["stop_required"],
                                             key=f"{key}-stop")  # fmt: skip
        typed["allow_short"] = st.checkbox("May sell short", row["allow_short"], key=f"{key}-short")
    return typed | protection_fields(row, key, slots)


def read(typed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that the fields give; raise `Refused` with the field that cannot be read."""
    return {
        **{name: typed[name] for name in ("size_mode", "author_ids", "role_ids", "entry_mode", "stop_required",
                                          "allow_short", "formats")},
        "position_size": amount(typed["position_size"], "position_size", "Position size"),
        "max_position_size": amount(typed["max_position_size"], "max_position_size", "Max position size"),
        **read_lending(typed, optional=False),
        "entry_valid_minutes": read_whole(typed, "entry_valid_minutes", "A limit entry waits for",
                                          most=MOST_MINUTES),
        "max_price_deviation_percent": amount(typed["max_price_deviation_percent"],
                                              "max_price_deviation_percent", "Price may have moved"),
        "max_signal_age_seconds": read_whole(typed, "max_signal_age_seconds", "Oldest message", most=A_DAY),
        **read_protection(typed),
    }  # fmt: skip


def named_channel(text: str) -> tuple[int | None, str]:
    """Return the server, where it is known, and the channel of an id or a link; raise `Refused` for nothing."""
    if not text.strip():
        raise Refused("Paste the channel's id, or its link.", "channel_id")
    found = _LINK.fullmatch(text.strip())
    return (int(found[1]), found[2]) if found else (None, text.strip())


def _ids(current: Sequence[int], label: str, name: str, key: str, slots: Slots) -> str:
    shown = ", ".join(str(each) for each in sorted(current))
    typed = st.text_input(label, shown, key=f"{key}-{name}", help=AUTHORS_HELP, placeholder="ids",
                          autocomplete="off")  # fmt: skip
    slots[name] = st.empty()
    return typed or ""


def _formats(current: Sequence[str], key: str, slots: Slots) -> list[str]:
    # The most special one stands first in the table, for the parser; people look for the usual one.
    listed = FORMATS[::-1]
    names = [each.name.lower() for each in listed]
    taken = {each.lower() for each in current}
    chosen = st.multiselect(
        "Formats", names, [each for each in names if each in taken], format_func=format_title,
        key=f"{key}-formats", placeholder="all", select_all=False,
    )  # fmt: skip
    slots["formats"] = st.empty()
    with st.popover("What the formats look like", icon=":material/format_quote:", type="tertiary"):
        for each in listed:
            st.markdown(f"**{format_title(each.name)}** :gray[{each.what}]")
            st.code(each.examples[0].text, language=None, wrap_lines=True)
    return list(chosen)
