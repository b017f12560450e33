"""Every notification of a user, newest first, and what became of it at each channel."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from alerts.kinds import KINDS
from alerts.wording import alert_for
from core.alert import Alert
from database import alert_channels
from database.accounts import User
from database.history import Key, Page
from database.notifications import NotificationKind
from database.pool import Row
from ui.alert_pages import embed
from ui.calm import calm
from ui.drawing import chosen_row, clickable, held_still, page_buttons, page_key, table_key
from ui.formatting import moment
from ui.services import now, services

NAME = "alerts"
PAGE = 25
REFRESH_SECONDS = 5
NOTHING_YET = (
    "Nothing happened yet that you would be told. When a bot trades, a limit is reached or a connection breaks, it"
    " is listed here with what became of the alert."
)
NONE_MATCH = "Nothing of that kind yet."
NAMES = {"DISCORD": "Discord", "WEBHOOK": "JSON webhook"}
LONGEST_TEXT = 160


def draw(user: User) -> None:
    """Draw the tab."""
    listed(user)


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User) -> None:
    """Draw one page of notifications; a click on a row shows the alert."""
    with calm():
        kind = _chosen_kind()
        before = page_key(NAME, kind)
        key = table_key(NAME, (kind, before))
        newest = held_still(NAME, key)
        with services().database.transaction() as transaction:
            rows = alert_channels.history_of(
                transaction,
                user.id,
                kinds=[kind] if kind else [],
                before=before.id if before else newest and newest + 1,
                limit=PAGE + 1,
            )
        page = _page(rows)
        if not page.rows:
            st.caption(NONE_MATCH if kind else NOTHING_YET)
            return
        st.caption("Click a row to see the whole alert.")
        event = clickable(
            frame(page.rows, user.time_zone),
            key=key,
            highest=560,
            columns={
                "": st.column_config.TextColumn(width=32, help="✓ sent, … waits, ✕ failed, – not sent"),
                "Text": st.column_config.TextColumn(width="large"),
            },
        )
        page_buttons(NAME, page, PAGE)
        row = chosen_row(NAME, event, page.rows)
        if row is not None:
            whole(row, user.time_zone)


def frame(rows: Sequence[Row], zone: str) -> pd.DataFrame:
    """Return notifications as a table: when, what it said, and what became of it."""
    found = [(row, alert_of(row)) for row in rows]
    return pd.DataFrame(
        [
            {
                "": sign(row),
                "Time": moment(row["created_at"], zone),
                "What became of it": "; ".join(outcomes(row, zone)),
                "Alert": alert.title,
                "Text": in_one_line(alert),
                "Kind": KINDS[NotificationKind(row["kind"])].label,
            }
            for row, alert in found
        ]
    )


def sign(row: Row) -> str:
    """Return the sign of what became of a notification: failed somewhere, waits, sent everywhere, or not sent."""
    states = {each["state"] for each in row["deliveries"]}
    if "FAILED" in states:
        return "✕"
    if "WAITING" in states or row["routed_at"] is None:
        return "…"
    return "✓" if states else "–"


def whole(row: Row, zone: str) -> None:
    """Draw one alert as it looks, and what became of it."""
    embed.draw(alert_of(row), zone)
    for words in outcomes(row, zone):
        st.text(words)


def alert_of(row: Row) -> Alert:
    """Return what a notification says."""
    return alert_for(row["kind"], row["content"], row["created_at"])


def in_one_line(alert: Alert) -> str:
    """Return an alert's text, or its first figures where it has none."""
    figures = ", ".join(f"{field.name} {field.value}" for field in alert.fields)
    words = " ".join((alert.text or "").split())
    line = f"{words} · {figures}" if words and figures else words or figures
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"


def outcomes(row: Row, zone: str) -> list[str]:
    """Say what became of a notification, for each channel it was meant for."""
    if row["routed_at"] is None:
        return ["… waits for DashTrade's worker"]
    if not row["deliveries"]:
        return ["– not sent: off, or there was no address"]
    return [f"{_where(each)}: {_became(each, row['created_at'], zone)}" for each in row["deliveries"]]


def _where(delivery: Mapping[str, Any]) -> str:
    name = NAMES.get(delivery["transport"], delivery["transport"])
    return name if delivery["mine"] else f"the operator's {name}"


def _became(delivery: Mapping[str, Any], since: datetime, zone: str) -> str:
    together = " with others" if delivery["with_others"] else ""
    match delivery["state"]:
        case "SENT":
            return f"✓ sent{together} {_when(delivery['sent_at'], since, zone)}"
        case "FAILED":
            return f"✕ failed: {delivery['error'] or 'no reason was given'}"
    if _is_ahead(delivery["merged_at"]):
        return f"… waits, together with others at {_when(delivery['merged_at'], since, zone)}"
    why = f" ({delivery['error']})" if delivery["error"] else ""
    if _is_ahead(delivery["next_attempt_at"]):
        return f"… waits, next attempt {_when(delivery['next_attempt_at'], since, zone)}{why}"
    return f"… waits{together}, is tried again now{why}" if why else f"… on its way{together}"


def _is_ahead(text: str | None) -> bool:
    return text is not None and datetime.fromisoformat(text) > now()


def _when(text: str, since: datetime, zone: str) -> str:
    """Write a time, without its day where that is the notification's own."""
    at = datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
    is_same_day = at.date() == since.astimezone(ZoneInfo(zone)).date()
    return f"{at:%H:%M:%S}" if is_same_day else moment(at, zone)


def _page(rows: list[Row]) -> Page:
    shown = rows[:PAGE]
    more = len(rows) > PAGE
    return Page(rows=shown, older=Key(at=shown[-1]["created_at"], id=shown[-1]["id"]) if more else None)


def _chosen_kind() -> NotificationKind | None:
    names = {kind: f"{news.group}: {news.label}" for kind, news in KINDS.items() if not news.for_operator}
    return st.selectbox(
        "Kind",
        [None, *names],
        format_func=lambda kind: "All" if kind is None else names[kind],
        key=f"{NAME} kind",
        width=320,
    )
