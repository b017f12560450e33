"""What a failed HTTP request says of the broker: whether it may have received it, how long it asks us to wait."""

from collections.abc import Mapping

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from core.errors import BrokerError, Unavailable, Unknown


def transport_error(error: requests.RequestException, broker: str) -> BrokerError:
    """Return `Unavailable` when no connection came about (nothing was sent), else `Unknown`.

    requests says ConnectionError to both; the cause that urllib3 gives tells them apart. `broker` is
    the name that the message gives it.
    """
    cause: object = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, ProxyError):
        reason = reason.original_error
    # NewConnectionError stands for refused, unreachable and unknown host names
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return Unavailable(f"No connection to {broker}: {type(reason).__name__}")
    return Unknown(f"No answer from {broker}: {type(error).__name__}")


def retry_wait(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the broker asks us to wait, by Retry-After or X-RateLimit-Reset."""
    try:
        if "Retry-After" in headers:
            return max(0.0, float(headers["Retry-After"]))
        if "X-RateLimit-Reset" in headers:
            return max(0.0, float(headers["X-RateLimit-Reset"]) - now)
    except ValueError:
        return None
    return None
