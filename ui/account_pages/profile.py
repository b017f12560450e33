"""Who the user is, the time zone that all times are shown in, and another password."""

from zoneinfo import available_timezones

import streamlit as st

from actions import account as actions
from database.accounts import SHORTEST_PASSWORD, User
from ui.calm import acting, calm, done
from ui.formatting import moment
from ui.inputs import Slots
from ui.services import now, services
from ui.session import page_token


def draw(user: User) -> None:
    """Draw the profile, then the form for another password."""
    # Not as Markdown, which would make a link for writing mail of it.
    st.text(f"Signed in as {user.email}")
    role = "an admin" if user.is_admin else "a user"
    st.caption(f"User id {user.id} · {role} · since {moment(user.created_at, user.time_zone)}")
    zone_form(user)
    st.subheader("Change your password", anchor=False)
    password_form(user)


def zone_form(user: User) -> None:
    """Draw the choice of the time zone."""
    zones = sorted(available_timezones())
    with st.form("zone", border=False):
        zone = st.selectbox(
            "Time zone", zones, index=zones.index(user.time_zone) if user.time_zone in zones else None,
            key="zone-name", help="All times in the dashboard are shown in it.", width=360,
        )  # fmt: skip
        if st.form_submit_button("Save the time zone", type="primary"):
            with calm():
                actions.set_time_zone(services(), acting(user), zone or "")
                done(f"Times are shown in {zone} from now on.")


def password_form(user: User) -> None:
    """Draw the form for another password; every other session ends with the old one."""
    slots: Slots = {}
    with st.form("password", border=False, clear_on_submit=False):
        st.text_input("E-mail", user.email, disabled=True, autocomplete="username", key="password-email")
        current = st.text_input("Current password", type="password", autocomplete="current-password",
                                key="password-current")  # fmt: skip
        slots["current"] = st.empty()
        new = st.text_input("New password", type="password", autocomplete="new-password", key="password-new",
                            help=f"At least {SHORTEST_PASSWORD} characters.")  # fmt: skip
        slots["new"] = st.empty()
        again = st.text_input("The new password again", type="password", autocomplete="new-password",
                              key="password-again")  # fmt: skip
        slots["again"] = st.empty()
        if st.form_submit_button("Change the password", type="primary"):
            with calm(slots), st.spinner("Checking…"):
                ended = actions.change_password(
                    services(), acting(user), current=current or "", new=new or "", again=again or "",
                    token=page_token(), now=now(),
                )  # fmt: skip
                others = {0: "", 1: " Your other session ended."}.get(
                    ended, f" Your {ended} other sessions ended."
                )
                done(f"Your password is changed.{others}")
