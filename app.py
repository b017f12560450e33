"""The dashboard: `streamlit run app.py` serves the gate, the sign-in forms, the pages and the forwarding."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

import log

# Loaded before any script runs: while one does, Streamlit looks first in its folder, where ui/settings and
# ui/signals would hide the packages of these names.
import settings
import signals  # noqa: F401
from ui import forwarding
from ui.forwarding import Forwarder
from ui.gate import Gate, Sessions
from ui.library_logs import hide_secrets
from ui.services import services
from ui.sign_in import SignInPages
from ui.warming import warm_up

settings.refuse_to_believe_senders()
log.logging_setup("dashboard", services().settings)
hide_secrets(services().settings)

sessions = Sessions()
forwarder = Forwarder()


@asynccontextmanager
async def running(_app: Any) -> AsyncIterator[None]:
    """Keep what the routes need for as long as the dashboard runs."""
    async with forwarder.running():
        watch = asyncio.create_task(sessions.watch())
        loading = asyncio.create_task(asyncio.to_thread(warm_up))
        try:
            yield
        finally:
            watch.cancel()
            loading.cancel()


app = st.App(
    "ui/navigation.py",
    routes=[*SignInPages(sessions).routes(), *forwarding.routes(forwarder)],
    middleware=[Middleware(Gate, sessions=sessions)],
    lifespan=running,
)
