"""Which news a user wants, kind by kind: each at once, merged, or not at all; saved with the click."""

import streamlit as st

from actions import alerts as actions
from alerts.kinds import Delivery, KindOfNews, kinds_to_choose
from database import alert_channels
from database.accounts import User
from database.notifications import NotificationKind
from ui.calm import acting, calm
from ui.services import services

CHANGED = "kinds of news just chosen"
NAMES = {Delivery.ON: "On", Delivery.MERGED: "Merged", Delivery.OFF: "Off"}
EXPLAINED = (
    "**On**: each at once. **Merged**: the first at once, what follows within 15 minutes together in one message."
    " **Off**: none is sent; History still lists it."
)


def draw(user: User) -> None:
    """Draw the kinds by their group."""
    st.caption(EXPLAINED)
    kinds(user)


@st.fragment
def kinds(user: User) -> None:
    """Save what was clicked, then draw each kind with its choice."""
    with calm():
        _save(user)
        with services().database.transaction() as transaction:
            wishes = alert_channels.wishes_of(transaction, user.id)
        for group, members in kinds_to_choose().items():
            with st.container(border=True, gap="small"):
                st.markdown(f"**{group}**")
                for kind, news in members.items():
                    _choice(kind, news, Delivery(wishes.get(kind, news.default)))


def _choice(kind: NotificationKind, news: KindOfNews, chosen: Delivery) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.markdown(news.label, width="stretch")
        st.segmented_control(
            news.label,
            list(NAMES),
            default=chosen,
            required=True,
            format_func=NAMES.__getitem__,
            key=f"wish-{kind}",
            label_visibility="collapsed",
            on_change=_note,
            args=(kind,),
            width="content",
            wrap=False,
        )


def _note(kind: NotificationKind) -> None:
    st.session_state.setdefault(CHANGED, {})[kind] = st.session_state[f"wish-{kind}"]


def _save(user: User) -> None:
    """Save what was clicked and not saved yet, alone: another window may have chosen elsewhere."""
    changed = st.session_state.get(CHANGED)
    if changed:
        actions.choose(services(), acting(user), dict(changed))
        st.session_state[CHANGED] = {}
        st.toast("Saved", icon=":material/check_circle:")
