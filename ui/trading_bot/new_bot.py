"""The form that makes a bot."""

from typing import Any

import streamlit as st

from actions import bots as actions
from actions.lending import margin_modes
from brokers.base import Mode
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, done
from ui.inputs import Slots
from ui.services import services
from ui.trading_bot import bot_fields

MADE = "bots made on this page"
SOURCES = {"tradingview": "TradingView alerts", "reversal": "Reversal signals, by itself"}
SOURCE_HELP = (
    "Reversal signals: the bot trades what the scan finds in its symbol and timeframe, with the signal's stop and"
    " target, from your minimum confidence on. Or type the name that a service sends as its source."
)


def draw(user: User, places: list[Row]) -> None:
    """Draw the form with the usual settings filled in; Advanced holds every other limit."""
    slots: Slots = {}
    key = f"new{st.session_state.get(MADE, '')}"
    labels = {row["id"]: f"{row['label']} ({row['mode']})" for row in places}
    # One form for all connections: leverage is asked for where any of them lends.
    modes = list(dict.fromkeys(mode for row in places for mode in margin_modes(row["broker"])))
    with st.form("new-bot", border=False, enter_to_submit=True):
        left, right = st.columns(2)
        with left:
            symbol = st.text_input("Symbol", key=f"{key}-symbol", autocomplete="off", placeholder="AAPL or BTC/USD",
                                   help="Shares trade in New York's hours, coins at all hours.")  # fmt: skip
            slots["symbol"] = st.empty()
        with right:
            connection_id = st.selectbox(
                "Trades at", list(labels), format_func=labels.__getitem__, key=f"{key}-place"
            )
            slots["connection"] = st.empty()
        typed = bot_fields.main_fields(bot_fields.NEW, key, slots)
        with st.expander("Advanced"):
            name = st.text_input(
                "Name", key=f"{key}-name", placeholder="symbol and timeframe", autocomplete="off"
            )
            slots["name"] = st.empty()
            source = st.selectbox(
                "Follows signals of", list(SOURCES), format_func=lambda name: SOURCES.get(name, name),
                key=f"{key}-source", accept_new_options=True, help=SOURCE_HELP,
            )  # fmt: skip
            slots["source"] = st.empty()
            confirmation = _confirmation(places, key, slots)
            typed |= bot_fields.advanced_fields(bot_fields.NEW, key, slots, modes)
        if st.form_submit_button("Create Bot", type="primary", icon=":material/smart_toy:"):
            with calm(slots), st.spinner("Looking the symbol up at the broker…"):
                columns = bot_fields.read(typed) | {"confirmation": confirmation}
                _create(user, connection_id, symbol or "", name or "", source or "", columns)


def _confirmation(places: list[Row], key: str, slots: Slots) -> str:
    """Ask for what an automatic bot at a live connection needs, where there is such a connection."""
    if not any(row["mode"] == Mode.LIVE for row in places):
        return ""
    typed = st.text_input("Name of the live connection", key=f"{key}-confirmation", autocomplete="off",
                          help="Only for a bot that trades reversal signals by itself, with real money.")  # fmt: skip
    slots["confirmation"] = st.empty()
    return typed or ""


def _create(
    user: User, connection_id: int, symbol: str, name: str, source: str, columns: dict[str, Any]
) -> None:
    made = actions.create(
        services(), acting(user), connection_id=connection_id, symbol=symbol, name=name,
        source=source or "tradingview", **columns,
    )  # fmt: skip
    # Other keys for the fields, so that the next bot's form is empty; after an error they keep what was typed.
    st.session_state[MADE] = st.session_state.get(MADE, 0) + 1
    done(f"Bot {made.name} is ready and waits for alerts. {made.remark or ''}")
