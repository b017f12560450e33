"""A watched bot's completed trades, how they did together, its last session, and all of them as a file."""

import io

import streamlit as st

from alerts.figures import amount
from core.spreadsheet import csv_lines
from database import watched_reading
from database.accounts import User
from database.pool import Row
from ui import tables
from ui.calm import calm
from ui.drawing import facts, page_buttons, page_key, table
from ui.formatting import NOTHING, gain, painted
from ui.services import now, services
from ui.tables import plain
from ui.watched_pages import frames
from ui.watched_pages.words import figure

NAME = "watched-trades"
REFRESH_SECONDS = 10
NO_TRADE = (
    "No trade was completed yet. Each appears here when the bot reports it below `trading/trade/completed`."
)
SESSION = {
    "session": "Session",
    "duration_seconds": "Lasted",
    "initial_balance": "Began with",
    "final_balance": "Ended with",
    "total_pnl": "Total P&L",
    "total_pnl_fraction": "Total P&L %",
    "total_trades": "Trades",
    "winning_trades": "Won",
    "losing_trades": "Lost",
    "win_rate": "Win rate",
    "average_win": "Average win",
    "average_loss": "Average loss",
    "max_drawdown": "Max drawdown",
}
MONEY = {"average_win": "total_pnl", "average_loss": "total_pnl", "max_drawdown": "balance"}


def draw(user: User, bot: Row) -> None:
    """Draw the tab."""
    totals(user, bot["id"])
    rows(user, bot["id"])
    st.download_button(
        "Export to CSV",
        data=lambda: exported(user.id, bot["id"]),
        file_name=f"watched-trades-{now():%Y-%m-%d}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"{NAME} export",
        help="All completed trades of this bot. Times are in UTC, numbers plain.",
    )
    session(user, bot["id"])


@st.fragment(run_every=REFRESH_SECONDS)
def totals(user: User, bot_id: int) -> None:
    """Draw how the completed trades did together."""
    with calm():
        with services().database.transaction() as transaction:
            found = watched_reading.trade_figures(transaction, user.id, bot_id)
        if found["trades"]:
            decided = found["wins"] + found["losses"]
            facts(
                ("P&L", painted(gain(found["pnl"]), found["pnl"])),
                ("Trades", f"{found['trades']:,}"),
                ("Won / lost", f"{found['wins']:,} / {found['losses']:,}"),
                ("Win rate", f"{found['wins'] * 100 / decided:.1f} %" if decided else NOTHING),
                ("Profit factor", tables.factor(found)),
            )


@st.fragment(run_every=REFRESH_SECONDS)
def rows(user: User, bot_id: int) -> None:
    """Draw one page of completed trades; runs again by itself."""
    with calm():
        before = page_key(NAME, bot_id)
        with services().database.transaction() as transaction:
            page = watched_reading.trades_page(transaction, user.id, bot_id, before=before)
        table(frames.trades(page.rows, user.time_zone), NO_TRADE, key=f"{NAME} table")
        page_buttons(NAME, page, watched_reading.PAGE)


@st.fragment(run_every=REFRESH_SECONDS)
def session(user: User, bot_id: int) -> None:
    """Draw what the bot itself said of its last session."""
    with calm():
        with services().database.transaction() as transaction:
            bot = watched_reading.bot(transaction, user.id, bot_id)
        said = (bot or {}).get("session")
        st.subheader("Last session, as the bot counts", anchor=False)
        if not said:
            st.caption("It reported no statistics yet; most bots do when they stop.")
            return
        pairs = [(label, plain(figure(MONEY.get(name, name), said[name])))
                 for name, label in SESSION.items() if said.get(name) is not None]  # fmt: skip
        facts(*pairs, *_profit_factor(said))


def exported(user_id: int, bot_id: int) -> bytes:
    """Return all completed trades of a bot as CSV in UTF-8, read in pieces."""
    out = io.BytesIO()
    with services().database.transaction() as transaction:
        found = watched_reading.all_trades(transaction, user_id, bot_id)
        for line in csv_lines(found, watched_reading.EXPORTED):
            out.write(line.encode())
    return out.getvalue()


def _profit_factor(said: Row) -> list[tuple[str, str]]:
    """Return what was won for each unit lost, where the averages and counts were told."""
    names = ("average_win", "winning_trades", "average_loss", "losing_trades")
    won, wins, lost, losses = (amount(said.get(name)) for name in names)
    if won is None or wins is None or not lost or not losses:
        return []
    return [("Profit factor", f"{won * wins / abs(lost * losses):.2f}")]
