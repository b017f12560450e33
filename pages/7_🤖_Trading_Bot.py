"""🤖 Trading Bot: its tabs, of which the open one alone is run; `?tab=My Bots` leads to it."""

import streamlit as st

from ui import tabs
from ui.session import signed_in_user
from ui.trading_bot import live_positions, my_bots, performance, risk_events, setup, trade_history

TABS = {
    "Setup": setup.draw,
    "My Bots": my_bots.draw,
    "Live Positions": live_positions.draw,
    "Trade History": trade_history.draw,
    "Performance": performance.draw,
    "Risk Events": risk_events.draw,
}

user = signed_in_user()
tabs.open_named(TABS, {"bot": "My Bots"})
st.title("🤖 Trading Bot", anchor=False)
for tab, draw in zip(st.tabs(list(TABS), key="tab", bind="query-params"), TABS.values(), strict=True):
    with tab:
        if tab.open:
            draw(user)
