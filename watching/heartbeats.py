"""Whether a watched bot is away: pure, judged by when messages arrived."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from database.watched import BotState, WatchedBot
from watching.effects import last_seen

LATE = timedelta(seconds=10)
CLOCK_STEP = timedelta(seconds=5)


def is_away(bot: WatchedBot, clear_since: datetime, timeout: timedelta, now: datetime) -> bool:
    """Tell whether a bot that counts as online was not heard for longer than `timeout`.

    Only the time since `clear_since` counts, in which it would have been heard. A sign of life in
    the future came before our clock was set back, and says nothing, unless that was by a moment only.
    """
    seen = last_seen(bot)
    heard = clear_since if seen is None or seen - now > CLOCK_STEP else max(seen, clear_since)
    return bot.state is BotState.ONLINE and now - heard > timeout


@dataclass(slots=True)
class Attention:
    """Since when every heartbeat would have been heard: None while broker or database are away.

    Time in which this process was not running (asleep, stopped, on a busy machine) and a clock that
    is set count as not having listened.
    """

    since: datetime | None = None
    _looked_at: datetime | None = None
    _ticks: float = 0.0

    def look(self, now: datetime, ticks: float, *, can_hear: bool) -> datetime | None:
        """Note that we run at this moment, by the clock and by a count of seconds; return since when we listen."""
        if not can_hear:
            self.since = None
        elif self.since is None or self._missed_some(now, ticks):
            self.since = now
        self._looked_at, self._ticks = now, ticks
        return self.since

    def _missed_some(self, now: datetime, ticks: float) -> bool:
        if self._looked_at is None:
            return True
        passed = timedelta(seconds=ticks - self._ticks)
        return passed > LATE or abs(now - self._looked_at - passed) > CLOCK_STEP
