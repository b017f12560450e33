"""Figures of each UTC day, of all accounts together: signals, trades, delivery, and how the scan did."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from core.trade_wording import duration
from database import reversal_reading
from database.accounts import User
from database.pool import Row
from ui.drawing import chart, facts, table
from ui.formatting import MINUS, NOTHING, gain
from ui.reversal_pages import figures
from ui.reversal_pages.frames import frame
from ui.services import now, services
from ui.tables import Rows

SPANS = {"Week": 7, "Month": 30, "Quarter": 91, "Year": 365}
NO_DAY = (
    'No day is counted yet. The figures of a day are made after midnight UTC by the part "reversal watch": look'
    " again tomorrow."
)
EXPLAINED = (
    "A day is UTC's. **Answered** is the share of signals that somebody opened or ignored, **traded** of those that"
    " became a trade; both count on the day of the answer. Pips are those of currency pairs; P&L is in dollars, without"
    " the trades for which no rate was known."
)
SIGNALS = {"signals_sent": "sent", "signals_acknowledged": "answered", "signals_traded": "traded"}
TRADES = {"trades_closed": "closed", "trades_won": "won", "trades_lost": "lost"}
DELIVERY = {"delivery_ms_p50": "half within, ms", "delivery_ms_p99": "99 % within, ms"}
TROUBLE = {"scans_failed": "scans failed", "messages_failed": "messages not delivered"}


def draw(user: User) -> None:
    """Draw the tab."""
    span = st.segmented_control("Over the last", list(SPANS), default="Month", required=True, key="days-span",
                                label_visibility="collapsed")  # fmt: skip
    with services().database.transaction() as transaction:
        rows = reversal_reading.days(transaction, now().date(), SPANS[str(span)])
    if not rows:
        st.info(NO_DAY, icon=":material/calendar_month:")
        return
    totals(rows)
    shown = pd.DataFrame(rows)
    left, right = st.columns(2)
    for place, title, names in (
        (left, "Signals", SIGNALS), (right, "Trades", TRADES), (left, "Delivery", DELIVERY),
        (right, "Trouble", TROUBLE),
    ):  # fmt: skip
        with place:
            st.markdown(f"**{title}**")
            words = f"{title} of each day: {', '.join(names.values())}."
            chart(figures.per_day(shown, names), key=f"days-{title}", words=words)
    table(days(list(reversed(rows))), NOTHING, key="days-table")
    st.caption(EXPLAINED)


def totals(rows: list[Row]) -> None:
    """Draw the sums and shares of the whole span."""
    newest = rows[-1]

    def sum_of(name: str) -> int:
        return sum(row[name] for row in rows)

    facts(
        ("Discord linked", share(newest["users_linked"], newest["users"])),
        ("Signals sent", f"{sum_of('signals_sent'):,}"),
        ("Answered", share(sum_of("signals_acknowledged"), sum_of("signals_sent"))),
        ("Traded", share(sum_of("signals_traded"), sum_of("signals_sent"))),
        ("Win rate", share(sum_of("trades_won"), sum_of("trades_won") + sum_of("trades_lost"))),
        ("Scans that worked", share(sum_of("scans") - sum_of("scans_failed"), sum_of("scans"))),
        ("Delivered", share(sum_of("messages_sent"), sum_of("messages_sent") + sum_of("messages_failed"))),
    )


def days(rows: Rows) -> pd.DataFrame:
    """Return the figures of days as text."""
    return frame(
        rows,
        {
            "Day": lambda row: f"{row['day']:%d %b %Y}",
            "Signals sent": lambda row: f"{row['signals_sent']:,}",
            "Answered": lambda row: share(row["signals_acknowledged"], row["signals_sent"]),
            "Traded": lambda row: share(row["signals_traded"], row["signals_sent"]),
            "Trades closed": lambda row: f"{row['trades_closed']:,}",
            "Win rate": lambda row: share(row["trades_won"], row["trades_won"] + row["trades_lost"]),
            "Average R : R": lambda row: _ratio(row["average_reward_to_risk"]),
            "Held for": _held,
            "Pips": lambda row: _signed(row["total_pips"]),
            "P&L": lambda row: gain(row["total_profit_loss"], "USD"),
            "Without a rate": lambda row: f"{row['trades_unpriced']:,}",
            "Delivery, half within": lambda row: milliseconds(row["delivery_ms_p50"]),
            "99 % within": lambda row: milliseconds(row["delivery_ms_p99"]),
            "Scans": lambda row: f"{row['scans']:,} ({row['scans_failed']:,} failed)",
            "Discord": lambda row: f"{row['messages_sent']:,} ({row['messages_failed']:,} failed)",
            "Model takes": lambda row: milliseconds(row["model_ms_mean"]),
            "Discord linked": lambda row: share(row["users_linked"], row["users"]),
        },
    )


def share(part: int, whole: int) -> str:
    """Write a share with what it is of: `42 % of 38`; of nothing there is none."""
    return f"{100 * part / whole:.0f} % of {whole:,}" if whole else NOTHING


def milliseconds(value: Decimal | None) -> str:
    """Write a span of time: `420 ms`, `1.6 s`."""
    if value is None:
        return NOTHING
    return f"{value / 1000:,.1f} s" if value >= 1000 else f"{value:.0f} ms"


def _held(row: Mapping[str, Any]) -> str:
    seconds = row["average_holding_seconds"]
    return NOTHING if seconds is None else duration(timedelta(seconds=seconds))


def _ratio(value: Decimal | None) -> str:
    return NOTHING if value is None else f"1 : {value:.1f}"


def _signed(value: Decimal) -> str:
    sign = "▲ +" if value > 0 else f"▼ {MINUS}" if value < 0 else ""
    return f"{sign}{abs(value):,.1f}"
