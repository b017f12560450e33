"""The second factor: a code from a phone beside the password."""

import segno
import streamlit as st

from actions import account as actions
from database import second_factor
from database.accounts import User
from ui.calm import acting, calm, done
from ui.inputs import Slots
from ui.services import now, services

SECRET = "the secret of a second factor that is being set up"  # noqa: S105  the name of a place
LOST = (
    "If you lose the phone: whoever runs this server makes you a link with `manage.py user reset` or on the Admin"
    " page. It sets a new password and takes the second factor away."
)


def draw(user: User) -> None:
    """Draw what turns the second factor on or off."""
    with services().database.transaction() as transaction:
        is_on = second_factor.has_second_factor(transaction, user.id)
    if is_on:
        st.session_state.pop(SECRET, None)
        st.success("On: each sign-in asks for a code after the password.", icon=":material/verified_user:")
        st.caption(LOST)
        turn_off_form(user)
        return
    st.info("Off: whoever knows your password can sign in.", icon=":material/lock_open:")
    if SECRET not in st.session_state:
        if st.button("Set it up", icon=":material/phonelink_lock:", type="primary"):
            st.session_state[SECRET] = second_factor.new_secret()
            st.rerun()
        return
    turn_on_form(user, st.session_state[SECRET])


def turn_on_form(user: User, secret: str) -> None:
    """Draw the secret for the authenticator, and the form that confirms it by a code."""
    st.markdown("1. Scan this with an authenticator app, or type the key into it.")
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        st.image(qr_code(second_factor.address_of(secret, user.email)), width=220)
        with st.container(width=340):
            st.caption("Key")
            st.code(grouped(secret), language=None, wrap_lines=True)
            st.caption("By time, 6 digits, every 30 seconds.")
    st.markdown("2. Type the code that it shows now.")
    slots: Slots = {}
    with st.form("second-factor-on", border=False):
        code = st.text_input(
            "Code", key="second-factor-code", autocomplete="one-time-code", max_chars=8, width=200
        )
        slots["code"] = st.empty()
        if st.form_submit_button("Turn it on", type="primary"):
            with calm(slots):
                actions.enable_second_factor(
                    services(), acting(user), secret=secret, code=code or "", now=now()
                )
                del st.session_state[SECRET]
                done("The second factor is on. From now on a sign-in asks for a code.")
    if st.button("Not now"):
        del st.session_state[SECRET]
        st.rerun()


def turn_off_form(user: User) -> None:
    """Draw the form that turns it off, which wants the password."""
    slots: Slots = {}
    with st.form("second-factor-off", border=False):
        password = st.text_input("Your password", type="password", key="second-factor-password",
                                 autocomplete="current-password", width=360)  # fmt: skip
        slots["current"] = st.empty()
        if st.form_submit_button("Turn it off"):
            with calm(slots), st.spinner("Checking…"):
                actions.disable_second_factor(services(), acting(user), password=password or "", now=now())
                done("The second factor is off.")


def qr_code(address: str) -> str:
    """Return a QR code as SVG, dark on white, so that it is read on a dark page too."""
    return segno.make(address, error="m").svg_inline(scale=5, border=3, light="#ffffff", dark="#000000")


def grouped(secret: str) -> str:
    """Write a key in groups of four, as people type it."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
