"""Read what a service says around a signal: for whom, from where, and its own name for the message.

Services (the Discord bot first) send the fields of `signals.message` and these beside them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from signals.fields import folded, read_identifier, read_name, read_price, read_text
from signals.json_text import load_object
from signals.message import shown
from signals.problems import BadValue, FieldProblem

DEFAULT_SOURCE = "api"
FIELDS = ("user", "channel", "source", "author", "message_id", "leverage", "entry_range")
_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFields:
    """What came beside the signal. `user` is an id or an e-mail address; `problems` are wrong fields.

    `entry_range` is the lower and the upper price between which the entry is meant.
    """

    user: str | None = None
    channel: str | None = None
    source: str = DEFAULT_SOURCE
    author: str | None = None
    message_id: str | None = None
    leverage: Decimal | None = None
    entry_range: tuple[Decimal, Decimal] | None = None
    problems: tuple[FieldProblem, ...] = ()


def read_service_fields(body: bytes, content_type: str | None = None) -> ServiceFields:
    """Return the service's fields of a body. Raises InvalidJson where it is not one JSON object."""
    sent = {folded(name): (name, raw) for name, raw in load_object(body, content_type).items()}
    values: dict[str, Any] = {}
    problems = []
    for field in FIELDS:
        name, raw = sent.get(folded(field), (field, None))
        try:
            values |= {} if raw is None else {field: _READERS[field](raw)}
        except BadValue as fault:
            got = raw if fault.got is ... else fault.got
            problems.append(FieldProblem(name=f"{name}{fault.part}", got=shown(got), allowed=fault.allowed))
    return ServiceFields(**values, problems=tuple(problems))


def _read_source(raw: object) -> str:
    allowed = "a short name in small letters, such as discord or api"
    source = read_text(raw, allowed).lower()
    if not _SOURCE.fullmatch(source):
        raise BadValue(allowed)
    return source


def _read_range(raw: object) -> tuple[Decimal, Decimal]:
    allowed = "a list of two prices, such as [59800, 60200]"
    if not isinstance(raw, list) or len(raw) != 2:
        raise BadValue(allowed)
    low, high = sorted(read_price(price) for price in raw)
    return low, high


_READERS: Mapping[str, Callable[[object], object]] = {
    "user": read_name,
    "channel": read_name,
    "source": _read_source,
    "author": read_name,
    "message_id": read_identifier,
    "leverage": read_price,
    "entry_range": _read_range,
}
