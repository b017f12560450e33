"""A test alert and what becomes of it, from second to second."""

from datetime import datetime, timedelta

import streamlit as st

from actions import alerts as actions
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm
from ui.formatting import ended, moment
from ui.services import now, services
from ui.tables import plain

SENT = "the test alert that was sent last"
LOOK_SECONDS = 1
SLOW_AFTER = timedelta(seconds=20)
NAMES = {"DISCORD": "Discord", "WEBHOOK": "The JSON webhook"}
SLOW = "It still waits. Does DashTrade's worker run? Alerts are sent by it: Admin, Health says so."


def draw(user: User) -> None:
    """Draw the button, and the result of the last test."""
    if st.button("Send test alert", icon=":material/send:"):
        with calm():
            number = actions.send_test(services(), acting(user))
            st.session_state[SENT] = (number, now())
    sent = st.session_state.get(SENT)
    if sent is not None:
        st.fragment(look, run_every=LOOK_SECONDS)(user, *sent)


def look(user: User, number: int, since: datetime) -> None:
    """Draw how the test stands with each channel."""
    with calm():
        rows = actions.test_result(services(), acting(user), number)
        if not rows:
            st.info("The test alert is on its way…", icon=":material/sync:")
        for row in rows:
            draw_result(row, user.time_zone)
        if (
            all(row["state"] == "WAITING" and not row["attempts"] for row in rows)
            and now() - since > SLOW_AFTER
        ):
            st.caption(SLOW)


def draw_result(row: Row, zone: str) -> None:
    """Say what a service did with the test."""
    name = NAMES.get(row["transport"], row["transport"])
    match row["state"]:
        case "SENT":
            st.success(f"{name} took it, {moment(row['sent_at'], zone)}.", icon=":material/check_circle:")
        case "FAILED":
            st.error(
                f"{name} did not take it: {plain(ended(row['error'] or 'no reason was given'))}",
                icon=":material/error:",
            )
        case _ if row["error"]:
            again = f" Next attempt {moment(row['next_attempt_at'], zone)}." if row["next_attempt_at"] else ""
            words = f"{name} did not take it yet: {plain(ended(row['error']))}{again}"
            st.warning(words, icon=":material/hourglass_top:")
        case _:
            st.info(f"On its way to {name}…", icon=":material/sync:")
