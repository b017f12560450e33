"""The part of Setup that tries everything out: a test alert, and lines for the command line."""

import streamlit as st

from actions import practice
from core.signal import Action
from database import first_run
from database.accounts import User
from intake import TRADINGVIEW
from ui.calm import acting, calm
from ui.following import follow, remember_signal
from ui.services import services
from ui.trading_bot.webhook_urls import shown_texts

WHICH = "The first whose market is open"
BY_POSITION = "Buy, or close what is held"
YOUR_TOKEN = "YOUR_TOKEN"  # noqa: S105  stands for one


def draw(user: User) -> None:
    """Draw the test alert, then the lines."""
    st.caption(
        "A test alert is a real signal, sent to your webhook URL as TradingView would, for a bot on a paper"
        " connection. It trades play money."
    )
    alert_form(user)
    # A place of its own, so that what follows it stays as it is when it fills.
    with st.container():
        follow(user)
    with st.expander("From the command line"):
        lines(user)


def alert_form(user: User) -> None:
    """Draw the form that sends a test alert."""
    with services().database.transaction() as transaction:
        rows = first_run.bots_for_a_test(transaction, user.id, TRADINGVIEW)
    # A choice that is None would read as nothing chosen.
    names = {0: WHICH} | {row["id"]: row["name"] for row in rows}
    actions = {"": BY_POSITION} | {each.value: each.value for each in Action}
    with st.form("test-alert", border=False):
        left, right = st.columns(2)
        bot = left.selectbox("Bot", list(names), format_func=names.__getitem__, key="test-bot")
        action = right.selectbox("Action", list(actions), format_func=actions.__getitem__, key="test-action")
        if st.form_submit_button("Send a test alert", type="primary", icon=":material/send:"):
            with calm():
                wanted = Action(action) if action else None
                remember_signal(practice.send_alert(services(), acting(user), bot or None, wanted))


def lines(user: User) -> None:
    """Draw ready lines; a webhook URL that is shown above fills them in."""
    token = next(reversed(shown_texts().values()), YOUR_TOKEN)
    url = services().settings.public_url
    st.markdown(f"Your user id is **{user.id}**.")
    if token == YOUR_TOKEN:
        st.caption("Press Show at a webhook URL above, and these lines are filled in.")
    st.caption("What your accounts and bots hold")
    st.code(f"curl '{url}/user/{user.id}/positions?token={token}'", language="bash", wrap_lines=True)
    st.caption("Your bots with their status")
    st.code(f"curl '{url}/user/{user.id}/bots?token={token}'", language="bash", wrap_lines=True)
    st.caption("How a message would be read; nothing is stored or traded")
    message = '{"action": "buy", "symbol": "AAPL", "timeframe": "15", "price": "143.12"}'
    st.code(f"curl -X POST '{url}/test-webhook' -H 'Content-Type: application/json' -d '{message}'",
            language="bash", wrap_lines=True)  # fmt: skip
    st.caption("An alert: this one trades")
    st.code(f"curl -X POST '{url}/webhook?token={token}' -H 'Content-Type: application/json' -d '{message}'",
            language="bash", wrap_lines=True)  # fmt: skip
