"""The script that Streamlit runs: who is it, which page, and what stands beside every page."""

import streamlit as st

from ui.calm import calm
from ui.session import leave_when_signed_out, sign_out, signed_in_user

PAGES = (
    ("pages/overview.py", "Overview", ":material/dashboard:"),
    ("pages/7_🤖_Trading_Bot.py", "Trading Bot", "🤖"),
    ("pages/signals.py", "Signals", ":material/sensors:"),
    ("pages/settings.py", "Settings", ":material/settings:"),
)
FOR_ADMINS = (("pages/admin.py", "Admin", ":material/admin_panel_settings:"),)

st.set_page_config(page_title="DashTrade", page_icon="📈", layout="wide")
user = signed_in_user()
leave_when_signed_out()
page = st.navigation(
    [
        st.Page(f"../{path}", title=title, icon=icon, default=not index)
        for index, (path, title, icon) in enumerate((*PAGES, *(FOR_ADMINS if user.is_admin else ())))
    ]
)
with st.sidebar:
    st.caption(user.email)
    if st.button("Sign out", icon=":material/logout:", width="stretch"):
        with calm():
            sign_out()
            st.rerun()
page.run()
