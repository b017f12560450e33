"""Read request bodies up to a limit."""

from starlette.requests import Request


class BodyTooLarge(Exception):
    """Answer 413: the body is longer than what is taken here."""


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body; raise `BodyTooLarge` as soon as more than `limit` bytes came or were announced."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > limit:
            raise BodyTooLarge
        parts.append(part)
    return b"".join(parts)
