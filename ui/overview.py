"""The page Overview: money, its curve, what runs, what is held, and what became of the last signals."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from core.bot import TradingState
from database import (
    alert_reading,
    bot_list,
    connections,
    figures,
    health,
    holdings,
    reports,
    risk,
    signal_list,
)
from database.accounts import User
from database.pool import Row
from database.signal_list import SignalFilter
from ui import charts, tables
from ui.calm import calm
from ui.drawing import chart, table
from ui.formatting import age, ended, gain
from ui.places import DISCORD, SETTINGS, SIGNALS, TRADING_BOT
from ui.services import now, services
from ui.tables import plain
from ui.trading_bot.broker_connections import is_loud
from ui.trading_bot.live_positions import draw_account

REFRESH_SECONDS, CURVE_SECONDS = 5, 60
SHOWN = 6
PARTS = {"worker": "Worker", "broker watch": "Broker watch"}
SPANS = {"Day": timedelta(days=1), "Week": timedelta(days=7), "Month": timedelta(days=30), "All": None}
FEW = timedelta(minutes=5)
CHANNELS = {"DISCORD": "Discord", "WEBHOOK": "the JSON webhook"}
# Five beside each other on a common screen, two on a phone
METRIC_WIDTH = 167


def draw(user: User) -> None:
    """Draw the page; each part refreshes alone."""
    standing(user)
    curve(user)
    held_and_heard(user)


@st.fragment(run_every=REFRESH_SECONDS)
def standing(user: User) -> None:
    """Draw what is halted, today's figures, whether everything runs, and the accounts."""
    with calm():
        with services().database.transaction() as transaction:
            switches = reports.switches_that_stop(transaction, user.id, SHOWN)
            today = figures.today_of(transaction, user.id, now())
            held = holdings.held_in_all(transaction, user.id)
            counts = bot_list.count_bots(transaction, user.id)
            accounts = risk.accounts_of(transaction, user.id)
            beats = {row["part"]: row for row in health.heartbeats(transaction)}
            troubled = bot_list.bots_in_trouble(transaction, user.id, SHOWN)
            silent = alert_reading.switched_off(transaction, user.id)
            places = connections.shown_connections(transaction, user.id)
        draw_switches(switches)
        if accounts:
            draw_figures(today, held, counts)
        draw_health(beats, accounts)
        draw_warnings(places)
        draw_trouble(troubled)
        draw_silent(silent)
        for start in range(0, len(accounts), 2):
            pair = accounts[start : start + 2]
            for column, account in zip(st.columns(len(pair)), pair, strict=True):
                with column.container(border=True, height="stretch"):
                    draw_account(account)


def draw_switches(stopped: list[Row]) -> None:
    """Say in red what is halted and in yellow what only closes; many bots in one line."""
    bots = next((row["bots_in_all"] for row in stopped if row["scope"] == "bot"), 0)
    for row in stopped:
        if row["scope"] != "bot" or bots < SHOWN:
            draw_switch(row)
    if bots >= SHOWN:
        st.warning(f"{bots:,} bots are stopped by their kill switch.", icon=":material/block:")
    if stopped:
        st.page_link(SETTINGS, label="Kill switches", icon=":material/power_settings_new:",
                     query_params={"tab": "Kill switch"})  # fmt: skip


def draw_switch(row: Row) -> None:
    """Say what one switch stops."""
    names = {"server": "The server", "user": "Everything of yours"}
    name = names.get(row["scope"]) or f"{row['scope'].capitalize()} {plain(row['name'])}"
    if row["trading_state"] == TradingState.HALTED:
        st.error(f"{name} is HALTED: nothing is sent, not even protection.", icon=":material/block:")
    elif row["flatten"]:
        st.warning(f"{name} is closing everything and then halts.", icon=":material/logout:")
    else:
        st.warning(f"{name} only closes positions (REDUCING).", icon=":material/trending_down:")


def draw_figures(today: Any, held: Row, counts: Row) -> None:
    """Draw the figures that people look at first."""
    pairs = (
        ("P&L today", gain(today), "What all bots realized today, net of fees."),
        ("Unrealized P&L", gain(held["unrealized"]), "Of all open positions, as the brokers last priced them."),
        ("Realized P&L", gain(counts["total_pnl"]), "In all, of the bots that are not deleted, net of fees."),
        ("Open positions", f"{held['total']:,}", "Of your bots."),
        ("Bots enabled", f"{counts['enabled']:,} of {counts['total']:,}", "The others take no entries."),
    )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        for label, value, meaning in pairs:
            st.metric(label, value, border=True, help=meaning, width=METRIC_WIDTH)


def draw_health(beats: Mapping[str, Row], accounts: list[Row]) -> None:
    """Draw a light for each part and each connection, and say what a dark one means."""
    lights, faults = [], []
    for part, name in PARTS.items():
        beat = beats.get(part)
        lights.append(_light(name, "runs", is_well=bool(beat and beat["alive"])))
        if beat is None or not beat["alive"]:
            since = f"silent since {age(beat['beat_at'], now())}" if beat else "not started"
            faults.append(f"{name} is {since}")
    lights += [
        _light(plain(row["connection"]), "connected", is_well=row["status"] != "PROBLEM") for row in accounts
    ]
    st.markdown(" ".join(lights))
    if faults:
        words = "Alerts are kept meanwhile; nothing is traded or watched until it runs again."
        st.error(f"{'; '.join(faults)}. {words}", icon=":material/heart_broken:")


def draw_warnings(places: list[Row]) -> None:
    """Repeat what endangers a connection's money, for as long as it does."""
    loud = [row for row in places if is_loud(row["warning"] or "")]
    for row in loud:
        st.error(f"**{plain(row['label'])}:** {plain(row['warning'])}", icon=":material/gpp_maybe:")
    if loud:
        st.page_link(
            TRADING_BOT, label="Change its keys", icon=":material/key:", query_params={"tab": "Setup"}
        )


def draw_trouble(bots: list[Row]) -> None:
    """Name the bots that a person should look at, with the way to each."""
    if not bots:
        return
    in_all = bots[0]["in_all"]
    noun = "bot needs" if in_all == 1 else "bots need"
    st.warning(
        f"**{in_all:,} {noun} a look:** an order failed or a risk limit was hit.", icon=":material/smart_toy:"
    )
    with st.container(horizontal=True, gap="small"):
        for row in bots:
            label = f"{plain(row['name'])} · {tables.STATUS_SIGNS[row['order_status']]}"
            st.page_link(TRADING_BOT, label=label, width="content",
                         query_params={"tab": "My Bots", "bot": str(row["id"])})  # fmt: skip
        if in_all > len(bots):
            st.page_link(TRADING_BOT, label="All bots", icon=":material/arrow_forward:", icon_position="right",
                         width="content", query_params={"tab": "My Bots"})  # fmt: skip


def draw_silent(channels: list[Row]) -> None:
    """Say which channels no alert is sent to, and why, with the way to mend it."""
    for row in channels:
        because = plain(ended(row["switched_off_because"] or "its service refused it"))
        st.warning(
            f"**Your alerts do not go to {CHANNELS[row['transport']]}: it is switched off.** {because}",
            icon=":material/notifications_off:",
        )
    if channels:
        st.page_link(DISCORD, label="Where alerts go", icon=":material/notifications:",
                     query_params={"tab": "Where to"})  # fmt: skip


def _light(name: str, verb: str, *, is_well: bool) -> str:
    return f":green-badge[● {name} {verb}]" if is_well else f":red-badge[✕ {name}: trouble]"


@st.fragment(run_every=CURVE_SECONDS)
def curve(user: User) -> None:
    """Draw the equity of an account over time."""
    with calm():
        with services().database.transaction() as transaction:
            accounts = {row["connection"]: row for row in risk.accounts_of(transaction, user.id)}
        if not accounts:
            return
        st.subheader("Equity", anchor=False)
        account, span = _choices(list(accounts))
        rows = _equity(user, accounts[account]["connection_id"], SPANS[span])
        if len(rows) < 2:
            st.caption("The curve begins here: your equity is noted once a minute.")
            return
        frame = pd.DataFrame(rows)
        at = pd.to_datetime(frame["at"], utc=True).dt.tz_convert(user.time_zone).dt.tz_localize(None)
        words = f"The equity of {account} over time, as its broker said it."
        chart(charts.equity(frame.assign(at=at)), key="equity", words=words)


def _choices(accounts: list[str]) -> tuple[str, str]:
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        account = accounts[0]
        if len(accounts) > 1:
            account = st.selectbox(
                "Account", accounts, key="equity of", label_visibility="collapsed", width=240
            )
        span = st.segmented_control("Span", list(SPANS), default="Month", required=True, key="equity span",
                                    label_visibility="collapsed")  # fmt: skip
    return account or accounts[0], span or "Month"


def _equity(user: User, connection_id: int, span: timedelta | None) -> list[Row]:
    until = now()
    with services().database.transaction() as transaction:
        begins = figures.equity_begins(transaction, user.id, connection_id)
        if begins is None:
            return []
        since = begins if span is None else max(begins, until - span)
        since = min(since - timedelta(seconds=1), until - FEW)
        return figures.equity_curve(transaction, user.id, connection_id, since=since, until=until)


@st.fragment(run_every=REFRESH_SECONDS)
def held_and_heard(user: User) -> None:
    """Draw the open positions and the last signals, a few of each, with the way to all."""
    with calm():
        with services().database.transaction() as transaction:
            positions = holdings.held_positions(transaction, user.id, limit=SHOWN)
            signals = signal_list.signals_page(transaction, user.id, SignalFilter(), limit=SHOWN).rows
        _title("Open positions", TRADING_BOT, "Live Positions")
        table(tables.held(positions), "No bot holds anything.", key="overview positions")
        _title("Last signals", SIGNALS, None)
        nothing = "No signal came yet. Setup has your webhook URL, and a test alert to try it."
        frame = tables.all_signals(signals, user.time_zone)
        table(frame[["Received", "Signal", "Outcome", "Why"]], nothing, key="overview signals")


def _title(words: str, place: str, tab: str | None) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.subheader(words, anchor=False, width="content")
        st.page_link(place, label="All", icon=":material/arrow_forward:", icon_position="right", width="content",
                     query_params={"tab": tab} if tab else None)  # fmt: skip
