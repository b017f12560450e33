"""Behave like Discord's webhooks: take messages, refuse bad ones, limit each webhook's rate."""

import itertools
import json
import re
import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs

from tests.discord_server import limits
from tests.discord_server.answers import Answer
from tests.discord_server.wire import Asked, ScriptedServer

PATH = re.compile(r"/api/(?:v\d+/)?webhooks/(\d+)/([\w-]+)")
FIRST_MESSAGE = 1_300_000_000_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many messages a webhook may send in how many seconds; Discord's is 5 in 2."""

    count: int = 5
    seconds: float = 2.0


class DiscordServer(ScriptedServer):
    """Take what is sent to the webhooks of `url_of`, refuse it as Discord does, or as scripted.

    An answer of a script that `takes` counts as delivered. A `rate` switches each webhook's limit on.
    """

    def __init__(self, port: int = 0, *, rate: Rate | None = None) -> None:
        super().__init__(port)
        self._rate = rate
        self._ids = itertools.count(FIRST_MESSAGE)
        self._taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._sent_at: dict[str, deque[float]] = defaultdict(deque)

    def url_of(self, webhook_id: int | str) -> str:
        """Return the URL of a webhook with this id."""
        return f"{self.base}/api/webhooks/{webhook_id}/{token_of(webhook_id)}"

    def taken(self, webhook_id: int | str) -> list[dict[str, Any]]:
        """Return the messages delivered to a webhook in their order, each with its `id`."""
        with self._lock:
            return list(self._taken[str(webhook_id)])

    def script(self, place: int | str, *answers: Answer) -> None:
        """Give a webhook these answers next, in order."""
        super().script(str(place), *answers)

    def asked(self, place: int | str) -> list[Asked]:
        """Return the requests to a webhook in the order they came, refused ones too."""
        return super().asked(str(place))

    def wait_for_taken(
        self, webhook_id: int | str, count: int, timeout: float = 60.0
    ) -> list[dict[str, Any]]:
        """Wait until so many messages are delivered to a webhook, and return them."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.taken(webhook_id)) >= count, timeout):
                raise TimeoutError(f"{len(self.taken(webhook_id))} of {count} messages came")
            return self.taken(webhook_id)

    def place_of(self, asked: Asked) -> str:
        """Return the id of the webhook, or the path where there is none."""
        known = PATH.fullmatch(asked.path)
        return known.group(1) if known else asked.path

    def otherwise(self, asked: Asked) -> Answer:
        """Answer as Discord does."""
        known = PATH.fullmatch(asked.path)
        if not known:
            return Answer.saying(404, {"message": "404: Not Found", "code": 0})
        if known.group(2) != token_of(known.group(1)):
            return Answer.invalid_token()
        return self._limited(known.group(1)) or _refusal(asked.body) or Answer(takes=True)

    def answered(self, asked: Asked, answer: Answer) -> Answer:
        """Keep a delivered message and, where it was asked for, answer with it."""
        webhook_id = self.place_of(asked)
        if not answer.takes:
            return answer
        message = {**_content(asked.body), "id": str(next(self._ids)), "webhook_id": webhook_id}
        self._taken[webhook_id].append(message)
        if answer.status != 204 or parse_qs(asked.query).get("wait", [""])[0].lower() != "true":
            return replace(answer, headers={**self._rate_headers(webhook_id), **answer.headers})
        whole = Answer.saying(200, {**message, "type": 0})
        return replace(
            answer,
            status=200,
            body=whole.body,
            headers={**whole.headers, **self._rate_headers(webhook_id), **answer.headers},
        )

    def _limited(self, webhook_id: str) -> Answer | None:
        if not self._rate:
            return None
        sent, now = self._sent_at[webhook_id], time.monotonic()
        while sent and now - sent[0] >= self._rate.seconds:
            sent.popleft()
        if len(sent) < self._rate.count:
            sent.append(now)
            return None
        return Answer.too_many(round(self._reset_after(webhook_id), 3), scope="user")

    def _reset_after(self, webhook_id: str) -> float:
        assert self._rate
        return max(0.001, self._sent_at[webhook_id][0] + self._rate.seconds - time.monotonic())

    def _rate_headers(self, webhook_id: str) -> dict[str, str]:
        if not self._rate or not self._sent_at[webhook_id]:
            return {}
        after = self._reset_after(webhook_id)
        return {
            "X-RateLimit-Limit": str(self._rate.count),
            "X-RateLimit-Remaining": str(self._rate.count - len(self._sent_at[webhook_id])),
            "X-RateLimit-Reset": f"{time.time() + after:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
        }


def token_of(webhook_id: int | str) -> str:
    """Return the token of a webhook of this server."""
    return f"token-of-webhook-{webhook_id}"


def _refusal(body: bytes) -> Answer | None:
    message = _content(body)
    if limits.is_empty(message):
        return Answer.empty_message()
    found = limits.faults(message)
    return Answer.invalid_form(limits.tree(found)) if found else None


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
