"""Trade journal: trades that are followed to stop or target, and how they did; `?trade=<number>` leads to one."""

import streamlit as st

from ui.journal_pages import page
from ui.session import signed_in_user

st.title("Trade journal", anchor=False)
page.draw(signed_in_user())
