"""Whether everything runs: the parts, what waits, what failed, and the version."""

import pandas as pd
import streamlit as st

from database import alert_channels, health, inbox
from database.accounts import User
from database.pool import Row
from settings import version
from ui.calm import calm
from ui.drawing import facts, table
from ui.formatting import age, moment
from ui.services import now, services

REFRESH_SECONDS = 5
NEEDED = {"worker": "carries signals out", "broker watch": "watches positions and brokers"}
LATE_SECONDS = 30


def draw(user: User) -> None:
    """Draw the health; it refreshes by itself."""
    lights(user)


@st.fragment(run_every=REFRESH_SECONDS)
def lights(user: User) -> None:
    """Draw the parts, the queue and the faults."""
    with calm():
        with services().database.transaction() as transaction:
            beats = {row["part"]: row for row in health.heartbeats(transaction)}
            queue = inbox.waiting(transaction)
            alerts = alert_channels.sending_figures(transaction, now())
            faults = health.faults(transaction)
        with st.container(border=True):
            for part in {**NEEDED, **beats}:
                draw_part(part, beats.get(part))
            draw_queue(queue)
            draw_alerts(alerts)
        st.subheader("Faults", anchor=False)
        frame = pd.DataFrame([_fault(row, user.time_zone) for row in faults])
        table(frame, "None: no loop has failed.", key="faults")
        st.caption(f"DashTrade {version()}")


def draw_part(part: str, beat: Row | None) -> None:
    """Draw whether a part lives, in words beside the sign."""
    what = f" :gray[{NEEDED[part]}]" if part in NEEDED else ""
    name = f"**{part.capitalize()}**{what}"
    if beat is None:
        st.markdown(f":red[:material/error:] {name} · never started: start DashTrade with `make run`")
    elif beat["alive"]:
        processes = f"{beat['alive']} process{'' if beat['alive'] == 1 else 'es'}"
        st.markdown(f":green[:material/check_circle:] {name} · runs, {processes}")
    else:
        st.markdown(f":red[:material/error:] {name} · silent since {age(beat['beat_at'], now())}")


def draw_queue(queue: Row) -> None:
    """Draw how much waits and for how long."""
    facts(
        ("Signals waiting", f"{queue['signals']:,}"),
        ("Oldest signal", f"{queue['oldest_signal_seconds']:.0f} s"),
        ("Plans under way", f"{queue['plans']:,}"),
        ("Oldest plan", f"{queue['oldest_plan_seconds']:.0f} s"),
    )
    if queue["oldest_signal_seconds"] > LATE_SECONDS:
        words = "A signal has been waiting for long. Does the worker run? Faults below may say why it does not go on."
        st.warning(words, icon=":material/hourglass_top:")


def draw_alerts(figures: Row) -> None:
    """Draw how the sending of alerts stands, of all accounts together."""
    facts(
        ("Alerts waiting", f"{figures['unrouted'] + figures['waiting']:,}"),
        ("Oldest alert due", age(figures["oldest"], now()) if figures["oldest"] else "none"),
        ("Alerts failed, 24 h", f"{figures['failed']:,}"),
    )


def _fault(row: Row, zone: str) -> dict[str, str]:
    return {
        "Last": moment(row["last_at"], zone),
        "Times": f"{row['times']:,}",
        "Where": row["subject"],
        "What": row["words"],
        "First": moment(row["first_at"], zone),
    }
