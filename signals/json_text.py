"""Read a body as one JSON object, strictly, and keep its numbers as they were written."""

import json
import re
from typing import NoReturn

from signals.problems import InvalidJson
from signals.templates import INDICATOR_TEMPLATE

MAX_DEPTH = 16
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_HINT = f"Send one JSON object with double quotes, such as: {INDICATOR_TEMPLATE}"


class NumberText(str):
    """A JSON number exactly as it was written, not yet turned into a value: `1e400` costs nothing."""

    __slots__ = ()


def load_object(body: bytes, content_type: str | None = None) -> dict[str, object]:
    """Return the JSON object in `body`, numbers as NumberText, keys in the sender's order.

    Refuses duplicate keys, NaN and Infinity, deep nesting, text that is not UTF-8 or that PostgreSQL
    cannot store. A byte order mark and white space around the object are allowed.
    Raises InvalidJson.
    """
    text = _decoded(body)
    if not text.strip():
        raise InvalidJson("The message is empty.", hint=_HINT)
    value = _parsed(text, content_type)
    if not isinstance(value, dict):
        raise InvalidJson(f"The message is {_kind(value)}, not a JSON object.", hint=_HINT)
    _check_contents(value)
    return value


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"The message is not UTF-8 text (byte {error.start + 1})."
        raise InvalidJson(message, hint="Send the message as UTF-8.") from None


def _parsed(text: str, content_type: str | None) -> object:
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_float=NumberText,
            parse_int=NumberText,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise InvalidJson(_complaint(text, content_type, error), hint=_hint(text)) from None
    except RecursionError:
        _refuse_depth()


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            message = f'The field "{key[:60]}" comes twice.'
            raise InvalidJson(message, hint="Send each field once.")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJson(
        f"The message holds {name}, which is not a number.",
        hint="Leave a field out when there is no value for it. TradingView writes NaN for an empty plot.",
    )


def _refuse_depth() -> NoReturn:
    message = f"The message is nested more than {MAX_DEPTH} levels deep."
    raise InvalidJson(message, hint=_HINT)


def _complaint(text: str, content_type: str | None, error: json.JSONDecodeError) -> str:
    if (content_type or "").startswith("text/plain") and not text.lstrip().startswith(("{", "[")):
        return "The message is plain text, not JSON."
    return f"The message is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."


def _hint(text: str) -> str:
    if "{{" in text:
        return f"TradingView left a placeholder unfilled; put placeholders in double quotes. {_HINT}"
    return _HINT


def _kind(value: object) -> str:
    if isinstance(value, NumberText):
        return "a number"
    return {str: "a text", list: "a list", bool: "true or false"}.get(type(value), "null")


def _check_contents(value: object) -> None:
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _contents(outer)]
        if not level:
            return
    _refuse_depth()


def _contents(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, str) and _UNSTORABLE.search(value):
        message = "The message holds a character that is not text (NUL or half a surrogate pair)."
        raise InvalidJson(message, hint="Remove the \\u0000 or \\ud800-\\udfff escape.")
    return []
