"""Limit how often one token and one address may come, by counting requests in windows of a minute.

Our own few lines, since flask-limiter took 0.45 ms of each request (its store in memory starts a thread
every 10 ms), more than reading and matching an alert. The counts are each process's own: with N processes
up to N times as much may pass. They guard against loops and floods, not to the last request; counting in
PostgreSQL would cost a write for each.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Response, request

from core.addresses import counted_as
from webhook.errors import ApiError
from webhook.services import client_address, services

EXPLANATIONS_PER_MINUTE = 60
Arguments = ParamSpec("Arguments")
View = Callable[Arguments, Response]


def limit_address() -> None:
    """Count a request for its address, whatever it wants; raise 429 where it is one too many."""
    _count(f"address {counted_as(client_address())}", services().settings.webhook_requests_per_minute)


def limited_by_token(view: View[Arguments]) -> View[Arguments]:
    """Let a view be called so often with one token, and no more."""

    @wraps(view)
    def counted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        token = request.args.get("token") or kwargs.get("token")
        if token:
            _count(f"token {hash(token)}", services().settings.webhook_alerts_per_minute)
        return view(*args, **kwargs)

    return counted


def limited_explaining(view: View[Arguments]) -> View[Arguments]:
    """Let a view that needs no token be called so often from one address, and no more."""

    @wraps(view)
    def counted(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Response:
        _count(f"explaining {counted_as(client_address())}", EXPLANATIONS_PER_MINUTE)
        return view(*args, **kwargs)

    return counted


def _count(name: str, most: int) -> None:
    count, left = services().counts.count(name, time.monotonic())
    if count > most:
        seconds = max(1, round(left))
        raise ApiError(
            429,
            "RATE_LIMITED",
            f"More than {most} requests in a minute; try again in {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )
