"""Signals: all of them by filter, or one with its whole trace; `?signal=<uuid>` leads to it."""

import streamlit as st

from ui.session import signed_in_user
from ui.signal_pages import page

st.title("Signals", anchor=False)
page.draw(signed_in_user())
