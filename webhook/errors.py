"""Answer every error as `{"error": sentence, "code": CODE, …}`, and never with an exception's text."""

import logging
from collections.abc import Mapping
from typing import Any

import psycopg2
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from webhook.counting import note_refusal

logger = logging.getLogger(__name__)

# Sentences for what Flask and Werkzeug raise by themselves.
_SENTENCES = {
    400: ("BAD_REQUEST", "The request cannot be read."),
    404: ("NOT_FOUND", "There is no such address. Alerts go to POST /webhook?token=…"),
    405: ("METHOD_NOT_ALLOWED", "This address does not take that method. Alerts are sent with POST."),
    408: ("TIMEOUT", "The message did not arrive in time."),
    413: ("TOO_LARGE", "The message is larger than 64 KB."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Send the message as application/json or text/plain."),
}
_SERVER_FAULT = ("INTERNAL_ERROR", "Something went wrong here. It is in the server's log.")


class ApiError(Exception):
    """Answer with this status, code and sentence; `headers` go with them, `details` beside them."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        *,
        headers: Mapping[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.headers = headers or {}
        self.details = details


def error_answer(status: int, code: str, sentence: str, **details: Any) -> Response:
    """Return an error's answer."""
    answer = jsonify({"error": sentence, "code": code, **details})
    answer.status_code = status
    note_refusal(code)
    return answer


def register(app: Flask) -> None:
    """Let every error of an app be answered here."""
    app.register_error_handler(ApiError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(psycopg2.Error, _database)
    app.register_error_handler(Exception, _unexpected)


def _known(error: ApiError) -> Response:
    answer = error_answer(error.status, error.code, error.sentence, **error.details)
    answer.headers.extend(error.headers)
    return answer


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    name = error.name.upper().replace(" ", "_").replace("-", "_")
    fallback = _SERVER_FAULT if status >= 500 else (name, "The request is refused.")
    answer = error_answer(status, *_SENTENCES.get(status, fallback))
    for header, value in error.get_headers():
        if header.lower() not in ("content-type", "content-length"):
            answer.headers[header] = value
    return answer


def _database(error: psycopg2.Error) -> Response:
    logger.error("a request failed for the database", exc_info=error)
    if request.method == "POST":
        # TradingView sends again on 5xx, and only then.
        return error_answer(503, "NOT_STORED", "The message could not be stored. Send it again.")
    return error_answer(503, "UNAVAILABLE", "The database does not answer. Try again later.")


def _unexpected(error: Exception) -> Response:
    logger.error("unexpected", exc_info=error)
    return error_answer(500, *_SERVER_FAULT)
