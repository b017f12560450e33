"""A bot that runs elsewhere, whose messages are written down as the MQTT listener does it."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from database import mqtt_status, watched_list
from database.health import beat
from database.pool import Database
from database.watched_reading import LISTENER
from watching.inbox import Message
from watching.writer import Writer

TIMEOUT = timedelta(seconds=90)


@dataclass(slots=True)
class WatchedDesk:
    """One watched bot of a user; `at` is the arrival of its next message."""

    database: Database
    user_id: int | None
    prefix: str = "mybot/"
    name: str = "my bot"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    bot_id: int = 0

    def __post_init__(self) -> None:
        with self.database.transaction() as transaction:
            self.bot_id = watched_list.add(transaction, self.user_id, self.name, self.prefix)

    def hears(self, topic: str, said: dict[str, Any] | bytes = b"{}", *, is_retained: bool = False) -> None:
        """Let one message arrive below the bot's prefix."""
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        message = Message(
            generation=1,
            connected_at=self.at - timedelta(hours=1),
            mid=1,
            qos=1,
            topic=self.prefix + topic,
            payload=payload,
            is_retained=is_retained,
            received_at=self.at,
        )
        with self.database.session() as session:
            Writer(TIMEOUT).store(session, {self.prefix: self.bot_id}, [message], is_retry=False)
        self.at += timedelta(seconds=1)

    def row(self) -> dict[str, Any]:
        """Return the bot as it stands."""
        with self.database.transaction() as transaction:
            return transaction.one("SELECT * FROM watched_bots WHERE id = %s", (self.bot_id,))


def a_life(desk: WatchedDesk) -> None:
    """Let a bot start, open two positions, complete one, fail, and send what nobody can read."""
    desk.hears("status/bot/started", {"session_id": "20261121_100000", "initial_balance": 1000})
    desk.hears(
        "status/bot/heartbeat",
        {"uptime_seconds": 60, "balance": 1000, "open_positions": 1, "total_trades": 1},
    )
    desk.hears(
        "trading/position/opened", {"symbol": "BTC/USD", "side": "long", "entry_price": 60000, "size": 0.1}
    )
    desk.hears(
        "trading/position/opened", {"symbol": "ETH/USD", "side": "short", "entry_price": 3000, "size": 1}
    )
    desk.hears(
        "trading/trade/completed",
        {"trade_id": "t-1", "symbol": "ETH/USD", "side": "short", "entry_price": 3000, "exit_price": 2950,
         "pnl": 50, "pnl_pct": 0.0167, "duration_seconds": 90},
    )  # fmt: skip
    desk.hears("balance/update", {"balance": 1050, "equity": 1061.5, "total_pnl": 50, "unrealized_pnl": 11.5})
    desk.hears(
        "status/bot/error", {"error_type": "API", "error_message": "rate limit", "severity": "warning"}
    )
    desk.hears("status/bot/error", b"\xff\xfe")


def listening(database: Database, *, connected: bool = True, words: str | None = None) -> None:
    """Say that DashTrade's listener lives and how it stands with its broker."""
    now = datetime.now(UTC)
    with database.transaction() as transaction:
        beat(transaction, LISTENER, "host:1", now)
        mqtt_status.note(transaction, broker="127.0.0.1:1883", is_connected=connected, words=words, now=now)
