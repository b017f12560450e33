"""The page Watched bots: which bot, then its tabs, of which the open one alone is run."""

from collections.abc import Callable

import streamlit as st

from database import watched_reading
from database.accounts import User
from database.pool import Row
from ui.calm import calm, tell_what_was_done
from ui.services import services
from ui.watched_pages import connecting, messages, standing, trades
from ui.watched_pages.words import STATE_SIGNS

CHOSEN = "watched-bot"
NO_SUCH = "You watch no such bot; this is another one of yours."
NO_BOT = (
    "No bot is watched yet. A bot that runs elsewhere reports over MQTT; what it holds, earns and complains of"
    " is shown here, and alerts about it go where yours go."
)
TABS: dict[str, Callable[[User, Row], None]] = {
    "Now": standing.draw,
    "Trades": trades.draw,
    "Messages": messages.draw,
    "Connect": connecting.draw,
}


def draw(user: User) -> None:
    """Draw one watched bot, or how to have one."""
    tell_what_was_done()
    with calm():
        with services().database.transaction() as transaction:
            bots = watched_reading.bots_of(transaction, user.id)
        if not bots:
            st.info(NO_BOT, icon=":material/visibility:")
            standing.listener(user)
            connecting.first(user)
            return
        bot = _chosen(bots)
        for tab, part in zip(st.tabs(list(TABS), key="tab", bind="query-params"), TABS.values(), strict=True):
            with tab:
                if tab.open:
                    part(user, bot)


def _chosen(bots: list[Row]) -> Row:
    known = {row["id"]: row for row in bots}
    named = st.session_state.pop(connecting.ADDED, None) or _named()
    if named in known:
        # The address leads: who chooses another bot below changes it
        st.session_state[CHOSEN] = named
        st.query_params[connecting.NAMED] = str(named)
    elif connecting.NAMED in st.query_params:
        st.warning(NO_SUCH, icon=":material/search_off:")
    if st.session_state.get(CHOSEN) not in known:
        st.session_state.pop(CHOSEN, None)
    ids = list(known)
    if len(ids) == 1:
        return bots[0]
    picked = st.selectbox(
        "Bot",
        ids,
        format_func=lambda bot_id: f"{known[bot_id]['name']} · {STATE_SIGNS[known[bot_id]['state']]}",
        key=CHOSEN,
        on_change=_name_in_address,
        width=320,
    )
    return known[picked]


def _named() -> int | None:
    text = st.query_params.get(connecting.NAMED, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _name_in_address() -> None:
    st.query_params[connecting.NAMED] = str(st.session_state[CHOSEN])
