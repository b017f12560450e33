"""The only door to PostgreSQL: the pool, transactions, and one module of typed functions per group of tables.

| module | holds |
|---|---|
| bots | connections and bots |
| lanes, bells | who may trade where, and what wakes them |
| work | signals under way, risk exits, plans, legs |
| orders | what was asked and what the broker answered |
| ledger | fills, positions, trades, daily figures |
| risk | risk events, day marks, what brokers last said, reservations |
| trades | what the user reads per executed leg |
| notifications | what is to be told |
| kill_switch | what may trade at all |
| health | heartbeats and failures of the parts |
"""

from database import (
    bells,
    bots,
    health,
    kill_switch,
    lanes,
    ledger,
    notifications,
    orders,
    risk,
    trades,
    work,
)
from database.pool import Database, Row, Session, Transaction

__all__ = [
    "Database",
    "Row",
    "Session",
    "Transaction",
    "bells",
    "bots",
    "health",
    "kill_switch",
    "lanes",
    "ledger",
    "notifications",
    "orders",
    "risk",
    "trades",
    "work",
]
