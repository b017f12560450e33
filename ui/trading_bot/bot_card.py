"""One bot as a card: what it is, how it stands, what its last signal came to."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from actions import bots as actions
from actions.lending import margin_modes
from core.bot import TradingState
from database.accounts import User
from database.pool import Row
from database.signal_channels import titled
from ui import tables, tabs
from ui.calm import acting, doing, done
from ui.drawing import facts
from ui.formatting import age, average, gain, money, painted, quantity
from ui.places import DISCORD
from ui.services import now, services
from ui.tables import STATUS_SIGNS, plain

COLOURS = {
    "READY": "gray", "ORDER SUBMITTED": "blue", "PARTIALLY FILLED": "blue", "FILLED": "green",
    "REJECTED": "red", "ERROR": "red", "RISK LIMIT HIT": "red", "DISABLED": "gray",
}  # fmt: skip
CLOSED_BY_HAND = "Closed in the dashboard."


def draw(user: User, row: Row, *, details: bool = True, channel: Row | None = None) -> None:
    """Draw the card with its buttons; `details` draws the one that opens the bot in full.

    `channel` is the signal channel that made the bot, with its id, name and whether it is archived.
    """
    with head_line():
        draw_name(row)
        with st.container(horizontal=True, width="content"):
            if details and st.button("Details", key=f"open-{row['id']}", icon=":material/settings:"):
                st.query_params["bot"] = str(row["id"])
                st.rerun()
            draw_switch(user, row)
            if row["holds"]:
                draw_close(user, row)
    draw_place(row)
    if channel is not None:
        draw_channel(channel)
    draw_figures(row)
    draw_last_signal(row)


def head_line() -> DeltaGenerator:
    """Return the place for a card's name and, at the right or below it, its buttons."""
    return st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")


def draw_name(row: Row) -> None:
    """Draw name and status."""
    status = row["order_status"]
    badges = f":{COLOURS[status]}-badge[{STATUS_SIGNS[status]}]"
    if row["mode"] == "live":
        badges += " :red-badge[LIVE]"
    if row["archive_when_closed"]:
        badges += " :orange-badge[⏳ closing, then deleted]"
    elif row["exit_asked"] and row["holds"]:
        badges += " :orange-badge[⏳ closing]"
    st.markdown(f"**{plain(row['name'])}** {badges}", width="content")


def draw_place(row: Row) -> None:
    """Say what the bot trades and where, and what keeps it from entering."""
    size = {"notional": f"{money(row['position_size'])} per trade", "units": f"{quantity(row['position_size'])} units",
            "risk_percent": f"{quantity(row['position_size'])} % at risk"}[row["size_mode"]]  # fmt: skip
    lent = f" · {tables.leverage(row)}" if row["leverage"] and margin_modes(row["broker"]) else ""
    st.caption(
        f"{row['symbol']} · {row['timeframe'] or 'any timeframe'} · {size}{lent} · {plain(row['connection'])}"
    )
    if row["trading_state"] == TradingState.HALTED:
        st.error("HALTED by its kill switch: nothing is sent, not even protection.", icon=":material/block:")
    elif row["trading_state"] == TradingState.REDUCING:
        words = (
            "Closing everything, then it halts." if row["flatten"] else "Only closes positions (REDUCING)."
        )
        st.warning(words, icon=":material/trending_down:")
    if row["connection_status"] == "PROBLEM":
        st.warning("Its connection has a problem; see Setup.", icon=":material/link_off:")


def draw_channel(channel: Row) -> None:
    """Lead to the signal channel whose signals the bot follows."""
    name = f"from {plain(titled(channel['name']))}"
    if channel["archived"]:
        st.caption(f"{name}, which is archived: no signal comes any more.")
    else:
        st.page_link(DISCORD, label=name, icon=":material/forum:", width="content",
                     query_params={tabs.OPEN: "Signal channels", "channel": str(channel["id"])})  # fmt: skip


def draw_figures(row: Row) -> None:
    """Draw what the bot made and what it holds."""
    pairs = [
        ("Realized P&L", painted(gain(row["total_pnl"]), row["total_pnl"])),
        ("Trades", f"{row['total_trades']:,}"),
    ]
    if row["holds"]:
        side = "▲ LONG" if row["quantity"] > 0 else "▼ SHORT"
        pairs += [
            ("Holds", f"{side} {quantity(abs(row['quantity']))}"),
            ("Entry", average(row["average_price"])),
            ("Unrealized P&L", painted(gain(row["unrealized"]), row["unrealized"])),
        ]
    else:
        pairs.append(("Holds", "nothing"))
    facts(*pairs)


def draw_last_signal(row: Row) -> None:
    """Say what the last signal came to: why nothing happened is everybody's first question."""
    if row["last_at"] is None:
        st.caption("No signal came yet.")
        return
    came = f"Last signal {row['last_action'] or ''} {age(row['last_at'], now())}"
    st.caption(f"{came}: {plain(row['last_sentence'] or row['last_code'] or row['last_state'].lower())}")


def draw_switch(user: User, row: Row) -> None:
    """Draw the button that enables or disables the bot."""
    active = row["is_active"]
    label, icon = ("Disable", ":material/pause:") if active else ("Enable", ":material/play_arrow:")
    if st.button(label, key=f"switch-{row['id']}", icon=icon):
        with doing():
            actions.switch(services(), acting(user), row["id"], active=not active)
            what = "disabled; its exits still pass" if active else "enabled"
            done(f"{row['name']} is {what}.")


def draw_close(user: User, row: Row) -> None:
    """Draw what closes the position now, after asking."""
    with st.popover("Close position", icon=":material/logout:"):
        st.markdown(f"Close **{plain(actions.held_in_words(row))}** at the market now?")
        if st.button("Close it now", key=f"close-{row['id']}", type="primary"):
            with doing():
                closing = actions.close(services(), acting(user), row["id"], sentence=CLOSED_BY_HAND)
                done(said_of_closing(closing))


def said_of_closing(closing: actions.Closing) -> str:
    """Say what is being closed, and what it waits for."""
    words = f"{closing.name} is closing {quantity(closing.quantity)} {closing.symbol}"
    words += " already." if closing.already else "."
    if closing.waits_for:
        words += f" It waits: {closing.waits_for} is HALTED. Set that to reducing, and it goes."
    return words
