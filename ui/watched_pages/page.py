"""The page Watched bots: which bot, then its tabs, of which the open one alone is run."""

from collections import Counter
from collections.abc import Callable

import streamlit as st

from database import watched_reading
from database.accounts import User
from database.pool import Row
from ui.calm import calm, tell_what_was_done
from ui.services import services
from ui.watched_pages import connecting, messages, standing, trades

CHOSEN = "watched-bot"
NO_SUCH = "You watch no such bot; this is another one of yours."
NO_BOT = (
    "No bot is watched yet. A bot that runs elsewhere reports over MQTT; what it holds, earns and complains of"
    " is shown here, and alerts about it go where yours go."
)
TABS: dict[str, Callable[[User, Row], None]] = {
    "Now": standing.draw,
    "Trades": trades.draw,
    messages.TAB: messages.draw,
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
        for tab, part in zip(
            st.tabs(list(TABS), key=messages.TAB_KEY, bind="query-params"), TABS.values(), strict=True
        ):
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
    bot = bots[0] if len(bots) == 1 else _picked(known)
    if connecting.NAMED in st.query_params:
        st.query_params[connecting.NAMED] = str(bot["id"])
    return bot


def _picked(known: dict[int, Row]) -> Row:
    bots = list(known.values())
    picked = st.selectbox(
        "Bot",
        list(known),
        format_func=_labels(bots).__getitem__,
        key=CHOSEN,
        on_change=_name_in_address,
        width=320,
    )
    return known.get(picked, bots[0])


def _labels(bots: list[Row]) -> dict[int, str]:
    """Return what each bot is called in the chooser; that must not change while it is drawn, as states do.

    The browser names what was chosen by its label. Bots of one name are told apart by their prefix.
    """
    names = Counter(bot["name"].lower() for bot in bots)
    return {
        bot["id"]: bot["name"] if names[bot["name"].lower()] == 1 else f"{bot['name']} · {bot['prefix']}"
        for bot in bots
    }


def _named() -> int | None:
    text = st.query_params.get(connecting.NAMED, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _name_in_address() -> None:
    picked = st.session_state[CHOSEN]
    if isinstance(picked, int):
        st.query_params[connecting.NAMED] = str(picked)
    else:
        # The label of a bot that was renamed or removed meanwhile
        st.query_params.pop(connecting.NAMED, None)
