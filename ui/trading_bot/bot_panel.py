"""One bot in full: its card, its settings, its kill switch, and how it is deleted."""

from typing import NoReturn

import streamlit as st

from actions import bots as actions
from actions.lending import margin_modes
from core.bot import TradingState
from database import bot_list, channel_pages
from database.accounts import User
from database.kill_switch import Wanted
from database.pool import Row
from ui import tables
from ui.calm import acting, calm, done
from ui.inputs import Slots
from ui.services import services
from ui.tables import plain
from ui.trading_bot import bot_card, bot_fields

REFRESH_SECONDS = 4
SWITCHES = {
    Wanted.ACTIVE: ("Active", "Entries and exits go."),
    Wanted.REDUCING: ("Reducing", "Only exits go."),
    Wanted.HALTED: ("Halted", "Nothing is sent, not even protection."),
    Wanted.FLATTEN: ("Flatten", "Everything is closed, then it halts."),
}


def draw(user: User, bot_id: int) -> None:
    """Draw the bot, or that there is none: another user's looks like one that does not exist."""
    if st.button("All bots", icon=":material/arrow_back:"):
        _leave()
    with services().database.transaction() as transaction:
        row = bot_list.bot_card(transaction, user.id, bot_id)
    if row is None:
        st.info(f"There is no bot {bot_id}.", icon=":material/search_off:")
        return
    card(user, bot_id)
    st.subheader("Settings", anchor=False)
    settings_form(user, row)
    st.subheader("Kill switch", anchor=False)
    kill_switch_form(user, row)
    st.subheader("Delete", anchor=False)
    deletion(user, row)


@st.fragment(run_every=REFRESH_SECONDS)
def card(user: User, bot_id: int) -> None:
    """Draw how the bot stands; runs again by itself, and leaves once the bot is put away."""
    with calm():
        with services().database.transaction() as transaction:
            row = bot_list.bot_card(transaction, user.id, bot_id)
            channels = channel_pages.names(transaction, user.id)
        if row is None:
            _leave()
        with st.container(border=True):
            bot_card.draw(user, row, details=False, channel=channels.get(row["signal_channel_id"]))


def settings_form(user: User, row: Row) -> None:
    """Draw every setting that can be changed."""
    slots: Slots = {}
    key = f"bot-{row['id']}"
    with st.form(key):
        if row["signal_channel_id"] is not None:
            st.caption("Its signal channel made it: a change of the channel's settings replaces these.")
        what = f"{row['symbol']} at {plain(row['connection'])}, signals of {tables.source(row['source'])}"
        st.caption(
            f"{what}: these stay, since its trades belong to them. For another symbol make another bot."
        )
        name = st.text_input("Name", row["name"], key=f"{key}-name", autocomplete="off")
        slots["name"] = st.empty()
        typed = bot_fields.main_fields(row, key, slots)
        with st.expander("Advanced"):
            typed |= bot_fields.advanced_fields(row, key, slots, margin_modes(row["broker"]))
        if st.form_submit_button("Save", type="primary", icon=":material/save:"):
            with calm(slots):
                actions.edit(services(), acting(user), row["id"], name=name or "", **bot_fields.read(typed))
                done(f"{name} is saved.")


def kill_switch_form(user: User, row: Row) -> None:
    """Draw the switch of this bot alone; the server's, the user's and the connection's stand over it."""
    current = Wanted.FLATTEN if row["flatten"] and row["trading_state"] == TradingState.REDUCING else Wanted(
        row["trading_state"])  # fmt: skip
    with st.form(f"switch-{row['id']}"):
        wanted = st.radio(
            "This bot is", list(SWITCHES), list(SWITCHES).index(current), key=f"kill-{row['id']}-{current}",
            format_func=lambda each: SWITCHES[each][0], captions=[words for _, words in SWITCHES.values()],
        )  # fmt: skip
        if st.form_submit_button("Set the switch", icon=":material/power_settings_new:"):
            with calm():
                change = actions.set_switch(services(), acting(user), row["id"], Wanted(wanted))
                held = " It cannot close: a switch above it is HALTED." if change.held_back else ""
                done(f"{row['name']} is {change.after.lower()} now.{held}")


def deletion(user: User, row: Row) -> None:
    """Ask before the bot is put away, and what to do with what it holds."""
    if row["archive_when_closed"]:
        st.info(
            "It is closing its position and is deleted as soon as it is flat.", icon=":material/hourglass:"
        )
        return
    if row["holds"]:
        st.warning(
            f"{plain(row['name'])} holds {plain(actions.held_in_words(row))}. Close it first, or let both be done:"
            " it takes no more entries, is closed at the market, and is deleted when the close is final.",
            icon=":material/warning:",
        )
    st.caption("Its trades and P&L stay in the history.")
    agreed = st.checkbox("Yes, delete this bot", key=f"agree-{row['id']}-{row['holds']}")
    label = "Close and delete" if row["holds"] else "Delete"
    if st.button(label, key=f"delete-{row['id']}", icon=":material/delete:", disabled=not agreed):
        with calm():
            _delete(user, row)


def _delete(user: User, row: Row) -> None:
    if row["holds"]:
        closing = actions.close_and_archive(
            services(), acting(user), row["id"], sentence="Closed in the dashboard, to be deleted."
        )
        done(f"{bot_card.said_of_closing(closing)} It is deleted when the close is final.")
    actions.archive(services(), acting(user), row["id"])
    st.query_params.pop("bot", None)
    done(f"{row['name']} is deleted; its trades stay in the history.")


def _leave() -> NoReturn:
    st.query_params.pop("bot", None)
    st.rerun()
