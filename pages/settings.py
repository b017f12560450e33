"""Settings: profile, password, sessions, second factor, and the kill switch of the user."""

import streamlit as st

from ui.account_pages import page
from ui.session import signed_in_user

st.title("Settings", anchor=False)
page.draw(signed_in_user())
