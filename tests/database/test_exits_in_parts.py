"""Several targets, break-even, trailing stops, time limits and entries that end, held by the engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from bot_database import Database, Row, protections, risk
from core.order import OrderType
from core.signal import Level, LevelKind
from engine.monitor import watch_risk
from tests.database.trading_floor import TradingFloor
from tests.mqtt_broker.desk import wait_for

D = Decimal


class Floor(TradingFloor):
    """A trading floor whose monitor looks when told."""

    def look(self, bot: int, bid: str, seconds: float = 10) -> None:
        """Move the price, let time pass, let the monitor look and the lane work."""
        self.ask(bid, seconds)
        self.go_on(bot)

    def ask(self, bid: str, seconds: float = 10) -> None:
        """Move the price, let time pass and let the monitor look."""
        self.market.pin("AAPL", D(bid), D(bid) + D("0.10"))
        self.wait(seconds)
        with self.database.session() as session:
            watch_risk(self.desk, session, self.connection_id)

    def go_on(self, bot: int) -> None:
        """Let the lane work until its exits are through."""
        for _ in range(6):
            self.work(bot)
            self.wait(3)

    def protection(self) -> Row:
        """Return the only protection."""
        return self.one("SELECT * FROM protections")

    def quantity(self, bot: int) -> Decimal:
        """Return what a bot holds."""
        return Decimal(self.bot_row(bot)["quantity"])


@pytest.fixture
def floor(database: Database) -> Iterator[Floor]:
    floor = Floor(database)
    floor.market.pin("AAPL", D("200"), D("200.10"))
    yield floor
    floor.paper_database.close()


def at(*prices: str) -> tuple[Level, ...]:
    return tuple(Level(kind=LevelKind.PRICE, value=D(price)) for price in prices)


def test_each_target_leaves_its_share_and_the_last_takes_the_rest(floor: Floor) -> None:
    bot = floor.bot(size="20010", target_shares=[D(50), D(30)])
    floor.send(bot, "BUY", take_profits=at("210", "220", "230"), stop_loss=at("190")[0])
    assert floor.quantity(bot) == 100
    floor.look(bot, "209")
    assert floor.quantity(bot) == 100
    floor.look(bot, "210")
    assert floor.quantity(bot) == 50
    assert floor.protection()["target_price"] == 220
    floor.look(bot, "221")
    assert floor.quantity(bot) == 20
    floor.look(bot, "230")
    assert floor.quantity(bot) == 0
    events = floor.all("SELECT kind, state, target_number FROM bot_risk_events ORDER BY id")
    assert [tuple(each.values()) for each in events] == [
        ("TARGET", "DONE", 1),
        ("TARGET", "DONE", 2),
        ("TARGET", "DONE", 3),
    ]
    row = floor.bot_row(bot)
    assert (row["total_trades"], row["own_exit"]) == (1, "LONG")
    assert row["total_pnl"] == 50 * D("9.90") + 30 * D("20.90") + 20 * D("29.90")
    assert floor.all("SELECT * FROM protections") == []


def test_a_jump_over_several_targets_leaves_their_shares_at_once(floor: Floor) -> None:
    bot = floor.bot(size="20010")
    floor.send(bot, "BUY", take_profits=at("210", "220", "230", "240"))
    floor.look(bot, "225")
    assert floor.quantity(bot) == 50
    assert floor.protection()["target_price"] == 230
    assert len(floor.all("SELECT id FROM bot_trades WHERE action = 'CLOSE'")) == 1


def test_the_stop_takes_what_the_targets_left(floor: Floor) -> None:
    bot = floor.bot(size="20010")
    floor.send(bot, "BUY", take_profits=at("210", "220"), stop_loss=at("190")[0])
    floor.look(bot, "211")
    floor.look(bot, "189")
    assert floor.quantity(bot) == 0
    assert floor.bot_row(bot)["last_stop_out_at"] is not None
    assert [each["kind"] for each in floor.all("SELECT kind FROM bot_risk_events ORDER BY id")] == [
        "TARGET",
        "STOP",
    ]


def test_after_its_target_the_stop_lies_at_the_entry(floor: Floor) -> None:
    bot = floor.bot(size="20010", break_even_after=1)
    floor.send(bot, "BUY", take_profits=at("210", "220"), stop_loss=at("190")[0])
    floor.look(bot, "210")
    assert floor.protection()["stop_price"] == D("200.10")
    floor.look(bot, "200.10")
    assert floor.quantity(bot) == 0


def test_a_stop_that_follows_while_a_target_is_left_does_not_go_back(floor: Floor) -> None:
    bot = floor.bot(size="20010", break_even_after=1, trailing_stop_percent=D(5))
    floor.send(bot, "BUY", take_profits=at("210", "220"), stop_loss=at("190")[0])
    floor.ask("210")
    asleep = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor() as lane:
        with floor.database.transaction() as watch:
            protections.protection_of(watch, bot, lock=True)
            working = lane.submit(floor.go_on, bot)
            wait_for(lambda: floor.all(asleep))
            protections.move_stop(watch, bot, stop_price=D(205), best=D(215), now=floor.now)
            assert risk.ask_exit(watch, bot, "TARGET", target_number=1) is None
        working.result()
    left = floor.protection()
    assert (floor.quantity(bot), left["target_price"]) == (50, 220)
    assert (left["stop_price"], left["trail_best"]) == (205, 215)


def test_targets_of_a_short_lie_below(floor: Floor) -> None:
    bot = floor.bot(size="20000", break_even_after=1)
    floor.send(bot, "SELL", take_profits=at("190", "180"), stop_loss=at("210")[0])
    assert floor.quantity(bot) == -100
    floor.look(bot, "189.80")
    assert floor.quantity(bot) == -50
    assert floor.protection()["stop_price"] == 200
    floor.look(bot, "179")
    assert floor.quantity(bot) == 0


def test_more_targets_than_the_size_has_pieces_become_fewer(floor: Floor) -> None:
    bot = floor.bot(size="2", size_mode="units", allow_short=True)
    signal = floor.send(bot, "SELL", take_profits=at("190", "180", "170"))
    assert floor.quantity(bot) == -2
    assert "3 targets are too many for this size" in signal["sentence"]
    floor.look(bot, "160")
    assert floor.quantity(bot) == 0


def test_a_trailing_stop_follows_the_price_and_closes(floor: Floor) -> None:
    bot = floor.bot(trailing_stop_percent=D(5), trailing_activation_percent=D(2), stop_loss_percent=D(10))
    floor.send(bot, "BUY")
    first = floor.protection()["stop_price"]
    floor.look(bot, "203")
    assert floor.protection()["stop_price"] == first
    floor.look(bot, "210")
    followed = floor.protection()["stop_price"]
    assert abs(followed - (D("210") - D("200.10") * 5 / 100)) <= D("0.005")
    floor.look(bot, "205")
    assert floor.protection()["stop_price"] == followed
    floor.look(bot, str(followed))
    assert floor.quantity(bot) == 0
    assert floor.one("SELECT kind FROM bot_risk_events")["kind"] == "STOP"


def test_the_time_limit_closes_what_is_still_open(floor: Floor) -> None:
    bot = floor.bot(time_limit_minutes=30)
    floor.send(bot, "BUY")
    floor.look(bot, "200", seconds=25 * 60)
    assert floor.quantity(bot) > 0
    floor.look(bot, "200", seconds=5 * 60)
    assert floor.quantity(bot) == 0
    assert floor.one("SELECT state FROM bot_risk_events WHERE kind = 'TIME_LIMIT'")["state"] == "DONE"


def resting_entry(floor: Floor, **bot: object) -> tuple[int, Row]:
    made = floor.bot(entry_valid_minutes=60, max_signal_age_seconds=7200, **bot)
    signal = floor.send(
        made,
        "BUY",
        order_type=OrderType.LIMIT,
        limit_price=D("195"),
        stop_loss=at("190")[0],
        take_profits=at("210"),
    )
    return made, signal


def go_on(floor: Floor, bot: int, bid: str, seconds: float) -> Row:
    floor.market.pin("AAPL", D(bid), D(bid) + D("0.10"))
    floor.wait(seconds)
    for _ in range(8):
        floor.work(bot)
        floor.wait(5)
    return floor.one("SELECT * FROM signals")


def test_a_limit_entry_ends_with_its_time(floor: Floor) -> None:
    bot, _ = resting_entry(floor)
    assert go_on(floor, bot, "199", 50 * 60)["state"] == "PLANNED"
    signal = go_on(floor, bot, "199", 11 * 60)
    assert (signal["state"], signal["code"]) == ("FAILED", "ENTRY_EXPIRED")
    assert signal["sentence"] == "The entry at 195 did not fill within 60 minutes and was cancelled."
    assert floor.paper.open_orders() == ()


def test_a_limit_entry_ends_when_its_target_trades_first(floor: Floor) -> None:
    bot, _ = resting_entry(floor)
    signal = go_on(floor, bot, "211", 60)
    assert (signal["state"], signal["code"]) == ("FAILED", "ENTRY_EXPIRED")
    assert signal["sentence"] == "The entry at 195 was cancelled: its target at 210 traded before it filled."
