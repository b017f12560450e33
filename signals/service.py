"""Read what a service says around a signal: for whom, from where, and its own name for the message.

Services (the Discord bot first) send the fields of `signals.message` and these beside them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.signal import Signal
from signals.fields import folded, read_identifier, read_name, read_number, read_price, read_text, read_time
from signals.json_text import load_object
from signals.message import shown
from signals.problems import BadValue, FieldProblem

DEFAULT_SOURCE = "api"
# What DashTrade makes itself: scores of reversals
OUR_OWN = frozenset({"reversal"})
MOST_ROLES = 250
LARGEST_ID = 2**63 - 1
# These become parts of the signal itself.
_OF_THE_SIGNAL = ("leverage", "entryrange")
_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFields:
    """What came beside the signal. `user` is an id or an e-mail address; `problems` are wrong fields.

    `channel`, `author` and `author_roles` are Discord's numbers where a channel is named, `format` is the
    name of the text's format and `posted_at` when it was written. `entry_range` is the lower and the upper
    price between which the entry is meant.
    """

    user: str | None = None
    channel: str | None = None
    source: str = DEFAULT_SOURCE
    author: str | None = None
    author_roles: tuple[int, ...] = ()
    message_id: str | None = None
    format: str | None = None
    posted_at: datetime | None = None
    leverage: Decimal | None = None
    entry_range: tuple[Decimal, Decimal] | None = None
    problems: tuple[FieldProblem, ...] = ()


def read_service_fields(body: bytes, content_type: str | None = None) -> ServiceFields:
    """Return the service's fields of a body. Raises InvalidJson where it is not one JSON object."""
    sent = {folded(name): (name, raw) for name, raw in load_object(body, content_type).items()}
    values: dict[str, Any] = {}
    problems = []
    for field, read in FIELDS.items():
        name, raw = sent.get(folded(field), (field, None))
        try:
            values |= {} if raw is None else {field: read(raw)}
        except BadValue as fault:
            got = raw if fault.got is ... else fault.got
            problems.append(FieldProblem(name=f"{name}{fault.part}", got=shown(got), allowed=fault.allowed))
    return ServiceFields(**values, problems=tuple(problems))


def with_service_fields(signal: Signal, given: ServiceFields) -> Signal:
    """Return the signal with leverage and entry range of the service, and the time its message was written."""
    extras = {name: value for name, value in signal.extras.items() if folded(name) not in _OF_THE_SIGNAL}
    return replace(
        signal,
        leverage=given.leverage,
        entry_range=given.entry_range,
        sent_at=signal.sent_at or given.posted_at,
        extras=extras,
    )


def number_of(text: str | None) -> int | None:
    """Return the number that Discord knows a thing by, None where the text is none."""
    plain = text is not None and text.isascii() and text.isdigit() and len(text) <= 19
    return int(text or 0) if plain and 0 < int(text or 0) <= LARGEST_ID else None


def _read_leverage(raw: object) -> Decimal:
    allowed = "a whole number from 1 to 1000, such as 10"
    leverage = read_number(raw, allowed)
    if leverage != leverage.to_integral_value() or not 1 <= leverage <= 1000:
        raise BadValue(allowed)
    return leverage


def _read_roles(raw: object) -> tuple[int, ...]:
    allowed = f"a list of at most {MOST_ROLES} of Discord's role ids"
    if not isinstance(raw, list) or len(raw) > MOST_ROLES:
        raise BadValue(allowed)
    roles = [number_of(read_text(role, allowed)) for role in raw]
    if None in roles:
        raise BadValue(allowed)
    return tuple(role for role in roles if role is not None)


def _read_source(raw: object) -> str:
    allowed = "a short name in small letters, such as discord or api"
    source = read_text(raw, allowed).lower()
    if not _SOURCE.fullmatch(source):
        raise BadValue(allowed)
    if source in OUR_OWN:
        raise BadValue(f"{allowed}; {source} is DashTrade's own, and nobody else's signals go by it")
    return source


def _read_range(raw: object) -> tuple[Decimal, Decimal]:
    allowed = "a list of two prices, such as [59800, 60200]"
    if not isinstance(raw, list) or len(raw) != 2:
        raise BadValue(allowed)
    low, high = sorted(read_price(price) for price in raw)
    return low, high


FIELDS: Mapping[str, Callable[[object], object]] = {
    "user": read_name,
    "channel": read_name,
    "source": _read_source,
    "author": read_name,
    "author_roles": _read_roles,
    "message_id": read_identifier,
    "format": read_name,
    "posted_at": read_time,
    "leverage": _read_leverage,
    "entry_range": _read_range,
}
