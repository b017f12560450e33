"""News that no event brings: a part that fell silent, a day that is over."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from core.instrument import AssetClass
from core.trading_day import day_end, day_start, trading_day
from core.wording import money
from database import outages, summaries
from database.notifications import NotificationKind, notify
from database.pool import Row, Transaction

# New York's midnight ends the day of stocks; that of crypto, by UTC, is over by then.
LAST_TO_END = AssetClass.STOCK
# So that what filled in the day's last moment is booked.
AFTER_THE_DAY = timedelta(minutes=5)


# A process needs this long after a start of everything, or of the database, to be heard of again.
PATIENCE = timedelta(seconds=40)
# Whoever looked at nothing for this long may have been asleep, or without a database, like all others.
LAPSE = timedelta(seconds=15)


class PartsWatch:
    """Tell of parts that died, once we ourselves were awake long enough to know.

    After an outage of the database or a machine's sleep every heartbeat is old.
    """

    def __init__(self, now: datetime) -> None:
        self._awake_since = self._looked_at = now

    def look(self, transaction: Transaction, now: datetime) -> None:
        """Look at the heartbeats; to be called every few seconds."""
        if not timedelta(0) <= now - self._looked_at <= LAPSE:
            self._awake_since = now
        self._looked_at = now
        if now - self._awake_since >= PATIENCE:
            tell_of_parts(transaction, now)


def tell_of_parts(transaction: Transaction, now: datetime) -> None:
    """Tell the operator of parts that died, and of those that are back."""
    for row in outages.parts_gone(transaction, now):
        sentence = f"It was last heard of at {row['since']:%Y-%m-%d %H:%M:%S} UTC. It starts again by itself"
        sentence += " where DashTrade's supervisor or systemd runs it; its log says why it ended."
        _tell(transaction, NotificationKind.PART_DOWN, part=row["part"], sentence=sentence)
    for row in outages.parts_back(transaction, now):
        minutes = int((now - row["since"]).total_seconds() // 60)
        away = f"It was away for {minutes} min." if minutes else "It was away for less than a minute."
        _tell(transaction, NotificationKind.PART_BACK, part=row["part"], sentence=away)


def sum_up_the_day(transaction: Transaction, now: datetime) -> None:
    """Tell each user how the trading day went that ended last; once, whoever asks and how often."""
    day = trading_day(now - AFTER_THE_DAY, LAST_TO_END) - timedelta(days=1)
    since, until = day_start(day, LAST_TO_END), day_end(day, LAST_TO_END)
    for user_id in summaries.users_to_sum_up(transaction, day, since, until, now):
        row = summaries.figures_of(transaction, user_id, day, since, until)
        equity = ", ".join(_worth(each) for each in row["equity"])
        figures = {**row, "equity": equity}
        notify(transaction, user_id, NotificationKind.DAILY_SUMMARY, day=day.isoformat(), **figures)


def _worth(account: Row) -> str:
    return f"{account['account']} {money(Decimal(account['equity']), account['currency'])}"


def _tell(transaction: Transaction, kind: NotificationKind, **content: Any) -> None:
    notify(transaction, None, kind, **content)
