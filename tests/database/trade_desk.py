"""Two users with tracked trades, bars that a test stores, and a clock that only the test moves."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from actions import tracked_trades
from actions.tracked_trades import Opened, TradeRequest
from core.bar import Bar, length
from core.pips import Direction
from database import accounts, market_bars
from database.pool import Database, Row
from settings import Settings

START = datetime(2026, 11, 18, 15, tzinfo=UTC)
ANN, EVE = 1, 2


class TradeDesk:
    """Ann and Eve, who follow trades in EUR/USD and others; prices come as a test says."""

    def __init__(self, database: Database, **settings: str) -> None:
        self.database = database
        usual = {"public_url": "http://127.0.0.1", "reversal_forex_source": "csv"}
        self.settings = Settings(**{"database_url": database.url, **usual, **settings})
        self.now = START
        self._keys = itertools.count()
        with database.transaction() as transaction:
            self.ann, self.eve = (
                accounts.create_user(transaction, f"{name}@example.org", "correct horse battery").id
                for name in ("ann", "eve")
            )

    def link(self, user_id: int, **columns: Any) -> None:
        """Link a user to Discord, with what they want."""
        wanted = {"discord_user_id": 900_000 + user_id, **columns}
        names, places = ", ".join(wanted), ", ".join(f"%({name})s" for name in wanted)
        with self.database.transaction() as transaction:
            transaction.execute(
                f"INSERT INTO user_discord_settings (user_id, {names}) VALUES (%(user)s, {places})",
                {**wanted, "user": user_id},
            )

    def price(
        self, prices: str, *, pair: str = "EUR/USD", timeframe: str = "1 Min", at: datetime | None = None
    ) -> datetime:
        """Store a closed bar, `open high low close` or one price, that closes now; return when it opened."""
        closed_at = at or self.now
        opened_at = closed_at - length(timeframe)
        numbers = [Decimal(each) for each in prices.split()]
        first, high, low, last = numbers if len(numbers) == 4 else numbers * 4
        bar = Bar(opened_at=opened_at, closed_at=closed_at, open=first, high=high, low=low, close=last)
        with self.database.transaction() as transaction:
            market_bars.store(transaction, pair, timeframe, "csv", [bar], self.now)
            market_bars.note_fetched(transaction, pair, timeframe, "csv", closed_at, self.now)
        return opened_at

    def wish(self, **changes: Any) -> TradeRequest:
        """Return a request: EUR/USD as in the source description, 54 pips to the stop, 108 to the target."""
        short = changes.get("direction") is Direction.SHORT
        usual = {
            "pair": "EUR/USD",
            "direction": Direction.LONG,
            "entry": Decimal("1.0854"),
            "lots": Decimal("0.1"),
            "stop": Decimal("1.0908" if short else "1.0800"),
            "target": Decimal("1.0746" if short else "1.0962"),
            "request_key": f"key {next(self._keys)}",
        }
        return TradeRequest(**{**usual, **changes})

    def open(self, user_id: int | None = None, **changes: Any) -> Opened:
        """Open a trade of Ann's, or of another's."""
        wish = changes.pop("wish", None) or self.wish(**changes)
        return tracked_trades.open_trade(
            self.database, self.settings, user_id or self.ann, "a test", wish, self.now
        )

    def close(self, trade_id: int, price: str | None = None, user_id: int | None = None):
        """Close a trade of Ann's, or of another's."""
        at = None if price is None else Decimal(price)
        return tracked_trades.close_trade(
            self.database, user_id or self.ann, "a test", trade_id, self.now, at
        )

    def edit(self, trade_id: int, user_id: int | None = None, **levels: str):
        """Move the stop or target of a trade of Ann's, or of another's."""
        moved = {name: Decimal(level) for name, level in levels.items()}
        return tracked_trades.edit_levels(
            self.database, user_id or self.ann, "a test", trade_id, self.now, **moved
        )

    def wait(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)

    def trade(self, trade_id: int) -> Row:
        """Return a trade's row."""
        return self.one("SELECT * FROM user_trades WHERE id = %s", (trade_id,))

    def updates(self, trade_id: int, kind: str | None = None) -> list[Row]:
        """Return a trade's updates, the oldest first."""
        return self.all(
            "SELECT * FROM trade_updates WHERE trade_id = %s AND (%s::text IS NULL OR update_type = %s) ORDER BY id",
            (trade_id, kind, kind),
        )

    def one(self, sql: str, parameters: tuple[object, ...] = ()) -> Row:
        """Return the row a query gives."""
        with self.database.transaction() as transaction:
            return transaction.one(sql, parameters)

    def all(self, sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
        """Return the rows a query gives."""
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)

    def run(self, sql: str, parameters: tuple[object, ...] = ()) -> None:
        """Run a statement."""
        with self.database.transaction() as transaction:
            transaction.execute(sql, parameters)

    def notify(self, user_id: int | None = None, **changes: Any) -> int:
        """Store a signal that was sent to Ann, or to another; return its id."""
        columns = {
            "user_id": user_id or self.ann,
            "pair": "EUR/USD",
            "timeframe": "1 Hour",
            "signal_type": "long",
            "bar_opened_at": self.now - timedelta(hours=1),
            "bar_closed_at": self.now,
            "confidence": Decimal("0.7"),
            "entry_price": Decimal("1.0854"),
            "stop_loss": Decimal("1.0800"),
            "take_profit": Decimal("1.0962"),
            "risk_reward_ratio": Decimal(2),
            "model_version": "rules",
            "source": "replay",
            "edge_shown": False,
            "day": self.now.date(),
            "expires_at": self.now + timedelta(hours=1),
            "created_at": self.now,
            **changes,
        }
        names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
        with self.database.transaction() as transaction:
            return int(
                transaction.value(
                    f"INSERT INTO signal_notifications ({names}) VALUES ({places}) RETURNING id", columns
                )
            )
