"""The part of Setup with the messages for TradingView's alerts."""

import streamlit as st

from database.accounts import User
from signals.templates import INDICATOR_TEMPLATE, STRATEGY_TEMPLATE

STRATEGY, INDICATOR = "Strategy alert", "Indicator alert"


def draw(user: User) -> None:
    """Draw the message for each kind of alert, ready to be copied."""
    kind = st.segmented_control("Your alert comes from a", [STRATEGY, INDICATOR], required=True,
                                default=STRATEGY, key="message-kind")  # fmt: skip
    if kind == INDICATOR:
        st.caption("One alert per action: BUY in the one for buying, SELL or CLOSE in the others.")
        st.code(INDICATOR_TEMPLATE, language="json")
        return
    st.caption("Paste it as it is: TradingView fills it in when your strategy trades.")
    st.code(STRATEGY_TEMPLATE, language="json")
