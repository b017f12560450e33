"""Messages between the network's thread and the writer's; when it is full, the broker waits."""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime

MOST_MESSAGES = 10_000
MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it came, and by which connection: `generation` counts them, `mid` is to be acknowledged.

    `again` is the broker's word that it sent the message before; not every broker says so.
    """

    generation: int
    connected_at: datetime
    mid: int
    qos: int
    topic: str
    payload: bytes
    is_retained: bool
    received_at: datetime
    again: bool = False


class Inbox:
    """A queue of messages, bounded by their number and their bytes."""

    def __init__(self, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_open = True

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Tell whether the broker has to wait."""
        return len(self._messages) >= self._most_messages or self._bytes >= self._most_bytes

    def oldest_arrival(self) -> datetime | None:
        """Return when the message arrived that has waited longest, or None where none waits."""
        with self._changed:
            return self._messages[0].received_at if self._messages else None

    def put(self, message: Message) -> bool:
        """Add a message, waiting while the inbox is full; return False if it was closed instead."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_full or not self._is_open)
            if not self._is_open:
                return False
            self._messages.append(message)
            self._bytes += len(message.payload)
            self._changed.notify_all()
            return True

    def take(self, at_most: int, most_bytes: int, seconds: float) -> list[Message]:
        """Return the oldest messages, at least one where there is one within that time."""
        taken: list[Message] = []
        with self._changed:
            self._changed.wait_for(lambda: self._messages or not self._is_open, seconds)
            room = most_bytes
            while self._messages and len(taken) < at_most and (room > 0 or not taken):
                taken.append(self._messages.popleft())
                room -= len(taken[-1].payload)
            self._bytes -= sum(len(message.payload) for message in taken)
            self._changed.notify_all()
        return taken

    def open(self) -> None:
        """Take messages from now on."""
        with self._changed:
            self._is_open = True

    def close(self) -> None:
        """Let whoever waits go, and take nothing more; what is inside stays."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def clear(self) -> int:
        """Throw away what is inside and return how many messages that were."""
        with self._changed:
            count = len(self._messages)
            self._messages.clear()
            self._bytes = 0
            self._changed.notify_all()
        return count
