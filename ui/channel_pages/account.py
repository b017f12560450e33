"""The user's own Discord account: linked as whom, or how to link it: by a code, or on Discord's page."""

import json

import streamlit as st

from actions import discord_linking as actions
from actions.discord_linking import Code
from database import discord_accounts, discord_status
from database.accounts import User
from database.pool import Row
from ui.calm import acting, calm, done
from ui.channel_pages import standing
from ui.formatting import moment
from ui.services import now, services
from ui.session import page_token
from ui.tables import plain

REFRESH_SECONDS = 3
CODE = "the code that links a Discord account"
LINKED = "linked"
TAB = "Your Discord account"
WHAT_FOR = "Your own messages count in your signal channels, `/stats` shows your trading, and the bot can write to you."
NO_BOT = (
    "No Discord bot runs here, so there is nobody to type a code to. Signal channels tells how to set one up."
)
GO = "<script>window.location.assign({})</script>"


def draw(user: User) -> None:
    """Draw the tab."""
    with services().database.transaction() as transaction:
        row = discord_accounts.settings_of(transaction, user.id)
        is_set_up = standing.is_set_up(discord_status.status(transaction))
    st.caption(WHAT_FOR)
    if row["discord_user_id"] is not None:
        linked(user, row)
        return
    st.markdown(":gray-badge[○ NOT LINKED]")
    if actions.can_visit_discord(services().settings):
        by_visit(user)
    if is_set_up:
        by_code(user)
    else:
        st.caption(NO_BOT)


def tell_of_visit(user: User) -> None:
    """Say that the visit to Discord ended well, where its address brings the user back."""
    if st.query_params.pop(LINKED, None) is None:
        return
    st.session_state["tab"] = TAB
    with calm():
        with services().database.transaction() as transaction:
            row = discord_accounts.settings_of(transaction, user.id)
        if row["discord_user_id"] is not None:
            st.session_state.pop(CODE, None)
            done(f"Your Discord account {row['discord_username']} is linked.")


def linked(user: User, row: Row) -> None:
    """Draw which account is linked, and what unlinks it."""
    st.session_state.pop(CODE, None)
    with st.container(border=True):
        st.markdown(f":green-badge[● LINKED] **{plain(row['discord_username'] or '')}**")
        st.caption(f"Discord id {row['discord_user_id']} · since {moment(row['linked_at'], user.time_zone)}")
        with st.popover("Unlink", icon=":material/link_off:"):
            st.markdown(
                "Unlink it? Signal channels that take only your own messages take none until it is linked again."
            )
            if st.button("Unlink it", key="discord-unlink", type="primary"):
                with calm():
                    actions.unlink(services(), acting(user))
                    done("Your Discord account is unlinked.")


def by_visit(user: User) -> None:
    """Draw the button that leads to Discord's own page."""
    with st.container(border=True):
        st.markdown("**On Discord's page** :gray[You agree there, and come back.]")
        if st.button("Link with Discord", icon=":material/open_in_new:", type="primary"):
            with calm():
                address = actions.begin_oauth(
                    services(),
                    acting(user),
                    session_token=page_token(),
                    dashboard=st.context.url or "",
                    now=now(),
                )
                st.html(GO.format(json.dumps(address)), unsafe_allow_javascript=True)
                st.link_button("Go on to Discord", address, icon=":material/open_in_new:")


def by_code(user: User) -> None:
    """Draw the button that makes a code, and the code until it is used."""
    with st.container(border=True):
        st.markdown("**By a code** :gray[You type it to the bot, in a server where it is.]")
        label = "Make another code" if CODE in st.session_state else "Show a code"
        if st.button(label, icon=":material/pin:"):
            with calm():
                st.session_state[CODE] = actions.make_code(services(), acting(user), now())
                st.rerun()
        if CODE in st.session_state:
            code(user, st.session_state[CODE])


@st.fragment(run_every=REFRESH_SECONDS)
def code(user: User, made: Code) -> None:
    """Draw the code, big; runs again by itself until it was used or is too old."""
    with calm():
        with services().database.transaction() as transaction:
            row = discord_accounts.settings_of(transaction, user.id)
        if row["discord_user_id"] is not None:
            done(f"Your Discord account {row['discord_username']} is linked.")
        left = made.expires_at - now()
        if left.total_seconds() <= 0:
            st.warning("This code is too old. Make another.", icon=":material/timer_off:")
            return
        st.markdown(f"# {made.text}")
        st.markdown("In Discord, type:")
        st.code(f"/link {made.text}", language=None)
        minutes, seconds = divmod(int(left.total_seconds()), 60)
        st.caption(f"Good for {minutes}:{seconds:02d} more, once. This page goes on by itself.")
