"""Faults on order: which of the next requests are answered wrongly, late or not at all."""

import asyncio
import fnmatch
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from aiohttp import web

Carried = TypeVar("Carried", bound=web.StreamResponse)
ON_ITS_WAY_SECONDS = 0.05
BAD_GATEWAY = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


class FaultKind(StrEnum):
    """What happens to a request; AFTER means that it was carried out first. HALF of the answer is sent, then cut."""

    ANSWER_BEFORE = "answer_before"
    ANSWER_AFTER = "answer_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    SILENCE_BEFORE = "silence_before"
    SILENCE_AFTER = "silence_after"
    HALF_AFTER = "half_after"

    @property
    def is_after(self) -> bool:
        return self.value.endswith("_after")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One order for trouble.

    `path` is a shell pattern. The fault leaves `skip` matching requests alone, then strikes
    `count` times (-1: until cleared), each time with `chance`. `body` is answered as it
    stands for the ANSWER kinds; without one it is JSON below 500 and HTML from there.
    """

    kind: FaultKind
    method: str = "*"
    path: str = "*"
    key: str = "*"
    skip: int = 0
    count: int = 1
    chance: float = 1.0
    delay: float = 0.0
    status: int = 504
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def matches(self, method: str, path: str, key: str) -> bool:
        """Tell whether a request is meant."""
        return (
            self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path) and self.key in ("*", key)
        )


@dataclass(slots=True)
class Faults:
    """The queue of faults; the first one that matches and is due strikes."""

    chances: random.Random
    waiting: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str, key: str) -> Fault | None:
        """Return the fault for this request and count it as used."""
        for fault in self.waiting:
            if not fault.matches(method, path, key):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.chance < 1 and self.chances.random() >= fault.chance:
                continue
            self._use(fault)
            return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.count > 0:
            fault.count -= 1
        if fault.count == 0:
            self.waiting.remove(fault)


async def struck(
    fault: Fault,
    request: web.Request,
    carry_out: Callable[[], Awaitable[Carried]],
    plain: object,
) -> Carried | web.Response | None:
    """Return the answer to a request that a fault strikes, or None where the connection is to be cut.

    `plain` is the JSON of a faulty answer below 500 that has no body of its own.
    """
    response: Carried | None = None
    if fault.kind.is_after or fault.kind is FaultKind.DELAY_BEFORE:
        await asyncio.sleep(fault.delay if fault.kind is FaultKind.DELAY_BEFORE else 0)
        response = await carry_out()
    if fault.kind in (FaultKind.ANSWER_BEFORE, FaultKind.ANSWER_AFTER):
        return _faulty_answer(fault, plain)
    if fault.kind in (FaultKind.SILENCE_BEFORE, FaultKind.SILENCE_AFTER):
        await _until_client_goes(request)
        return None
    if fault.kind is FaultKind.HALF_AFTER and response is not None:
        await _send_half(request, response)
        return None
    if fault.kind is FaultKind.DELAY_AFTER:
        await asyncio.sleep(fault.delay)
    return None if fault.kind in (FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER) else response


async def _send_half(request: web.Request, response: web.StreamResponse) -> None:
    """Send the head and half of the body, so that it is on its way before the cut."""
    body = bytes(getattr(response, "body", None) or b"")
    headers = {"Content-Type": response.content_type, "Content-Length": str(len(body))}
    half = web.StreamResponse(status=response.status, headers=headers)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    await asyncio.sleep(ON_ITS_WAY_SECONDS)


def cut_off(request: web.Request) -> web.Response:
    """Cut the connection of a request."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _faulty_answer(fault: Fault, plain: object) -> web.Response:
    html = fault.body is None and fault.status >= 500
    default = BAD_GATEWAY.format(fault.status) if html else json.dumps(plain)
    return web.Response(
        text=default if fault.body is None else fault.body,
        status=fault.status,
        content_type="text/html" if html else "application/json",
        headers=fault.headers,
    )


async def _until_client_goes(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.02)
