"""The audit log: who did what to which thing, page by page."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from database import audit
from database.accounts import User
from database.history import Key, Page
from database.pool import Row
from ui.drawing import page_buttons, page_key, table
from ui.formatting import NOTHING, moment
from ui.services import services

NAME = "audit"
PAGE = 50


def draw(user: User) -> None:
    """Draw one page of the records, of all or of those that hold a text."""
    text = (
        st.text_input(
            "Find", key="find-audit", type="search", placeholder="who, what or which, such as bot 7"
        )
        or ""
    )
    key = page_key(NAME, text)
    with services().database.transaction() as transaction:
        rows = audit.page(transaction, before=key.id if key else None, text=text, limit=PAGE + 1)
    shown = rows[:PAGE]
    older = Key(at=shown[-1]["at"], id=shown[-1]["id"]) if len(rows) > PAGE else None
    nothing = "No record has that." if text else "Nothing was done yet."
    table(pd.DataFrame([_record(row, user.time_zone) for row in shown]), nothing, key=f"{NAME} table")
    if shown:
        page_buttons(NAME, Page(rows=shown, older=older), PAGE)


def _record(row: Row, zone: str) -> dict[str, str]:
    return {
        "When": moment(row["at"], zone),
        "Who": row["actor"],
        "What": row["action"],
        "Which": row["subject"],
        "Whose": row["owner"] or NOTHING,
        "Before": _values(row["before"]),
        "After": _values(row["after"]),
        "From": row["address"] or NOTHING,
    }


def _values(values: dict[str, Any] | None) -> str:
    if not values:
        return NOTHING
    return ", ".join(f"{name} {value if isinstance(value, str) else json.dumps(value)}"
                     for name, value in values.items())  # fmt: skip
