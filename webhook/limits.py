"""Limit how often one token and one address may come.

The counts are each process's own: with N processes up to N times as much may pass. They guard against
loops and floods, not to the last request, and counting in PostgreSQL would cost a write per request.
"""

from flask import Flask, request
from flask_limiter import Limiter

from settings import Settings
from webhook.services import client_address

PER_TOKEN = "600/minute"  # noqa: S105
PER_ADDRESS = "6000/minute"
EXPLAINING = "60/minute"


def limiter_for(app: Flask, settings: Settings) -> Limiter:
    """Return the limiter of an app; every request counts against its address."""
    return Limiter(
        key_func=client_address,
        app=app,
        storage_uri="memory://",
        application_limits=[PER_ADDRESS],
        headers_enabled=True,
    )


def token_or_address() -> str:
    """Return what a token's requests are counted by, its address where there is no token."""
    token = request.args.get("token") or (request.view_args or {}).get("token")
    return client_address() if token is None else f"token {hash(token)}"
