"""Where the user is signed in, and how to end it."""

import streamlit as st

from actions import account as actions
from database import sign_in
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, doing, done
from ui.formatting import age, moment
from ui.services import now, services
from ui.session import page_token
from ui.tables import plain

REFRESH_SECONDS = 5
BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
           ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


def draw(user: User) -> None:
    """Draw the sessions; the list refreshes by itself."""
    st.caption("A session that you end here is over within seconds, with all its open pages.")
    listed(user)


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw the open sessions, this one first, each with the button that ends it."""
    with calm():
        with services().database.transaction() as transaction:
            own = sign_in.session_id(transaction, page_token())
        rows = sorted(actions.sessions(services(), acting(user), now()), key=lambda row: row["id"] != own)
        if len(rows) > 1 and st.button("Sign out everywhere else", icon=":material/logout:", type="primary"):
            with doing():
                ended = actions.end_other_sessions(services(), acting(user), page_token())
                done(f"{ended} other session{'s' if ended != 1 else ''} ended.")
        for row in rows:
            with st.container(border=True):
                draw_session(user, row, is_own=row["id"] == own)


def draw_session(user: User, row: Row, *, is_own: bool) -> None:
    """Draw one session: which browser, since when, and what ends it."""
    st.markdown(f"**{plain(browser(row['agent']))}**" + (" :green-badge[✓ this one]" if is_own else ""))
    since = moment(row["created_at"], user.time_zone)
    st.caption(f"Signed in {since} · last seen {age(row['last_seen_at'], now())}")
    if is_own:
        st.caption("“Sign out” at the side ends it.")
    elif st.button("End it", key=f"end-{row['id']}", icon=":material/close:"):
        with doing():
            actions.end_session(services(), acting(user), row["id"])
            done("That session is over.")


def browser(agent: str) -> str:
    """Name the browser and system of a user-agent header: `Chrome on Linux`."""
    name = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    if not name:
        return agent[:60] or "Unknown browser"
    return f"{name} on {system}" if system else name
