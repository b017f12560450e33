"""The newest score of each pair and timeframe, and whether the user was told of it or why not."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from database import discord_accounts, reversal_reading, signal_notifications
from database.accounts import User
from database.pool import Row, Transaction
from ui.calm import calm
from ui.drawing import table
from ui.reversal_pages import data, frames, told, words
from ui.services import now, services

REFRESH_SECONDS = 10
NO_SCORE = (
    "No bar was scored yet. A pair and timeframe is scored when somebody chose it, from its next closed bar on: choose"
    " yours under Discord & alerts, Reversal signals. Currencies and shares have no bars over the weekend."
)
EXPLAINED = (
    "**Confidence** is how often such a trade should reach its target before its stop; of the plain rule, how often it"
    " did on measured data. **Reversal** is how likely the"
    " bar begins one at all, **Goes up** how likely that one leads up."
)


def draw(user: User) -> None:
    """Draw the tab; it refreshes by itself."""
    newest(user)


@st.fragment(run_every=REFRESH_SECONDS)
def newest(user: User) -> None:
    """Draw the scores."""
    with calm():
        with services().database.transaction() as transaction:
            scan = reversal_reading.scanning(transaction)
            rows = judged(transaction, user)
        data.tell_scan(words.scan(scan, user.time_zone, now()))
        if any(words.is_replay(row) for row in rows):
            st.warning(words.IN_REPLAY, icon=":material/replay:")
        table(frames.scores(rows, user.time_zone), NO_SCORE, key="reversal-scores")
        if rows:
            st.caption(EXPLAINED)


def judged(transaction: Transaction, user: User) -> list[Row]:
    """Return the newest scores, each with why the user was told of it or not."""
    rows = reversal_reading.scores(transaction)
    settings = discord_accounts.settings_of(transaction, user.id)
    sent = {_key(row): row for row in reversal_reading.told_of_scores(transaction, user.id)}
    moment = now()
    day = moment.astimezone(ZoneInfo(user.time_zone)).date()
    since = moment - timedelta(minutes=settings["notification_cooldown_minutes"]) - timedelta(days=8)
    before = signal_notifications.sent_before(transaction, {user.id: day}, _pairs(rows), since)[user.id]
    return [{**row, "told": told.why(row, settings, before, sent.get(_key(row)))} for row in rows]


def _key(row: Row) -> tuple[object, ...]:
    return (row["pair"], row["timeframe"], row["bar_opened_at"], row["signal_type"])


def _pairs(rows: list[Row]) -> list[str]:
    return sorted({row["pair"] for row in rows})
