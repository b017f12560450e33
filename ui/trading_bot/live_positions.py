"""Live Positions: what the brokers last said, with its age, per bot and per account; refreshes by itself."""

from decimal import Decimal

import streamlit as st

from actions import positions as actions
from core.wording import number
from database import holdings, position_details, reports, risk
from database.accounts import User
from database.pool import Row
from ui import tables
from ui.calm import acting, calm, doing, done, tell_what_was_done
from ui.drawing import facts, lead, table
from ui.formatting import age, gain, moment, money, painted, quantity
from ui.services import now, services
from ui.tables import plain
from ui.trading_bot import position_card

REFRESH_SECONDS = 5
PAGE, MISMATCHES = 10, 3
NOTHING_HELD = "No bot holds anything at present. What one buys or sells short appears here by itself."


def draw(user: User) -> None:
    """Draw the tab; each part refreshes alone, so that typing in one is not disturbed."""
    tell_what_was_done()
    with calm():
        with services().database.transaction() as transaction:
            total = holdings.held_in_all(transaction, user.id)["total"]
            places = risk.accounts_of(transaction, user.id)
        if not places:
            words = "What your bots and accounts hold is shown here. Connect a broker first."
            lead(words, ":material/link:", "Connect a broker", "Setup")
            return
        accounts(user)
        st.subheader("Positions of the bots", anchor=False)
        text = _search() if total > PAGE else ""
        held(user, text)
        rest(user)


@st.fragment(run_every=REFRESH_SECONDS)
def accounts(user: User) -> None:
    """Draw what the accounts are worth, and say where one does not add up."""
    with calm():
        with services().database.transaction() as transaction:
            rows = risk.accounts_of(transaction, user.id)
            mismatches = holdings.mismatches_of(transaction, user.id, MISMATCHES + 1)
        for row in mismatches[:MISMATCHES]:
            draw_mismatch(user, row)
        if len(mismatches) > MISMATCHES:
            st.caption("More symbols do not add up; they follow when these are decided.")
        for row in rows:
            with st.container(border=True):
                draw_account(row)


@st.fragment(run_every=REFRESH_SECONDS)
def held(user: User, text: str) -> None:
    """Draw a page of positions, each with its button to close it."""
    with calm():
        with services().database.transaction() as transaction:
            total = holdings.held_in_all(transaction, user.id, text)
        if not total["total"]:
            st.caption("No position has that in its bot or symbol." if text else NOTHING_HELD)
            return
        st.markdown(_in_all(total))
        pages = -(-total["total"] // PAGE)
        page = st.pagination(pages, key=f"positions-page-{pages}") if pages > 1 else 1
        with services().database.transaction() as transaction:
            rows = holdings.held_positions(
                transaction, user.id, text=text, limit=PAGE, offset=(page - 1) * PAGE
            )
            details = position_details.details_of(transaction, user.id, [row["id"] for row in rows])
        for row in rows:
            with st.container(border=True, key=f"position-{row['id']}"):
                position_card.draw(user, row | details[row["id"]])


@st.fragment(run_every=REFRESH_SECONDS)
def rest(user: User) -> None:
    """Draw the orders in flight and what the accounts hold, the user's own holdings included."""
    with calm():
        with services().database.transaction() as transaction:
            orders = reports.orders_of(transaction, user.id, only_open=True)
            positions = risk.positions_of(transaction, user.id)
        st.subheader("Orders in flight", anchor=False)
        table(tables.orders(orders, user.time_zone), "No order is on its way.", key="orders in flight")
        st.subheader("In the accounts", anchor=False)
        st.caption("What the brokers last said the accounts hold, whoever it belongs to.")
        frame = tables.account_positions(positions, user.time_zone)
        table(frame, "The accounts hold nothing.", key="account positions")


def draw_account(row: Row) -> None:
    """Draw one account's money with its age, and what is wrong with it."""
    live = row["mode"] == "live"
    badge = f":{'red' if live else 'gray'}-badge[{row['mode'].upper()}]"
    st.markdown(f"**{plain(row['connection'])}** {badge}")
    facts(
        ("Equity", money(row["equity"], row["currency"])),
        ("Buying power", money(row["buying_power"], row["currency"])),
        ("Cash", money(row["cash"], row["currency"])),
    )
    simulated = " · prices are simulated" if row["broker"] == "paper" else ""
    asked = row["taken_at"] is not None
    said = (
        f"As the broker said {age(row['taken_at'], now())}" if asked else "The broker has not been asked yet"
    )
    st.caption(f"{said}{simulated}")
    if row["status"] == "PROBLEM":
        error = row["last_error"] or "The broker cannot be used at present."
        words = "No entries until it works again. The figures are the last ones known; see Setup."
        st.error(f"{plain(error)} {words}", icon=":material/cloud_off:")


def draw_mismatch(user: User, row: Row) -> None:
    """Say what an account holds beyond its bots, and let the user say that it is theirs."""
    symbol, unexplained = row["symbol"], row["unexplained"]
    st.warning(
        f"**{symbol} at {plain(row['connection'])} does not add up** since"
        f" {moment(row['mismatch_since'], user.time_zone)}: the account holds"
        f" {quantity(row['account_quantity'])}, the bots {quantity(row['held_by_bots'])}"
        f"{_own_before(row['foreign_quantity'])}. No bot enters {symbol} until you say whose the difference is.",
        icon=":material/balance:",
    )
    if not row["settled"]:
        st.caption("An order moves it just now; decide when the order has ended.")
        return
    label = "This holding is mine…" if unexplained > 0 else "The difference is mine…"
    with st.popover(label, icon=":material/person:"):
        st.markdown(_meaning(symbol, unexplained))
        if st.button("Yes, it is mine", key=f"mine-{row['lane_id']}-{unexplained}", type="primary"):
            with doing():
                actions.acknowledge(services(), acting(user), row["lane_id"], own=unexplained)
                done(f"{quantity(unexplained)} {symbol} count as your own. Bots may enter {symbol} again.")


def _own_before(foreign: Decimal) -> str:
    return f", your own {quantity(foreign)}" if foreign else ""


def _meaning(symbol: str, unexplained: Decimal) -> str:
    if unexplained == 0:
        return (
            f"Nothing of {symbol} is yours any more: the account holds what the bots hold. Entries go again."
        )
    if unexplained > 0:
        return (
            f"**{number(unexplained)} {symbol}** are yours: no bot will sell them, and entries go again."
            " If a bot should have them, close them at the broker instead."
        )
    return (
        f"**{number(-unexplained)} {symbol}** less than the bots hold are your own short sale. If you sold what"
        " belonged to a bot, do not confirm: close that bot's position, and what is gone is booked as closed outside."
    )


def _in_all(total: Row) -> str:
    words = [f"**{total['total']:,}** open", f"**{total['longs']:,}** long", f"**{total['shorts']:,}** short"]
    words.append(f"unrealized P&L **{painted(gain(total['unrealized']), total['unrealized'])}**")
    if total["unpriced"]:
        words.append(f"{total['unpriced']:,} without a price yet")
    return " · ".join(words)


def _search() -> str:
    text = st.text_input("Find a position", key="find-position", type="search", placeholder="bot or symbol")
    return text or ""
