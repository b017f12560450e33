"""For services and scripts: `POST /api/v1/signals`, a signal's trace, and the server's figures."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Response, jsonify, request

import channel_intake
import intake
from channel_intake import ChannelMessage
from database import accounts, reports, statistics
from database.inbox import Arrival, Sender
from database.pool import Transaction
from database.tokens import ServiceKey
from signals.problems import InvalidJson
from signals.service import ServiceFields, read_service_fields
from webhook import channel_api
from webhook.access import key_of_request, may_see, not_found, token_of_request
from webhook.alerts import answer_to, message_body
from webhook.channel_api import refused
from webhook.errors import ApiError
from webhook.services import services


def take_signal() -> Response:
    """Take a signal that a service made of a message, for a user, or for those who registered its channel."""
    body = message_body()
    with services().transaction() as transaction:
        key = key_of_request(transaction)
        fields = _fields_of(body)
        if fields.channel is not None:
            channels = channel_api.channels_for(transaction, key, fields)
        else:
            sender = _sender(transaction, key, fields)
    arrival = Arrival(body=body, received_at=datetime.now(UTC), message_id=fields.message_id)
    reading = intake.read(body, request.content_type, beside=fields)
    if fields.channel is not None:
        message = ChannelMessage(
            arrival=arrival, reading=reading, format=fields.format, service_key_id=key.id
        )
        return channel_api.answer_to(channel_intake.receive(services(), channels, message))
    return answer_to(intake.receive_from_service(services().database, sender, arrival, reading))


def trace(signal_id: UUID) -> Response:
    """Return everything that came of a signal, to its user's token or to a service of that user."""
    with services().transaction() as transaction:
        user_id = _reader_of(transaction, signal_id)
        found = None if user_id is None else reports.trace(transaction, user_id, signal_id)
    if found is None:
        raise not_found()
    return jsonify(found)


def figures() -> Response:
    """Return counts of signals, refusals and trades and the latencies of the last day."""
    with services().transaction() as transaction:
        key = key_of_request(transaction)
        users = None if key.allowed_users is None else list(key.allowed_users)
        return jsonify(statistics.figures(transaction, users))


def _fields_of(body: bytes) -> ServiceFields:
    try:
        return read_service_fields(body, request.content_type)
    except InvalidJson as error:
        raise ApiError(400, error.code, error.message, hint=error.hint) from None


def _sender(transaction: Transaction, key: ServiceKey, fields: ServiceFields) -> Sender:
    user_id = None if fields.user is None else _user_id(transaction, fields.user)
    if user_id is None or not may_see(key, user_id):
        allowed = "the id or e-mail address of a user this key may signal for; or send channel instead"
        raise refused("user", fields.user, allowed)
    return Sender(user_id=user_id, source=fields.source, service_key_id=key.id)


def _user_id(transaction: Transaction, text: str) -> int | None:
    short_number = text.isascii() and text.isdigit() and len(text) < 19
    user = (
        accounts.user(transaction, int(text)) if short_number else accounts.user_by_email(transaction, text)
    )
    return user.id if user is not None and user.is_active else None


def _reader_of(transaction: Transaction, signal_id: UUID) -> int | None:
    if "X-API-Key" not in request.headers:
        return token_of_request(transaction).user_id
    key = key_of_request(transaction)
    owner = reports.owner_of_signal(transaction, signal_id)
    return owner if owner is not None and may_see(key, owner) else None
