"""One bot's position as a card: side, entry against the current price, protection, and closing it."""

from decimal import Decimal

import streamlit as st

from core.money import ZERO
from database.accounts import User
from database.pool import Row
from ui.drawing import facts
from ui.formatting import MINUS, NOTHING, age, average, gain, moment, painted, price, quantity
from ui.services import now
from ui.tables import plain
from ui.trading_bot import bot_card

OLD_SECONDS = 60
WATCHERS = {"ENGINE": "watched by DashTrade", "BROKER": "resting at the broker"}


def draw(user: User, row: Row) -> None:
    """Draw the card with the button that closes the position."""
    long = row["quantity"] > ZERO
    badges = ":green-badge[▲ LONG]" if long else ":orange-badge[▼ SHORT]"
    badges += " :red-badge[LIVE]" if row["mode"] == "live" else ""
    badges += " :blue-badge[… closing]" if row["exit_asked"] else ""
    with bot_card.head_line():
        st.markdown(f"**{plain(row['symbol'])}** {badges} {plain(row['name'])}", width="content")
        if row["exit_asked"]:
            st.caption("Its close is under way.", width="content")
        else:
            bot_card.draw_close(user, row)
    facts(
        ("Quantity", quantity(abs(row["quantity"]))),
        ("Entry", average(row["average_price"])),
        ("Now", price(row["current_price"])),
        ("Unrealized P&L", unrealized(row)),
    )
    st.caption(
        f"{_protection(row)}  \n{plain(row['connection'])} · open since {moment(row['opened_at'], user.time_zone)}"
        f" · price from {age(row['priced_at'], now())}"
    )
    _tell_old_price(row)


def unrealized(row: Row) -> str:
    """Write the unrealized P&L with its share of what the position cost, coloured and signed."""
    share = percent_of_cost(row)
    if share is None:
        return f"{NOTHING} (no price yet)"
    text = f"{gain(row['unrealized'])} ({share:+.2f} %)".replace("-", MINUS)
    return painted(text, row["unrealized"])


def percent_of_cost(row: Row) -> Decimal | None:
    """Return the unrealized P&L in percent of the position's cost; None without a price."""
    cost = abs(row["quantity"]) * row["average_price"]
    if row["unrealized"] is None or not cost:
        return None
    return Decimal(100) * Decimal(row["unrealized"]) / Decimal(cost)


def _protection(row: Row) -> str:
    if row["stop_price"] is None and row["target_price"] is None:
        return "No stop and no target."
    stop = f"Stop {price(row['stop_price'])}" if row["stop_price"] is not None else "No stop"
    target = f"target {price(row['target_price'])}" if row["target_price"] is not None else "no target"
    return f"{stop} · {target} · {WATCHERS[row['held_by']]}"


def _tell_old_price(row: Row) -> None:
    priced_at = row["priced_at"]
    if priced_at is not None and (now() - priced_at).total_seconds() > OLD_SECONDS:
        words = "The broker has not been heard for a while: price and P&L are old. See the account above."
        st.warning(words, icon=":material/schedule:")
