"""Where a user's alerts go: an address for each transport, how it stands, and a test alert to it."""

from dataclasses import dataclass

import streamlit as st

from actions import alerts as actions
from database import alert_reading
from database.accounts import User
from database.pool import Row
from ui.alert_pages import example, trying
from ui.calm import acting, calm, doing, done
from ui.formatting import age, ended, moment
from ui.inputs import Slots
from ui.services import now, services
from ui.tables import code, plain

REFRESH_SECONDS = 4
SHOWN = "the new signing key of "
PUBLISHED = (
    "Whoever runs this DashTrade also publishes over MQTT what the bots of all its users do, below"
    " `MQTT_PUBLISH_PREFIX`: whoever may read there at the broker sees it, whatever is chosen on this page."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a transport's address is asked for."""

    name: str
    what: str
    label: str
    placeholder: str
    steps: str
    button: str


FORMS = {
    "DISCORD": Form(
        name="Discord webhook",
        what="Alerts appear in a channel of your Discord server.",
        label="Webhook URL",
        placeholder="https://discord.com/api/webhooks/…",
        steps=(
            "1. In Discord, open the channel's settings (the cog), then **Integrations** and **Webhooks**.\n"
            "2. Press **New Webhook**, open it, and press **Copy Webhook URL**.\n"
            "3. Paste it here. Whoever knows it can write into that channel: give it to nobody else."
        ),
        button="Save the Discord webhook",
    ),
    "WEBHOOK": Form(
        name="JSON webhook",
        what="Alerts are posted to a program of yours as signed JSON.",
        label="URL",
        placeholder="https://example.com/alerts",
        steps="docs/json-webhook.md tells what is sent and how to verify its signature.",
        button="Save the JSON webhook",
    ),
}


def draw(user: User) -> None:
    """Draw each transport's channel, then the operator's for admins."""
    with services().database.transaction() as transaction:
        rows = {row["transport"]: row for row in alert_reading.standing(transaction, user.id, now())}
        operators = alert_reading.operators_standing(transaction, now())
    if not rows:
        st.info(_without_own(operators), icon=":material/notifications:")
    for transport, form in FORMS.items():
        with st.container(border=True):
            st.markdown(f"**{form.name}** :gray[{form.what}]")
            if transport in rows:
                light(user, transport)
                changing(user, transport, form)
            else:
                address_form(user, transport, form)
    if any(row["is_active"] for row in rows.values()):
        trying.draw(user)
    if any(row["transport"] == "MQTT" for row in operators):
        st.caption(PUBLISHED)
    if user.is_admin:
        operators_channels(user)
    with st.expander("What an alert looks like"):
        example.draw(user)


@st.fragment(run_every=REFRESH_SECONDS)
def light(user: User, transport: str) -> None:
    """Draw how a channel stands; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            found = alert_reading.standing(transaction, user.id, now())
        for row in found:
            if row["transport"] == transport:
                draw_light(row, user.time_zone)
                if not row["is_active"] and st.button(
                    "Try it again", key=f"on-{transport}", icon=":material/refresh:"
                ):
                    with doing():
                        actions.switch_on(services(), acting(user), transport)
                        trying.forget()
                        done(
                            "The channel is on again: the next alert is sent to it. A test alert shows if it works."
                        )


def draw_light(row: Row, zone: str) -> None:
    """Draw a channel's state in words and colour."""
    address = code(row["shown"])
    sent = f"last sent {age(row['last_sent_at'], now())}" if row["last_sent_at"] else "nothing sent yet"
    if not row["is_active"]:
        st.markdown(f":red-badge[✕ SWITCHED OFF] {address}")
        because = plain(ended(row["switched_off_because"] or "its service refused it"))
        since = f" on {moment(row['switched_off_at'], zone)}" if row["switched_off_at"] else ""
        st.error(f"Switched off{since}: {because} Nothing is sent to it until it is tried again or replaced.")
        return
    if row["due"] and row["error"]:
        st.markdown(f":orange-badge[… WAITING] {address} :gray[{sent}]")
        due = row["next_attempt_at"]
        again = f" Next attempt {moment(due, zone)}." if due and due > now() else " It is tried again now."
        st.warning(
            f"{row['due']:,} waiting: {plain(ended(row['error']))}{again}", icon=":material/hourglass_top:"
        )
    else:
        st.markdown(f":green-badge[● ACTIVE] {address} :gray[{sent}]")
        if row["due"]:
            st.caption(f"{row['due']:,} on the way.")
    if row["later"]:
        st.caption(f"{row['later']:,} merged for {moment(row['later_at'], zone)}.")


def changing(user: User, transport: str, form: Form) -> None:
    """Draw what replaces and what removes an address, and a new secret once."""
    show_secret(transport)
    with st.container(horizontal=True):
        with st.popover("Change", icon=":material/edit:"):
            address_form(user, transport, form)
        with st.popover("Remove", icon=":material/delete:"):
            st.markdown("Remove this address? What still waits for it is not sent.")
            if st.button("Remove it", key=f"remove-{transport}", type="primary"):
                with calm():
                    actions.remove_address(services(), acting(user), transport)
                    st.session_state.pop(SHOWN + transport, None)
                    trying.forget()
                    done(f"The {form.name} is removed.")


def address_form(user: User, transport: str, form: Form) -> None:
    """Draw the form for an address, and how to get one."""
    slots: Slots = {}
    st.markdown(form.steps)
    with st.form(f"address-{transport}", border=False, clear_on_submit=False):
        text = st.text_input(
            form.label,
            key=f"address-{transport}-text",
            type="password",
            autocomplete="off",
            placeholder=form.placeholder,
        )
        slots["address"] = st.empty()
        if st.form_submit_button(form.button, type="primary"):
            with calm(slots):
                secret = actions.keep_address(services(), acting(user), transport, text or "")
                if secret:
                    st.session_state[SHOWN + transport] = secret
                st.session_state.pop(f"address-{transport}-text", None)
                trying.forget()
                done(f"The {form.name} is saved. Send a test alert to see that it works.")


def show_secret(transport: str) -> None:
    """Draw the secret of an address that was just saved, until it is put away."""
    secret = st.session_state.get(SHOWN + transport)
    if secret is None:
        return
    st.warning(
        "Its signing secret, shown this once: put it into the program that receives the alerts.",
        icon=":material/key:",
    )
    st.code(secret, language=None, wrap_lines=True)
    if st.button("I have it", key=f"secret-{transport}"):
        del st.session_state[SHOWN + transport]
        st.rerun()


def operators_channels(user: User) -> None:
    """Draw the channels that are settings of the server."""
    st.subheader("The operator's channels", anchor=False)
    st.caption(
        "News about the server goes here, and that of accounts without an address of their own. They are settings:"
        " `DISCORD_WEBHOOK_URL` and, for MQTT, `MQTT_PUBLISH_PREFIX`."
    )
    operators(user)


@st.fragment(run_every=REFRESH_SECONDS)
def operators(user: User) -> None:
    """Draw how the operator's channels stand; runs again by itself."""
    with calm():
        with services().database.transaction() as transaction:
            rows = alert_reading.operators_standing(transaction, now())
        for row in rows:
            with st.container(border=True):
                st.markdown(f"**{NAMES[row['transport']]}**")
                draw_light(row, user.time_zone)
        if not rows:
            st.caption("None: set `DISCORD_WEBHOOK_URL` and start DashTrade again.")


NAMES = {"DISCORD": "Discord", "WEBHOOK": "JSON webhook", "MQTT": "MQTT"}


def _without_own(operators: list[Row]) -> str:
    if any(row["transport"] == "DISCORD" and row["is_active"] for row in operators):
        where = "to the Discord channel of whoever runs this DashTrade"
    else:
        where = "nowhere: they are only listed under History"
    return f"You have no address of your own yet, so your alerts go {where}. Enter one below."
