"""Every signal with its source, what it was understood as, and what became of it; filtered, page by page."""

from typing import Any

import streamlit as st

from database import history, signal_list
from database.accounts import User
from database.signal_list import SignalFilter
from ui import tables
from ui.calm import calm
from ui.drawing import clickable, clicked, page_buttons, page_key
from ui.services import services
from ui.signal_pages.address import go_to
from ui.trading_bot.trade_history import time_range

NAME = "signals"
REFRESH_SECONDS = 10
NOTHING_YET = (
    "No signal came yet. Copy your webhook URL from 🤖 Trading Bot, Setup, into a TradingView alert, or send a"
    " test alert there: it appears here with everything that became of it."
)
NONE_MATCH = "No signal matches. Take a filter away above."


def draw(user: User) -> None:
    """Draw the list; it refreshes by itself."""
    signals(user)


@st.fragment(run_every=REFRESH_SECONDS)
def signals(user: User) -> None:
    """Draw the filters and one page of signals; a click on a row opens its trace."""
    with calm():
        with services().database.transaction() as transaction:
            known = signal_list.choices(transaction, user.id)
            bots = history.bots_with_history(transaction, user.id)
        if not known["sources"]:
            st.info(NOTHING_YET, icon=":material/sensors:")
            return
        wanted = _filters(known, bots, user.time_zone)
        before = page_key(NAME, wanted)
        with services().database.transaction() as transaction:
            page = signal_list.signals_page(transaction, user.id, wanted, before=before)
        if not page.rows:
            st.caption(NONE_MATCH)
            return
        st.caption("Click a row to see every step of that signal.")
        event = clickable(
            tables.all_signals(page.rows, user.time_zone),
            key=f"{NAME} table {before}",
            columns={"Why": st.column_config.TextColumn(width="large")},
        )
        page_buttons(NAME, page, signal_list.PAGE)
        row = clicked(event, page.rows)
        if row is not None:
            go_to(row["signal_id"])


def _filters(known: dict[str, list[str]], bots: list[Any], zone: str) -> SignalFilter:
    names = {row["id"]: f"{row['name']} (archived)" if row["archived"] else row["name"] for row in bots}
    sources = {source: tables.source(source) for source in known["sources"]}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        bot_id = _choice("Bot", names)
        state = _choice("Outcome", tables.SIGNAL_SIGNS)
        code = _choice("Code", {code: code for code in known["codes"]})
        source = _choice("Source", sources)
        days = st.date_input(f"From, to ({zone})", value=[], key=f"{NAME} days", width=256)
    since, until = time_range(days, zone)
    return SignalFilter(bot_id=bot_id, state=state, code=code, source=source, since=since, until=until)


def _choice(label: str, names: dict[Any, str]) -> Any:
    return st.selectbox(
        label,
        [None, *names],
        format_func=lambda value: "All" if value is None else names[value],
        key=f"{NAME} {label}",
        width=144,
    )
