"""Whether the markets are looked at, how each pair's prices come, and what was wrong with bars."""

from datetime import timedelta

import streamlit as st

from database import reversal_reading
from database.accounts import User
from ui.calm import calm
from ui.drawing import table
from ui.reversal_pages import frames, words
from ui.services import now, services
from ui.tables import plain

REFRESH_SECONDS = 10
LATELY = timedelta(days=7)
NO_FEED = (
    "No prices were fetched yet. They are fetched for the pairs and timeframes that somebody chose, as soon as a bar"
    " of theirs closes."
)
NO_FAULT = "None within 7 days: every bar came whole and in time."
FAULTS_EXPLAINED = (
    "A bar that is missing, late or impossible is never filled in or mended: while the newest bars have a gap, no"
    " signal is made of them."
)


def draw(user: User) -> None:
    """Draw the tab; it refreshes by itself."""
    health(user)


@st.fragment(run_every=REFRESH_SECONDS)
def health(user: User) -> None:
    """Draw scan, feeds and faults."""
    with calm():
        with services().database.transaction() as transaction:
            scan = reversal_reading.scanning(transaction)
            feeds = reversal_reading.feeds(transaction)
            faults = reversal_reading.faults(transaction, now() - LATELY)
        tell_scan(words.scan(scan, user.time_zone, now()))
        failing = [row for row in feeds if row["failed_since"]]
        if failing:
            first = failing[0]
            st.warning(
                f"{len(failing)} of {len(feeds)} feeds fail, {plain(first['pair'])} {first['timeframe']} since"
                f" {words.in_short(now() - first['failed_since'])}: {plain(first['failure'] or 'no reason given')}"
                " No signal is made of prices that do not come.",
                icon=":material/cloud_off:",
            )
        st.subheader("Prices", anchor=False)
        table(frames.feeds(feeds, user.time_zone, now()), NO_FEED, key="reversal-feeds")
        if any(words.is_replay(row) for row in feeds):
            st.caption(words.IN_REPLAY)
        st.subheader("Faults in bars", anchor=False)
        st.caption(FAULTS_EXPLAINED)
        table(frames.faults(faults, user.time_zone), NO_FAULT, key="reversal-faults")


def tell_scan(said: tuple[bool, str]) -> None:
    """Draw whether the markets are looked at."""
    is_well, sentence = said
    if is_well:
        st.caption(f":green[:material/check_circle:] {plain(sentence)}")
    else:
        st.warning(plain(sentence), icon=":material/visibility_off:")
