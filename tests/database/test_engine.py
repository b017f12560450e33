"""The decision table, carried out at the paper broker."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from bot_database import Database
from tests.database.trading_floor import TradingFloor

D = Decimal


@pytest.fixture
def floor(database: Database) -> Iterator[TradingFloor]:
    floor = TradingFloor(database)
    floor.market.pin("AAPL", D("200"), D("200.10"))
    yield floor
    floor.paper_database.close()


def test_a_buy_opens_a_long_and_every_figure_of_it_can_be_read(floor: TradingFloor) -> None:
    bot = floor.bot()
    signal = floor.send(bot, "BUY")
    assert (signal["state"], signal["code"]) == ("EXECUTED", "EXECUTED")
    row = floor.bot_row(bot)
    assert row["average_price"] == D("200.10")
    assert row["quantity"] * D("200.10") <= 5000 < (row["quantity"] + 1) * D("200.10")
    trade = floor.one("SELECT * FROM bot_trades")
    assert (trade["action"], trade["status"], trade["slippage"]) == ("BUY", "FILLED", 0)
    assert trade["order_id"]


def test_the_decision_table(floor: TradingFloor) -> None:
    bot = floor.bot()
    assert floor.send(bot, "CLOSE")["code"] == "ALREADY_FLAT"
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"
    assert floor.send(bot, "BUY")["code"] == "ALREADY_LONG"
    flip = floor.send(bot, "SELL")
    assert flip["state"] == "EXECUTED", flip
    assert floor.bot_row(bot)["quantity"] < 0
    assert floor.send(bot, "SELL")["code"] == "ALREADY_SHORT"
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"
    assert floor.bot_row(bot)["quantity"] > 0
    floor.market.pin("AAPL", D("210"), D("210.10"))
    assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
    row = floor.bot_row(bot)
    assert row["quantity"] == 0
    assert floor.paper.position("AAPL").quantity == 0
    assert row["total_trades"] == 3
    spent = D(100_000) - floor.paper.account().cash
    assert row["total_pnl"].quantize(D("0.01")) == -spent.quantize(D("0.01"))
