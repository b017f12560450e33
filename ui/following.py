"""Show what becomes of a signal that was sent from this page, from second to second."""

from typing import Any

import streamlit as st

from actions.practice import Sent
from database import reports
from database.accounts import User
from ui.calm import calm
from ui.formatting import money, price, quantity
from ui.services import services
from ui.tables import plain

SENT = "the test alert that was sent"
LOOK_SECONDS = 1
UNDER_WAY = ("STORED", "WAITING_FOR_OPEN", "PLANNED")
VERBS = {"BUY": "Bought", "SELL": "Sold"}


def remember_signal(sent: Sent) -> None:
    """Follow this signal from now on."""
    st.session_state[SENT] = sent


def follow(user: User) -> None:
    """Draw what became of the signal sent last; nothing where none was."""
    sent = st.session_state.get(SENT)
    if sent is None:
        return
    st.fragment(_look, run_every=LOOK_SECONDS)(user, sent)


def _look(user: User, sent: Sent) -> None:
    with calm():
        with services().database.transaction() as transaction:
            trace = reports.trace(transaction, user.id, sent.signal_id)
        if trace is not None:
            draw_outcome(sent, trace)


def draw_outcome(sent: Sent, trace: dict[str, Any]) -> None:
    """Say where a signal stands: on its way, filled, or why it did not trade."""
    name = f"{sent.action} {plain(sent.symbol)} for {plain(sent.bot)}"
    filled = [leg["trade"] for leg in _legs(trace) if leg["trade"] and leg["trade"]["filled_qty"]]
    if filled:
        for leg in _legs(trace):
            if leg["trade"] and leg["trade"]["filled_qty"]:
                st.success(filled_in_words(leg, sent.symbol), icon=":material/check_circle:")
    elif trace["state"] in UNDER_WAY:
        words = {"STORED": "stored, being decided", "WAITING_FOR_OPEN": "waits for the market to open"}
        st.info(f"{name}: {words.get(trace['state'], 'the order is at the broker')}…", icon=":material/sync:")
    else:
        st.warning(f"{name} did not trade: {plain(trace['sentence'] or trace['code'] or '')}",
                   icon=":material/info:")  # fmt: skip


def filled_in_words(leg: dict[str, Any], symbol: str) -> str:
    """Say what a leg traded: `Bought 0.083 BTC/USD at 60,123.40`, with its P&L where it closed."""
    trade = leg["trade"]
    words = f"{VERBS[leg['side']]} {quantity(trade['filled_qty'])} {plain(symbol)}"
    words += f" at {price(trade['filled_price'])}"
    if leg["purpose"] == "CLOSE" and trade["realized_pnl"] is not None:
        words += f", P&L {money(trade['realized_pnl'])}"
    return words + "."


def _legs(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return list(trace["plan"]["legs"]) if trace["plan"] else []
