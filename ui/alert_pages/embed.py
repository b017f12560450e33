"""An alert as it looks where it arrives, drawn with this page's own means."""

import streamlit as st

from core.alert import Alert, Tone
from ui.drawing import facts
from ui.formatting import moment
from ui.tables import plain

COLOURS = {Tone.GOOD: "green", Tone.BAD: "red", Tone.WARNING: "orange", Tone.INFO: "blue", Tone.QUIET: "gray"}


def draw(alert: Alert, zone: str) -> None:
    """Draw title, text, figures and footer of an alert; nothing in it is taken for Markdown."""
    with st.container(border=True):
        st.markdown(f":{COLOURS[alert.tone]}[**{plain(alert.title)}**]")
        if alert.text:
            st.text(alert.text)
        if alert.fields:
            facts(*((plain(field.name), plain(field.value)) for field in alert.fields), across=3)
        st.caption(f"{plain(alert.footer)} · {moment(alert.at, zone)}")
