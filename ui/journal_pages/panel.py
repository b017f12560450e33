"""One tracked trade in full: moving its stop and target, closing it, and everything that happened to it."""

from decimal import Decimal

import streamlit as st

from actions import tracked_trades as actions
from core.wording import number
from database import tracked_trades, trade_updates
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, done
from ui.drawing import table
from ui.formatting import moment
from ui.inputs import Slots, amount, amount_input
from ui.journal_pages import card, frames, words
from ui.places import REVERSAL_SIGNALS
from ui.reversal_pages.words import IN_REPLAY, is_replay
from ui.services import now, services
from ui.tables import plain

TRADE = "trade"
REFRESH_SECONDS = 5
NO_SUCH = "There is no such trade of yours."
NOTHING_HAPPENED = "Nothing happened to it yet. It is looked at once a minute."
CLOSING = (
    "Close it at the price that was last seen, or at the price at which you closed it elsewhere. DashTrade places no"
    " order for this."
)
CLOSING_AT_BROKER = "Its position is closed at the market, at the broker."


def named() -> int | None:
    """Return the number of the trade that the address names, None where it names none."""
    text = st.query_params.get(TRADE, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def draw(user: User, trade_id: int) -> None:
    """Draw the trade that the address names."""
    if st.button("All trades", icon=":material/arrow_back:", type="tertiary"):
        st.query_params.pop(TRADE, None)
        st.rerun()
    with services().database.transaction() as transaction:
        row = tracked_trades.trade(transaction, user.id, trade_id)
    if row is None:
        st.warning(NO_SUCH, icon=":material/search_off:")
        return
    st.markdown(f"### {card.title(row)}")
    if is_replay(row):
        st.warning(IN_REPLAY, icon=":material/replay:")
    standing(user, trade_id, row["status"])
    if row["status"] == "open":
        with st.container(horizontal=True):
            if row["signal_uuid"] is None:
                with st.popover("Edit stop and target", icon=":material/edit:"):
                    editing(user, row)
            with st.popover("Close trade", icon=":material/logout:"):
                closing(user, row)
    about(row, user.time_zone)
    happened(user, trade_id)


@st.fragment(run_every=REFRESH_SECONDS)
def standing(user: User, trade_id: int, status: str) -> None:
    """Draw how the trade stands; runs again by itself, and the page with it where the trade ended meanwhile."""
    with calm():
        with services().database.transaction() as transaction:
            row = tracked_trades.trade(transaction, user.id, trade_id)
        if row is None:
            st.warning(NO_SUCH, icon=":material/search_off:")
            return
        if row["status"] != status:
            st.rerun()
        with st.container(border=True):
            if row["status"] == "open":
                card.figures(row)
                st.caption(card.since(user, row))
            else:
                card.ended(row)


def editing(user: User, row: Row) -> None:
    """Draw the form that moves stop and target."""
    slots: Slots = {}
    with st.form(f"edit-{row['id']}", border=False):
        key = f"edit-{row['id']}"
        stop = amount_input(slots, "stop", "Stop loss", row["stop_loss"], key=f"{key}-stop", checked=False)
        target = amount_input(
            slots, "target", "Take profit", row["take_profit"], key=f"{key}-target", checked=False
        )
        if st.form_submit_button("Save", type="primary"):
            with calm(slots):
                actions.edit_levels(
                    services().database, user.id, acting(user).actor, row["id"], now(),
                    stop=amount(stop, "stop", "Stop loss"), target=amount(target, "target", "Take profit"),
                )  # fmt: skip
                done(f"Stop and target of trade #{row['id']} are changed.")


def closing(user: User, row: Row) -> None:
    """Draw the form that ends the trade."""
    slots: Slots = {}
    st.markdown(CLOSING if row["signal_uuid"] is None else CLOSING_AT_BROKER)
    with st.form(f"close-{row['id']}", border=False):
        price = ""
        if row["signal_uuid"] is None:
            seen = row["current_price"]
            price = st.text_input(
                "Price", "", key=f"close-{row['id']}-price", autocomplete="off",
                placeholder=f"empty: {words.price(row['pair'], seen)}" if seen is not None else "the price you got",
            )  # fmt: skip
            slots["price"] = st.empty()
        if st.form_submit_button("Close it", type="primary"):
            with calm(slots):
                close(user, row, amount(price or "", "price", "Price", optional=True))


def close(user: User, row: Row, price: Decimal | None) -> None:
    """End the trade and say how it ended."""
    ended = actions.close_trade(
        services().database, user.id, acting(user).actor, row["id"], now(), price=price
    )
    if ended.is_pending:
        done(f"The exit of trade #{row['id']} was asked for: it ends with its fill at the broker.")
    done(ended.message)


def about(row: Row, zone: str) -> None:
    """Draw where the trade came from and what the user noted."""
    if row["notes"]:
        st.markdown("**Notes**")
        st.text(row["notes"])
    if row["signal_notification_id"] is not None:
        st.page_link(REVERSAL_SIGNALS, label="The signal that it followed", icon=":material/sensors:",
                     query_params={"signal": str(row["signal_notification_id"])})  # fmt: skip
    told = (
        f"Opened {moment(row['entry_time'], zone)} · {number(row['lot_size'])} lots · risk {words.risk(row)}"
    )
    st.caption(plain(told))


@st.fragment(run_every=REFRESH_SECONDS)
def happened(user: User, trade_id: int) -> None:
    """Draw what happened to the trade; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            rows = trade_updates.of_trade(transaction, user.id, trade_id)
        st.subheader("What happened", anchor=False)
        table(frames.updates(rows, user.time_zone), NOTHING_HAPPENED, key="trade-updates")
