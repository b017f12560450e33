"""Tracked trades whose order goes through the engine: one order, and a trade that follows its fills."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from pydantic import SecretStr

from actions.acting import Acting
from actions.executed_trades import open_and_execute
from actions.tracked_trades import TradeRequest
from brokers.registry import Registry
from core.pips import Direction
from database.pool import Database
from encryption import Vault, new_key
from engine.monitor import watch_risk
from reversal.bots_trades import follow_bots
from settings import Settings
from tests.database.trading_floor import TradingFloor


@dataclass(frozen=True)
class RealTools:
    settings: Settings
    database: Database
    vault: Vault
    registry: Registry


class Desk(TradingFloor):
    """Ann's paper account, and the tools of the dashboard beside it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        settings = Settings(database_url=database.url, public_url="http://127.0.0.1")
        vault = Vault(SecretStr(new_key()))
        self.tools = RealTools(settings, database, vault, Registry(database, vault, settings))
        self.acting = Acting(owner=self.user_id, actor="a test")
        self.market.pin("BTC/USD", "59990", "60000")

    def wish(self, **changes):
        usual = {
            "pair": "BTC/USD",
            "direction": Direction.LONG,
            "entry": Decimal(60000),
            "lots": Decimal("0.1"),
            "stop": Decimal(58000),
            "target": Decimal(64000),
            "request_key": "the first",
        }
        return TradeRequest(**{**usual, **changes})

    def execute(self, **changes):
        return open_and_execute(self.tools, self.acting, self.wish(**changes), self.connection_id, self.now)

    def work_all(self):
        for row in self.all("SELECT id FROM user_bot_configs ORDER BY id"):
            self.work(row["id"])

    def follow(self):
        with self.database.transaction() as transaction:
            return follow_bots(transaction, self.now)

    def trade(self, trade_id):
        return self.one("SELECT * FROM user_trades WHERE id = %s", (trade_id,))

    def watch(self):
        with self.database.session() as session:
            watch_risk(self.desk, session, self.connection_id)
        self.work_all()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_the_trade_follows_the_bots_own_fills_to_its_target(desk):
    made = desk.execute()
    desk.work_all()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["entry_price"], row["lot_size"]) == ("open", 60000, Decimal("0.1"))
    desk.wait(60)
    desk.market.pin("BTC/USD", "64100", "64110")
    desk.watch()
    desk.follow()
    row = desk.trade(made.trade_id)
    assert (row["status"], row["close_reason"], row["close_price"]) == ("closed", "tp_hit", 64100)
    assert (row["pips"], row["profit_loss"]) == (410000, 410)
