"""The first-run checklist: five steps to a filled test trade, each turning green by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import streamlit as st

from actions import connections, practice, tokens
from database import first_run
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, doing, tell_what_was_done
from ui.following import SENT, follow, remember_signal
from ui.formatting import price, quantity
from ui.places import TRADING_BOT
from ui.services import now, services
from ui.tables import plain

REFRESH_SECONDS = 2
SHOWN_AFTERWARDS = timedelta(minutes=15)
HIDDEN = "the checklist is hidden"
VERBS = {"BUY": "bought", "SELL": "sold", "CLOSE": "closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line: what is to do, whether it is done, what it came to, and what does it."""

    title: str
    is_done: bool
    result: str
    act: Callable[[User, Row], None]


def draw(user: User) -> None:
    """Draw the checklist until the first trade has filled, and a while longer."""
    with calm():
        with services().database.transaction() as transaction:
            progress = first_run.progress_of(transaction, user.id)
        if is_over(progress) or st.session_state.get(HIDDEN):
            return
        tell_what_was_done()
        with st.container(border=True):
            _steps(user)


def is_over(progress: Row) -> bool:
    """Tell whether the user has been through it long enough ago."""
    return progress["trade_at"] is not None and now() - progress["trade_at"] > SHOWN_AFTERWARDS


@st.fragment(run_every=REFRESH_SECONDS)
def _steps(user: User) -> None:
    with calm():
        with services().database.transaction() as transaction:
            progress = first_run.progress_of(transaction, user.id)
        steps = steps_of(progress)
        count = sum(step.is_done for step in steps)
        title = "Your first trade" if count < len(steps) else "You are set up"
        st.subheader(title, anchor=False)
        st.progress(count / len(steps), text=f"{count} of {len(steps)} steps done")
        draw_steps(user, progress, steps)
        draw_end(count == len(steps))


def steps_of(progress: Row) -> tuple[Step, ...]:
    """Return the steps with what is done of each."""
    traded = progress["trade_id"] is not None
    return (
        Step(title="Connect a broker", is_done=_can_practise(progress),
             result=str(progress["connection"]), act=connect),
        Step(title="Generate your webhook URL", is_done=progress["has_token"],
             result="shown in Setup whenever you need it", act=generate),
        Step(title="Create a bot", is_done=progress["bot_id"] is not None, result=str(progress["bot"]), act=create),
        Step(title="Send a test alert", is_done=traded or st.session_state.get(SENT) is not None,
             result="sent to your webhook URL", act=send),
        Step(title="See it filled", is_done=traded, result=_trade(progress) if traded else "", act=wait),
    )  # fmt: skip


def draw_steps(user: User, progress: Row, steps: tuple[Step, ...]) -> None:
    """Draw each step in a line; the first that is not done has its buttons."""
    next_step = next((step for step in steps if not step.is_done), None)
    for number, step in enumerate(steps, start=1):
        if step.is_done:
            st.markdown(f":green[:material/check_circle:] **{number}. {step.title}** · {plain(step.result)}")
        elif step is next_step:
            st.markdown(f":blue[:material/arrow_circle_right:] **{number}. {step.title}**")
            step.act(user, progress)
        else:
            st.markdown(f":gray[:material/circle:] {number}. {step.title}")


def connect(user: User, progress: Row) -> None:
    """Offer the paper broker by one click, and the way to the others."""
    if progress["mode"] == "live":
        st.caption("Your connection trades real money; a test trade needs play money.")
    elif progress["last_error"]:
        st.warning(
            f"{plain(progress['connection'])}: {plain(progress['last_error'])}", icon=":material/link_off:"
        )
    st.caption("The built-in paper broker needs no keys: $100,000 of play money, simulated prices.")
    with st.container(horizontal=True):
        if st.button("Connect the paper broker", key="first-connect", type="primary", icon=":material/link:"):
            with doing():
                connections.connect_paper(services(), acting(user))
            st.rerun()
        st.page_link(TRADING_BOT, label="Another broker", icon=":material/key:")


def generate(user: User, progress: Row) -> None:
    """Offer to make the address for alerts."""
    st.caption("TradingView sends its alerts there. Only whoever knows it can trade with your bots.")
    if st.button("Generate Webhook URL", key="first-token", type="primary", icon=":material/link:"):
        with doing():
            tokens.generate(services(), acting(user), name="TradingView")
        st.rerun()


def create(user: User, progress: Row) -> None:
    """Offer a bot with the usual settings on something that trades now, and the way to the form."""
    st.caption("It trades $5,000 at each alert, on a symbol whose market is open at this hour.")
    with st.container(horizontal=True):
        if st.button("Create a practice bot", key="first-bot", type="primary", icon=":material/smart_toy:"):
            with doing():
                practice.practice_bot(services(), acting(user), progress["connection_id"])
            st.rerun()
        st.page_link(TRADING_BOT, label="My own bot", icon=":material/tune:", query_params={"tab": "My Bots"})


def send(user: User, progress: Row) -> None:
    """Offer to send the alert."""
    st.caption("A real signal to your webhook URL, just as TradingView sends it.")
    _send_button(user, "Send a test alert")


def wait(user: User, progress: Row) -> None:
    """Show what becomes of the alert, and offer another try."""
    follow(user)
    _send_button(user, "Send another")


def _send_button(user: User, label: str) -> None:
    if st.button(label, key="first-alert", type="primary", icon=":material/send:"):
        with doing():
            remember_signal(practice.send_alert(services(), acting(user)))
        st.rerun()


def draw_end(is_complete: bool) -> None:
    """Say what comes next, or let the user hide the list."""
    if is_complete:
        st.success("The way from an alert to the broker works. Next: paste your webhook URL and message into"
                   " TradingView.", icon=":material/celebration:")  # fmt: skip
        st.page_link(TRADING_BOT, label="Open Setup for URL and message", icon=":material/content_copy:")
    elif st.button("Hide for now", key="first-hide", type="tertiary"):
        st.session_state[HIDDEN] = True
        st.rerun()


def _can_practise(progress: Row) -> bool:
    return (
        progress["connection_id"] is not None
        and progress["status"] != "PROBLEM"
        and progress["mode"] != "live"
    )


def _trade(progress: Row) -> str:
    words = (
        f"{VERBS[progress['trade_action']]} {quantity(progress['trade_quantity'])} {progress['trade_symbol']}"
    )
    return f"{words} at {price(progress['trade_price'])}"
