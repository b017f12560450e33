"""The part of Setup that connects brokers: what is connected, its limits and keys, and a form for more."""

import streamlit as st

from actions import connections
from actions.connections import Offer, Wish
from brokers.base import BrokerName, Mode
from core.bot import TradingState
from core.errors import Rejected
from database.accounts import User
from database.connections import shown_connection, shown_connections
from database.pool import Row
from ui.calm import acting, calm, done
from ui.formatting import age
from ui.inputs import Slots, amount, amount_input, whole
from ui.services import now, services
from ui.tables import plain

REFRESH_SECONDS = 5
PAPER_NOTE = (
    "The built-in paper broker trades with $100,000 of play money at simulated prices. It needs no keys."
)
MODE_COLOURS = {Mode.LIVE: "red", Mode.PAPER: "gray", Mode.DEMO: "gray"}
WHERE_KEYS = (
    "docs/guides/ tells for Alpaca and BloFin where keys are made, and which rights they need."
    " They never need to withdraw."
)
STATUS_BADGES = {
    "OK": ":green-badge[● connected]",
    "NEW": ":gray-badge[○ not checked yet]",
    "PROBLEM": ":red-badge[✕ problem]",
}


def draw(user: User) -> None:
    """Draw the connections there are, then the form for another."""
    with services().database.transaction() as transaction:
        known = shown_connections(transaction, user.id)
    for row in known:
        with st.container(border=True):
            head(user, row["id"])
            buttons(user, row)
    with st.expander("Connect another broker" if known else "Connect a broker", expanded=not known,
                     icon=":material/add_link:"):  # fmt: skip
        connect_form(user, bool(known))


@st.fragment(run_every=REFRESH_SECONDS)
def head(user: User, connection_id: int) -> None:
    """Draw how a connection stands; runs again by itself, so that a fault shows."""
    with calm():
        with services().database.transaction() as transaction:
            row = shown_connection(transaction, user.id, connection_id)
        if row is None:
            st.rerun()
        draw_head(row)


def draw_head(row: Row) -> None:
    """Draw name, mode, status, the beginning of the key, limits and what is wrong."""
    badge = f":{MODE_COLOURS[Mode(row['mode'])]}-badge[{row['mode'].upper()}]"
    st.markdown(f"**{plain(row['label'])}** {badge} {STATUS_BADGES[row['status']]}")
    keys = f" · key {row['credentials_prefix']}" if row["credentials_prefix"] else ""
    bots = f"{row['bots']} bot{'s' if row['bots'] != 1 else ''}"
    title = connections.TITLES[BrokerName(row["broker"])]
    st.caption(f"{title}{keys} · {bots} · checked {age(row['last_checked_at'], now())} · {_limits(row)}")
    if row["trading_state"] == TradingState.HALTED:
        st.error("HALTED: nothing is sent here, not even protection.", icon=":material/block:")
    elif row["trading_state"] == TradingState.REDUCING:
        st.warning("Only closes positions (REDUCING).", icon=":material/trending_down:")
    if row["last_error"]:
        st.error(plain(row["last_error"]), icon=":material/error:")
    if row["warning"]:
        (st.error if is_loud(row["warning"]) else st.warning)(
            plain(row["warning"]), icon=":material/gpp_maybe:"
        )


def is_loud(warning: str) -> bool:
    """Tell whether a broker's warning is of the kind that endangers money: its first sentence is in capitals."""
    return warning.partition(".")[0].isupper()


def buttons(user: User, row: Row) -> None:
    """Draw what can be done about a connection."""
    with st.container(horizontal=True):
        if st.button("Check", key=f"check-{row['id']}", icon=":material/sync:"):
            with calm():
                problem = connections.check(services(), acting(user), row["id"])
                done(f"{row['label']}: {problem or 'connected'}")
        with st.popover("Limits", icon=":material/tune:"):
            limits_form(user, row)
        if row["credentials_prefix"]:
            with st.popover("New keys", icon=":material/key:"):
                keys_form(user, row)
        with st.popover("Remove", icon=":material/delete:"):
            removal(user, row)


def connect_form(user: User, has_some: bool) -> None:
    """Draw the form that connects an account; what it asks for is what the broker's adapter declares."""
    offers = {each.name: each for each in connections.offers()}
    name = st.segmented_control(
        "Broker", list(offers), format_func=lambda each: offers[each].title, required=True,
        default=BrokerName.ALPACA if has_some else BrokerName.PAPER, key="connect-broker",
    )  # fmt: skip
    offer = offers[BrokerName(name or BrokerName.PAPER)]
    mode = offer.modes[0]
    if len(offer.modes) > 1:
        chosen = st.segmented_control("Account", list(offer.modes), required=True, default=mode,
                                      format_func=_mode_title, key=f"connect-mode-{offer.name}")  # fmt: skip
        mode = Mode(chosen or mode)
    if offer.name is BrokerName.PAPER:
        st.caption(PAPER_NOTE)
    if offer.fields:
        st.caption(WHERE_KEYS)
    if mode is Mode.LIVE:
        st.warning("Live: bots on this connection trade real money.", icon=":material/warning:")
    with st.form(f"connect-{offer.name}-{mode}", border=False):
        _connect_fields(user, offer, mode)


def _connect_fields(user: User, offer: Offer, mode: Mode) -> None:
    slots: Slots = {}
    key = f"connect-{offer.name}-{mode}"
    suggested = offer.name.value if len(offer.modes) == 1 else f"{offer.name} {mode}"
    label = st.text_input("Name of the connection", suggested, key=f"{key}-label", autocomplete="off")
    slots["label"] = st.empty()
    credentials = {}
    for field in offer.fields:
        credentials[field.name] = st.text_input(
            field.label, key=f"{key}-{field.name}", type="password" if field.secret else "default",
            autocomplete="new-password" if field.secret else "off",
        ) or ""  # fmt: skip
        slots[field.name] = st.empty()
    confirmation = None
    if mode is Mode.LIVE:
        confirmation = st.text_input(
            "To confirm that this trades real money, type the name of the connection",
            key=f"{key}-confirm", autocomplete="off", placeholder=label,
        )  # fmt: skip
        slots["confirmation"] = st.empty()
    button = "Save API Keys" if offer.fields else "Connect the paper broker"
    if st.form_submit_button(button, type="primary", icon=":material/link:"):
        wish = Wish(
            broker=offer.name,
            mode=mode,
            label=label or "",
            credentials=credentials,
            confirmation=confirmation,
        )
        _connect(user, wish, slots)


def _connect(user: User, wish: Wish, slots: Slots) -> None:
    with calm(slots), st.spinner("Asking the broker…"):
        try:
            made = connections.connect(services(), acting(user), wish)
        except Rejected as error:
            st.error(connections.credentials_in_words(error), icon=":material/error:")
            return
        said = f" The broker says of this account: {made.problem}" if made.problem else ""
        warned = " Read the warning below." if made.warning else ""
        done(f"{made.label} is connected.{said}{warned}")


def limits_form(user: User, row: Row) -> None:
    """Draw the form for a connection's name, netting and limits over all its bots."""
    slots: Slots = {}
    key = f"limits-{row['id']}"
    with st.form(key, border=False):
        label = st.text_input("Name", row["label"], key=f"{key}-label", autocomplete="off")
        slots["label"] = st.empty()
        most = row["max_open_positions"]
        positions = st.text_input("Max open positions", "" if most is None else str(most), key=f"{key}-most",
                                  placeholder="none", autocomplete="off")  # fmt: skip
        slots["max_open_positions"] = st.empty()
        size = amount_input(slots, "max_position_size", "Max position size ($)", row["max_position_size"],
                            key=f"{key}-size", optional=True)  # fmt: skip
        netting = st.checkbox(
            "Allow bots to hold against each other (netting)", row["allow_netting"], key=f"{key}-netting",
            help="One bot may be long where another is short; the account holds the difference.",
        )  # fmt: skip
        if st.form_submit_button("Save limits", type="primary"):
            with calm(slots):
                changes = {
                    "label": label or "",
                    "allow_netting": netting,
                    "max_open_positions": whole(positions or "", "max_open_positions", "Max open positions",
                                                optional=True),
                    "max_position_size": amount(size, "max_position_size", "Max position size",
                                                optional=True),
                }  # fmt: skip
                connections.edit(services(), acting(user), row["id"], **changes)
                done(f"The limits of {changes['label']} are saved.")


def keys_form(user: User, row: Row) -> None:
    """Draw the form for other keys of the same account."""
    offer = connections.offer(BrokerName(row["broker"]))
    slots: Slots = {}
    with st.form(f"keys-{row['id']}", border=False):
        st.caption(f"Keys of the same {row['mode']} account. They are tried before they are kept.")
        given = {}
        for field in offer.fields:
            given[field.name] = st.text_input(
                field.label, key=f"keys-{row['id']}-{field.name}", autocomplete="new-password" if field.secret
                else "off", type="password" if field.secret else "default",
            ) or ""  # fmt: skip
            slots[field.name] = st.empty()
        if st.form_submit_button("Save API Keys", type="primary"):
            with calm(slots), st.spinner("Asking the broker…"):
                problem = connections.replace_keys(services(), acting(user), row["id"], given)
                done(f"{row['label']} has new keys. {problem or ''}")


def removal(user: User, row: Row) -> None:
    """Ask before a connection is removed."""
    st.markdown(
        f"Remove **{plain(row['label'])}**? Its keys are forgotten; trades made there stay in the history."
    )
    if st.button("Remove it", key=f"remove-{row['id']}", type="primary"):
        with calm():
            connections.remove(services(), acting(user), row["id"])
            done(f"{row['label']} is removed.")


def _limits(row: Row) -> str:
    parts = []
    if row["max_open_positions"]:
        parts.append(f"at most {row['max_open_positions']} positions")
    if row["max_position_size"]:
        parts.append(f"at most ${row['max_position_size']:,} each")
    parts.append("netting allowed" if row["allow_netting"] else "no netting")
    return ", ".join(parts)


def _mode_title(mode: Mode) -> str:
    titles = {Mode.LIVE: "Live: real money", Mode.PAPER: "Paper: play money", Mode.DEMO: "Demo: play money"}
    return titles[mode]
