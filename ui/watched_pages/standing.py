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
from ui.watched_pages import connecting, frames
from ui.watched_pages.words import STATE_COLOURS, STATE_SIGNS, listener_in_words

LIGHT_SECONDS = 3
REFRESH_SECONDS = 15
SPANS = {"Day": timedelta(days=1), "Week": timedelta(weeks=1), "Month": timedelta(days=30), "All": None}
NO_BALANCE = "No balance was reported yet: it is drawn here when a message below `balance/update` came."
NO_POSITION = "It said nothing of a position that is open."


def draw(user: User, bot: Row) -> None:
    """Draw the tab."""
    light(user, bot["id"])
    if not bot["messages"]:
        connecting.how(user, bot["prefix"])
        return
    account(user, bot["id"])
    positions(user, bot["id"])


@st.fragment(run_every=LIGHT_SECONDS)
def light(user: User, bot_id: int) -> None:
    """Draw whether a bot lives, since when, and what its last heartbeat said."""
    with calm():
        with services().database.transaction() as transaction:
            bot = watched_reading.bot(transaction, user.id, bot_id)
            status = watched_reading.listener(transaction)
        if bot is None:
            st.info("This bot is watched no more.", icon=":material/visibility_off:")
            return
        with st.container(border=True):
            draw_light(user, bot)
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


def draw_light(user: User, bot: Row) -> None:
    """Draw a bot's state in words and colour, and the figures of its last heartbeat."""
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
        ("Open positions", quantity(amount(said.get("open_positions")))),
        ("Trades", quantity(amount(said.get("total_trades")))),
        (
            "Messages",
            f"{bot['messages']:,}" + (f", {bot['bad_messages']:,} bad" if bot["bad_messages"] else ""),
        ),
        across=3,
    )


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
        st.subheader("Open positions", anchor=False)
        table(frames.open_positions(rows, user.time_zone), NO_POSITION, key="watched-positions")
        if len(rows) == watched_reading.MOST_OPEN:
            st.caption(f"The newest {watched_reading.MOST_OPEN} are shown.")


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
