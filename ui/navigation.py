"""The script that Streamlit runs: who is it, which page, and what stands beside every page."""

from pathlib import Path

import streamlit as st

from ui.calm import calm
from ui.session import leave_when_signed_out, sign_out, signed_in_user

PAGES = (
    ("pages/overview.py", "Overview", ":material/dashboard:"),
    ("pages/7_🤖_Trading_Bot.py", "Trading Bot", "🤖"),
    ("pages/signals.py", "Signals", ":material/sensors:"),
    ("pages/reversal_signals.py", "Reversal signals", ":material/swap_vert:"),
    ("pages/trade_journal.py", "Trade journal", ":material/menu_book:"),
    ("pages/watched_bots.py", "Watched bots", ":material/visibility:"),
    ("pages/discord.py", "Discord & alerts", ":material/notifications:"),
    ("pages/settings.py", "Settings", ":material/settings:"),
)
FOR_ADMINS = (("pages/admin.py", "Admin", ":material/admin_panel_settings:"),)

LOGO = Path(__file__).with_name("logo.svg").read_text()
SIDEBAR_WIDTH = 220
# Streamlit remembers an opened sidebar on a phone too, where it would cover every page from then on.
FORGET_SIDEBAR = """<script>
const forget = () => { if (innerWidth < 768) localStorage.removeItem("stSidebarCollapsed-"); };
addEventListener("click", forget, true);
addEventListener("pagehide", forget);
</script>"""

st.set_page_config(page_title="DashTrade", page_icon="📈", layout="wide", initial_sidebar_state=SIDEBAR_WIDTH)
st.logo(LOGO, size="large")
user = signed_in_user()
leave_when_signed_out()
page = st.navigation(
    [
        st.Page(f"../{path}", title=title, icon=icon, default=not index)
        for index, (path, title, icon) in enumerate((*PAGES, *(FOR_ADMINS if user.is_admin else ())))
    ]
)
with st.sidebar:
    st.html(FORGET_SIDEBAR, unsafe_allow_javascript=True)
    # Not as Markdown, which would make a link for writing mail of it.
    st.text(user.email)
    if st.button("Sign out", icon=":material/logout:", width="stretch"):
        with calm():
            sign_out()
            st.rerun()
page.run()
