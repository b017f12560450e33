"""Longer bars are built from closed shorter ones, and not where one of these is missing."""

from collections.abc import Iterator

import pytest

from core.pips import MarketKind
from database.pool import Database
from reversal.market_hours import may_be, openings
from tests.database.feed_desk import COIN, HOUR, MINUTE, NOW, Desk, feed_desk, settings_for
from tests.price_server import price


@pytest.fixture
def desk(database: Database, database_url: str) -> Iterator[Desk]:
    with feed_desk(database, database_url) as made:
        yield made


def test_longer_bars_are_built_from_closed_shorter_ones(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    assert desk.refresh(built) == {}
    assert len(desk.opened(COIN)) == 2400
    rows = desk.bars(built)
    assert [row["opened_at"].hour % 4 for row in rows] == [0] * len(rows)
    assert rows[-1]["opened_at"] == NOW.replace(hour=8, minute=0)
    parts = [price(rows[-1]["opened_at"] + number * HOUR) for number in range(4)]
    shown = {name: float(rows[-1][name]) for name in ("open", "high", "low", "close", "volume")}
    assert shown == {
        "open": parts[0]["open"],
        "high": max(part["high"] for part in parts),
        "low": min(part["low"] for part in parts),
        "close": parts[-1]["close"],
        "volume": sum(part["volume"] for part in parts),
    }
    assert len(desk.usable(built)) == len(rows) >= 599
    desk.later(HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=12, minute=0)
    assert desk.faults(built) == []


def test_a_longer_timeframe_that_is_wanted_later_gets_its_past(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    desk.refresh(COIN)
    assert len(desk.opened(COIN)) == 600
    assert desk.later(MINUTE, COIN, built) == {}
    assert len(desk.opened(COIN)) == 2400
    assert len(desk.usable(built)) >= 599
    assert desk.faults(COIN) == desk.faults(built) == []
    # and is not asked for again, however often the shorter one is wanted alone
    desk.later(MINUTE, COIN)
    desk.later(MINUTE, COIN, built)
    assert desk.prices.requests == []


def test_a_longer_bar_with_a_hole_is_not_built_until_the_hole_is_closed(desk: Desk) -> None:
    built = ("BTC/USD", "4 Hour")
    desk.refresh(built)
    hole = NOW.replace(hour=17, minute=0)
    desk.prices.lacking.add(hole)
    desk.later(6 * HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=12, minute=0)
    desk.prices.lacking.clear()
    desk.later(HOUR, built)
    assert desk.opened(built)[-1] == NOW.replace(hour=16, minute=0)


def test_days_and_weeks_of_currencies_are_built_over_weekends(desk: Desk, database_url: str) -> None:
    desk.settings = settings_for(database_url, "http://127.0.0.1:1", REVERSAL_FOREX_SOURCE="replay")
    wanted = [("EUR/USD", timeframe) for timeframe in ("1 Hour", "4 Hour", "1 Day", "1 Week")]
    assert desk.refresh(*wanted) == {}
    for each in wanted:
        assert desk.faults(each) == []
        assert desk.usable(each) == desk.opened(each)
    (pair, _), kind = wanted[0], MarketKind.FOREX
    days = desk.opened((pair, "1 Day"))
    assert days == [
        each for each in openings("1 Day", days[0], NOW - 24 * HOUR) if may_be(kind, "1 Day", each)
    ]
