"""Overview: the accounts, what the bots hold, and what became of the last signals."""

import streamlit as st

from core.bot import TradingState
from database import bots, figures, kill_switch, reports, risk
from ui import first_run, tables
from ui.calm import calm
from ui.formatting import age, gain, money
from ui.services import now, services
from ui.session import signed_in_user

REFRESH_SECONDS = 5
SIGNALS = 15


@st.fragment(run_every=REFRESH_SECONDS)
def overview() -> None:
    """Draw everything from the database; runs again by itself."""
    user = signed_in_user()
    with calm():
        with services().database.transaction() as transaction:
            switches = kill_switch.switches_of(transaction, user.id)
            accounts = risk.accounts_of(transaction, user.id)
            today = figures.today_of(transaction, user.id, now())
            positions = reports.bot_positions_of(transaction, user.id)
            user_bots = bots.bots_of(transaction, user.id)
            signals = reports.signals_of(transaction, user.id, limit=SIGNALS)
        draw_switches(switches)
        draw_accounts(accounts, today, user.email)
        st.subheader("Open positions")
        draw_table(tables.positions(positions, user.time_zone), "No bot holds anything.")
        st.subheader("Bots")
        draw_table(
            tables.bots(user_bots), f"No bot yet. On the server: `manage.py bot add {user.email} AAPL 15m`"
        )
        st.subheader("Last signals")
        hint = f"No signal came yet. `manage.py user token {user.email}` prints the address for your alerts."
        draw_table(tables.signals(signals, user.time_zone), hint)


def draw_switches(switches):
    """Say in red what is halted and in yellow what only closes."""
    for switch in switches:
        name = (
            f"{switch['scope'].capitalize()} {switch['name']}"
            if switch["scope"] != "server"
            else "The server"
        )
        if switch["trading_state"] == TradingState.HALTED:
            st.error(f"{name} is HALTED: nothing is sent, not even protection.", icon=":material/block:")
        elif switch["flatten"]:
            st.warning(f"{name} is closing everything and then halts.", icon=":material/logout:")
        elif switch["trading_state"] == TradingState.REDUCING:
            st.warning(f"{name} only closes positions (REDUCING).", icon=":material/trending_down:")


def draw_accounts(accounts, today, email):
    """Draw a card per connection, with today's realized P&L in front."""
    if not accounts:
        st.info(f"No connection yet. On the server: `manage.py connect {email} paper`")
        return
    st.metric("Today's realized P&L", gain(today), border=True, help="Of all bots, net of fees.")
    for column, account in zip(st.columns(min(len(accounts), 3)) * len(accounts), accounts, strict=False):
        with column.container(border=True):
            draw_account(account)


def draw_account(account):
    """Draw one connection's money with its age, and what is wrong with it."""
    live = account["mode"] == "live"
    st.markdown(
        f"**{tables.plain(account['connection'])}** :{'red' if live else 'gray'}-badge[{account['mode'].upper()}]"
    )
    left, right = st.columns(2)
    left.metric("Equity", money(account["equity"], account["currency"]))
    right.metric("Buying power", money(account["buying_power"], account["currency"]))
    simulated = " · prices are simulated" if account["broker"] == "paper" else ""
    st.caption(f"As of {age(account['taken_at'], now())}{simulated}")
    if account["status"] == "PROBLEM":
        st.error(account["last_error"] or "The broker cannot be used at present.")


def draw_table(frame, nothing):
    """Draw a table, or what to do when it is empty."""
    if frame.empty:
        st.caption(nothing)
    else:
        st.dataframe(frame, hide_index=True, width="stretch")


st.title("Overview")
first_run.draw(signed_in_user())
overview()
