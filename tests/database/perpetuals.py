"""A trading floor at a local BloFin whose exchange leaves everything resting that nobody takes away."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from bot_database import Database, Row, bots
from brokers.base import ProtectionIntent
from brokers.blofin import BlofinBroker
from core.order import OrderIntent, Side
from core.signal import Action, Level, LevelKind, Signal
from core.wording import number
from engine.monitor import watch_risk
from tests.blofin_server.local import Control
from tests.database.trading_floor import TradingFloor

D = Decimal
KEYS = {"api_key": "key", "api_secret": "secret", "passphrase": "phrase"}
BTC = "BTC-USDT"


class Perpetuals(TradingFloor):
    """A trading floor at BloFin; `look` lets the monitor look and the lane work."""

    def __init__(self, database: Database, server: Control) -> None:
        super().__init__(database)
        self.server = server
        self.now = datetime.now(UTC)
        server.settings(closed_protection="none")
        server.account("key", "secret", "phrase", balance=100_000)
        server.price(BTC, 60_000, 60_001)
        self.blofin = BlofinBroker(KEYS, base_url=server.url)
        self.broker = self.blofin
        with database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_api_keys SET broker = 'blofin', mode = 'demo', credentials_sealed = 'x'"
            )

    def perpetual(self, **limits: Any) -> int:
        """Make a bot that buys for about 6,000 USDT at leverage 5."""
        with self.database.transaction() as transaction:
            return bots.create_bot(
                transaction,
                user_id=self.user_id,
                connection_id=self.connection_id,
                instrument=self.blofin.instrument(BTC),
                timeframe=limits.pop("timeframe", "15 Min"),
                position_size=limits.pop("position_size", D(6001)),
                leverage=5,
                **limits,
            )

    def look(self, bot: int, price: int | None = None, passes: int = 6) -> None:
        """Move the price and let everybody look."""
        if price is not None:
            self.server.price(BTC, price, price + 1)
        self.watch()
        self.go_on(bot, passes)

    def watch(self) -> None:
        """Let the monitor look once."""
        with self.database.session() as session:
            watch_risk(self.desk, session, self.connection_id)

    def go_on(self, bot: int, passes: int = 6) -> None:
        """Let the lane work for a while."""
        for _ in range(passes):
            self.work(bot)
            self.wait(6)

    def resting(self) -> list[tuple[str, str, str]]:
        """Return stop, target and size of what rests at the exchange."""
        return [
            (plain(each["slTriggerPrice"]), plain(each["tpTriggerPrice"]), each["size"])
            for each in self.server.protections("key")
            if each["state"] == "live"
        ]

    def held(self) -> Decimal:
        """Return what the account holds."""
        return self.blofin.position(BTC).quantity

    def protection(self) -> Row:
        """Return the only protection."""
        return self.one("SELECT * FROM protections")

    def events(self) -> list[tuple[str, str]]:
        """Return kinds and states of the risk events."""
        return [
            (e["kind"], e["state"]) for e in self.all("SELECT kind, state FROM bot_risk_events ORDER BY id")
        ]

    def booked(self, bot: int) -> Decimal:
        """Return what a bot holds by its own books."""
        return Decimal(self.bot_row(bot)["quantity"])

    def store_close(self, bot: int) -> None:
        """Put a CLOSE into the lane without working it."""
        self.store(bot, Signal(action=Action.CLOSE, symbol=BTC))

    def by_hand(self, part: Decimal | None = None) -> None:
        """Close the whole position, or a part, as its owner does at the exchange."""
        held = self.held()
        self.blofin.submit(
            OrderIntent(
                client_order_id=f"hand{uuid4().hex[:20]}",
                symbol=BTC,
                side=Side.SELL if held > 0 else Side.BUY,
                quantity=part or abs(held),
                reduce_only=True,
            )
        )

    def rest_by_hand(self, stop: str) -> str:
        """Let a stop of the owner's own rest for a part of a long."""
        return self.blofin.protect(
            ProtectionIntent(
                client_id=f"hand{uuid4().hex[:20]}",
                symbol=BTC,
                side=Side.SELL,
                quantity=D("0.05"),
                stop_price=D(stop),
            )
        )

    def switch(self, state: str) -> None:
        """Set the kill switch of the connection."""
        with self.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET trading_state = %s", (state,))


def plain(price: str | None) -> str:
    """Return a price as a page shows it, nothing where there is none."""
    return number(D(price)) if price else ""


def at(*prices: int) -> tuple[Level, ...]:
    """Return levels at prices."""
    return tuple(Level(kind=LevelKind.PRICE, value=D(price)) for price in prices)


def enter(floor: Perpetuals, *targets: int, stop: int = 58_000, action: str = "BUY", **bot: Any) -> int:
    """Open a position with a stop and targets; return its bot."""
    made = floor.perpetual(**bot)
    floor.send(made, action, stop_loss=at(stop)[0], take_profits=at(*targets))
    floor.go_on(made)
    return made
