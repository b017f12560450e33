"""Performance: what the bots made, in figures and in plots; realized, net of fees, archived bots included."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from core.instrument import AssetClass
from core.trading_day import trading_day
from database import figures, history, risk
from database.accounts import User
from database.pool import Row
from ui import charts, tables
from ui.calm import calm
from ui.drawing import chart, facts, table
from ui.formatting import NOTHING, gain, money, painted
from ui.prices import price_line
from ui.services import now, services

NOTHING_YET = (
    "No trade is booked yet. When a bot has bought and sold, what it made is drawn here: as figures, as a curve"
    " and day by day."
)
ROWS_OF_BREAKDOWN = 100
REALIZED = "Bots, realized"
BEFORE = timedelta(minutes=15)
TOTALS = (
    "Total P&L",
    "Trades",
    "Win rate",
    "Profit factor",
    "Max drawdown",
    "Best trade",
    "Worst trade",
    "Fees",
)
UNDER_WAY = ("…",) * len(TOTALS)


def draw(user: User) -> None:
    """Draw the tab, of all bots or of one."""
    with calm():
        with services().database.transaction() as transaction:
            bots = history.bots_with_history(transaction, user.id)
        if not bots:
            st.info("No bot yet. Make one in the tab My Bots.", icon=":material/smart_toy:")
            return
        bot = _chosen_bot(bots)
        totals = st.empty()
        with totals.container():
            draw_totals(UNDER_WAY)
        # The curve goes out first: while the rest is added up, the browser loads what draws plots.
        curve = _realized(user, bot)
        if curve:
            draw_curve(user, curve, of_all=bot is None)
        found = _figures(user, bot, curve)
        with totals.container():
            draw_totals(_in_words(found["total"]))
        if not curve:
            st.info(NOTHING_YET, icon=":material/monitoring:")
        else:
            draw_rest(user, found, of_all=bot is None)
        if bot is not None:
            draw_fills(user, bot)


def draw_rest(user: User, found: dict[str, Any], *, of_all: bool) -> None:
    """Draw what stands below the curve."""
    draw_days(found["days"])
    if of_all:
        draw_breakdown(found)
    draw_trades(user, found)


def draw_totals(values: Iterable[str]) -> None:
    """Draw the figures in a row."""
    facts(*zip(TOTALS, values, strict=True), across=4)
    st.caption("Realized, net of fees. A trade is a round trip, from flat to flat.")


def _in_words(total: Row) -> tuple[str, ...]:
    return (
        painted(gain(total["total_pnl"]), total["total_pnl"]),
        f"{total['trades']:,}",
        tables.rate(total["win_rate"]),
        tables.factor(total),
        _fall(total["max_drawdown"]),
        painted(gain(total["best"]), total["best"]),
        painted(gain(total["worst"]), total["worst"]),
        money(total["fees"]),
    )


@st.fragment
def draw_curve(user: User, realized: list[Row], *, of_all: bool) -> None:
    """Draw the realized P&L over time, or the equity of an account."""
    st.subheader("Equity curve", anchor=False)
    with calm():
        with services().database.transaction() as transaction:
            accounts = {row["connection"]: row for row in risk.accounts_of(transaction, user.id)}
        chosen = _chosen_curve(accounts) if of_all and accounts else REALIZED
        if chosen == REALIZED:
            words = "The sum of realized P&L over time, with its drawdown below."
            chart(charts.curve(_local(pd.DataFrame(realized), user), "P&L"), key="curve", words=words)
            return
        rows = _equity(user, accounts[chosen]["connection_id"])
        if not rows:
            st.caption("Nothing is known of this account yet; its equity is kept once a minute.")
            return
        words = f"The equity of {chosen} over time as its broker said it, with its drawdown below."
        chart(charts.curve(_local(pd.DataFrame(rows), user), "Equity"), key="curve", words=words)


def draw_days(days: list[Row]) -> None:
    """Draw P&L by day as a calendar."""
    st.subheader("P&L by day", anchor=False)
    frame = pd.DataFrame(days)
    chart(
        charts.calendar(frame, trading_day(now(), AssetClass.STOCK)),
        key="calendar",
        words="P&L of each trading day, a column per week; the sign stands in each cell.",
    )
    best = max(days, key=lambda row: row["pnl"])
    worst = min(days, key=lambda row: row["pnl"])
    words = "A day is New York's for stocks and UTC's for crypto."
    if len(days) > 1:
        words = f"Best {_day(best)} · worst {_day(worst)} · {words}"
    st.caption(words)


def draw_breakdown(found: dict[str, Any]) -> None:
    """Draw what each symbol and each bot made, beside each other."""
    bots = [row for row in found["bots"] if row["trades"]]
    if not bots:
        return
    left, right = st.columns(2)
    with left:
        draw_part("symbol", found["symbols"], len(found["symbols"]))
    with right:
        draw_part("bot", bots, found["bots_traded"])


def draw_part(what: str, rows: list[Row], in_all: int) -> None:
    """Draw what each symbol or each bot made, as bars and, when that is opened, as a table."""
    st.subheader(f"Per {what}", anchor=False)
    words = f"P&L of each {what} as a bar."
    chart(charts.breakdown(pd.DataFrame(rows), what), key=f"per {what}", words=words)
    figures_of(what, rows, in_all)


@st.fragment
def figures_of(what: str, rows: list[Row], in_all: int) -> None:
    """Draw the table of each symbol's or bot's figures; while it is shut nothing of it is sent."""
    with st.expander(f"All figures per {what}", key=f"all per {what}", on_change="rerun") as shown:
        if not shown.open:
            return
        ranked = sorted(rows, key=lambda row: row["total_pnl"], reverse=True)[:ROWS_OF_BREAKDOWN]
        table(tables.figures(ranked, what), NOTHING, key=f"figures per {what}")
        if in_all > len(ranked):
            st.caption(f"The best {len(ranked)} of {in_all:,}.")


def draw_trades(user: User, found: dict[str, Any]) -> None:
    """Draw how the trades are spread, and the best and the worst of them."""
    if not found["distribution"]:
        st.caption("No trade has ended yet: how they are spread is drawn when one has.")
        return
    st.subheader("Wins and losses", anchor=False)
    chart(
        charts.distribution(pd.DataFrame(found["distribution"])),
        key="distribution",
        words="How many trades ended in which range of P&L.",
    )
    left, right = st.columns(2)
    with left:
        st.markdown("**Best trades**")
        table(
            tables.round_trips(found["best"], user.time_zone), "None has made money yet.", key="best trades"
        )
    with right:
        st.markdown("**Worst trades**")
        table(
            tables.round_trips(found["worst"], user.time_zone), "None has lost money yet.", key="worst trades"
        )


def draw_fills(user: User, bot: Row) -> None:
    """Draw a bot's entries and exits, over the price where it is known."""
    with services().database.transaction() as transaction:
        rows = figures.fills_of_bot(transaction, user.id, bot["id"])
    if not rows:
        return
    st.subheader("Entries and exits", anchor=False)
    prices = price_line(
        bot["broker"], bot["symbol"], rows[0]["at"] - BEFORE, min(rows[-1]["at"] + BEFORE, now())
    )
    chart(
        charts.entries_and_exits(_local(pd.DataFrame(rows), user), _local(prices, user)),
        key="fills",
        words=f"The fills of {bot['name']}: buys point up, sells point down, entries are full, exits hollow.",
    )
    if prices.empty:
        st.caption("Prices between the fills are not kept for this broker, so no line is drawn.")
    else:
        st.caption("The line is the simulated market's price; where it was closed there is none.")


def _realized(user: User, bot: Row | None) -> list[Row]:
    with services().database.transaction() as transaction:
        return figures.realized_curve(transaction, user.id, bot["id"] if bot else None)


def _figures(user: User, bot: Row | None, curve: list[Row]) -> dict[str, Any]:
    with services().database.transaction() as transaction:
        return figures.performance_of(
            transaction,
            user.id,
            bot["id"] if bot else None,
            with_plots=True,
            most_bots=ROWS_OF_BREAKDOWN,
            curve=curve,
        )


def _chosen_bot(bots: list[Row]) -> Row | None:
    return st.selectbox(
        "Bot",
        [None, *bots],
        format_func=lambda bot: "All bots" if bot is None else _name(bot),
        key="performance bot",
        width=320,
    )


def _day(row: Row) -> str:
    return f"{row['day']:%d %b %Y}: {gain(row['pnl'])}"


def _name(bot: Row) -> str:
    return f"{bot['name']} (archived)" if bot["archived"] else str(bot["name"])


def _chosen_curve(accounts: dict[str, Row]) -> str:
    chosen: str | None = st.segmented_control(
        "Curve of",
        [REALIZED, *accounts],
        default=REALIZED,
        format_func=tables.plain,
        required=True,
        label_visibility="collapsed",
        key="curve of",
    )
    return chosen or REALIZED


def _equity(user: User, connection_id: int) -> list[Row]:
    with services().database.transaction() as transaction:
        begins = figures.equity_begins(transaction, user.id, connection_id)
        if begins is None:
            return []
        since = begins - timedelta(seconds=1)
        return figures.equity_curve(transaction, user.id, connection_id, since=since, until=now())


def _local(frame: pd.DataFrame, user: User) -> pd.DataFrame:
    """Return the frame with its times as the user's clock shows them."""
    if frame.empty:
        return frame
    at = pd.to_datetime(frame["at"], utc=True).dt.tz_convert(user.time_zone).dt.tz_localize(None)
    return frame.assign(at=at)


def _fall(amount: Decimal) -> str:
    return money(-amount) if amount else money(amount)
