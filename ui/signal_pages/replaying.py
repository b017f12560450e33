"""Play a signal again on paper: the button, what it does, and the replays there were."""

from typing import Any

import streamlit as st

from actions import replay as actions
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm
from ui.formatting import moment
from ui.services import services
from ui.signal_pages.address import go_to
from ui.signal_pages.timeline import Trace
from ui.tables import SIGNAL_SIGNS, plain

MEANING = (
    "The same signal goes through the same inbox and engine once more, to a copy of its bot on your own paper"
    " connection “Replay”: play money at simulated prices of now, never a real account. The copy keeps what it"
    " holds from one replay to the next, so a second BUY finds the position there already."
)


def draw(user: User, trace: Trace, around: dict[str, Any]) -> None:
    """Draw the way to the original of a replay, or the button with the replays there were."""
    st.divider()
    st.markdown("##### Replay on paper")
    if around["original"] is not None:
        st.caption("This is a replay on play money.")
        if st.button("See the original signal", icon=":material/history:"):
            go_to(around["original"])
        return
    if trace["understood"] is None:
        st.caption("Nobody could read this signal, so there is nothing to play again.")
        return
    st.caption(MEANING)
    if st.button("Replay on paper", icon=":material/replay:", key="replay"):
        with calm():
            replayed = actions.replay(services(), acting(user), trace["signal_id"])
            go_to(replayed.signal_id)
    for row in around["replays"]:
        draw_replay(row, user.time_zone)


def draw_replay(row: Row, zone: str) -> None:
    """Draw the way to one replay of this signal."""
    label = f"{moment(row['received_at'], zone)}: {plain(row['code'] or SIGNAL_SIGNS[row['state']])}"
    if st.button(label, key=f"replay-{row['signal_id']}", icon=":material/arrow_forward:", type="tertiary"):
        go_to(row["signal_id"])
