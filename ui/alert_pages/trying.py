"""A test alert and what becomes of it, from second to second."""

from datetime import datetime, timedelta

import streamlit as st

from actions import alerts as actions
from database import alert_reading
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


def forget() -> None:
    """Show the last test no more: it was of an address as it was before."""
    st.session_state.pop(SENT, None)


def look(user: User, number: int, since: datetime) -> None:
    """Draw how the test stands with each channel."""
    with calm():
        rows = actions.test_result(services(), acting(user), number)
        held_up = _held_up(user) if any(_waits(row) for row in rows) else {}
        if not rows:
            st.info("The test alert is on its way…", icon=":material/sync:")
        for row in rows:
            draw_result({**row, **held_up.get(row["transport"], {})} if _waits(row) else row, user.time_zone)
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
            due = row["next_attempt_at"]
            again = (
                f" Next attempt {moment(due, zone)}." if due and due > now() else " It is tried again now."
            )
            words = f"{name} did not take it yet: {plain(ended(row['error']))}{again}"
            st.warning(words, icon=":material/hourglass_top:")
        case _:
            st.info(f"On its way to {name}…", icon=":material/sync:")


def _waits(row: Row) -> bool:
    return row["state"] == "WAITING" and not row["error"]


def _held_up(user: User) -> dict[str, Row]:
    """Return by transport why nothing gets through: a test waits behind what its channel could not send."""
    with services().database.transaction() as transaction:
        rows = alert_reading.standing(transaction, user.id, now())
    return {
        row["transport"]: {"error": row["error"], "next_attempt_at": row["next_attempt_at"]}
        for row in rows
        if row["error"]
    }
