"""Trade History: every leg of every bot, filtered, page by page, and all of it as a file."""

import io
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from core.spreadsheet import csv_lines
from database import history, position_details
from database.accounts import User
from database.history import TradeFilter, TradeStatus
from database.pool import Row
from ui import tables
from ui.calm import calm
from ui.drawing import lead, page_buttons, page_key, table
from ui.services import now, services

NAME = "history"
REFRESH_SECONDS = 10
ACTIONS = ("BUY", "SELL", "CLOSE")
NOTHING_YET = "No trade yet. Send a test alert in the tab Setup: what becomes of it appears here."
NONE_MATCH = "No trade matches. Take a filter away above."


def draw(user: User) -> None:
    """Draw the tab; a filter draws this part anew and nothing around it."""
    trades(user)


@st.fragment
def trades(user: User) -> None:
    """Draw the filters, one page of trades, and the button for the file."""
    with calm():
        with services().database.transaction() as transaction:
            bots = history.bots_with_history(transaction, user.id)
        if not bots:
            words = "No bot yet. Make one in the tab My Bots."
            lead(words, ":material/smart_toy:", "Make a bot", "My Bots")
            return
        wanted = _filters(bots, user.time_zone)
        rows(user, wanted)
        _export(user, wanted)


@st.fragment(run_every=REFRESH_SECONDS)
def rows(user: User, wanted: TradeFilter) -> None:
    """Draw one page of trades; runs again by itself, without the filters."""
    with calm():
        before = page_key(NAME, wanted)
        with services().database.transaction() as transaction:
            page = history.trades_page(transaction, user.id, wanted, before=before)
            lent = position_details.leverage_of_trades(transaction, user.id, [row["id"] for row in page.rows])
        nothing = NOTHING_YET if wanted == TradeFilter() else NONE_MATCH
        table(tables.trades(page.rows, user.time_zone, lent), nothing, key=f"{NAME} table")
        page_buttons(NAME, page, history.PAGE)


def exported(user_id: int, wanted: TradeFilter) -> bytes:
    """Return all trades of a filter as CSV in UTF-8, read in pieces."""
    out = io.BytesIO()
    with services().database.transaction() as transaction:
        for line in csv_lines(history.all_trades(transaction, user_id, wanted), history.EXPORTED):
            out.write(line.encode())
    return out.getvalue()


def time_range(days: Any, zone: str) -> tuple[datetime | None, datetime | None]:
    """Return the moments at which the first day begins and the day after the last; None where not chosen."""
    chosen: list[date] = list(days or ())
    if not chosen:
        return None, None
    begin = datetime.combine(chosen[0], time.min, ZoneInfo(zone))
    if len(chosen) == 1:
        return begin, None
    return begin, datetime.combine(chosen[1] + timedelta(days=1), time.min, ZoneInfo(zone))


def _filters(bots: list[Row], zone: str) -> TradeFilter:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        bot_id = _choice("Bot", {row["id"]: _bot_name(row) for row in bots})
        symbol = _choice("Symbol", {name: name for name in sorted({row["symbol"] for row in bots})})
        action = _choice("Action", dict.fromkeys(ACTIONS, str))
        status = _choice("Status", {status.value: tables.TRADE_SIGNS[status] for status in TradeStatus})
        days = st.date_input(f"From, to ({zone})", value=[], key=f"{NAME} days", width=260)
        with_pnl = st.toggle("Only with P&L", key=f"{NAME} with P&L")
    since, until = time_range(days, zone)
    return TradeFilter(
        bot_id=bot_id,
        symbol=symbol,
        action=action,
        status=status,
        since=since,
        until=until,
        only_with_pnl=with_pnl,
    )


def _choice(label: str, names: dict[Any, Any]) -> Any:
    def shown(value: Any) -> str:
        if value is None:
            return "All"
        name: str | Callable[[Any], str] = names[value]
        return name if isinstance(name, str) else name(value)

    return st.selectbox(label, [None, *names], format_func=shown, key=f"{NAME} {label}", width=160)


def _bot_name(row: Row) -> str:
    return f"{row['name']} (archived)" if row["archived"] else str(row["name"])


def _export(user: User, wanted: TradeFilter) -> None:
    st.download_button(
        "Export to CSV",
        data=lambda: exported(user.id, wanted),
        file_name=f"trades-{now():%Y-%m-%d}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"{NAME} export",
        help="All trades of this filter, not just this page. Times are in UTC, numbers plain.",
    )
