"""Tell who is there: the owner of a webhook token, or a service by its key."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import request

from core.addresses import is_in
from database.pool import Transaction
from database.tokens import (
    NOTED_EVERY,
    ServiceKey,
    Token,
    find_service_key,
    find_token,
    note_service_key_use,
    note_token_use,
)
from settings import CertificateCheck
from webhook.errors import ApiError
from webhook.services import client_address, services

LONGEST_SECRET = 200
# The e-mail address in the certificate, which an authority verifies: its common name is only written there
CERTIFICATE_HEADER = "X-TradingView-Certificate"
TRADINGVIEW = "webhook-server@tradingview.com"
INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105  a code
INVALID_KEY = "INVALID_API_KEY"


def sent_token(in_path: str | None = None) -> str:
    """Return the token that came in the path or as `?token=`; raise 401 where there is none."""
    token = in_path or request.args.get("token")
    if not token:
        raise ApiError(401, INVALID_TOKEN, "Missing token: add ?token=… from Setup to the address.")
    if len(token) > LONGEST_SECRET:
        raise invalid_token()
    return token


def invalid_token() -> ApiError:
    """Return the answer to a token that is unknown, revoked, or of a user who is switched off."""
    return ApiError(401, INVALID_TOKEN, "Invalid or inactive token")


def token_of_request(transaction: Transaction) -> Token:
    """Return the valid token that came with a request; raise 401 where there is none."""
    text = sent_token()
    token = find_token(transaction, services().hash_key, text)
    if token is None:
        raise invalid_token()
    _note(token.last_used_at, lambda now: note_token_use(transaction, token.id, now))
    return token


def check_owner(transaction: Transaction, user_id: int) -> None:
    """Let only the user's own token pass; to any other there is no such user."""
    if token_of_request(transaction).user_id != user_id:
        raise not_found()


def key_of_request(transaction: Transaction) -> ServiceKey:
    """Return the service whose key came as `X-API-Key`; raise 401 where there is none."""
    text = request.headers.get("X-API-Key")
    if not text:
        raise ApiError(401, INVALID_KEY, "Missing key: send it in the header X-API-Key.")
    key = find_service_key(transaction, services().hash_key, text) if len(text) <= LONGEST_SECRET else None
    if key is None:
        raise ApiError(401, INVALID_KEY, "Invalid or inactive API key")
    _note(key.last_used_at, lambda now: note_service_key_use(transaction, key.id, now))
    return key


def may_see(key: ServiceKey, user_id: int) -> bool:
    """Tell whether a service may signal for a user and read what came of it."""
    return key.allowed_users is None or user_id in key.allowed_users


def check_sender() -> None:
    """Let only those send alerts whom the settings allow: by their address, or by TradingView's certificate."""
    allowed = services().allowed
    if services().settings.tradingview_certificate is CertificateCheck.REQUIRE:
        if not has_certificate() and not is_in(client_address(), allowed):
            raise ApiError(
                403,
                "CERTIFICATE_REQUIRED",
                "Alerts are taken with TradingView's certificate (TRADINGVIEW_CERTIFICATE),"
                " or from WEBHOOK_ALLOWED_ADDRESSES.",
            )
    elif allowed and not is_in(client_address(), allowed):
        raise ApiError(
            403, "ADDRESS_NOT_ALLOWED", "Alerts are not taken from this address (WEBHOOK_ALLOWED_ADDRESSES)."
        )


def has_certificate() -> bool:
    """Tell whether the proxy saw TradingView's certificate; nobody else is believed.

    The proxy must have checked who issued it, and must overwrite the header on every request.
    """
    is_proxy = is_in(request.remote_addr or "", services().proxies)
    return is_proxy and request.headers.get(CERTIFICATE_HEADER) == TRADINGVIEW


def not_found() -> ApiError:
    """Return the answer for what is not there, or not this sender's."""
    return ApiError(404, "NOT_FOUND", "There is no such thing here.")


def _note(last_used_at: datetime | None, note: Callable[[datetime], None]) -> None:
    now = datetime.now(UTC)
    if last_used_at is None or now - last_used_at > NOTED_EVERY:
        note(now)
