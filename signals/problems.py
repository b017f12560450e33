"""Say what is wrong with a message, in words its sender can act on."""

from dataclasses import dataclass
from typing import NoReturn


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One wrong field: the sender's name for it, what came (shortened), and what is allowed."""

    name: str
    got: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.name}: got {self.got}; allowed: {self.allowed}"


class InvalidJson(ValueError):
    """Answer 400 INVALID_JSON: the body is not one JSON object. `hint` says what to do about it."""

    status = 400
    code = "INVALID_JSON"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidSignal(ValueError):
    """Answer 422 INVALID_SIGNAL: `problems` lists every wrong field of the message, not only the first."""

    status = 422
    code = "INVALID_SIGNAL"

    def __init__(self, problems: tuple[FieldProblem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class BadValue(ValueError):
    """Say that one value cannot be read; `part` names the place inside an object or list.

    A reader raises this; whoever knows the sender's name for the field makes a FieldProblem of it.
    """

    def __init__(self, allowed: str, *, part: str = "", got: object = ...) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.part = part
        self.got = got

    def inside(self, part: str, got: object) -> NoReturn:
        """Raise this problem again as that of one part of a larger value."""
        inner_got = got if self.got is ... else self.got
        raise BadValue(self.allowed, part=f"{part}{self.part}", got=inner_got) from self
