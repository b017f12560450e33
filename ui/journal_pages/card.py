"""One tracked trade as a card: how it stands between its stop and its target."""

import streamlit as st

from core.wording import number
from database.accounts import User
from database.pool import Row
from ui.drawing import facts
from ui.formatting import NOTHING, age, moment, painted
from ui.journal_pages import words
from ui.reversal_pages.words import BADGES, REPLAY, is_replay
from ui.services import now
from ui.tables import plain

NOT_YET = "No price came since it was opened."
BY_OWNER = "Nobody gives DashTrade prices of this pair: it ends when you close it here."


def title(row: Row) -> str:
    """Write which trade it is, with its marks."""
    marks = f" {REPLAY}" if is_replay(row) else ""
    marks += " :blue-badge[order at a broker]" if row["signal_uuid"] is not None else ""
    what = f"**{plain(row['pair'])}** {number(row['lot_size'])} lots :gray[#{row['id']}]"
    return f"{BADGES[row['direction']]} {what}{marks}"


def figures(row: Row) -> None:
    """Draw an open trade's figures and how far it has come."""
    facts(
        ("P&L now", words.coloured_profit(row, "current_pnl", "current_pips")),
        (words.unit(row), painted(words.pips(row, "current_pips"), row["current_pips"])),
        ("Entry", words.price(row["pair"], row["entry_price"])),
        ("Now", words.price(row["pair"], row["current_price"])),
    )
    progress(row)


def progress(row: Row) -> None:
    """Draw the bar from the stop to the target."""
    come = words.way(row)
    stop = f":red[Stop {words.price(row['pair'], row['stop_loss'])}]"
    target = f":green[Target {words.price(row['pair'], row['take_profit'])}]"
    if come is None:
        st.markdown(f"{stop} → {target}")
        st.caption(NOT_YET)
        return
    text = f"{stop} → {come * 100:.0f} % of the way (entry at {words.start(row) * 100:.0f} %) → {target}"
    st.progress(float(come), text=text)


def ended(row: Row) -> None:
    """Draw how a trade ended."""
    facts(
        ("Result", painted(words.result(row), row["pips"])),
        ("P&L", words.coloured_profit(row, "profit_loss", "pips")),
        (words.unit(row), painted(words.pips(row, "pips"), row["pips"])),
        ("Entry", words.price(row["pair"], row["entry_price"])),
        ("Exit", words.price(row["pair"], row["close_price"])),
        ("Why", words.REASONS.get(row["close_reason"] or "", NOTHING)),
        ("Held for", words.lasted(row, now())),
    )


def since(user: User, row: Row) -> str:
    """Write since when the trade runs, when it was looked at, and when its time is up."""
    told = [f"open since {moment(row['entry_time'], user.time_zone)} ({words.lasted(row, now())})"]
    if row["current_price"] is not None:
        told.append(f"looked at {age(row['updated_at'], now())}")
    if row["expires_at"] is not None:
        told.append(f"closed by its time limit {moment(row['expires_at'], user.time_zone)}")
    if row["source"] == "none":
        told.append(BY_OWNER)
    return " · ".join(told)
