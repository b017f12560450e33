"""One signal in full: what it says, what it was made of, and the form that opens its trade."""

import streamlit as st

from actions import tracked_trades as actions
from core.reversal import RULES
from database import reversal_reading
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm
from ui.formatting import moment
from ui.journal_pages import opening
from ui.places import TRADE_JOURNAL
from ui.reversal_pages import measured, sent, words
from ui.reversal_pages.address import go_back
from ui.services import now, services
from ui.tables import plain

NO_SUCH = "There is no such signal of yours."
CONFIDENCE = "how often such a trade should reach its target before its stop, by what was learned"


def draw(user: User, signal_id: int) -> None:
    """Draw the signal that the address names."""
    if st.button("All signals", icon=":material/arrow_back:", type="tertiary"):
        go_back()
    with services().database.transaction() as transaction:
        row = reversal_reading.signal(transaction, user.id, signal_id)
    if row is None:
        st.warning(NO_SUCH, icon=":material/search_off:")
        return
    st.markdown(f"### {sent.title(row)}")
    if words.is_replay(row):
        st.warning(words.IN_REPLAY, icon=":material/replay:")
    with st.container(border=True):
        sent.levels(row)
        details(row, user.time_zone)
    answered(user, row)


def details(row: Row, zone: str) -> None:
    """Draw what the signal was made of and how it was sent."""
    st.caption(
        f"Bar closed {moment(row['bar_closed_at'], zone)} · found {moment(row['created_at'], zone)} · model"
        f" {plain(row['model_version'])} · Discord: {words.sending(row, now())}"
    )
    if row["stage1_prob"] is not None:
        st.caption(
            f"A reversal begins here: {words.confidence(row['stage1_prob'])} · it goes up:"
            f" {words.confidence(row['stage2_prob'])} · together {words.confidence(row['confidence'])}: {CONFIDENCE}."
        )
    elif row["model_version"] == RULES:
        st.caption(measured.OF_THE_RULE)
    if not row["edge_shown"]:
        st.warning(f"{measured.no_edge(row)} {ASKED_FOR}", icon=":material/trending_flat:")
    factors = factors_of(row)
    if factors:
        st.markdown("**What it looked at**")
        st.markdown("  \n".join(f":gray[{name}:] {value}" for name, value in factors))
    sent.tell_failure(row)


ASKED_FOR = "It was sent since you asked for such signals too."


def factors_of(row: Row) -> list[tuple[str, str]]:
    """Return the figures that a signal carries, each with its name."""
    return [(plain(str(name)), plain(str(value))) for name, value in row["factors"]]


def answered(user: User, row: Row) -> None:
    """Draw the form for a signal that waits, or what became of it."""
    if row["answer"] is None and not row["acknowledged"] and row["expires_at"] > now():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**Open this trade**", width="content")
            st.caption(f"{words.in_short(row['expires_at'] - now())} left", width="content")
        opening.for_signal(user, row)
        ignoring(user, row)
        return
    st.markdown(f"**{plain(words.answer(row, now()).capitalize())}**")
    if row["trade_id"] is not None:
        st.page_link(TRADE_JOURNAL, label=f"Trade #{row['trade_id']}", icon=":material/arrow_forward:",
                     query_params={"trade": str(row["trade_id"])})  # fmt: skip
    elif row["answer"] is None:
        st.caption("A signal may be answered for one bar of its timeframe. A trade you made anyway can be entered"
                   " by hand in the Trade journal.")  # fmt: skip


def ignoring(user: User, row: Row) -> None:
    """Draw what answers with no, and leaves."""
    if st.button("Ignore this signal", icon=":material/close:"):
        with calm():
            actions.ignore(services().database, acting(user).owner, row["id"], now())
            go_back()
