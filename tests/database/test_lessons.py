"""Bugs of the older system that no other test holds down; see docs/lessons.md."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from bot_database import Database, ledger
from core.order import OrderType
from core.signal import Action, Signal
from tests.database.trading_floor import TradingFloor

D = Decimal


@pytest.fixture
def floor(database: Database) -> Iterator[TradingFloor]:
    floor = TradingFloor(database)
    floor.market.pin("AAPL", D("200"), D("200.10"))
    floor.market.pin("BTC/USD", D("50000"), D("50001"))
    yield floor
    floor.paper_database.close()


def move_after_reading(floor: TradingFloor, up: Decimal, step: str) -> None:
    if step in {"entry read", "exit sized"}:
        floor.market.pin("AAPL", D("200") + up, D("200.10") + up)


def test_slippage_is_positive_when_it_is_worse_on_every_side(floor: TradingFloor) -> None:
    """Prices move against each order between the look at the quote and its arrival."""
    bot = floor.bot()
    for action, up in (("BUY", D(1)), ("CLOSE", D(-1)), ("SELL", D(-1)), ("CLOSE", D(1))):
        floor.market.pin("AAPL", D("200"), D("200.10"))
        floor.desk = replace(floor.desk, step=partial(move_after_reading, floor, up))
        assert floor.send(bot, action)["state"] == "EXECUTED"
    slippages = [row["slippage"] for row in floor.all("SELECT slippage FROM bot_trades ORDER BY id")]
    assert slippages == [1, 1, 1, 1]


@pytest.mark.parametrize("spelling", ["BTCUSD", "BTC/USD", "BTC-USD", "btcusd"])
def test_any_spelling_of_a_symbol_is_one_order_in_the_brokers(floor: TradingFloor, spelling: str) -> None:
    bot = floor.bot(spelling)
    floor.store(bot, Signal(action=Action.BUY, symbol=spelling.upper()))
    floor.work(bot)
    (order,) = floor.all("SELECT symbol, state FROM orders")
    assert (order["symbol"], order["state"]) == ("BTC/USD", "FILLED")


@pytest.mark.parametrize("action", [Action.BUY, Action.CLOSE])
def test_three_alerts_at_once_make_one_order(floor: TradingFloor, action: Action) -> None:
    bot = floor.bot()
    if action is Action.CLOSE:
        floor.send(bot, "BUY")
    before = floor.one("SELECT count(*) AS orders FROM orders")["orders"]
    uuids = [floor.store(bot, Signal(action=action, symbol="AAPL")) for _ in range(3)]
    floor.work(bot)
    assert floor.one("SELECT count(*) AS orders FROM orders")["orders"] == before + 1
    states = sorted(floor.signal(uuid)["state"] for uuid in uuids)
    assert states == ["EXECUTED", "SKIPPED", "SKIPPED"]


def test_a_short_for_money_is_whole_shares(floor: TradingFloor) -> None:
    bot = floor.bot(size="5000")
    assert floor.send(bot, "SELL")["state"] == "EXECUTED"
    assert floor.bot_row(bot)["quantity"] == D(-25)
    little = floor.bot(timeframe="1 Hour", size="150")
    assert floor.send(little, "SELL")["code"] == "SIZE_TOO_SMALL"


def test_a_quote_of_zero_opens_nothing(floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.market.pin("AAPL", D("0"), D("0"))
    assert floor.send(bot, "BUY")["code"] == "SYMBOL_NOT_TRADEABLE"
    assert not floor.all("SELECT * FROM orders")


def test_nothing_is_told_as_filled_before_it_is(floor: TradingFloor) -> None:
    bot = floor.bot()
    signal = floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D("190"), price=D("200"))
    assert floor.one("SELECT state FROM orders")["state"] == "SUBMITTED"
    assert signal["state"] == "PLANNED"
    assert floor.bot_row(bot)["order_status"] == "ORDER SUBMITTED"
    assert floor.one("SELECT status FROM bot_trades")["status"] == "SUBMITTED"
    assert not floor.all("SELECT * FROM notifications")
    floor.market.pin("AAPL", D("189"), D("189.10"))
    for order in floor.paper.advance(floor.now):
        with floor.database.transaction() as transaction:
            ledger.book_order(transaction, order, source="poll", now=floor.now)
    floor.work(bot)
    assert floor.bot_row(bot)["order_status"] == "FILLED"
    assert [row["kind"] for row in floor.all("SELECT kind FROM notifications")] == ["BOT_FILLED"]
