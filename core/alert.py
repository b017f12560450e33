"""What an alert says, before any transport gives it a form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Tone(StrEnum):
    """How news feels to the one who reads it; a transport makes a colour of it."""

    GOOD = "GOOD"
    BAD = "BAD"
    WARNING = "WARNING"
    INFO = "INFO"
    QUIET = "QUIET"


@dataclass(frozen=True, slots=True)
class AlertField:
    """A figure with its name; `wide` ones stand in a line of their own."""

    name: str
    value: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One piece of news in words, of any length and with whatever its senders wrote into it.

    `at` is when it happened, `data` holds the same figures for machines, plain JSON. A transport
    shortens to what it may carry and takes the effect out of mentions and markup.
    """

    kind: str
    title: str
    tone: Tone
    text: str = ""
    fields: tuple[AlertField, ...] = ()
    footer: str = ""
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
