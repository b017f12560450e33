"""How a bot's reports reach DashTrade, the form that adds one, and what names and removes one."""

import shlex

import streamlit as st

from actions import watching as actions
from database import watched_reading
from database.accounts import User
from database.pool import Row
from settings import Settings
from ui.calm import acting, calm, done
from ui.inputs import Slots
from ui.services import services
from ui.tables import code, plain

GUIDE = "docs/watched-bots.md lists every topic and field."
NAMED = "watched"
ADDED = "the watched bot added a moment ago"
HERE_ONLY = ("localhost", "127.0.0.1", "::1")


def draw(user: User, bot: Row) -> None:
    """Draw the tab: how this bot reports, its name, and a form for another."""
    how(user, bot["prefix"])
    naming(user, bot)
    with st.expander("Watch another bot"):
        form(user)
    if bot["is_default"]:
        st.caption("This bot is watched by the setting `MQTT_TOPIC_PREFIX`: it can be renamed, not removed.")
    else:
        with st.popover("Stop watching", icon=":material/delete:"):
            removal(user, bot)


def first(user: User) -> None:
    """Draw the form for the first bot, and how its reports come here."""
    with st.container(border=True):
        st.subheader("Watch a bot", anchor=False)
        form(user)
    how(user, "mybot/")


def how(user: User, prefix: str) -> None:
    """Say where a bot must report, with lines to try it."""
    with services().database.transaction() as transaction:
        broker = watched_reading.listener(transaction)["broker"]
    host, port = broker_address(services().settings, broker)
    with st.container(border=True):
        st.subheader("Let the bot report", anchor=False)
        st.markdown(
            f"1. Point the bot at the MQTT broker `{host}`, port `{port}`.\n"
            f"2. Let it publish JSON below {code(prefix)}, such as {code(prefix + 'status/bot/heartbeat')}"
            " every 30 seconds.\n"
            "3. Try it: this line is a heartbeat, and the light turns to ● ONLINE."
        )
        st.code(heartbeat_line(services().settings, host, port, prefix), language="bash", wrap_lines=True)
        if host in HERE_ONLY:
            st.caption(f"`{host}` is reached from this machine alone; elsewhere, give its name or address.")
        st.caption(GUIDE)


def form(user: User) -> None:
    """Draw the form that adds a bot."""
    slots: Slots = {}
    with st.form("watch-bot", border=False):
        name = st.text_input("Name", key="watch-name", autocomplete="off", max_chars=actions.LONGEST_NAME)
        slots["name"] = st.empty()
        prefix = st.text_input(
            "Prefix of its topics",
            key="watch-prefix",
            autocomplete="off",
            placeholder="mybot/",
            help="Everything that is published below it belongs to this bot. It ends with a slash.",
        )
        slots["prefix"] = st.empty()
        if st.form_submit_button("Watch it", type="primary", icon=":material/visibility:"):
            with calm(slots):
                added = actions.add(services(), acting(user), name=name or "", prefix=prefix or "")
                st.session_state[ADDED] = added
                done(f"{name} is watched from now on: it appears when its first message comes.")


def naming(user: User, bot: Row) -> None:
    """Draw the form for a bot's name."""
    slots: Slots = {}
    with st.form("rename-watched", border=True):
        st.markdown(f"Everything below {code(bot['prefix'])} is this bot.")
        name = st.text_input(
            "Its name",
            bot["name"],
            key=f"rename-{bot['id']}",
            autocomplete="off",
            max_chars=actions.LONGEST_NAME,
        )
        slots["name"] = st.empty()
        if st.form_submit_button("Rename"):
            with calm(slots):
                actions.rename(services(), acting(user), bot["id"], name or "")
                done("The bot has its new name.")


def removal(user: User, bot: Row) -> None:
    """Ask before a bot is forgotten."""
    st.markdown(
        f"Stop watching **{plain(bot['name'])}**? All that it reported is deleted here: messages, trades and"
        " balances. The bot itself goes on."
    )
    if st.button("Stop watching and delete", key=f"remove-{bot['id']}", type="primary"):
        with calm():
            actions.remove(services(), acting(user), bot["id"])
            st.query_params.pop(NAMED, None)
            done(f"{bot['name']} is watched no more, and what it reported is deleted.")


def broker_address(settings: Settings, broker: str | None) -> tuple[str, int]:
    """Return host and port of the broker in use, `host:port` where the listener told it."""
    host, _, port = (broker or "").rpartition(":")
    if host and port.isdigit():
        return host.strip("[]"), int(port)
    return settings.mqtt_broker_host or "localhost", settings.mqtt_broker_port


def heartbeat_line(settings: Settings, host: str, port: int, prefix: str) -> str:
    """Return a command line that publishes one heartbeat below a prefix."""
    topic = shlex.quote(f"{prefix}status/bot/heartbeat")
    place = f"-h {shlex.quote(host)} -p {port}"
    who = f" -u {shlex.quote(settings.mqtt_username)} -P 'the password'" if settings.mqtt_username else ""
    secure = " --tls-use-os-certs" if settings.mqtt_tls else ""
    return f"mosquitto_pub {place}{who}{secure} -t {topic} -m '{{\"uptime_seconds\": 60}}'"
