"""What a watched bot reported, in the order of arrival: errors, everything else, and each as it came."""

import json

import streamlit as st

from database import watched_reading
from database.accounts import User
from database.pool import Row
from ui.calm import calm
from ui.drawing import chosen_row, clickable, held_still, page_buttons, page_key, table_key
from ui.formatting import moment
from ui.services import services
from ui.tables import code, plain
from ui.watched_pages import frames
from ui.watched_pages.words import KINDS, own_time

NAME = "watched-messages"
REFRESH_SECONDS = 5
TAB_KEY, TAB, KIND_KEY = "tab", "Messages", f"{NAME} kind"
ALL = "All but heartbeats"
NONE = "Nothing of that kind came yet."
# A line longer than this is of use to programs only
LONGEST_SHOWN = 20_000


def draw(user: User, bot: Row) -> None:
    """Draw the tab."""
    if bot["bad_messages"]:
        count = bot["bad_messages"]
        words = f"{count:,} message{'' if count == 1 else 's'} could not be read; “✕ Unreadable” below lists them."
        st.caption(f":orange[:material/warning:] {words}")
    listed(user, bot["id"])


@st.fragment(run_every=REFRESH_SECONDS)
def listed(user: User, bot_id: int) -> None:
    """Draw one page of messages; a click on a row shows it as it came."""
    with calm():
        kind = st.selectbox(
            "Show",
            [ALL, *KINDS],
            format_func=lambda each: KINDS.get(each, each),
            key=KIND_KEY,
            width=240,
        )
        wanted = None if kind == ALL else kind
        before = page_key(NAME, (bot_id, wanted))
        key = table_key(NAME, (bot_id, wanted, before))
        newest = held_still(NAME, key)
        with services().database.transaction() as transaction:
            page = watched_reading.events_page(
                transaction, user.id, bot_id, kind=wanted, before=before, newest=newest
            )
        if not page.rows:
            st.caption(NONE)
            return
        st.caption("Click a row to see the message as it came.")
        event = clickable(
            frames.events(page.rows, user.time_zone),
            key=key,
            highest=560,
            columns={"Said": st.column_config.TextColumn(width="large")},
        )
        page_buttons(NAME, page, watched_reading.PAGE)
        row = chosen_row(NAME, event, page.rows)
        if row is not None:
            message(user, row["id"])


def message(user: User, event_id: int) -> None:
    """Draw one message as it came, with what is odd about it."""
    with services().database.transaction() as transaction:
        row = watched_reading.payload(transaction, user.id, event_id)
    if row is None:
        st.caption("This message is kept no longer.")
        return
    with st.container(border=True):
        st.markdown(f"{code(row['topic'])} · arrived {moment(row['received_at'], user.time_zone)}")
        for words in _oddities(row, user.time_zone):
            st.caption(words)
        text, language = as_text(bytes(row["payload"]))
        st.code(text, language=language, wrap_lines=True)


def as_text(payload: bytes) -> tuple[str, str | None]:
    """Return a payload to be read: JSON laid out, anything else as it is, what is no UTF-8 with signs for it."""
    text = payload.decode("utf-8", "replace")
    if not text:
        return "(empty)", None
    try:
        laid_out = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _cut(text), None
    return _cut(laid_out), "json"


def _cut(text: str) -> str:
    left = len(text) - LONGEST_SHOWN
    return text if left <= 0 else f"{text[:LONGEST_SHOWN]}\n… and {left:,} more characters"


def _oddities(row: Row, zone: str) -> list[str]:
    words = []
    if row["problem"]:
        words.append(f":red[✕ {plain(row['problem'])}]")
    clock = own_time(row, zone)
    if clock.startswith("⚠"):
        words.append(f"Its own clock says {plain(clock)}: arrival counts.")
    if row["is_retained"]:
        words.append("↻ Kept by the broker from before, so it raised no alert.")
    if row["payload_bytes"] > len(row["payload"]):
        words.append(f"Of its {row['payload_bytes']:,} bytes the first {len(row['payload']):,} are kept.")
    return words
