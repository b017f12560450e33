"""Close the day: its figures, and putting away what is old."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from core.pips import MarketKind, market_of, rate_between
from database import daily_statistics, market_bars
from database.daily_statistics import Money
from database.pool import Database, Transaction

ARCHIVED_AFTER = timedelta(days=90)
CURRENCY = "USD"
# So that an hour's backlog does not become an hour's work at once
MOST_TURNS = 200


def is_due(database: Database, now: datetime) -> bool:
    """Tell whether the figures of a day that is over are not made yet."""
    with database.transaction() as transaction:
        return bool(daily_statistics.outstanding(transaction, now))


def make(database: Database, now: datetime, *, archived_after: timedelta = ARCHIVED_AFTER) -> list[date]:
    """Make the figures of every day that is over and has none, then put away what is old; return the days.

    Each day and each part put away is a transaction of its own, so whoever dies in between goes on there.
    """
    with database.transaction() as transaction:
        days = daily_statistics.outstanding(transaction, now)
    made = [day for day in days if _close(database, day, now)]
    _in_parts(
        database, lambda transaction: daily_statistics.archive_trades(transaction, now - archived_after, now)
    )
    _in_parts(database, lambda transaction: daily_statistics.forget(transaction, now))
    return made


def _close(database: Database, day: date, now: datetime) -> bool:
    with database.transaction() as transaction:
        return daily_statistics.store(transaction, day, _money(transaction, day, now), now)


def _money(transaction: Transaction, day: date, now: datetime) -> Money:
    rows = daily_statistics.closed_by_pair(transaction, day)
    crosses = {pair for row in rows for pair in _pairs_with_dollar(row["account_currency"])}
    prices = market_bars.last_prices(transaction, crosses, now)
    pips = profit = Decimal(0)
    unpriced = 0
    for row in rows:
        rate = rate_between(row["account_currency"], CURRENCY, prices)
        unpriced += row["unpriced"] + (row["priced"] if rate is None else 0)
        profit += row["profit_loss"] * rate if rate is not None else 0
        pips += row["pips"] or 0 if market_of(row["pair"]).kind is MarketKind.FOREX else 0
    return Money(pips=pips, profit_loss=profit.quantize(Decimal("0.01")), unpriced=unpriced)


def _pairs_with_dollar(currency: str) -> tuple[str, str]:
    return f"{currency}/{CURRENCY}", f"{CURRENCY}/{currency}"


def _in_parts(database: Database, work: Callable[[Transaction], int]) -> None:
    for _ in range(MOST_TURNS):
        with database.transaction() as transaction:
            if not work(transaction):
                return
