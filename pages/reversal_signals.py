"""Reversal signals: what was found and sent, and how good it has been; `?signal=<number>` leads to one."""

import streamlit as st

from ui.reversal_pages import page
from ui.session import signed_in_user

st.title("Reversal signals", anchor=False)
page.draw(signed_in_user())
