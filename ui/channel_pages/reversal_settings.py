"""What a user wants to hear of reversal signals, and the history of those that were sent."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import streamlit as st

from actions import discord_settings as actions
from actions.discord_settings import LABELS
from core.pips import CURRENCIES
from core.timeframe import canonical
from database import discord_accounts
from database.accounts import User
from database.discord_accounts import CHANNEL
from database.pool import Row
from reversal.choosing import TIMEFRAMES
from ui.calm import acting, calm, done
from ui.channel_pages import account, reversal_history, reversal_reach
from ui.formatting import ended, moment
from ui.inputs import Slots
from ui.places import REVERSAL_SIGNALS
from ui.services import now, services
from ui.tables import plain

TAB = "Reversal signals"
WHAT_FOR = (
    "DashTrade looks at each market when a bar closes, and the bot writes to you when it finds a likely reversal that"
    " you want to hear of: you press Open trade or Ignore. Unless you made a bot that follows reversal signals, nothing"
    " is traded by itself."
)
NOT_LINKED = (
    "Your Discord account is not linked yet, so nothing can be sent to you. What you choose here counts from the"
    " moment it is linked."
)
RHYTHMS = {0: "Never", 15: "Every 15 minutes", 30: "Every 30 minutes", 60: "Every hour", 240: "Every 4 hours",
           1440: "Every day"}  # fmt: skip
DIRECT = "empty: direct messages"
COPY_ID = (
    "Empty: direct messages. For a channel: in Discord's settings, Advanced, switch on Developer Mode; then"
    " right-click (on a phone: hold) the channel and press Copy Channel ID. The bot must be able to write there."
)


def draw(user: User) -> None:
    """Draw the tab."""
    with services().database.transaction() as transaction:
        row = discord_accounts.settings_of(transaction, user.id)
    st.caption(WHAT_FOR)
    st.page_link(REVERSAL_SIGNALS, label="Reversal signals: what was found, and how good it has been",
                 icon=":material/arrow_forward:")  # fmt: skip
    if row["discord_user_id"] is None:
        st.info(NOT_LINKED, icon=":material/link_off:")
        st.button("Link my Discord account", icon=":material/link:", on_click=_open_linking)
    elif not row["notifications_enabled"]:
        st.warning("Signals are switched off: none is sent to you.", icon=":material/notifications_off:")
    if row["notification_channel_off_at"] is not None:
        channel_off(user, row)
    offered = reversal_reach.offered()
    reversal_reach.draw(row, offered)
    form(user, row, offered)
    st.subheader("Signals sent to you", anchor=False)
    reversal_history.listed(user)


def channel_off(user: User, row: Row) -> None:
    """Say that the chosen channel is switched off, and offer to try it again."""
    channel = row["notification_channel_id"]
    because = plain(ended(row["notification_channel_off_because"]))
    st.error(
        f"Channel {channel} was switched off on {moment(row['notification_channel_off_at'], user.time_zone)}: {because}"
        " Until it is tried again, or another is chosen below, you get direct messages.",
        icon=":material/notifications_off:",
    )
    if st.button("Try the channel again", icon=":material/refresh:"):
        with calm():
            actions.change(services().database, user.id, acting(user).actor, {CHANNEL: str(channel)}, now())
            done("The channel is on again: the next signal is sent to it.")


def form(user: User, row: Row, offered: Sequence[tuple[str, str]]) -> None:
    """Draw all wishes; what was changed is saved together or not at all."""
    slots: Slots = {}
    # Other fields once the row is another, be it changed here, in another window or in Discord
    key = f"wishes-{_mark(row)}"
    with st.form("reversal-wishes"):
        typed = {
            **which(row, offered, key, slots),
            **how_often(row, key, slots),
            **following(row, key, slots),
        }
        if st.form_submit_button("Save", type="primary", icon=":material/save:"):
            with calm(slots):
                save(user, row, typed)


def which(row: Row, offered: Sequence[tuple[str, str]], key: str, slots: Slots) -> dict[str, str]:
    """Draw which signals are wanted."""
    typed = {}
    on = st.toggle(LABELS["notifications_enabled"], row["notifications_enabled"], key=f"{key}-on")
    typed["notifications_enabled"] = _switch(on)
    pairs = list(dict.fromkeys((*(pair for pair, _ in offered), *row["preferred_pairs"])))
    chosen = st.multiselect(
        LABELS["preferred_pairs"], pairs, [pair for pair in pairs if pair in row["preferred_pairs"]],
        key=f"{key}-pairs", accept_new_options=True, placeholder="choose, or type one such as EUR/USD",
    )  # fmt: skip
    typed["preferred_pairs"] = ", ".join(chosen)
    slots["preferred_pairs"] = st.empty()
    frames = st.pills(
        LABELS["enabled_timeframes"], TIMEFRAMES, default=actions.timeframes_of(row), selection_mode="multi",
        key=f"{key}-timeframes",
    )  # fmt: skip
    typed["enabled_timeframes"] = ", ".join(frames)
    slots["enabled_timeframes"] = st.empty()
    percent = st.slider(
        LABELS["min_confidence"], 0, 100, int(row["min_confidence"] * 100), format="%d %%", key=f"{key}-confidence",
        help="How probable it must be that the trade reaches its target before its stop. With a target twice as far"
        " away as the stop, one trade in three has to win to break even before costs.",
    )  # fmt: skip
    typed["min_confidence"] = f"{percent}%"
    slots["min_confidence"] = st.empty()
    model = st.toggle(
        LABELS["only_ml_enhanced"], row["only_ml_enhanced"], key=f"{key}-model",
        help="Off: those of a plain RSI rule are sent too, and marked.",
    )  # fmt: skip
    typed["only_ml_enhanced"] = _switch(model)
    edge = st.toggle(
        LABELS["only_with_edge"], row["only_with_edge"], key=f"{key}-edge",
        help="Off: you are also sent signals of pairs and timeframes whose trades earned nothing in the test, or"
        " that were never tested, with the mark “no edge shown”.",
    )  # fmt: skip
    typed["only_with_edge"] = _switch(edge)
    return typed


def how_often(row: Row, key: str, slots: Slots) -> dict[str, str]:
    """Draw how often and where to they are sent."""
    left, middle, right = st.columns(3)
    with left:
        cooldown = st.text_input(LABELS["notification_cooldown_minutes"], str(row["notification_cooldown_minutes"]),
                                 key=f"{key}-cooldown", autocomplete="off")  # fmt: skip
        slots["notification_cooldown_minutes"] = st.empty()
    with middle:
        most = st.text_input(LABELS["max_notifications_per_day"], str(row["max_notifications_per_day"]),
                             key=f"{key}-most", autocomplete="off", help="A day of your time zone.")  # fmt: skip
        slots["max_notifications_per_day"] = st.empty()
    with right:
        channel = st.text_input(LABELS["notification_channel_id"], str(row["notification_channel_id"] or ""),
                                key=f"{key}-channel", placeholder=DIRECT, help=COPY_ID,
                                autocomplete="off")  # fmt: skip
        slots["notification_channel_id"] = st.empty()
    return {
        "notification_cooldown_minutes": cooldown or "",
        "max_notifications_per_day": most or "",
        "notification_channel_id": channel or "",
    }


def following(row: Row, key: str, slots: Slots) -> dict[str, str]:
    """Draw how trades that were opened are followed."""
    left, middle, right = st.columns(3)
    with left:
        rhythms = {row["running_update_minutes"]: f"Every {row['running_update_minutes']} minutes", **RHYTHMS}
        listed = sorted(rhythms)
        rhythm = st.selectbox(LABELS["running_update_minutes"], listed, listed.index(row["running_update_minutes"]),
                              format_func=rhythms.__getitem__, key=f"{key}-rhythm")  # fmt: skip
        slots["running_update_minutes"] = st.empty()
    with middle:
        hours = st.text_input(LABELS["trade_limit_hours"], str(row["trade_limit_hours"] or ""), key=f"{key}-hours",
                              placeholder="none: it runs to stop or target", autocomplete="off",
                              help="Counts for trades that are opened from now on.")  # fmt: skip
        slots["trade_limit_hours"] = st.empty()
    with right:
        currencies = sorted(CURRENCIES)
        currency = st.selectbox(LABELS["account_currency"], currencies, currencies.index(row["account_currency"]),
                                key=f"{key}-currency", help="What profit and loss are told in.")  # fmt: skip
        slots["account_currency"] = st.empty()
    return {
        "running_update_minutes": str(rhythm),
        "trade_limit_hours": hours or "",
        "account_currency": currency,
    }


def save(user: User, row: Row, typed: Mapping[str, str]) -> None:
    """Save what is not as it was drawn: another window may have changed the rest meanwhile."""
    before = as_typed(row)
    changed = {name: text for name, text in typed.items() if text != before[name]}
    if not changed:
        st.toast("Nothing was changed", icon=":material/info:")
        return
    actions.change(services().database, user.id, acting(user).actor, changed, now())
    done("Your settings of reversal signals are saved.")


def as_typed(row: Row) -> dict[str, str]:
    """Return a row as its fields hold it."""
    return {
        **{name: _switch(row[name]) for name in ("notifications_enabled", "only_ml_enhanced", "only_with_edge")},
        "preferred_pairs": ", ".join(row["preferred_pairs"]),
        "enabled_timeframes": ", ".join(canonical(each) for each in row["enabled_timeframes"]),
        "min_confidence": f"{int(Decimal(row['min_confidence']) * 100)}%",
        **{name: str(row[name]) for name in ("notification_cooldown_minutes", "max_notifications_per_day",
                                             "running_update_minutes", "account_currency")},
        **{name: str(row[name] or "") for name in ("notification_channel_id", "trade_limit_hours")},
    }  # fmt: skip


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _mark(row: Row) -> str:
    said: list[Any] = sorted(as_typed(row).items())
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


def _open_linking() -> None:
    st.session_state["tab"] = account.TAB
