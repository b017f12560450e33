"""Faults on order: which of the next requests are answered wrongly, late or not at all."""

import fnmatch
import random
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What happens to a request; AFTER means that it was carried out first."""

    ANSWER_BEFORE = "answer_before"
    ANSWER_AFTER = "answer_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    SILENCE_BEFORE = "silence_before"
    SILENCE_AFTER = "silence_after"

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
