"""What a scripted server may answer: Discord's own answers, and everything that goes wrong on the way."""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

VIA = {"Via": "1.1 google"}
CLOUDFLARE_PAGE = b"<!doctype html><html><head><title>Error</title></head><body>cloudflare</body></html>"


class Cut(StrEnum):
    """Where a server closes the connection."""

    NOWHERE = "NOWHERE"
    BEFORE_READING = "BEFORE_READING"
    AFTER_READING = "AFTER_READING"
    IN_THE_BODY = "IN_THE_BODY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer: status, body and headers, or a fault.

    `takes` says that the message counts as delivered. `drip` is how many seconds pass between any two
    bytes of the answer, headers included; `delay` passes before the first.
    """

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: Cut = Cut.NOWHERE
    delay: float = 0.0
    drip: float = 0.0
    takes: bool = False

    @classmethod
    def saying(cls, status: int, content: Any, **headers: str) -> "Answer":
        """Answer with JSON as Discord does, through its proxy; underscores in header names are hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(content).encode()
        return cls(status=status, body=body, headers={"Content-Type": "application/json", **VIA, **named})

    @classmethod
    def unknown_webhook(cls) -> "Answer":
        """Answer that the webhook was deleted."""
        return cls.saying(404, {"message": "Unknown Webhook", "code": 10015})

    @classmethod
    def invalid_token(cls) -> "Answer":
        """Answer that the token of the webhook is wrong."""
        return cls.saying(401, {"message": "Invalid Webhook Token", "code": 50027})

    @classmethod
    def forbidden(cls) -> "Answer":
        """Answer that the webhook may not."""
        return cls.saying(403, {"message": "Missing Permissions", "code": 50013})

    @classmethod
    def invalid_form(cls, errors: dict[str, Any]) -> "Answer":
        """Answer that the message is not as it should be, with the tree of what is wrong."""
        return cls.saying(400, {"message": "Invalid Form Body", "code": 50035, "errors": errors})

    @classmethod
    def empty_message(cls) -> "Answer":
        """Answer that there is nothing in the message."""
        return cls.saying(400, {"message": "Cannot send an empty message", "code": 50006})

    @classmethod
    def too_many(
        cls, seconds: float, *, header: float | None = None, everywhere: bool = False, scope: str = "shared"
    ) -> "Answer":
        """Answer that a limit is reached: the seconds in the body, `header` (or the next second) beside it."""
        content = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
        named = header if header is not None else -(-seconds // 1)
        extra = {"Retry_After": f"{named:g}", "X_RateLimit_Scope": "global" if everywhere else scope}
        if everywhere:
            extra["X_RateLimit_Global"] = "true"
        return cls.saying(429, content, **extra)

    @classmethod
    def banned(cls, seconds: int = 3600) -> "Answer":
        """Answer like Cloudflare where a machine asked wrongly too often: HTML, and no Via."""
        return cls(
            status=429,
            body=CLOUDFLARE_PAGE,
            headers={"Content-Type": "text/html", "Retry-After": str(seconds), "Server": "cloudflare"},
        )

    @classmethod
    def page(cls, status: int) -> "Answer":
        """Answer with a page of HTML, as a proxy does that does not reach Discord."""
        return cls(status=status, body=CLOUDFLARE_PAGE, headers={"Content-Type": "text/html"})

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> "Answer":
        """Answer that what was asked for is elsewhere."""
        return cls(status=status, headers={"Location": location})
