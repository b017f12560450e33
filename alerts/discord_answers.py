"""Read what Discord answered: taken, later, never, or no webhook any more."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from alerts.neutral import plain, shortened
from alerts.posting import Answer
from alerts.transport import ChannelGone, Delivered, Outcome, Refused, TryLater

LONGEST_WORDS = 400
LONGEST_PAUSE = 24 * 60 * 60.0
DEEPEST = 12
GONE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
# A forum wants a thread in the address: nothing that is sent without one will ever be taken
NEEDS_THREAD = 220001


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What Discord's own JSON said; empty where something on the way answered instead of Discord."""

    content: dict[str, Any]

    @property
    def code(self) -> int | None:
        """Return Discord's error code."""
        code = self.content.get("code")
        return code if isinstance(code, int) else None

    @property
    def words(self) -> str:
        """Return Discord's message, code and the faults it found, in one line."""
        faults = "; ".join(_faults(self.content.get("errors")))
        code = f" (code {self.code})" if self.code else ""
        message = self.content.get("message", "")
        return _in_one_line(f"{message}{code}{': ' if faults else ''}{faults}")


def outcome(answer: Answer) -> Outcome:
    """Return what an answer of Discord means for the message and the webhook."""
    said = Said(content=_content(answer.body))
    if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return Delivered(message_id=_text(said.content.get("id")), pause=_pause(answer.headers))
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _too_many(answer, said)
    if answer.status in LATER or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TryLater(reason=_reason(answer, said), seconds=retry_after(answer.headers))
    if answer.status in GONE and said.code is None:
        # A proxy's or Cloudflare's page: Discord has not said that the webhook is gone
        return TryLater(reason=_reason(answer, said))
    if answer.status in GONE or said.code == NEEDS_THREAD:
        return ChannelGone(reason=_reason(answer, said))
    return Refused(reason=_reason(answer, said))


def retry_after(headers: Message) -> float | None:
    """Return the seconds of a Retry-After header, which gives seconds or a time."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError:
        return _seconds_until(text)


def seconds(value: object) -> float | None:
    """Return a count of seconds between zero and a day; raise `ValueError` where it is no number."""
    number = float(str(value))
    return min(max(number, 0.0), LONGEST_PAUSE) if math.isfinite(number) else None


def _too_many(answer: Answer, said: Said) -> TryLater:
    named = [retry_after(answer.headers), _seconds(said.content.get("retry_after"))]
    known = [one for one in named if one is not None]
    return TryLater(
        reason=_reason(answer, said),
        seconds=max(known, default=None),
        everywhere=said.content.get("global") is True or _is_for_all(answer.headers),
    )


def _is_for_all(headers: Message) -> bool:
    """Tell a limit on this machine: a global one, or Cloudflare's, which answers without `Via`."""
    is_global = (headers.get("X-RateLimit-Global") or "").lower() == "true"
    return is_global or headers.get("X-RateLimit-Scope") == "global" or headers.get("Via") is None


def _pause(headers: Message) -> float:
    if headers.get("X-RateLimit-Remaining") != "0":
        return 0.0
    return _seconds(headers.get("X-RateLimit-Reset-After")) or 0.0


def _reason(answer: Answer, said: Said) -> str:
    if said.words:
        return f"Discord answered {answer.status}: {said.words}"
    words = f"Discord's address answered {status_words(answer.status)}"
    return f"{words}, a redirect, which is not followed" if 300 <= answer.status < 400 else words


def status_words(status: int) -> str:
    """Return a status with its usual name; what the other side called it is not repeated."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _in_one_line(text: str) -> str:
    return shortened(" ".join(plain(text).split()), LONGEST_WORDS)


def _faults(tree: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the sentences of Discord's error tree, each with its place."""
    if not isinstance(tree, dict) or len(path) > DEEPEST:
        return
    for name, branch in tree.items():
        if name == "_errors" and isinstance(branch, list):
            yield from (
                f"{'.'.join(path)}: {leaf.get('message')}" for leaf in branch if isinstance(leaf, dict)
            )
        else:
            yield from _faults(branch, (*path, str(name)))


def _seconds(value: object) -> float | None:
    try:
        return seconds(value)
    except ValueError:
        return None


def _seconds_until(text: str) -> float | None:
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return seconds((then.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
