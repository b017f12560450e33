"""Open trades judged by bars: stops, targets, gaps, time, updates; once, whoever looks."""

from decimal import Decimal

import pytest

from core.pips import Direction
from database import trade_watch
from database.pool import Database
from database.trade_prices import prices_for
from reversal.judging import Feed, judge
from tests.database.trade_desk import TradeDesk


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    return TradeDesk(database)


def look(desk, pair="EUR/USD", timeframe="1 Min", *, is_replay=False):
    with desk.database.transaction() as transaction:
        found = trade_watch.pairs(transaction)
        feed = Feed(pair=pair, timeframe=timeframe, is_replay=is_replay)
        return judge(transaction, feed, prices_for(transaction, found, desk.now), desk.now)


def bar(desk, prices, **more):
    desk.wait(minutes=1)
    desk.price(prices, **more)


def test_a_target_that_a_bar_touched_ends_the_trade_once(desk):
    desk.link(desk.ann)
    trade = desk.open().trade_id
    bar(desk, "1.0860 1.0965 1.0850 1.0900")
    look(desk)
    look(desk)
    row = desk.trade(trade)
    assert (row["status"], row["close_reason"], row["result"]) == ("closed", "tp_hit", "win")
    assert (row["close_price"], row["pips"], row["profit_loss"]) == (Decimal("1.0962"), 108, 108)
    update = desk.updates(trade, "tp_hit")
    assert len(update) == 1
    assert update[0]["message"].splitlines()[0] == "✅ Take Profit Hit! +108 pips (+$108)"
    assert update[0]["next_attempt_at"] == desk.now


@pytest.mark.parametrize(
    ("direction", "prices", "price"),
    [
        (Direction.LONG, "1.0860 1.0970 1.0790 1.0900", "1.0800"),
        (Direction.LONG, "1.0780 1.0790 1.0770 1.0785", "1.0780"),
        (Direction.SHORT, "1.0860 1.0910 1.0740 1.0900", "1.0908"),
    ],
)
def test_both_touched_is_the_stop_and_a_gap_closes_at_its_first_price(desk, direction, prices, price):
    trade = desk.open(direction=direction).trade_id
    bar(desk, prices)
    look(desk)
    assert (desk.trade(trade)["close_reason"], desk.trade(trade)["close_price"]) == ("sl_hit", Decimal(price))
