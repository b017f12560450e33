"""How a watched bot stands: its light, its account over time, and what it holds; refreshes by itself."""

from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from alerts.figures import amount, duration
from database import watched_reading
from database.accounts import User
from database.pool import Row
from ui import charts
from ui.calm import calm
from ui.drawing import chart, facts, table
from ui.formatting import NOTHING, age, gain, moment, money, painted, quantity
from ui.services import now, services
from ui.tables import plain
from ui.watched_pages import connecting, frames, messages
from ui.watched_pages.words import STATE_COLOURS, STATE_SIGNS, listener_in_words, told

LIGHT_SECONDS = 3
REFRESH_SECONDS = 15
SPANS = {"Day": timedelta(days=1), "Week": timedelta(weeks=1), "Month": timedelta(days=30), "All": None}
NO_BALANCE = "No balance was reported yet: it is drawn here when a message below `balance/update` came."
NO_POSITION = "It said nothing of a position that is open."
ERROR_COUNTS_FOR = timedelta(days=1)
# How a figure is called where the bot counted it, and where DashTrade counted what the bot reported.
COUNTS = {
    "open_positions": ("Positions by its count", "Positions listed here"),
    "total_trades": ("Trades by its count", "Trades listed here"),
}


def draw(user: User, bot: Row) -> None:
    """Draw the tab."""
    heard = bool(bot["messages"])
    light(user, bot["id"], heard=heard)
    if not heard:
        connecting.how(user, bot["prefix"])
        return
    newest_error(user, bot["id"])
    account(user, bot["id"])
    positions(user, bot["id"])


@st.fragment(run_every=LIGHT_SECONDS)
def light(user: User, bot_id: int, *, heard: bool) -> None:
    """Draw whether a bot lives, since when, and what its last heartbeat said.

    `heard` tells whether the page around it was drawn for a bot that had reported something: the first
    message draws the page anew.
    """
    with calm():
        with services().database.transaction() as transaction:
            bot = watched_reading.bot(transaction, user.id, bot_id)
            status = watched_reading.listener(transaction)
            own = watched_reading.counted(transaction, user.id, bot_id) if _leaves_out(bot) else None
        if bot is None:
            st.info("This bot is watched no more.", icon=":material/visibility_off:")
            return
        if bot["messages"] and not heard:
            st.rerun()
        with st.container(border=True):
            draw_light(user, bot, own)
            hears, words = listener_in_words(status, now())
            if hears:
                st.caption(plain(words))
            else:
                st.warning(
                    f"{words} What stands here is how it was then.", icon=":material/hearing_disabled:"
                )


@st.fragment(run_every=LIGHT_SECONDS)
def listener(user: User) -> None:
    """Draw whether DashTrade hears its broker at all."""
    with calm():
        with services().database.transaction() as transaction:
            status = watched_reading.listener(transaction)
        hears, words = listener_in_words(status, now())
        if hears:
            st.caption(f":green[:material/hearing:] {plain(words)}")
        else:
            st.warning(words, icon=":material/hearing_disabled:")


def draw_light(user: User, bot: Row, own: Row | None) -> None:
    """Draw a bot's state in words and colour, and the figures of its last heartbeat.

    `own` is what DashTrade counted, for what the heartbeat did not say.
    """
    state = bot["state"]
    st.markdown(
        f"**{plain(bot['name'])}** :{STATE_COLOURS[state]}-badge[{STATE_SIGNS[state]}]"
        f" :gray[{_since(bot, user.time_zone)}]"
    )
    if not bot["messages"]:
        return
    said = bot["heartbeat"] or {}
    facts(
        ("Last heartbeat", age(bot["last_heartbeat_at"], now())),
        ("Last message", age(bot["last_message_at"], now())),
        ("Uptime by its count", duration(said.get("uptime_seconds")) or NOTHING),
        *(_count(said, own, name) for name in COUNTS),
        (
            "Messages",
            f"{bot['messages']:,}" + (f", {bot['bad_messages']:,} bad" if bot["bad_messages"] else ""),
        ),
        across=3,
    )


@st.fragment(run_every=REFRESH_SECONDS)
def newest_error(user: User, bot_id: int) -> None:
    """Draw what a bot complained of last, while that is news, with the way to its errors."""
    with calm():
        since = now() - ERROR_COUNTS_FOR
        with services().database.transaction() as transaction:
            row = watched_reading.newest_error(transaction, user.id, bot_id, since=since)
        if row is None:
            return
        words = told(row["understood"])
        said = plain(words) if words != NOTHING else "it said no more about it."
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.warning(
                f"**Its last error, {age(row['received_at'], now())}:** {said}", icon=":material/error:"
            )
            if st.button("Its errors", icon=":material/arrow_forward:", on_click=_show_errors):
                st.rerun()


def _show_errors() -> None:
    st.session_state[messages.TAB_KEY] = messages.TAB
    st.session_state[messages.KIND_KEY] = "ERROR"


@st.fragment(run_every=REFRESH_SECONDS)
def account(user: User, bot_id: int) -> None:
    """Draw what a bot said last of its account, and balance and equity over time."""
    with calm():
        st.subheader("Account", anchor=False)
        span = st.segmented_control(
            "Over the last",
            list(SPANS),
            default="Week",
            required=True,
            key="watched-span",
            label_visibility="collapsed",
        )
        back = SPANS[str(span)]
        with services().database.transaction() as transaction:
            newest = watched_reading.newest_balance(transaction, user.id, bot_id)
            since = now() - back if back else None
            rows = watched_reading.balances(transaction, user.id, bot_id, since=since, now=now())
        if newest is None:
            st.caption(NO_BALANCE)
            return
        draw_metrics(newest)
        st.caption(f"As of {moment(newest['at'], user.time_zone)}, {age(newest['at'], now())}")
        if not rows:
            st.caption("Nothing was reported in this span.")
            return
        if len(rows) == 1:
            st.caption("One balance was reported in this span; a second one begins the curve.")
            return
        frame = pd.DataFrame(rows, columns=["at", "balance", "equity"])
        words = f"Balance and equity over time, {len(rows)} points"
        chart(charts.balance_and_equity(frame, user.time_zone), key="watched-balances", words=words)


def draw_metrics(newest: Row) -> None:
    """Draw the figures of the last balance; those it did not tell are left out."""
    plain_ones = [
        (name.capitalize(), money(newest[name])) for name in ("balance", "equity", "available", "locked")
    ]
    gains = [("Unrealized P&L", newest["unrealized_pnl"]), ("Total P&L", newest["total_pnl"])]
    told: list[tuple[str, Any]] = [pair for pair in plain_ones if pair[1] != NOTHING]
    facts(
        *told, *((name, painted(gain(value), value)) for name, value in gains if value is not None), across=3
    )


@st.fragment(run_every=REFRESH_SECONDS)
def positions(user: User, bot_id: int) -> None:
    """Draw what a bot said it holds."""
    with calm():
        with services().database.transaction() as transaction:
            rows = watched_reading.open_positions(transaction, user.id, bot_id)
            bot = watched_reading.bot(transaction, user.id, bot_id)
        st.subheader("Open positions", anchor=False)
        table(frames.open_positions(rows, user.time_zone), _no_position(bot), key="watched-positions")
        if len(rows) == watched_reading.MOST_OPEN:
            st.caption(f"The newest {watched_reading.MOST_OPEN} are shown.")


def _leaves_out(bot: Row | None) -> bool:
    """Tell whether a bot's heartbeat says nothing of something that can be counted here."""
    said = (bot or {}).get("heartbeat") or {}
    return any(amount(said.get(name)) is None for name in COUNTS)


def _count(said: Row, own: Row | None, name: str) -> tuple[str, str]:
    by_the_bot, here = COUNTS[name]
    counted = amount(said.get(name))
    if counted is None and own is not None:
        return here, f"{own[name]:,}"
    return by_the_bot, quantity(counted)


def _no_position(bot: Row | None) -> str:
    counted = amount(((bot or {}).get("heartbeat") or {}).get("open_positions"))
    if not counted:
        return NO_POSITION
    return f"Its heartbeat counts {quantity(counted)}; none was reported as opened."


def _since(bot: Row, zone: str) -> str:
    match bot["state"]:
        case "ONLINE" if bot["started_at"]:
            return f"started {moment(bot['started_at'], zone)}"
        case "OFFLINE":
            timeout = services().settings.heartbeat_timeout_seconds
            since = bot["offline_since"] or bot["last_heartbeat_at"]
            return f"since {moment(since, zone)}: no heartbeat for more than {timeout} s"
        case "STOPPED":
            return f"it said that it stops, {age(bot['last_message_at'], now())}"
        case "UNKNOWN":
            return "no heartbeat came yet" if bot["messages"] else "nothing was heard yet"
    return ""
