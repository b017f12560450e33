"""What goes wrong between us and the broker, and what each class of error asks for (trading.md §1)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot_database import Database, ledger
from brokers.simulator import Rules
from core.errors import Unavailable
from core.order import Order, OrderIntent, OrderState, OrderType, Side
from database.kill_switch import Wanted
from tests.database.rough_line import RoughFloor, Trouble, signal

D = Decimal


@pytest.fixture
def floor(database: Database) -> Iterator[RoughFloor]:
    floor = RoughFloor(database)
    yield floor
    floor.close()


class TestUnavailable:
    """Nothing was received: the same id again after 1, 2, 4 … 15 s."""

    def test_an_entry_goes_again_until_its_age_limit(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.UNREACHED
        bot = floor.bot()
        assert floor.send(bot, "BUY")["state"] == "PLANNED"
        floor.settle(step=0.5)
        assert floor.outcome(bot) == ("FAILED", "NOT_RECEIVED")
        assert floor.line.seconds_of("submit") == [0, 1, 3, 7, 15, 30, 45, 60, 75, 90, 105, 120]
        assert len(set(floor.line.ids())) == 1
        assert floor.at_broker("AAPL") == []
        trade = floor.one("SELECT status, message FROM bot_trades")
        assert (trade["status"], "could not be reached" in trade["message"]) == ("FAILED", True)

    def test_an_exit_goes_again_without_end(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.forget_the_past()
        floor.line.always["submit"] = Trouble.UNREACHED
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=400, step=0.5)
        times = floor.line.seconds_of("submit")
        assert times[:6] == [0, 1, 3, 7, 15, 30]
        assert times[-1] - times[-2] == 15
        floor.line.forget()
        assert floor.settle(step=0.5) <= 15
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert len(set(floor.line.ids())) == 1
        floor.assert_books_agree("AAPL")

    def test_the_broker_may_ask_for_a_longer_wait(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Unavailable("too many requests", status=429, retry_after=40))
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert floor.line.seconds_of("submit") == [0, 40]
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")

    def test_a_disabled_server_stops_an_entry_that_waits_to_go_again(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.UNREACHED
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.switch(Wanted.REDUCING)
        floor.line.forget()
        floor.settle()
        assert floor.outcome(bot) == ("FAILED", "KILL_SWITCH")
        assert floor.at_broker("AAPL") == []


class TestUnknown:
    """Nobody knows: never resend before the broker has denied the order for good."""

    def test_an_entry_that_never_arrived_is_looked_up_and_not_sent_again(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY")
        assert floor.settle() >= 30
        assert floor.outcome(bot) == ("FAILED", "NOT_RECEIVED")
        times = floor.line.seconds_of("find_order")
        assert len(times) >= 3
        assert times[-1] >= 30
        assert len(floor.line.ids()) == 1
        assert floor.at_broker("AAPL") == []

    def test_an_exit_that_never_arrived_goes_again_with_the_same_id(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.forget_the_past()
        floor.line.order("submit", Trouble.LOST_BEFORE)
        floor.send(bot, "CLOSE")
        assert floor.settle() >= 30
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert len(floor.line.ids()) == 2
        assert len(set(floor.line.ids())) == 1
        assert floor.bot_row(bot)["quantity"] == 0
        floor.assert_books_agree("AAPL")

    def test_an_order_that_arrived_is_found_and_booked_once(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER)
        bot = floor.bot()
        signal = floor.send(bot, "BUY")
        assert signal["state"] == "EXECUTED"
        assert [source for _, source in floor.booked(bot)] == ["look-up"]
        assert len(floor.line.ids()) == 1
        floor.assert_books_agree("AAPL")

    def test_an_order_that_arrives_late_is_found_and_booked_once(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY")
        for _ in range(20):
            floor.pass_time(1)
            floor.work(bot)
        floor.paper.submit(floor.line.submitted[0])
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert len(floor.booked(bot)) == len(floor.line.ids()) == 1
        floor.assert_books_agree("AAPL")

    def test_an_exit_that_arrives_just_before_it_goes_again_is_executed_once(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.forget_the_past()
        floor.line.order("submit", Trouble.LOST_BEFORE)
        floor.line.order("find_order", *[lambda _: None] * 3)
        floor.send(bot, "CLOSE")
        floor.paper.submit(floor.line.submitted[0])
        floor.line.always["find_order"] = Trouble.NONE
        floor.line.order("find_order", *[lambda _: None] * 20)
        while len(floor.line.ids()) < 2:
            floor.pass_time(1)
            floor.work(bot)
        floor.line.forget()
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert len(set(floor.line.ids())) == 1
        assert len(floor.at_broker("AAPL")) == 2
        assert floor.bot_row(bot)["order_status"] == "FILLED"
        floor.assert_books_agree("AAPL")

    def test_a_look_up_that_fails_proves_nothing(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER)
        floor.line.always["find_order"] = Trouble.UNREACHED
        bot = floor.bot()
        floor.send(bot, "BUY")
        with pytest.raises(AssertionError, match="IN_DOUBT"):
            floor.settle(seconds=200)
        floor.line.forget()
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        floor.assert_books_agree("AAPL")

    def test_a_newer_signal_waits_for_the_truth(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER)
        floor.line.order("find_order", *[lambda _: None] * 2)
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.send(bot, "SELL")
        assert len(floor.line.ids()) == 1
        floor.settle()
        assert [row["side"] for row in floor.at_broker("AAPL")] == ["BUY", "SELL", "SELL"]
        assert floor.bot_row(bot)["quantity"] < 0
        floor.assert_books_agree("AAPL")

    def test_an_entry_that_comes_to_life_after_it_was_given_up_is_booked(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert floor.outcome(bot) == ("FAILED", "NOT_RECEIVED")
        known = floor.paper.submit(floor.line.submitted[0])
        for source in ("stream", "stream", "poll"):
            with floor.database.transaction() as transaction:
                ledger.book_order(transaction, known, source=source, now=floor.now)
        assert [source for _, source in floor.booked(bot)] == ["stream"]
        assert floor.bot_row(bot)["quantity"] == floor.paper.position("AAPL").quantity > 0
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        floor.assert_books_agree("AAPL")

    def test_a_resting_entry_that_comes_to_life_late_is_taken_back(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(190))
        floor.settle()
        assert floor.outcome(bot) == ("FAILED", "NOT_RECEIVED")
        floor.paper.submit(floor.line.submitted[0])
        floor.reconcile()
        floor.reconcile()
        assert [row["state"] for row in floor.at_broker("AAPL")] == ["CANCELED"]
        assert floor.under_way() == []
        floor.assert_books_agree("AAPL")

    @pytest.mark.parametrize(
        "change",
        [{"quantity": D(1)}, {"side": Side.SELL}, {"symbol": "MSFT"}, {"submitted_at": "long ago"}],
        ids=lambda change: next(iter(change)),
    )
    def test_an_order_found_must_be_the_one_we_sent(self, floor: RoughFloor, change: dict) -> None:
        if "submitted_at" in change:
            change = {"submitted_at": floor.now - timedelta(days=400)}
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        row = floor.bot_row(bot)
        floor.line.order("find_order", lambda _: strange_order(floor, change))
        signal = floor.send(bot, "BUY")
        assert (signal["state"], signal["code"]) == ("FAILED", "BROKER_REJECTED")
        assert "not this one" in signal["sentence"]
        assert floor.bot_row(bot)["quantity"] == row["quantity"] == 0


def strange_order(floor: RoughFloor, change: dict) -> Order:
    intent = floor.line.submitted[-1]
    order = Order(
        broker_order_id="another",
        client_order_id=intent.client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        order_type=intent.order_type,
        state=OrderState.FILLED,
        filled_quantity=intent.quantity,
        average_price=D(200),
        submitted_at=floor.now,
        updated_at=floor.now,
    )
    return replace(order, **change)


class TestConflict:
    """Something else holds the shares, or would trade with us: cancel it or wait, then a new attempt."""

    def test_an_exit_waits_for_a_users_own_order_that_holds_the_shares(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        held = floor.bot_row(bot)["quantity"]
        by_hand = floor.paper.submit(
            OrderIntent(
                client_order_id="by-hand",
                symbol="AAPL",
                side=Side.SELL,
                quantity=held,
                order_type=OrderType.LIMIT,
                limit_price=D(300),
            )
        )
        floor.line.forget_the_past()
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=60)
        assert floor.line.seconds_of("submit")[:5] == [0, 1, 3, 7, 15]
        assert floor.told(bot)[-1] == "EXIT_FAILED"
        assert floor.told(bot).count("EXIT_FAILED") == 1
        floor.paper.cancel(by_hand.broker_order_id)
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert len(set(floor.line.ids())) == len(floor.line.ids())
        assert floor.paper.position("AAPL").quantity == 0

    def test_an_exit_takes_back_the_entry_of_another_bot_that_it_would_trade_with(
        self, floor: RoughFloor
    ) -> None:
        bot = floor.bought()
        other = floor.bot(timeframe="1h")
        floor.send(other, "BUY", order_type=OrderType.LIMIT, limit_price=D(190))
        floor.send(bot, "CLOSE")
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert floor.outcome(other)[1] == "SUPERSEDED"
        states = [(row["side"], row["state"]) for row in floor.at_broker("AAPL")]
        assert states == [("BUY", "FILLED"), ("BUY", "CANCELED"), ("SELL", "FILLED")]

    def test_an_entry_tries_three_times(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.HELD
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert floor.outcome(bot) == ("FAILED", "BROKER_REJECTED")
        assert floor.line.seconds_of("submit") == [0, 1, 3]
        assert len(set(floor.line.ids())) == 3


class TestRejected:
    """Final: record it and show the broker's words."""

    def test_an_entry(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.REFUSED)
        bot = floor.bot()
        signal = floor.send(bot, "BUY")
        assert (signal["state"], signal["code"]) == ("FAILED", "BROKER_REJECTED")
        assert "not today" in signal["sentence"]
        assert floor.bot_row(bot)["order_status"] == "REJECTED"
        assert floor.told(bot) == ["BOT_REJECTED"]

    def test_an_exit_puts_the_bot_in_error_and_tells_its_user(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.order("submit", Trouble.REFUSED)
        signal = floor.send(bot, "CLOSE")
        assert (signal["state"], signal["code"]) == ("FAILED", "BROKER_REJECTED")
        assert floor.bot_row(bot)["order_status"] == "ERROR"
        assert floor.told(bot) == ["BOT_FILLED", "EXIT_FAILED"]
        event = floor.one("SELECT kind, sentence FROM bot_risk_events")
        assert (event["kind"], "not today" in event["sentence"]) == ("EXIT_FAILED", True)
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        floor.assert_books_agree("AAPL")

    def test_the_second_leg_of_a_flip_does_not_follow_a_rejected_close(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.order("submit", Trouble.REFUSED)
        floor.send(bot, "SELL")
        assert floor.outcome(bot) == ("FAILED", "BROKER_REJECTED")
        assert len(floor.at_broker("AAPL")) == 1
        assert floor.bot_row(bot)["quantity"] > 0


class TestRemainders:
    """What was cancelled after a partial fill goes again as the next attempt."""

    @pytest.fixture
    def floor(self, database: Database) -> Iterator[RoughFloor]:
        floor = RoughFloor(database, rules=Rules(full_fill_notional=D(1000)))
        floor.market.pin("AAPL", D("200"), D("200.10"))
        yield floor
        floor.close()

    def cancel_all(self, floor: RoughFloor) -> None:
        for order in floor.paper.open_orders():
            floor.paper.cancel(order.broker_order_id)

    def test_an_entrys_remainder_goes_again_twice_at_most(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        for _ in range(40):
            self.cancel_all(floor)
            floor.now += timedelta(seconds=1)
            floor.work(bot)
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "PARTLY_FILLED")
        asked = [row["quantity"] for row in floor.sent(bot)]
        filled = [row["filled_quantity"] for row in floor.sent(bot)]
        assert [row["attempt"] for row in floor.sent(bot)] == [1, 2, 3]
        assert asked[1:] == [asked[0] - filled[0], asked[0] - filled[0] - filled[1]]
        assert floor.bot_row(bot)["order_status"] == "PARTIALLY FILLED"
        floor.assert_books_agree("AAPL")

    def test_an_exits_remainder_goes_on_with_pauses_and_the_user_is_told_once(
        self, floor: RoughFloor
    ) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        floor.line.forget_the_past()
        held = floor.bot_row(bot)["quantity"]
        floor.send(bot, "CLOSE")
        for _ in range(120):
            self.cancel_all(floor)
            floor.now += timedelta(seconds=1)
            floor.work(bot)
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert floor.bot_row(bot)["quantity"] == 0
        assert len(floor.line.ids()) > 3
        assert sum(row["filled_quantity"] for row in floor.sent(bot) if row["side"] == "SELL") == held
        assert floor.told(bot).count("EXIT_FAILED") == 1
        floor.assert_books_agree("AAPL")

    def test_an_entrys_remainder_does_not_go_after_a_newer_signal(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        self.cancel_all(floor)
        floor.store(bot, signal("AAPL", "CLOSE"))
        floor.settle()
        assert [row["side"] for row in floor.at_broker("AAPL")] == ["BUY", "SELL"]
        assert floor.bot_row(bot)["quantity"] == 0
        floor.assert_books_agree("AAPL")

    def test_an_entrys_remainder_does_not_go_while_the_switch_says_reducing(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        self.cancel_all(floor)
        floor.switch(Wanted.REDUCING)
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "KILL_SWITCH")
        assert len(floor.at_broker("AAPL")) == 1

    def test_nothing_at_all_goes_while_the_switch_says_halted(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        floor.send(bot, "CLOSE")
        self.cancel_all(floor)
        floor.switch(Wanted.HALTED)
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=30)
        assert len(floor.at_broker("AAPL")) == 2
        floor.switch(Wanted.ACTIVE)
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        floor.assert_books_agree("AAPL")


def test_an_exit_that_is_cancelled_at_once_every_time_does_not_flood_the_broker(database: Database) -> None:
    floor = RoughFloor(database, rules=Rules(fill_on_submit=False))
    floor.market.pin("AAPL", D("200"), D("200.10"))

    def cancelled(known: Order) -> Order | None:
        floor.paper.cancel(known.broker_order_id)
        return floor.paper.find_order(known.client_order_id)

    bot = floor.bot()
    floor.send(bot, "BUY")
    floor.settle()
    floor.line.forget_the_past()
    floor.line.order("submit", *[cancelled] * 1000)
    floor.send(bot, "CLOSE")
    with pytest.raises(AssertionError, match="still under way"):
        floor.settle(seconds=60)
    assert 3 < len(floor.line.ids()) <= 10
    floor.close()


def test_an_exit_in_doubt_does_not_go_again_while_the_switch_says_halted(floor: RoughFloor) -> None:
    bot = floor.bought()
    floor.line.forget_the_past()
    floor.line.order("submit", Trouble.LOST_BEFORE)
    floor.send(bot, "CLOSE")
    floor.switch(Wanted.HALTED)
    with pytest.raises(AssertionError, match="still under way"):
        floor.settle(seconds=90)
    assert len(floor.line.ids()) == 1
    floor.switch(Wanted.ACTIVE)
    floor.settle()
    assert len(floor.line.ids()) == 2
    assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
