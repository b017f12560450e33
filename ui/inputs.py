"""Inputs of forms that several pages have: amounts, percents, and the place for an error beside each."""

import re
from decimal import Decimal, InvalidOperation

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from actions.acting import Refused
from core.wording import number

Slots = dict[str, DeltaGenerator]
# What the browser checks while typing; `amount` checks again.
AMOUNT = r"^\s*\$?\s*[0-9][0-9,'\u00a0 ]*(\.[0-9]+)?\s*%?\s*$"
GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
OPTIONAL_AMOUNT = rf"({AMOUNT})|(^\s*$)"


def amount_input(
    slots: Slots,
    name: str,
    label: str,
    value: Decimal | None,
    *,
    key: str,
    help: str | None = None,
    optional: bool = False,
    placeholder: str | None = None,
    checked: bool = True,
) -> str:
    """Draw an input for an amount and a place for its error; return what was typed.

    A browser that checks holds a form back without a word; not `checked`, `amount` says beside it what is wrong.
    """
    shown = "" if value is None else f"{value:,f}" if value == value.to_integral_value() else number(value)
    words = "A number above 0, such as 5,000 or 0.5" + (", or nothing" if optional else "")
    typed = st.text_input(
        label,
        shown,
        key=key,
        help=help,
        placeholder=placeholder or ("none" if optional else None),
        autocomplete="off",
        validate=(OPTIONAL_AMOUNT if optional else AMOUNT, words) if checked else None,
    )
    slots[name] = st.empty()
    return typed or ""


def amount(typed: str, name: str, label: str, *, optional: bool = False) -> Decimal | None:
    """Return what was typed as a number, None for an optional one left empty; raise `Refused`."""
    plain = _ungrouped(re.sub(r"[\s$%']", "", typed), typed, name, label)
    if not plain and optional:
        return None
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise Refused(f"{label}: {typed!r} is not a number above 0, such as 5,000 or 0.5", name)
    return value


def whole(typed: str, name: str, label: str, *, least: int = 1, optional: bool = False) -> int | None:
    """Return what was typed as a whole number from `least` on, None for an optional one left empty."""
    plain = _ungrouped(re.sub(r"[\s']", "", typed), typed, name, label)
    if not plain and optional:
        return None
    if not plain.isascii() or not plain.isdigit() or int(plain) < least:
        raise Refused(f"{label}: {typed!r} is not a whole number from {least} on", name)
    return int(plain)


def _ungrouped(plain: str, typed: str, name: str, label: str) -> str:
    """Return a number without the commas that group it; raise `Refused` for one that may be a decimal sign."""
    if "," in plain and not GROUPED.fullmatch(plain):
        words = "a comma groups thousands, as in 5,000; decimals follow a point, as in 1.0895"
        raise Refused(f"{label}: {typed!r} cannot be read: {words}", name)
    return plain.replace(",", "")
