"""Carry an action out for the user of this page, and say calmly what it did or why it did not."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import psycopg2
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from actions.acting import Acting, Refused
from core.errors import BrokerError, Rejected
from database.accounts import User
from encryption import KeyMissing, WrongKey
from ui.tables import plain

SAID = "what the last action came to"
FAILED = "the database did not answer"
FAILURES = (BrokerError, KeyMissing, WrongKey, psycopg2.Error)
NO_DATABASE = (
    "The database does not answer at present, so nothing can be shown or changed here. What is at the broker"
    " stays there. This page tries again by itself."
)

logger = logging.getLogger(__name__)


def acting(user: User) -> Acting:
    """Return the user of this page as the one who acts on their own things."""
    address = st.context.ip_address
    # Streamlit gives none for this machine itself, and something else where no browser asks.
    return Acting(owner=user.id, actor=user.email, address=address if isinstance(address, str) else None)


@contextmanager
def calm(beside: Mapping[str, DeltaGenerator] | None = None) -> Iterator[None]:
    """Show what goes wrong inside as a sentence; `beside` holds a place under each field of a form."""
    try:
        yield
    except Refused as error:
        place = (beside or {}).get(error.field or "")
        (place or st).error(error.sentence, icon=":material/error:")
    except FAILURES as error:
        tell(error)


def tell(error: Exception) -> None:
    """Say what went wrong as a sentence."""
    st.error(_in_words(error), icon=":material/error:")


@contextmanager
def doing() -> Iterator[None]:
    """Do something in a part that runs again by itself: what goes wrong is said above, where it stays."""
    try:
        yield
    except (Refused, *FAILURES) as error:
        st.session_state[SAID] = (False, _in_words(error))
        st.rerun()


def done(sentence: str) -> NoReturn:
    """Say after the next run of the page what was done, and run it now."""
    st.session_state[SAID] = (True, " ".join(sentence.split()))
    st.rerun()


def tell_what_was_done() -> None:
    """Show what the last action did or why it did nothing, once."""
    succeeded, sentence = st.session_state.pop(SAID, (True, ""))
    if not sentence:
        return
    draw, icon = (st.success, ":material/check_circle:") if succeeded else (st.error, ":material/error:")
    draw(plain(sentence), icon=icon)
    st.toast(plain(sentence), icon=icon)


def _in_words(error: Exception) -> str:
    match error:
        case Refused():
            return error.sentence
        case Rejected():
            return f"The broker refused: {error.message}"
        case BrokerError():
            return f"The broker does not answer: {error.message} Nothing was changed; try again in a moment."
        case psycopg2.Error():
            logger.error("the database failed on a page", exc_info=error)
            # The page looks for it (ui/session.py) and draws itself anew when the database is back.
            st.session_state[FAILED] = True
            return NO_DATABASE
        case _:
            return str(error)
