"""Take alerts: `POST /webhook`; explain them: `POST /test-webhook`."""

import logging
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg2
from flask import Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

import intake
from core.plan import Code
from database import inbox
from intake import Receipt, Status, Unreadable
from signals import tradingview
from webhook.access import check_sender, invalid_token, sent_token
from webhook.errors import ApiError, error_answer
from webhook.services import services

LARGEST_BODY = 64 * 1024
LONGEST_WAIT_SECONDS = 25
LOOK_EVERY_SECONDS = 0.05
STATUS_OF_CODE = {
    Code.INVALID_JSON: 400,
    Code.NO_BOT: 404,
    Code.TEST_SIGNAL: 200,
}

logger = logging.getLogger(__name__)


def take_alert(token: str | None = None) -> Response:
    """Store an alert and answer: 202 accepted, 200 duplicate or test, 4xx refused, 5xx not stored."""
    check_sender()
    secret = sent_token(token)
    body = message_body()
    receipt = intake.receive_alert(
        services().database, services().hash(secret), body, request.content_type, datetime.now(UTC)
    )
    if receipt is None:
        raise invalid_token()
    return answer_to(receipt)


def explain_alert() -> Response:
    """Say how a message would be read, with the status `/webhook` would give; store and trade nothing."""
    reading = intake.read(message_body(), request.content_type)
    if isinstance(reading, Unreadable):
        refusal = reading.refusal
        return error_answer(
            STATUS_OF_CODE.get(refusal.code, 422), refusal.code, refusal.sentence, **reading.details
        )
    return jsonify({"status": "test", **tradingview.explain(reading)})


def answer_to(receipt: Receipt) -> Response:
    """Return the answer that a receipt calls for."""
    if receipt.status is Status.REFUSED and receipt.refusal is not None:
        refusal = receipt.refusal
        status = STATUS_OF_CODE.get(refusal.code, 422)
        return error_answer(
            status, refusal.code, refusal.sentence, signal_id=receipt.signal_id, **receipt.details
        )
    said: dict[str, Any] = {"status": receipt.status, "signal_id": receipt.signal_id}
    if receipt.refusal is not None:
        said |= {"code": receipt.refusal.code, "message": receipt.refusal.sentence}
    if receipt.status in (Status.ACCEPTED, Status.DUPLICATE):
        said |= _outcome_in_time(receipt.signal_id)
    answer = jsonify(said | dict(receipt.details))
    answer.status_code = 202 if receipt.status is Status.ACCEPTED else 200
    return answer


def message_body() -> bytes:
    """Return the raw body; refuse what is neither JSON nor plain text, and more than 64 KB."""
    kind = request.mimetype
    if kind and kind not in ("application/json", "text/json", "text/plain") and not kind.endswith("+json"):
        raise ApiError(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"Send the message as application/json or text/plain, not as {kind[:80]}.",
        )
    body = request.get_data(cache=False)
    if len(body) > LARGEST_BODY:
        raise RequestEntityTooLarge
    return body


def _outcome_in_time(signal_id: UUID) -> dict[str, Any]:
    seconds = _asked_to_wait()
    if not seconds or not services().waiting.acquire(blocking=False):
        return {}
    try:
        return _outcome_within(signal_id, seconds)
    except psycopg2.Error:
        # The signal is stored; that its outcome cannot be read must not say otherwise.
        logger.exception("the outcome cannot be read", extra={"signal": str(signal_id)})
        return {}
    finally:
        services().waiting.release()


def _asked_to_wait() -> float:
    # An alert must not get lost for a slip in the wish to wait.
    try:
        seconds = float(request.args.get("wait", 0))
    except ValueError:
        return 0
    return min(max(seconds, 0), LONGEST_WAIT_SECONDS) if seconds == seconds else 0


def _outcome_within(signal_id: UUID, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        with services().database.transaction() as transaction:
            outcome = inbox.outcome_of(transaction, signal_id)
        if outcome is not None:
            return {"outcome": outcome}
        if time.monotonic() >= deadline:
            return {}
        time.sleep(LOOK_EVERY_SECONDS)
