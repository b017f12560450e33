"""The newest messages of a signal channel, with what became of each."""

import streamlit as st

from database import channel_pages
from database.accounts import User
from database.history import Key, Page
from database.pool import Row
from ui.calm import calm
from ui.channel_pages import words
from ui.drawing import page_buttons, page_key
from ui.formatting import moment
from ui.places import SIGNALS
from ui.services import services
from ui.tables import plain

REFRESH_SECONDS = 5
PAGE = 8
NOTHING_YET = "No signal came yet. Messages that are none are not kept."
CHANGED = {
    "EDITED": "Edited afterwards; nothing was changed.",
    "DELETED": "Deleted afterwards; nothing was changed.",
}


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User, registration: int) -> None:
    """Draw a page of messages; runs again by itself."""
    with calm():
        name = f"messages {registration}"
        before = page_key(name, registration)
        with services().database.transaction() as transaction:
            rows = channel_pages.messages_page(
                transaction, user.id, registration, before=before.id if before else None, limit=PAGE + 1
            )
        if not rows:
            st.caption(NOTHING_YET)
            return
        shown = rows[:PAGE]
        for row in shown:
            with st.container(border=True, gap="xsmall"):
                one(row, user.time_zone)
        older = Key(at=shown[-1]["seen_at"], id=shown[-1]["id"]) if len(rows) > PAGE else None
        page_buttons(name, Page(rows=shown, older=older), PAGE)


def one(row: Row, zone: str) -> None:
    """Draw one message: what became of it, who wrote what, and the way to its trace."""
    sign, colour = words.outcome(row)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f":{colour}-badge[{sign}] **{plain(row['author'])}** :gray[{moment(row['posted_at'], zone)}]",
            width="content",
        )
        with st.container(horizontal=True, width="content"):
            if row["signal_uuid"] is not None:
                st.page_link(SIGNALS, label="Trace", icon=":material/timeline:", width="content",
                             query_params={"signal": str(row["signal_uuid"])})  # fmt: skip
            link = words.link_in_discord(row)
            if link is not None:
                st.page_link(link, label="In Discord", icon=":material/open_in_new:", width="content")
    st.code(row["text"], language=None, wrap_lines=True)
    said = words.why(row)
    if said:
        st.caption(plain(said))
    for change in row["changes"] or ():
        st.caption(f":material/edit: {CHANGED[change['state']]}")
        if change["state"] == "EDITED":
            st.code(change["text"], language=None, wrap_lines=True)
