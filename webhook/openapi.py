"""Describe the API for programs: `GET /openapi.json`, made of the types that read messages and the operations."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from flask import Response, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from core.plan import Code
from settings import version
from signals import service
from signals.message import NAMES
from signals.tradingview import message_schema
from webhook import answers
from webhook.operations import ERRORS, OPERATIONS, Access, Answers, Body, Kind, Operation
from webhook.services import services

PLACE = "#/components/schemas/{model}"
ERROR = answers.Error.__name__
REQUIRED = ("action", "symbol")
# What says by itself what is to be done; a message needs one of them.
ACTING = ("action", "position_after")
_TEXT = {"type": "string"}
_ID = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
_QUERIES = {
    "token": (_TEXT, "the webhook token, from Setup"),
    "wait": (
        {"type": "number", "minimum": 0},
        "seconds to wait for the outcome, at most 25; not for TradingView",
    ),
    "state": (_TEXT, "what Discord was given"),
    "code": (_TEXT, "what Discord gives"),
    "error": (_TEXT, "what Discord says instead"),
}
_IN_PATH = {
    "token": (_TEXT, "the webhook token, from Setup"),
    "signal_id": ({"type": "string", "format": "uuid"}, "the id that the sender was answered"),
    "user_id": ({"type": "integer", "minimum": 0}, "the user whose token it is"),
}
_OF_SERVICES: dict[str, tuple[dict[str, Any], str]] = {
    "user": (_ID, "for whom: id or e-mail address; or send channel instead"),
    "channel": (_ID, "the id of a registered Discord channel"),
    "source": (
        {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"},
        "which bots: those with this source",
    ),
    "author": (_ID, "who wrote the message; with channel the Discord account's id"),
    "author_roles": (
        {"type": "array", "items": _ID, "maxItems": 250},
        "the author's roles at Discord, by id",
    ),
    "message_id": (
        _ID,
        "the service's own name of the message, under which it trades once; needed with channel",
    ),
    "format": (_ID, "the name of the text's format"),
    "posted_at": (_ID, "when the message was written: ISO 8601 with its zone, or epoch"),
    "leverage": ({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 1000}, _TEXT]}, "the sender's wish"),
    "entry_range": (
        {"type": "array", "items": {"anyOf": [{"type": "number"}, _TEXT]}, "minItems": 2, "maxItems": 2},
        "two prices between which the entry is meant",
    ),
}
_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    Access.TOKEN: [{"token": []}],
    Access.SERVICE_KEY: [{"serviceKey": []}],
    Access.TOKEN_OR_KEY: [{"token": []}, {"serviceKey": []}],
    Access.METRICS_KEY: [{"metricsKey": []}, {}],
}
_SCHEMES = {
    "token": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "A user's webhook token, from Setup",
    },
    "serviceKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A service's key"},
    "metricsKey": {"type": "http", "scheme": "bearer", "description": "The setting METRICS_KEY"},
}
_WORDS = (
    "Send signals and read what became of them. A signal answered with 2xx is never lost and never executed twice."
    " Every error has the same form: a sentence for people and a code for programs."
)


def openapi() -> Response:
    """Answer with the description."""
    return jsonify(document(services().settings.public_url))


@cache
def document(address: str) -> dict[str, Any]:
    """Return the whole description, for a server at an address."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DashTrade",
            "version": version(),
            "description": _WORDS,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": address}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SCHEMES},
    }


def codes() -> tuple[str, ...]:
    """Return every code that an error can have."""
    of_the_server = (code for _, listed in ERRORS.values() for code in listed)
    return tuple(sorted({*map(str, Code), *map(str, of_the_server)}))


def _described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.words,
        "parameters": [*_parameters(operation)],
        "responses": {str(status): answer for status, answer in sorted(_responses(operation))},
        "security": _SECURITY.get(operation.access, []),
    }
    if operation.more:
        found["description"] = operation.more
    if operation.body is not None:
        content = {
            "application/json": {"schema": _reference(operation.body)},
            "text/plain": {"schema": _TEXT},
        }
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name, (schema, words) in _IN_PATH.items():
        if f"{{{name}}}" in operation.path:
            yield {"name": name, "in": "path", "required": True, "schema": schema, "description": words}
    for name in operation.queries:
        schema, words = _QUERIES[name]
        yield {"name": name, "in": "query", "required": False, "schema": schema, "description": words}


def _responses(operation: Operation) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, given in operation.answers.items():
        yield status, _answer(given)
    for status in operation.errors:
        words, listed = ERRORS[status]
        content = {"application/json": {"schema": _reference(ERROR)}}
        yield status, {"description": f"{words}: {', '.join(listed)}", "content": content}


def _answer(given: Answers) -> dict[str, Any]:
    if given is None:
        return {"description": "The way on is in `Location`"}
    if isinstance(given, Kind):
        return {"description": "The page, the figures or the description", "content": {given: {}}}
    models = given if isinstance(given, tuple) else (given,)
    references = [_reference(model.__name__) for model in models]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    words = " Or: ".join((model.__doc__ or "").splitlines()[0] for model in models)
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": PLACE.format(model=name)}


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [answers.Error]
    for operation in OPERATIONS:
        for given in operation.answers.values():
            listed = given if isinstance(given, tuple) else (given,)
            models += [each for each in listed if isinstance(each, type) and issubclass(each, BaseModel)]
    _, made = models_json_schema(
        [(model, "serialization") for model in dict.fromkeys(models)], ref_template=PLACE
    )
    found: dict[str, Any] = made["$defs"]
    found[ERROR]["properties"]["code"]["enum"] = list(codes())
    return {Body.MESSAGE: message(), Body.SERVICE_MESSAGE: service_message(), **found}


def message() -> dict[str, Any]:
    """Return the schema of a message: each field under every name that it may have."""
    read = message_schema()
    properties = {}
    for field, names in NAMES.items():
        described = {key: value for key, value in read["properties"][field].items() if key != "title"}
        nothing = {"anyOf": [{key: value for key, value in described.items() if key not in ("description", "default")},
                             {"type": "null"}]}  # fmt: skip
        for place, name in enumerate(names):
            said = described["description"] if place == 0 else f"Another name of {names[0]}."
            properties[name] = {**nothing, "description": said}
    needed = [{"anyOf": [{"required": [name]} for name in _names_of(field)]} for field in REQUIRED]
    return {
        "type": "object",
        "title": "Message",
        "description": "One alert. Names are read in any case, with or without _; fields nobody knows are kept.",
        "properties": properties,
        "allOf": needed,
        "additionalProperties": True,
    }


def service_message() -> dict[str, Any]:
    """Return the schema of what a service sends: a message, and beside it for whom and from where."""
    unknown = set(service.FIELDS) ^ set(_OF_SERVICES)
    if unknown:
        raise KeyError(f"the fields of services and their schemas differ: {sorted(unknown)}")
    return {
        "title": "ServiceMessage",
        "description": "A message, and beside it for whom it is and from where.",
        "allOf": [_reference(Body.MESSAGE)],
        "type": "object",
        "properties": {
            name: {"anyOf": [schema, {"type": "null"}], "description": words}
            for name, (schema, words) in _OF_SERVICES.items()
        },
        "anyOf": [{"required": ["user"]}, {"required": ["channel", "author", "message_id"]}],
    }


def _names_of(field: str) -> tuple[str, ...]:
    fields = ACTING if field == "action" else (field,)
    return tuple(name for each in fields for name in NAMES[each])
