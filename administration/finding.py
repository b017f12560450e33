"""What `doctor` finds."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found; a finding with a mend is a fault."""

    subject: str
    words: str
    mend: str | None = None

    def __str__(self) -> str:
        """Return the finding as one line."""
        words = " ".join(self.words.split())
        if self.mend is None:
            return f"ok     {self.subject}: {words}"
        return f"FAULT  {self.subject}: {words.removesuffix('.')}. To mend it, {self.mend}."


def moment(at: datetime) -> str:
    """Write a time to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
