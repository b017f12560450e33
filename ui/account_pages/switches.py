"""The kill switch over everything of the user, and the one over each connection."""

from collections.abc import Callable

import streamlit as st

from actions import safety
from database import accounts, connections
from database.accounts import User
from database.kill_switch import Change, Wanted
from ui.calm import acting, calm, done
from ui.inputs import Slots
from ui.services import services
from ui.tables import plain

NAMES = {
    Wanted.ACTIVE: "Active",
    Wanted.REDUCING: "Reducing",
    Wanted.HALTED: "Halted",
    Wanted.FLATTEN: "Flatten",
}
MEANINGS = [
    "Entries and exits go.",
    "Only exits go.",
    "Nothing is sent, not even protection.",
    "Everything is closed, then it halts.",
]
SIGNS = {
    Wanted.ACTIVE: ":green-badge[● ACTIVE]",
    Wanted.REDUCING: ":orange-badge[▼ REDUCING]",
    Wanted.HALTED: ":red-badge[■ HALTED]",
    Wanted.FLATTEN: ":orange-badge[⏳ CLOSING EVERYTHING]",
}
Setter = Callable[[Wanted, str], Change]


def draw(user: User) -> None:
    """Draw the user's own switch, then the connections'."""
    with services().database.transaction() as transaction:
        me = accounts.user(transaction, user.id) or user
        places = connections.shown_connections(transaction, user.id)
    tools, who = services(), acting(user)
    st.subheader("All your bots", anchor=False)
    draw_switch(
        "user",
        shown(me.trading_state, flatten=me.flatten),
        lambda wanted, typed: safety.set_own_switch(tools, who, wanted, confirmation=typed),
    )
    st.subheader("Connections", anchor=False)
    if not places:
        st.caption("No connection yet: 🤖 Trading Bot, Setup connects one.")
    for row in places:
        with st.container(border=True):
            live = " :red-badge[LIVE]" if row["mode"] == "live" else ""
            st.markdown(f"**{plain(row['label'])}**{live}")

            def set_it(wanted: Wanted, typed: str, connection_id: int = row["id"]) -> Change:
                return safety.set_connection_switch(tools, who, connection_id, wanted, confirmation=typed)

            draw_switch(
                f"connection-{row['id']}", shown(row["trading_state"], flatten=row["flatten"]), set_it
            )
    st.caption("A bot's own switch is in My Bots, Details. The strictest switch over a bot counts.")


def draw_switch(key: str, now: Wanted, set_it: Setter) -> None:
    """Draw how a switch stands and the form that sets it; closing everything wants a word typed."""
    st.markdown(SIGNS[now])
    slots: Slots = {}
    wanted = st.radio(
        "Set it to", list(NAMES), index=list(NAMES).index(now), format_func=NAMES.__getitem__, captions=MEANINGS,
        key=f"switch-{key}-{now}", label_visibility="collapsed",
    )  # fmt: skip
    with st.form(f"switch-{key}-form", border=False):
        typed = ""
        if wanted is Wanted.FLATTEN:
            typed = st.text_input(
                f"This closes every position at the market. Type {safety.FLATTEN_WORD} to confirm",
                key=f"switch-{key}-typed", autocomplete="off", width=420,
            ) or ""  # fmt: skip
        slots["confirmation"] = st.empty()
        if st.form_submit_button(
            "Set the switch", type="primary" if wanted is Wanted.FLATTEN else "secondary"
        ):
            with calm(slots):
                done(safety.in_words(set_it(wanted, typed)))


def shown(state: str, *, flatten: bool) -> Wanted:
    """Return what a switch is set to."""
    return Wanted.FLATTEN if flatten and state == "REDUCING" else Wanted(state)
