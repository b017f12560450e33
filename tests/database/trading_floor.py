"""A user, a paper account with prices a test sets, bots, and signals handed to the engine."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from psycopg2.extras import Json

from bot_database import Database, Row, bells, bots
from bot_engine import Desk, Timing, run_lane
from brokers.base import Broker
from brokers.paper import PaperBroker
from brokers.simulator import Rules
from core.signal import Action, Signal
from core.signal_json import to_json
from tests.contract.pinned_market import PinnedMarket

FRIDAY_MORNING = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


class TradingFloor:
    """One user's paper account in a market that only the test moves, and the engine beside it."""

    def __init__(
        self, database: Database, rules: Rules | None = None, *, email: str = "ann@example.org"
    ) -> None:
        self.database = database
        self.paper_database = Database(database.url)
        self.now = FRIDAY_MORNING
        self.market = PinnedMarket()
        self.steps: list[str] = []
        with database.transaction() as transaction:
            self.user_id = int(
                transaction.value(
                    "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (email,)
                )
            )
            self.connection_id = bots.create_connection(
                transaction, user_id=self.user_id, broker="paper", mode="paper", label="Practice"
            )
            transaction.execute("UPDATE user_api_keys SET status = 'OK'")
        self.paper = PaperBroker(
            self.paper_database, self.connection_id, market=self.market, clock=lambda: self.now, rules=rules
        )
        self.broker: Broker = self.paper
        self.desk = Desk(
            database=database,
            broker=lambda _connection_id: self.broker,
            now=lambda: self.now,
            timing=Timing(),
            step=self.steps.append,
        )

    def bot(
        self, symbol: str = "AAPL", timeframe: str = "15 Min", size: str = "5000", **limits: object
    ) -> int:
        """Make a bot on the paper account."""
        with self.database.transaction() as transaction:
            return bots.create_bot(
                transaction,
                user_id=self.user_id,
                connection_id=self.connection_id,
                instrument=self.paper.instrument(symbol),
                timeframe=timeframe,
                position_size=Decimal(size),
                **limits,
            )

    def store(self, bot_id: int, signal: Signal) -> UUID:
        """Put a signal into the bot's lane, as the inbox does."""
        with self.database.transaction() as transaction:
            lane_id = bots.bot_row(transaction, bot_id)["lane_id"]
            number = transaction.value(
                "UPDATE lanes SET last_number = last_number + 1 WHERE id = %s RETURNING last_number",
                (lane_id,),
            )
            uuid = transaction.value(
                """
                INSERT INTO signals (user_id, lane_id, number, source, body_hash, body, understood,
                                     bot_config_id, state, sent_at, received_at)
                VALUES (%s, %s, %s, 'test', %s, %s, %s, %s, 'STORED', %s, %s) RETURNING uuid
                """,
                (
                    self.user_id,
                    lane_id,
                    number,
                    hashlib.sha256(str(number).encode()).digest(),
                    b"{}",
                    Json(to_json(signal)),
                    bot_id,
                    signal.sent_at,
                    self.now,
                ),
            )
            bells.ring(transaction, [lane_id])
        return UUID(str(uuid))

    def send(self, bot_id: int, action: str, **fields: object) -> Row:
        """Store a signal, work its lane and return the signal's row."""
        row = self.bot_row(bot_id)
        uuid = self.store(bot_id, Signal(action=Action(action), symbol=row["symbol"], **fields))  # type: ignore[arg-type]
        self.work(bot_id)
        return self.signal(uuid)

    def work(self, bot_id: int) -> None:
        """Do what can be done in the bot's lane now."""
        run_lane(self.desk, self.bot_row(bot_id)["lane_id"])

    def wait(self, seconds: float) -> None:
        """Let time pass, with nobody working."""
        self.now += timedelta(seconds=seconds)

    def signal(self, uuid: UUID) -> Row:
        """Return a signal's row."""
        return self.one("SELECT * FROM signals WHERE uuid = %s", (uuid,))

    def bot_row(self, bot_id: int) -> Row:
        """Return a bot's row."""
        return self.one("SELECT * FROM user_bot_configs WHERE id = %s", (bot_id,))

    def one(self, sql: str, parameters: tuple[object, ...] = ()) -> Row:
        """Return the row a query gives."""
        with self.database.transaction() as transaction:
            return transaction.one(sql, parameters)

    def all(self, sql: str, parameters: tuple[object, ...] = ()) -> list[Row]:
        """Return the rows a query gives."""
        with self.database.transaction() as transaction:
            return transaction.all(sql, parameters)
