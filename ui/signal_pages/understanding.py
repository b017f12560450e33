"""What a signal was understood as: the fields that we read, never the raw body, which may hold secrets."""

from typing import Any

import streamlit as st

from signals.fields import folded
from signals.service import FIELDS
from ui.formatting import moment
from ui.signal_pages.timeline import Trace
from ui.tables import plain

LABELS = {
    "action": "Action",
    "symbol": "Symbol",
    "exchange": "Exchange",
    "timeframe": "Timeframe",
    "price": "Price the sender saw",
    "order_type": "Order type",
    "limit_price": "Limit price",
    "stop_loss": "Stop loss",
    "take_profits": "Take profits",
    "quantity": "Quantity",
    "quantity_mode": "Quantity counts",
    "position_after": "Position wanted",
    "position_before": "Position before",
    "position_size": "Position size wanted",
    "sender_id": "Sender's id",
    "bot": "Bot named",
}
# Said only where they differ from what nearly every signal has.
USUAL = {"order_type": "MARKET", "quantity_mode": "UNITS"}


def in_words(understood: dict[str, Any]) -> str:
    """Say in a line what was asked for: `BUY AAPL 15 Min → LONG`."""
    wanted = understood.get("position_after")
    words = [understood["action"], understood["symbol"], understood.get("timeframe")]
    return " ".join(word for word in words if word) + (f" → {wanted}" if wanted else "")


def draw(trace: Trace, zone: str) -> None:
    """Draw the fields that were understood, and name those that nobody read."""
    st.markdown("##### Understood as")
    understood = trace["understood"]
    if not understood:
        st.caption("Nothing could be read; the sentence above says why.")
        return
    lines = [f"{label}: **{plain(_text(understood[name]))}**" for name, label in LABELS.items()
             if understood.get(name) not in (None, [], USUAL.get(name))]  # fmt: skip
    if trace["sent_at"]:
        lines.append(f"Sent: **{moment(trace['sent_at'], zone)}**")
    st.markdown("  \n".join(lines))
    names = unread(understood, trace["source"])
    if names:
        st.caption(f"Not read: {plain(', '.join(names))}")


def unread(understood: dict[str, Any], source: str) -> list[str]:
    """Return the names of the fields that nobody read; what a service says beside the message was read."""
    read = () if source == "tradingview" else {folded(name) for name in FIELDS}
    return sorted(name for name in understood.get("extras") or {} if folded(name) not in read)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        unit = {"PRICE": "", "PERCENT": " %", "AMOUNT": " away"}[value["kind"]]
        return f"{value['value']}{unit}{' trailing' if value['trailing'] else ''}"
    return str(value)
