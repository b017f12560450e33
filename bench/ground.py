"""What the measurements share: users with bots and tokens, figures, tables, and what the machine does."""

import json
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import requests

from bot_database import Database, Transaction, bots, tokens
from core.bot import ConnectionStatus
from core.instrument import AssetClass, Instrument
from encryption import Vault

# All of them are on the local Alpaca-like server's list.
SYMBOLS = ("AAPL", "MSFT", "TSLA", "NVDA", "AMZN", "GOOGL", "META", "AMD", "SPY", "QQQ")
TIMEFRAME, INTERVAL = "15 Min", "15"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One user: a token, an account at the broker, and a bot for each of `symbols`."""

    token: str
    connection_id: int
    key: str
    symbols: tuple[str, ...]

    def alert(self, symbol: str, action: str) -> tuple[str, dict[str, Any]]:
        """Return the path and the body of an alert for one of the bots."""
        return f"/webhook?token={self.token}", {"action": action, "ticker": symbol, "interval": INTERVAL}

    @property
    def account(self) -> dict[str, str]:
        """Return the account's credentials at the broker."""
        return {"api_key": self.key, "api_secret": "secret of " + self.key}


def people(
    database: Database, vault: Vault, count: int, *, bots_each: int = len(SYMBOLS), broker: str = "alpaca"
) -> list[Person]:
    """Make users in the database, each with one connection and `bots_each` bots on as many symbols."""
    found = []
    for number in range(count):
        with database.transaction() as transaction:
            found.append(_person(transaction, vault, number, bots_each, broker))
    return found


def _person(transaction: Transaction, vault: Vault, number: int, bots_each: int, broker: str) -> Person:
    email, key = f"user{number}@example.org", f"PKBENCH{number:05d}"
    user_id = transaction.value(
        "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (email,)
    )
    person = Person(
        token=tokens.create_token(transaction, vault, user_id),
        key=key, symbols=SYMBOLS[:bots_each],
        connection_id=bots.create_connection(
            transaction, user_id=user_id, broker=broker, mode="paper", label="Bench",
            credentials_sealed=vault.seal(json.dumps({"api_key": key, "api_secret": "secret of " + key})),
            credentials_prefix=key[:6], sealed_with=vault.key_id,
        ),
    )  # fmt: skip
    bots.note_connection(transaction, person.connection_id, ConnectionStatus.OK, None, datetime.now(UTC))
    for symbol in person.symbols:
        bots.create_bot(
            transaction, user_id=user_id, connection_id=person.connection_id, instrument=_stock(symbol),
            timeframe=TIMEFRAME, position_size=Decimal(1000), risk_limit_percent=Decimal(50),
        )  # fmt: skip
    return person


def _stock(symbol: str) -> Instrument:
    return Instrument(symbol=symbol, asset_class=AssetClass.STOCK)


def interleaved(everybody: Sequence[Person], action: str) -> list[tuple[str, dict[str, Any]]]:
    """Return an alert for each bot, never two of one user in a row."""
    depth = len(everybody[0].symbols)
    return [person.alert(person.symbols[place], action) for place in range(depth) for person in everybody]


def open_accounts(broker_url: str, everybody: Iterable[Person], cash: int = 1_000_000) -> None:
    """Open the people's accounts at the local broker."""
    with requests.Session() as session:
        for person in everybody:
            body = {"key": person.key, "secret": person.account["api_secret"], "cash": str(cash), "flags": {}}
            session.post(f"{broker_url}/_control/account", json=body, timeout=10).raise_for_status()


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread(values: Sequence[float]) -> list[str]:
    """Return p50, p95, p99 and the largest of a list of seconds, in milliseconds."""
    return [f"{1000 * value:.1f}" for value in (*(percentile(values, p) for p in (50, 95, 99)), max(values))]


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a small table."""
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    print(f"\n{title}")
    for number, line in enumerate(lines):
        cells = [cell.ljust(width) if place == 0 else cell.rjust(width)
                 for place, (cell, width) in enumerate(zip(line, widths, strict=True))]  # fmt: skip
        print("  " + "  ".join(cells))
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    print(flush=True)


def load_words() -> str:
    """Say what else the machine is doing: figures beside others' work are worth less."""
    one, five, _ = os.getloadavg()
    return f"{os.cpu_count()} cores, load {one:.1f} (1 min) {five:.1f} (5 min), {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def commit_milliseconds(database: Database, times: int = 100) -> float:
    """Return the median time of one durable commit, the floor of whatever must not be lost."""
    with database.transaction() as transaction:
        transaction.execute("CREATE TABLE IF NOT EXISTS bench_commits (at timestamptz)")
    taken = []
    with database.session() as session:
        for _ in range(times):
            begin = time.perf_counter()
            with session.transaction() as transaction:
                transaction.execute("INSERT INTO bench_commits VALUES (now())")
            taken.append(time.perf_counter() - begin)
    with database.transaction() as transaction:
        transaction.execute("DROP TABLE bench_commits")
    return 1000 * statistics.median(taken)
