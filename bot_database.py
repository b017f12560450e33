"""The only door to PostgreSQL: the pool, transactions, and one module of typed functions per group of tables.

| module | holds |
|---|---|
| accounts, sign_in, tokens, audit | people, their sessions and keys, and what they did |
| bots, connections | bots and the accounts they trade through |
| inbox | messages on their way to becoming signals |
| lanes, bells | who may trade where, and what wakes them |
| work | signals under way, risk exits, plans, legs |
| orders | what was asked and what the broker answered |
| ledger | fills, positions, trades, daily figures |
| protections | stops and targets, and what of them rests at the broker |
| risk | risk events, day marks, what brokers last said, reservations |
| trades | what the user reads per executed leg |
| notifications, alert_channels, alert_deliveries | what is to be told, where to, and what became of it |
| kill_switch | what may trade at all |
| reports, figures, statistics | what people read |
| tallies, standing | what Prometheus reads: figures that only grow, and how things stand |
| health | heartbeats and failures of the parts |
"""

from database import (
    accounts,
    alert_channels,
    alert_deliveries,
    audit,
    bells,
    bots,
    connections,
    figures,
    health,
    inbox,
    kill_switch,
    lanes,
    ledger,
    notifications,
    orders,
    protections,
    reports,
    risk,
    sign_in,
    standing,
    statistics,
    tallies,
    tokens,
    trades,
    work,
)
from database.pool import Database, Row, Session, Transaction

__all__ = [
    "Database",
    "Row",
    "Session",
    "Transaction",
    "accounts",
    "alert_channels",
    "alert_deliveries",
    "audit",
    "bells",
    "bots",
    "connections",
    "figures",
    "health",
    "inbox",
    "kill_switch",
    "lanes",
    "ledger",
    "notifications",
    "orders",
    "protections",
    "reports",
    "risk",
    "sign_in",
    "standing",
    "statistics",
    "tallies",
    "tokens",
    "trades",
    "work",
]
