"""Overview: the first-run checklist, then how everything stands."""

import streamlit as st

from ui import first_run, overview
from ui.session import signed_in_user

user = signed_in_user()
st.title("Overview", anchor=False)
first_run.draw(user)
overview.draw(user)
