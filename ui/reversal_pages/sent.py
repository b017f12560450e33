"""The signals that a user was sent: those that wait for an answer as cards, and all of them as a list."""

import streamlit as st

from actions import tracked_trades as actions
from database import discord_accounts, reversal_reading
from database.accounts import User
from database.pool import Row
from database.reversal_reading import SignalState
from ui import tabs
from ui.calm import calm, doing, done
from ui.drawing import clickable, clicked, facts, page_buttons, page_key
from ui.formatting import NOTHING
from ui.places import DISCORD
from ui.reversal_pages import frames, measured, words
from ui.reversal_pages.address import go_to
from ui.services import now, services
from ui.tables import plain

NAME = "reversals"
REFRESH_SECONDS = 5
NAMES = {
    SignalState.TO_ANSWER: "To answer",
    SignalState.OPENED: "Opened",
    SignalState.IGNORED: "Ignored",
    SignalState.WAITING: "Not sent yet",
    SignalState.FAILED: "Not delivered",
}
SETTINGS_TAB = "Reversal signals"
LINKING_TAB = "Your Discord account"
NOT_LINKED = (
    "Signals are sent over Discord, and your Discord account is not linked yet. Link it, and choose which pairs and"
    " timeframes you want to hear of."
)
SWITCHED_OFF = "You switched signals off. Switch them on to be told of the next one."
NO_CHOICE = "You chose no pair or no timeframe, so no signal can match. Choose some."
NOTHING_YET = (
    "No signal was sent to you yet. Latest scores tells for each pair what was found last, and why you were not"
    " told."
)
NONE_MATCH = "No signal is in that state."
NONE_TO_ANSWER = "No signal waits for your answer."


def draw(user: User) -> None:
    """Draw the tab."""
    with services().database.transaction() as transaction:
        settings = discord_accounts.settings_of(transaction, user.id)
    lead_to_settings(settings)
    to_answer(user)
    listed(user)


def lead_to_settings(settings: Row) -> None:
    """Say what keeps every signal from the user, with the way to where it is changed."""
    if settings["discord_user_id"] is None:
        lead(NOT_LINKED, "Link Discord", LINKING_TAB)
    elif not settings["notifications_enabled"]:
        lead(SWITCHED_OFF, "Settings of signals", SETTINGS_TAB)
    elif not settings["preferred_pairs"] or not settings["enabled_timeframes"]:
        lead(NO_CHOICE, "Choose pairs and timeframes", SETTINGS_TAB)


def lead(sentence: str, label: str, tab: str) -> None:
    """Say what is missing, and lead to the tab of Discord & alerts where it is set."""
    st.info(sentence, icon=":material/info:")
    st.page_link(DISCORD, label=label, icon=":material/arrow_forward:", query_params={tabs.OPEN: tab})


@st.fragment(run_every=REFRESH_SECONDS)
def to_answer(user: User) -> None:
    """Draw a card for each signal that may still be answered; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            rows = reversal_reading.signals_to_answer(transaction, user.id, now())
        if not rows:
            st.caption(NONE_TO_ANSWER)
        for row in rows:
            with st.container(border=True, key=f"signal-{row['id']}"):
                card(user, row)


def card(user: User, row: Row) -> None:
    """Draw one signal with its buttons."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(title(row), width="content")
        with st.container(horizontal=True, width="content"):
            if st.button("Open trade", key=f"open-{row['id']}", type="primary", icon=":material/add:"):
                go_to(row["id"])
            ignore_button(user, row)
    levels(row)
    left = words.in_short(row["expires_at"] - now())
    st.caption(f"{left} left to answer · Discord: {words.sending(row, now())}")
    tell_failure(row)


def title(row: Row) -> str:
    """Write what the signal is, with its marks."""
    side = words.BADGES[row["signal_type"]]
    return f"{side} **{plain(row['pair'])}** {row['timeframe']} {words.marks(row)}"


def levels(row: Row) -> None:
    """Draw confidence and prices."""
    facts(
        ("Confidence", measured.confidence(row)),
        ("Entry", words.price(row["pair"], row["entry_price"])),
        ("Stop", words.distance(row, "stop_loss")),
        ("Target", words.distance(row, "take_profit")),
        ("Risk : reward", words.ratio(row["risk_reward_ratio"])),
    )


def ignore_button(user: User, row: Row) -> None:
    """Draw what answers a signal with no."""
    if st.button("Ignore", key=f"ignore-{row['id']}", icon=":material/close:"):
        with doing():
            actions.ignore(services().database, user.id, row["id"], now())
            done(f"The {row['pair']} signal is ignored.")


def tell_failure(row: Row) -> None:
    """Say why the message was not delivered, where it was not."""
    why = words.why_not_sent(row)
    if why != NOTHING:
        st.warning(plain(why), icon=":material/notifications_off:")


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw one page of all signals; a click on a row opens that signal."""
    with calm():
        st.subheader("All signals sent to you", anchor=False)
        state = _chosen_state()
        before = page_key(NAME, state)
        with services().database.transaction() as transaction:
            page = reversal_reading.signals_page(transaction, user.id, state, now(), before=before)
        if not page.rows:
            st.caption(NONE_MATCH if state else NOTHING_YET)
            return
        st.caption("Click a row to see all of that signal.")
        if any(words.is_replay(row) for row in page.rows):
            st.caption(f"↻ {words.IN_REPLAY}")
        event = clickable(
            frames.signals(page.rows, user.time_zone, now()),
            key=f"{NAME} table {before}",
            columns={"Why not sent": st.column_config.TextColumn(width="medium")},
        )
        page_buttons(NAME, page, reversal_reading.PAGE)
        row = clicked(event, page.rows)
        if row is not None:
            go_to(row["id"])


def _chosen_state() -> SignalState | None:
    return st.selectbox(
        "Show",
        [None, *NAMES],
        format_func=lambda state: "All" if state is None else NAMES[state],
        key=f"{NAME} state",
        width=200,
    )
