"""Say whether everything runs: `GET /health`, for monitors and load balancers."""

import logging
from datetime import timedelta
from typing import Any

import psycopg2
from flask import Response, jsonify

from database import inbox
from webhook.services import services

SILENT_AFTER = timedelta(seconds=30)

logger = logging.getLogger(__name__)


def health() -> Response:
    """Answer 200 when alerts are stored and carried out, 503 when not; no secret, no user's data."""
    try:
        with services().database.transaction() as transaction:
            state = inbox.state_of_parts(transaction)
    except psycopg2.Error:
        logger.exception("the database does not answer")
        return _answer({"status": "down", "database": "unreachable"}, 503)
    return _answer({"status": "ok", "database": "ok", **state}, 200)


def _answer(said: dict[str, Any], status: int) -> Response:
    answer = jsonify(said)
    answer.status_code = status
    answer.headers["Cache-Control"] = "no-store"
    return answer
