"""The protocol of a transport, and the four ways in which sending can end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.alert import Alert

Message = dict[str, Any]


class InvalidAddress(Exception):
    """Show the words beside the field: they say what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The service took it. `pause` is how many seconds it asked to wait before the next."""

    message_id: str | None = None
    pause: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TryLater:
    """Send the same message again, after `seconds` where the service named them, else by back-off.

    `everywhere` says that the service wants nobody on this machine to send meanwhile.
    """

    reason: str
    seconds: float | None = None
    everywhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Give this message up: the service will never take it, but takes others."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGone:
    """Switch the channel off: the service will take nothing from it any more."""

    reason: str


Outcome = Delivered | TryLater | Refused | ChannelGone


class Transport(Protocol):
    """Carry alerts to one kind of place.

    `most` is how many alerts travel in one message. `merges` says that of a flood a summary is enough;
    a transport whose readers are programs gets every alert.
    """

    name: str
    most: int
    merges: bool

    def checked_address(self, text: str) -> str:
        """Return the address to keep; raise `InvalidAddress`."""

    def shown(self, address: str) -> str:
        """Return as much of the address as may be seen in the dashboard and in logs."""

    def render(self, alerts: Sequence[Alert]) -> Message:
        """Return one message within the service's limits; plain JSON, without the address."""

    def send(self, address: str, message: Message, key: str) -> Outcome:
        """Send a rendered message once; whatever the service does is an outcome, never an exception.

        `key` is the same each time the same message is sent.
        """
