"""Whose page this is, asked anew at every run of a script: the websocket's handshake was long ago."""

import psycopg2
import streamlit as st

from database import sign_in
from database.accounts import User
from ui.calm import FAILED, tell
from ui.gate import COOKIE
from ui.services import now, services

CHECK_SECONDS = 3
OWNER = "whose page this is"
# A page whose session ended leaves by itself, so that nothing of it stays on the screen.
LEAVE = "<script>window.location.replace('/auth/login')</script>"


def signed_in_user() -> User:
    """Return the user of this page; where the session ended, show nothing else and go to the form.

    Where the database does not answer it says so, and the page draws itself anew when it does.
    """
    try:
        user = _user()
    except psycopg2.Error as error:
        tell(error)
        leave_when_signed_out()
        st.stop()
    if user is None:
        st.html(LEAVE, unsafe_allow_javascript=True)
        st.info("You are signed out. [Sign in](/auth/login)")
        st.stop()
    _forget_others(user)
    st.session_state.pop(FAILED, None)
    return user


def page_token() -> str:
    """Return the token of this page's session."""
    return _token()


def sign_out() -> None:
    """End this page's session, and with it every page of it."""
    token = _token()
    if token:
        with services().database.transaction() as transaction:
            sign_in.end_session(transaction, token)


@st.fragment(run_every=CHECK_SECONDS)
def leave_when_signed_out() -> None:
    """Look every few seconds whose page it is; run it anew when that ended, and when the database is back."""
    try:
        user = _user()
    except psycopg2.Error:
        st.session_state[FAILED] = True
        return
    was_away = st.session_state.pop(FAILED, False)
    if was_away or user is None or user.id != st.session_state.get(OWNER):
        st.rerun()


def _user() -> User | None:
    token = _token()
    with services().database.transaction() as transaction:
        return sign_in.user_of_session(transaction, token, now()) if token else None


def _forget_others(user: User) -> None:
    """Begin anew where a page that lost its line came back with the session of somebody else."""
    if st.session_state.get(OWNER, user.id) != user.id:
        st.session_state.clear()
    st.session_state[OWNER] = user.id


def _token() -> str:
    return str(st.context.cookies.get(COOKIE) or "")
