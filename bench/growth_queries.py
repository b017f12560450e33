"""What two pages ask the database, timed: the Overview and the Trade History of one user."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from bot_database import Database, Transaction, health, risk
from database import (
    alert_reading,
    bot_list,
    connections,
    figures,
    history,
    holdings,
    position_details,
    reports,
    signal_list,
)

TIMES = 12
SHOWN = 6
Ask = Callable[[Transaction, int, int], object]


def _overview(transaction: Transaction, user: int, connection: int) -> None:
    now = datetime.now(UTC)
    reports.switches_that_stop(transaction, user, SHOWN)
    figures.today_of(transaction, user, now)
    holdings.held_in_all(transaction, user)
    bot_list.count_bots(transaction, user)
    risk.accounts_of(transaction, user)
    health.heartbeats(transaction)
    bot_list.bots_in_trouble(transaction, user, SHOWN)
    alert_reading.switched_off(transaction, user)
    connections.shown_connections(transaction, user)
    holdings.held_positions(transaction, user, limit=SHOWN)
    signal_list.signals_page(transaction, user, signal_list.SignalFilter(), limit=SHOWN)
    begins = figures.equity_begins(transaction, user, connection)
    if begins is not None:
        figures.equity_curve(transaction, user, connection, since=begins - timedelta(hours=1), until=now)


def _trade_history(transaction: Transaction, user: int, _connection: int) -> None:
    history.bots_with_history(transaction, user)
    page = history.trades_page(transaction, user, history.TradeFilter())
    position_details.leverage_of_trades(transaction, user, [row["id"] for row in page.rows])


def _signals(transaction: Transaction, user: int, _connection: int) -> None:
    signal_list.signals_page(transaction, user, signal_list.SignalFilter())


def _performance(transaction: Transaction, user: int, _connection: int) -> None:
    figures.performance_of(transaction, user)


PAGES: Mapping[str, Ask] = {
    "Overview, its queries": _overview,
    "Trade History, a page": _trade_history,
    "Signals, a page": _signals,
    "Performance, its queries": _performance,
}


def time_pages(database: Database, taken: dict[str, list[float]]) -> None:
    """Ask for each page of the first user some times, and add the seconds it took."""
    with database.transaction() as transaction:
        row = transaction.one("SELECT id, user_id FROM user_api_keys ORDER BY user_id LIMIT 1")
    for name, ask in PAGES.items():
        for _ in range(TIMES):
            began = time.perf_counter()
            with database.transaction() as transaction:
                ask(transaction, row["user_id"], row["id"])
            taken.setdefault(name, []).append(time.perf_counter() - began)
