"""Discord & alerts: where alerts go, which are wanted, and what became of each."""

import streamlit as st

from ui.alert_pages import page
from ui.session import signed_in_user

st.title("Discord & alerts", anchor=False)
page.draw(signed_in_user())
