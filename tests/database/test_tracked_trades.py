"""Trades that users follow: opened once, answered once, ended by hand, each its owner's alone."""

from decimal import Decimal

import pytest

from actions.refused import Refused
from core.pips import Direction
from database.pool import Database
from tests.database.trade_desk import TradeDesk


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    return TradeDesk(database)


def test_a_trade_is_opened_once_for_one_request(desk):
    wish = desk.wish()
    first, again = desk.open(wish=wish), desk.open(wish=wish)
    assert (first.is_new, again.is_new, again.trade_id) == (True, False, first.trade_id)
    assert desk.one("SELECT count(*) FROM user_trades")["count"] == 1


def test_closing_by_hand_counts_pips_and_money(desk):
    trade = desk.open().trade_id
    desk.wait(hours=1, minutes=43)
    closed = desk.close(trade, "1.0962")
    assert (closed.pips, closed.profit_loss, closed.duration) == (108, 108, "1h 43m")
    row = desk.trade(trade)
    assert (row["status"], row["close_reason"], row["result"]) == ("closed", "manual_close", "win")
    with pytest.raises(Refused, match="was closed"):
        desk.close(trade, "1.0962")


def test_a_signal_is_answered_once(desk):
    signal = desk.notify()
    trade = desk.open(notification_id=signal)
    assert desk.trade(trade.trade_id)["source"] == "replay"
    with pytest.raises(Refused, match=f"opened trade #{trade.trade_id}"):
        desk.open(notification_id=signal)


def test_a_short_wins_below_its_entry(desk):
    trade = desk.open(direction=Direction.SHORT).trade_id
    assert desk.close(trade, "1.0746").profit_loss == Decimal(108)
