"""Whose page this is, asked anew at every run of a script: the websocket's handshake was long ago."""

import streamlit as st

from database import sign_in
from database.accounts import User
from ui.gate import COOKIE
from ui.services import now, services

CHECK_SECONDS = 3
# A page whose session ended leaves by itself, so that nothing of it stays on the screen.
LEAVE = "<script>window.location.replace('/auth/login')</script>"


def signed_in_user() -> User:
    """Return the user of this page; where the session ended, show nothing else and go to the form."""
    token = _token()
    with services().database.transaction() as transaction:
        user = sign_in.user_of_session(transaction, token, now()) if token else None
    if user is None:
        st.html(LEAVE, unsafe_allow_javascript=True)
        st.info("You are signed out. [Sign in](/auth/login)")
        st.stop()
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
    """Look every few seconds whether the session still stands; if not, run the page anew."""
    token = _token()
    with services().database.transaction() as transaction:
        stands = bool(token) and sign_in.user_of_session(transaction, token, now()) is not None
    if not stands:
        st.rerun()


def _token() -> str:
    return str(st.context.cookies.get(COOKIE) or "")
