"""The monitor from the source's bars to the closed trade: fetched once, judged, and told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.bar import Bar
from core.pips import Direction, market_of
from core.tracked_trade import Levels, follow
from database.pool import Database
from reversal.monitor import look
from reversal.sources.replay import ReplaySource
from tests.database.trade_desk import TradeDesk

HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    desk = TradeDesk(database, reversal_forex_source="replay")
    desk.now = MONDAY + timedelta(minutes=1)
    return desk


def played(since: datetime, hours: int) -> list[Bar]:
    """Return the recording as it is played in some hours."""
    until = since + hours * HOUR
    return list(ReplaySource().fetch("EUR/USD", "1 Hour", since, until, now=until))


def pips(count: int) -> Decimal:
    return Decimal(count) / 10_000


@pytest.mark.parametrize("direction", list(Direction))
def test_d7_11_a_trade_ends_where_the_recordings_bars_first_touch_its_stop_or_target(desk, direction):
    """Look every hour and compare with the bars read by themselves, from the entry on."""
    desk.link(desk.ann, running_update_minutes=0)
    entry = played(MONDAY - HOUR, 1)[-1].close
    stop, target = entry - direction.sign * pips(20), entry + direction.sign * pips(30)
    trade = desk.open(direction=direction, entry=entry, stop=stop, target=target).trade_id
    assert desk.trade(trade)["source"] == "replay"
    shape = Levels(
        market=market_of("EUR/USD"),
        direction=direction,
        entry=entry,
        stop=stop,
        target=target,
        entered_at=desk.now,
    )
    expected = follow(shape, played(MONDAY, 72))
    assert expected is not None
    while desk.trade(trade)["status"] == "open":
        assert desk.now < expected.at + 2 * HOUR
        desk.now += HOUR
        looked = look(desk.database, desk.settings, desk.now)
        assert looked.failures == {}
    row = desk.trade(trade)
    assert (row["close_reason"], row["close_price"], row["close_time"]) == (
        expected.reason,
        expected.price,
        expected.at,
    )
    update = desk.updates(trade, expected.reason)[0]
    assert "REPLAY" in update["message"]
    assert update["next_attempt_at"] == desk.now


def test_a_monitor_that_was_away_finds_the_same_end(desk):
    entry = played(MONDAY - HOUR, 1)[-1].close
    levels = {"entry": entry, "stop": entry - pips(20), "target": entry + pips(30)}
    trade = desk.open(**levels).trade_id
    shape = Levels(market=market_of("EUR/USD"), direction=Direction.LONG, entered_at=desk.now, **levels)
    expected = follow(shape, played(MONDAY, 72))
    desk.now += timedelta(hours=72)
    assert look(desk.database, desk.settings, desk.now).closed == 1
    row = desk.trade(trade)
    assert (row["close_price"], row["close_time"]) == (expected.price, expected.at)


def test_each_pair_is_fetched_once_whoever_follows_it(desk):
    entry = played(MONDAY - HOUR, 1)[-1].close
    for user in (desk.ann, desk.eve, desk.ann):
        desk.open(user, entry=entry, stop=entry - pips(500), target=entry + pips(500))
    desk.now += HOUR
    found = look(desk.database, desk.settings, desk.now)
    assert (found.pairs, found.closed) == (1, 0)
    rows = desk.all("SELECT pair, timeframe FROM market_feeds")
    assert [(row["pair"], row["timeframe"]) for row in rows] == [("EUR/USD", "1 Hour")]
    assert {row["current_price"] for row in desk.all("SELECT * FROM user_trades")} == {
        played(MONDAY, 1)[-1].close
    }


def test_a_pair_without_prices_fails_nobody(desk):
    coins = {"pair": "BTC/USD", "entry": Decimal(60000), "stop": Decimal(59000), "target": Decimal(62000)}
    unknown = {"pair": "USD/JPY", "entry": Decimal(150), "stop": Decimal(149), "target": Decimal(152)}
    alone = [desk.open(**coins), desk.open(**unknown)]
    assert all("only you can close" in made.remark for made in alone)
    entry = played(MONDAY - HOUR, 1)[-1].close
    trade = desk.open(entry=entry, stop=entry - pips(1), target=entry + pips(1)).trade_id
    desk.now += 3 * HOUR
    found = look(desk.database, desk.settings, desk.now)
    assert (found.pairs, found.closed, found.failures) == (1, 1, {})
    assert desk.trade(trade)["status"] == "closed"
    assert {desk.trade(made.trade_id)["status"] for made in alone} == {"open"}


def test_a_look_without_trades_asks_nobody(desk):
    found = look(desk.database, desk.settings, desk.now)
    assert (found.pairs, found.updates) == (0, 0)
    assert desk.all("SELECT * FROM market_feeds") == []


def test_a_fault_of_one_pair_keeps_no_other_waiting(desk):
    """A row that no type can hold, as a hand in the database may leave it."""
    entry = played(MONDAY - HOUR, 1)[-1].close
    close = {"entry": entry, "stop": entry - pips(1), "target": entry + pips(1)}
    broken = desk.open(pair="SP500", entry=Decimal(1800), stop=Decimal(1700), target=Decimal(1900)).trade_id
    trade = desk.open(**close).trade_id
    desk.run("UPDATE user_trades SET levels_since = entry_time, stop_before = NULL WHERE id = %s", (broken,))
    desk.now += timedelta(days=4)
    found = look(desk.database, desk.settings, desk.now)
    assert list(found.failures) == ["SP500"]
    [fault] = desk.all("SELECT subject, words FROM faults")
    assert (fault["subject"], fault["words"].partition(":")[0]) == ("tracked trades", "SP500")
    assert desk.trade(trade)["status"] == "closed"
    assert desk.trade(broken)["status"] == "open"


def test_rates_are_fetched_for_accounts_in_other_currencies(database, tmp_path):
    """A folder has the cross by the minute, and by the hour what puts yen into dollars."""
    write(tmp_path / "EUR-JPY_1m.csv", MONDAY, timedelta(minutes=1), ["165.80", "165.80", "165.30"])
    write(tmp_path / "USD-JPY_1h.csv", MONDAY - 2 * HOUR, HOUR, ["140.00", "150.00"])
    desk = TradeDesk(database, reversal_csv_folder=str(tmp_path))
    desk.now = MONDAY
    levels = {"entry": Decimal("165.80"), "stop": Decimal("166.80"), "target": Decimal("165.00")}
    trade = desk.open(pair="EUR/JPY", direction=Direction.SHORT, lots=Decimal(1), **levels).trade_id
    desk.now += timedelta(minutes=3, seconds=3)
    assert look(desk.database, desk.settings, desk.now).failures == {}
    # 50 x 1,000 yen / 150
    assert (desk.trade(trade)["current_pips"], desk.trade(trade)["current_pnl"]) == (50, Decimal("333.33"))


def write(path, first, step, closes):
    lines = [
        f"{(first + number * step).isoformat()},{','.join([close] * 4)}"
        for number, close in enumerate(closes)
    ]
    path.write_text("\n".join(["time,open,high,low,close", *lines, ""]))
