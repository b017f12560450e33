"""Count requests in windows of a minute, in this process's memory."""

import threading

WINDOW_SECONDS = 60
MOST_COUNTS = 10_000


class Counts:
    """Count by name in windows that begin with a name's first count; safe to use from several threads."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def count(self, name: str, now: float) -> tuple[int, float]:
        """Return the sum with this one, and how many seconds are left of its window; `now` in seconds."""
        with self._lock:
            before, ends = self._counts.get(name, (0, now))
            if ends <= now:
                before, ends = 0, now + WINDOW_SECONDS
                self._forget_ended(now)
            self._counts[name] = (before + 1, ends)
        return before + 1, ends - now

    def _forget_ended(self, now: float) -> None:
        if len(self._counts) >= MOST_COUNTS:
            self._counts = {name: kept for name, kept in self._counts.items() if kept[1] > now}
