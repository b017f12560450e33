"""Watched bots: how bots that run elsewhere stand, by what they report; `?watched=<number>` leads to one."""

import streamlit as st

from ui.session import signed_in_user
from ui.watched_pages import page

st.title("Watched bots", anchor=False)
page.draw(signed_in_user())
