"""The admin of this page as the one who runs the server."""

import streamlit as st

from actions.people import Operator
from database.accounts import User


def operator(user: User) -> Operator:
    """Return the user of this page as an operator; each action asks anew whether they are an admin."""
    return Operator(actor=user.email, user_id=user.id, address=st.context.ip_address)
