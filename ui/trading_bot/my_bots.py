"""My Bots: a card for each bot, a form for another, and the switch over all of them."""

import streamlit as st

from actions import bots as actions
from core.bot import TradingState
from database import accounts, bot_list, channel_pages, connections
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, doing, done, tell_what_was_done
from ui.drawing import lead
from ui.formatting import gain, painted
from ui.services import services
from ui.trading_bot import bot_card, bot_panel, new_bot

REFRESH_SECONDS = 4
PAGE = 10
OPEN_BOT = "bot"


def draw(user: User) -> None:
    """Draw the tab: a bot named in the address (`?bot=7`) in full, or all of them."""
    tell_what_was_done()
    with calm():
        bot_id = _named_bot()
        if bot_id is not None:
            bot_panel.draw(user, bot_id)
            return
        with services().database.transaction() as transaction:
            places = connections.shown_connections(transaction, user.id)
            counts = bot_list.count_bots(transaction, user.id)
        if not places:
            lead(
                "Bots trade through a broker. Connect a broker first.",
                ":material/link:",
                "Connect a broker",
                "Setup",
            )
            return
        # The form is long; a page of cards need not wait for it.
        adding = st.expander(
            "➕ Add New Bot", expanded=counts["total"] == 0, key="add-bot", on_change="rerun"
        )
        if adding.open:
            with adding:
                new_bot.draw(user, places)
        if counts["total"]:
            draw_list(user, counts["total"])
        else:
            st.caption("No bot yet. A bot trades one symbol when an alert for it comes.")


def draw_list(user: User, total: int) -> None:
    """Draw the switch over all bots, then a page of cards."""
    switch_over_all(user)
    text = ""
    if total > PAGE:
        text = st.text_input("Find a bot", key="find-bot", type="search", placeholder="name or symbol") or ""
    with services().database.transaction() as transaction:
        found = bot_list.count_bots(transaction, user.id, text)["total"]
    if not found:
        st.caption("No bot has that in its name or symbol.")
        return
    pages = -(-found // PAGE)
    page = st.pagination(pages, key=f"bots-page-{pages}") if pages > 1 else 1
    cards(user, text, (page - 1) * PAGE)


@st.fragment(run_every=REFRESH_SECONDS)
def cards(user: User, text: str, offset: int) -> None:
    """Draw a page of cards; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            rows = bot_list.bot_cards(transaction, user.id, text=text, limit=PAGE, offset=offset)
            channels = channel_pages.names(transaction, user.id)
        for row in rows:
            with st.container(border=True):
                bot_card.draw(user, row, channel=channels.get(row["signal_channel_id"]))


@st.fragment(run_every=REFRESH_SECONDS)
def switch_over_all(user: User) -> None:
    """Draw the totals of all bots and what pauses them together."""
    with calm():
        with services().database.transaction() as transaction:
            counts = bot_list.count_bots(transaction, user.id)
            me = accounts.user(transaction, user.id)
        state = me.trading_state if me else TradingState.ACTIVE
        with bot_card.head_line():
            st.markdown(_in_all(counts), width="content")
            if state is TradingState.ACTIVE and st.button(
                "Pause all bots", icon=":material/pause:", help="No new entries; exits still pass."
            ):
                with doing():
                    actions.pause_all(services(), acting(user))
                    done("All bots are paused: nothing new is entered, exits still pass.")
        if state is TradingState.ACTIVE:
            return
        words = {
            TradingState.REDUCING: "All bots are paused: nothing new is entered, exits still pass.",
            TradingState.HALTED: "Everything of yours is HALTED: nothing is sent, not even protection.",
        }
        st.warning(words[state], icon=":material/pause_circle:")
        if st.button("Resume all bots", icon=":material/play_arrow:", type="primary"):
            with doing():
                actions.resume_all(services(), acting(user))
                done("All bots that are enabled trade again.")


def _in_all(counts: Row) -> str:
    noun = "bot" if counts["total"] == 1 else "bots"
    words = [f"**{counts['total']:,}** {noun}", f"**{counts['enabled']:,}** enabled"]
    words.append(f"**{counts['holding']:,}** in a position")
    words.append(f"realized P&L **{painted(gain(counts['total_pnl']), counts['total_pnl'])}**")
    return " · ".join(words)


def _named_bot() -> int | None:
    text = st.query_params.get(OPEN_BOT, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
