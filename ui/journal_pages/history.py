"""All tracked trades by any filter: how they did together, page by page, and as a file."""

import io
from datetime import timedelta

import pandas as pd
import streamlit as st

from core.spreadsheet import csv_lines
from core.trade_wording import duration
from database import journal, tracked_trades
from database.accounts import User
from database.history import Key, Page
from database.pool import Row
from database.tracked_trades import EXPORTED, PAGE, TradeFilters
from ui import charts, tables
from ui.calm import calm
from ui.drawing import chart, clickable, clicked, facts, page_buttons, page_key
from ui.formatting import NOTHING, gain, painted
from ui.journal_pages import frames, panel, words
from ui.reversal_pages.words import IN_REPLAY, is_replay
from ui.services import now, services
from ui.trading_bot.trade_history import time_range

NAME = "journal"
REFRESH_SECONDS, FIGURES_SECONDS = 10, 60
NOTHING_YET = "No trade was followed yet. Open one from a signal, or by hand in the tab Open trades."
NONE_MATCH = "No trade matches. Take a filter away above."
NONE_CLOSED = "None of these trades is closed yet: how they did is counted when one is."
ARCHIVED = "Trades that were closed long ago are put away; switched on, they are listed and counted too."
PIPS = "Pips"
AVERAGE = "what was to be won for what was risked, as the trades were opened"
CURVE = "The sum of {} as trades closed, with its fall from its highest below it."


def draw(user: User) -> None:
    """Draw the tab; a filter draws this part anew and nothing around it."""
    trades(user)


@st.fragment
def trades(user: User) -> None:
    """Draw the filters, what the trades came to, one page of them, and the button for the file."""
    with calm():
        with services().database.transaction() as transaction:
            pairs = journal.pairs_of(transaction, user.id)
        if not pairs:
            st.info(NOTHING_YET, icon=":material/menu_book:")
            return
        wanted = _filters(pairs, user.time_zone)
        # Counted over all trades, so that it is drawn after the rows, which nobody should wait for
        above = st.container()
        rows(user, wanted)
        _export(user, wanted)
        with above:
            figures(user, wanted)


@st.fragment(run_every=FIGURES_SECONDS)
def figures(user: User, wanted: TradeFilters) -> None:
    """Draw the statistics and the curve; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            found = tracked_trades.statistics(transaction, user.id, wanted)
        if not found["trades"]:
            st.caption(NONE_CLOSED)
            return
        totals(found)
        curve(user, wanted, found)


def totals(found: Row) -> None:
    """Draw what the closed trades came to together."""
    total = found["total_profit_loss"]
    facts(
        ("Closed trades", f"{found['trades']:,}"),
        ("Won / lost / even", f"{found['won']:,} / {found['lost']:,} / {found['breakeven']:,}"),
        ("Win rate", tables.rate(found["win_rate"])),
        ("Total P&L", painted(gain(total, found["currency"]), total)),
        *_steps(found),
        ("Average R : R", words.ratio(found["average_reward_to_risk"])),
        ("Average held", duration(timedelta(seconds=found["average_seconds"] or 0))),
        ("Best", _end(found["best"], found["currency"])),
        ("Worst", _end(found["worst"], found["currency"])),
    )
    left_out = words.left_out(found)
    st.caption(f"R : R is {AVERAGE}.{' ' + left_out if left_out else ''}")


def curve(user: User, wanted: TradeFilters, found: Row) -> None:
    """Draw the sum of results over time, in money or in pips."""
    measures = [found["currency"], PIPS] if found["total_profit_loss"] is not None else [PIPS]
    measure = st.segmented_control(
        "Curve in",
        measures,
        default=measures[0],
        required=True,
        key=f"{NAME} curve in {measures[0]}",
        label_visibility="collapsed",
    )
    with services().database.transaction() as transaction:
        points = (
            journal.pips_curve(transaction, user.id, wanted)
            if measure == PIPS
            else journal.money_curve(transaction, user.id, found["currency"], wanted)
        )
    if not points:
        st.caption("None of these trades counts pips: those of shares and coins are points.")
        return
    frame = pd.DataFrame(points)
    at = pd.to_datetime(frame["at"], utc=True).dt.tz_convert(user.time_zone).dt.tz_localize(None)
    what = "pips" if measure == PIPS else f"profit and loss in {measure}"
    chart(charts.curve(frame.assign(at=at), str(measure)), key=f"{NAME}-curve", words=CURVE.format(what))


@st.fragment(run_every=REFRESH_SECONDS)
def rows(user: User, wanted: TradeFilters) -> None:
    """Draw one page of trades; a click on a row opens that trade. Runs again by itself, without the filters."""
    with calm():
        before = page_key(NAME, wanted)
        with services().database.transaction() as transaction:
            found = tracked_trades.page(transaction, user.id, wanted, before.id if before else None, PAGE + 1)
        if not found:
            st.caption(NONE_MATCH)
            return
        st.caption("Click a row to see all of that trade.")
        shown = found[:PAGE]
        if any(is_replay(row) for row in shown):
            st.caption(f"↻ {IN_REPLAY}")
        event = clickable(frames.trades(shown, user.time_zone, now()), key=f"{NAME} table {before}")
        older = Key(at=shown[-1]["created_at"], id=shown[-1]["id"]) if len(found) > PAGE else None
        page_buttons(NAME, Page(rows=shown, older=older), PAGE)
        row = clicked(event, shown)
        if row is not None:
            st.query_params[panel.TRADE] = str(row["id"])
            st.rerun()


def exported(user_id: int, wanted: TradeFilters) -> bytes:
    """Return all trades of the filters as CSV in UTF-8, read in pieces."""
    out = io.BytesIO()
    with services().database.transaction() as transaction:
        for line in csv_lines(tracked_trades.csv_rows(transaction, user_id, wanted), EXPORTED):
            out.write(line.encode())
    return out.getvalue()


def _filters(pairs: list[str], zone: str) -> TradeFilters:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        status = _choice("Status", words.STATES)
        result = _choice("Result", words.RESULTS)
        pair = _choice("Pair", {pair: pair for pair in pairs})
        days = st.date_input(f"Opened from, to ({zone})", value=[], key=f"{NAME} days", width=256)
        archived = st.toggle("Also archived", key=f"{NAME} archived", help=ARCHIVED)
    since, until = time_range(days, zone)
    return TradeFilters(
        status=status, result=result, pair=pair, since=since, until=until, with_archived=archived
    )


def _choice(label: str, names: dict[str, str]) -> str | None:
    return st.selectbox(
        label,
        [None, *names],
        format_func=lambda value: "All" if value is None else names[value],
        key=f"{NAME} {label}",
        width=150,
    )


def _export(user: User, wanted: TradeFilters) -> None:
    st.download_button(
        "Export to CSV",
        data=lambda: exported(user.id, wanted),
        file_name=f"journal-{now():%Y-%m-%d}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"{NAME} export",
        help="All trades of this filter, not just this page. Times are in UTC, numbers plain.",
    )


def _steps(found: Row) -> list[tuple[str, str]]:
    """Return the sums of pips and of points, those that are not nothing; pips where both are."""
    told = [
        (f"Total {unit}", painted(words.steps(found[f"total_{unit}"], unit), found[f"total_{unit}"]))
        for unit in ("pips", "points")
        if found[f"total_{unit}"]
    ]
    return told or [("Total pips", "0")]


def _end(row: Row | None, currency: str) -> str:
    return NOTHING if row is None else painted(gain(row["profit_loss"], currency), row["profit_loss"])
