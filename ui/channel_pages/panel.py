"""One signal channel in full: its card, its messages, its bots, its settings, and putting it away."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import streamlit as st

from actions import signal_channels as actions
from actions.lending import margin_modes
from core.bot import SizeMode
from core.order import MarginMode
from database import channel_pages, discord_status, signal_channels
from database.accounts import User
from database.pool import Row
from database.signal_channels import SignalChannel, titled
from ui.calm import acting, calm, done
from ui.channel_pages import card, fields, messages, trying
from ui.formatting import gain, painted
from ui.inputs import Slots
from ui.places import TRADING_BOT
from ui.services import now, services
from ui.tables import STATUS_SIGNS, plain
from ui.tabs import OPEN

REFRESH_SECONDS = 5


def draw(user: User, number: int) -> None:
    """Draw the channel, or that there is none: another user's looks like one that does not exist."""
    if st.button("All channels", icon=":material/arrow_back:"):
        _leave()
    found = _found(user, number)
    if found is None:
        st.info(f"There is no signal channel {number}.", icon=":material/search_off:")
        return
    channel, row = found
    head(user, number)
    st.subheader("Try a message", anchor=False)
    trying.draw(user, [channel])
    st.subheader("Messages", anchor=False)
    messages.listed(user, number)
    st.subheader("Bots", anchor=False)
    bots(user, number)
    st.subheader("Settings", anchor=False)
    settings_form(user, channel, row)
    st.subheader("Archive", anchor=False)
    archiving(user, channel, row)


@st.fragment(run_every=REFRESH_SECONDS)
def head(user: User, number: int) -> None:
    """Draw the card; runs again by itself."""
    with calm():
        found = _found(user, number)
        if found is None:
            _leave()
        channel, row = found
        with services().database.transaction() as transaction:
            status = discord_status.status(transaction)
        with st.container(border=True):
            card.draw(user, channel, row, status, details=False)


@st.fragment(run_every=REFRESH_SECONDS)
def bots(user: User, number: int) -> None:
    """Draw the channel's bots, each with the way to it."""
    with calm():
        with services().database.transaction() as transaction:
            rows = channel_pages.bots_of(transaction, user.id, number)
        if not rows:
            st.caption("None yet: the first signal of a symbol makes its bot.")
        for row in rows:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.page_link(TRADING_BOT, label=plain(row["name"]), icon=":material/smart_toy:", width="content",
                             query_params={OPEN: "My Bots", "bot": str(row["id"])})  # fmt: skip
                pnl = painted(gain(row["total_pnl"]), row["total_pnl"])
                st.markdown(
                    f"{STATUS_SIGNS[row['order_status']]} · P&L {pnl} · {row['total_trades']:,} trades"
                )


def settings_form(user: User, channel: SignalChannel, row: Row) -> None:
    """Draw every setting that can be changed."""
    key = f"channel-{channel.id}"
    stored = {name: getattr(channel, name) for name in signal_channels.EDITABLE}
    slots: Slots = {}
    with st.container(border=True):
        st.caption(
            f"Channel {channel.channel_id}, trading at {plain(row['connection'])}: these stay, since its bots'"
            " trades belong to them. Changes reach its bots too; what is held stays protected as it is."
        )
        mode = fields.size_mode_field(SizeMode(channel.size_mode), key)
        _settings(user, channel, stored, mode, margin_modes(row["broker"]), slots)


def _settings(
    user: User,
    channel: SignalChannel,
    stored: Mapping[str, Any],
    mode: SizeMode,
    modes: Sequence[MarginMode],
    slots: Slots,
) -> None:
    key = f"channel-{channel.id}"
    with st.form(key, border=False):
        name = st.text_input("Name", channel.name, key=f"{key}-name", autocomplete="off")
        slots["name"] = st.empty()
        typed = fields.main_fields(stored, mode, modes, key, slots)
        with st.expander("More"):
            typed |= fields.more_fields(stored, key, slots)
        if st.form_submit_button("Save", type="primary", icon=":material/save:"):
            with calm(slots):
                actions.edit(services(), acting(user), channel.id, name=name or "", **fields.read(typed))
                done(f"{titled(name or '')} is saved.")


def archiving(user: User, channel: SignalChannel, row: Row) -> None:
    """Ask before a registration is put away, and say what becomes of its bots."""
    st.caption("It takes no more signals. Its bots and their trades stay in My Bots.")
    if row["holding"]:
        st.warning(
            f"{row['holding']} of its bots hold something, and no signal will close it: their stops and targets"
            " do, or you in Live Positions.",
            icon=":material/warning:",
        )
    agreed = st.checkbox("Yes, archive this channel", key=f"channel-agree-{channel.id}")
    if st.button(
        "Archive", key=f"channel-archive-{channel.id}", icon=":material/archive:", disabled=not agreed
    ):
        with calm():
            names = actions.archive(services(), acting(user), channel.id)
            st.query_params.pop("channel", None)
            stay = f" Its bots stay: {', '.join(names[:10])}." if names else ""
            done(f"{channel.title} is archived.{stay}")


def _found(user: User, number: int) -> tuple[SignalChannel, Row] | None:
    with services().database.transaction() as transaction:
        channel = signal_channels.find(transaction, number, user_id=user.id)
        rows = channel_pages.registrations(transaction, user.id, now() - card.LATELY, only=number)
    return (channel, rows[0]) if channel is not None and rows else None


def _leave() -> NoReturn:
    st.query_params.pop("channel", None)
    st.rerun()
