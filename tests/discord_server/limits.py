"""Find what Discord would refuse in a message, in its own words and codes."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

MOST_EMBEDS = 10
MOST_FIELDS = 25
MOST_CONTENT = 2000
LONGEST = {"title": 256, "description": 4096}
LONGEST_FOOTER = 2048
LONGEST_NAME = 256
LONGEST_VALUE = 1024
TOGETHER = 6000
LONGEST_USERNAME = 80
Fault = tuple[tuple[str, ...], str, str]  # where, code, words


def faults(message: dict[str, Any]) -> list[Fault]:
    """Return every fault of a webhook's message; lengths are UTF-16 units, the stricter way to count."""
    return [
        *_username(message),
        *_content(message),
        *_embeds(message),
        *_mentions(message),
    ]


def tree(found: list[Fault]) -> dict[str, Any]:
    """Return faults in the form of Discord's `errors`."""
    root: dict[str, Any] = {}
    for path, code, words in found:
        branch = root
        for name in path:
            branch = branch.setdefault(name, {})
        branch.setdefault("_errors", []).append({"code": code, "message": words})
    return root


def is_empty(message: dict[str, Any]) -> bool:
    """Tell a message without anything to show."""
    return not message.get("content") and not message.get("embeds")


def length(text: str) -> int:
    """Return the UTF-16 units of what Discord keeps of a text: it trims both ends."""
    return len(text.strip().encode("utf-16-le", errors="surrogatepass")) // 2


def _username(message: dict[str, Any]) -> Iterator[Fault]:
    name = message.get("username")
    if name is None:
        return
    yield from _text(("username",), name, LONGEST_USERNAME, required=True)
    for word in ("discord", "clyde"):
        if word in str(name).lower():
            yield ("username",), "USERNAME_INVALID_CONTAINS", f'Username cannot contain "{word}"'


def _content(message: dict[str, Any]) -> Iterator[Fault]:
    if message.get("content") is not None:
        yield from _text(("content",), message["content"], MOST_CONTENT)


def _mentions(message: dict[str, Any]) -> Iterator[Fault]:
    for kind in (message.get("allowed_mentions") or {}).get("parse", []):
        if kind not in {"users", "roles", "everyone"}:
            yield ("allowed_mentions", "parse"), "BASE_TYPE_CHOICES", "Value must be one of the choices."


def _embeds(message: dict[str, Any]) -> Iterator[Fault]:
    embeds = message.get("embeds") or []
    if len(embeds) > MOST_EMBEDS:
        yield ("embeds",), "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_EMBEDS} or fewer in length."
    for number, embed in enumerate(embeds):
        yield from _embed(("embeds", str(number)), embed)
    if sum(_size(embed) for embed in embeds) > TOGETHER:
        yield ("embeds",), "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {TOGETHER}"


def _size(embed: dict[str, Any]) -> int:
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    for field in embed.get("fields") or []:
        texts += [field.get("name"), field.get("value")]
    return sum(length(text) for text in texts if isinstance(text, str))


def _embed(path: tuple[str, ...], embed: dict[str, Any]) -> Iterator[Fault]:
    if not any(embed.get(name) for name in ("title", "description", "fields", "footer", "image", "author")):
        yield (*path, "description"), "BASE_TYPE_REQUIRED", "This field is required"
    for name, most in LONGEST.items():
        if embed.get(name) is not None:
            yield from _text((*path, name), embed[name], most)
    if embed.get("footer") is not None:
        yield from _text(
            (*path, "footer", "text"), embed["footer"].get("text"), LONGEST_FOOTER, required=True
        )
    yield from _colour(path, embed.get("color"))
    yield from _timestamp(path, embed.get("timestamp"))
    yield from _fields((*path, "fields"), embed.get("fields") or [])


def _fields(path: tuple[str, ...], fields: list[dict[str, Any]]) -> Iterator[Fault]:
    if len(fields) > MOST_FIELDS:
        yield path, "BASE_TYPE_MAX_LENGTH", f"Must be {MOST_FIELDS} or fewer in length."
    for number, field in enumerate(fields):
        yield from _text((*path, str(number), "name"), field.get("name"), LONGEST_NAME, required=True)
        yield from _text((*path, str(number), "value"), field.get("value"), LONGEST_VALUE, required=True)


def _text(path: tuple[str, ...], text: object, most: int, *, required: bool = False) -> Iterator[Fault]:
    if not isinstance(text, str):
        yield path, "BASE_TYPE_STRING", "Must be a string."
    elif required and not text.strip():
        yield path, "BASE_TYPE_REQUIRED", "This field is required"
    elif re.search("[\ud800-\udfff\x00]", text):
        yield path, "BASE_TYPE_BAD_STRING", "Must be valid Unicode."
    elif length(text) > most:
        yield path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length."


def _colour(path: tuple[str, ...], colour: object) -> Iterator[Fault]:
    if colour is not None and (not isinstance(colour, int) or not 0 <= colour <= 0xFFFFFF):
        yield (*path, "color"), "NUMBER_TYPE_MAX", "int value should be less than or equal to 16777215."


def _timestamp(path: tuple[str, ...], text: object) -> Iterator[Fault]:
    if text is None:
        return
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        yield (*path, "timestamp"), "DATE_TIME_TYPE_PARSE", f"Could not parse {text}. Should be ISO8601."
