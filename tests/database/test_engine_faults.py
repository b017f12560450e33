"""What goes wrong between us and the broker, and processes that die at every moment (trading.md §1)."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot_database import Database, kill_switch, ledger
from brokers.simulator import Rules
from core.errors import Unavailable
from core.order import Order, OrderIntent, OrderState, OrderType, Side
from core.plan import Code
from core.signal import Action, Signal
from database.kill_switch import Wanted
from engine.monitor import watch_risk
from engine.reconcile import reconcile
from tests.database.rough_line import RoughFloor, Trouble

D = Decimal
_letters = itertools.count()


@pytest.fixture
def floor(database: Database) -> Iterator[RoughFloor]:
    floor = RoughFloor(database)
    floor.market.pin("AAPL", D("200"), D("200.10"))
    yield floor
    floor.close()


def signal(symbol: str, action: str, **fields) -> Signal:
    return Signal(action=Action(action), symbol=symbol, **fields)


def new_symbol(floor: RoughFloor) -> str:
    """Give a ticker that nothing was traded in yet."""
    number = next(_letters)
    symbol = "".join(chr(ord("A") + number // 26**place % 26) for place in (2, 1, 0))
    floor.market.pin(f"Q{symbol}", D("200"), D("200.10"))
    return f"Q{symbol}"


# A process that dies at every moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was there before, and what the process was doing when it died."""

    before: tuple[str, ...] = ()
    begin: Callable[[RoughFloor, int, str], object]
    limits: dict[str, object] | None = None
    size: str = "500"
    troubles: tuple[Trouble, ...] = ()


def send(action: str, **fields) -> Callable[[RoughFloor, int, str], object]:
    return lambda floor, bot, symbol: floor.store(bot, signal(symbol, action, **fields))


def fall_through_stop(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.market.pin(symbol, D("150"), D("150.10"))
    with floor.database.session() as session:
        watch_risk(floor.desk, session, floor.connection_id)


def newer_while_older_works(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.store(bot, signal(symbol, "SELL"))
    floor.store(bot, signal(symbol, "CLOSE"))


def resting_entry_then_opposite(floor: RoughFloor, bot: int, symbol: str) -> None:
    floor.store(bot, signal(symbol, "BUY", order_type=OrderType.LIMIT, limit_price=D(190)))
    floor.work(bot)
    (resting,) = floor.at_broker(symbol)
    assert resting["state"] == "SUBMITTED"
    floor.store(bot, signal(symbol, "SELL"))


STORIES = {
    "entry": Story(begin=send("BUY")),
    "close": Story(before=("BUY",), begin=send("CLOSE")),
    "flip": Story(before=("BUY",), begin=send("SELL")),
    "skipped": Story(before=("BUY",), begin=send("BUY")),
    "too small": Story(begin=send("BUY"), size="0.50"),
    "rejected": Story(begin=send("BUY"), troubles=(Trouble.REFUSED,)),
    "exit rejected": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.REFUSED,)),
    "answer lost": Story(begin=send("BUY"), troubles=(Trouble.LOST_AFTER,)),
    "exit's answer lost": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.LOST_AFTER,)),
    "exit lost": Story(before=("BUY",), begin=send("CLOSE"), troubles=(Trouble.LOST_BEFORE,)),
    "unreached": Story(begin=send("BUY"), troubles=(Trouble.UNREACHED,)),
    "stop": Story(before=("BUY",), begin=fall_through_stop, limits={"stop_loss_percent": D(10)}),
    "risk limit": Story(before=("BUY",), begin=fall_through_stop, limits={"risk_limit_percent": D(10)}),
    "entry taken back": Story(begin=resting_entry_then_opposite),
    "two at once": Story(before=("BUY",), begin=newer_while_older_works),
}


def play(floor: RoughFloor, story: Story, limit: int) -> tuple[list[str], dict[str, object]]:
    """Play a story to its end with a process that dies at a moment, and return what is there then."""
    symbol = new_symbol(floor)
    bot = floor.bot(symbol, size=story.size, **(story.limits or {}))
    for action in story.before:
        assert floor.send(bot, action)["state"] == "EXECUTED"
    story.begin(floor, bot, symbol)
    floor.line.order("submit", *story.troubles)
    moments = floor.until_death(bot, limit)
    floor.settle()
    floor.line.forget()
    floor.assert_books_agree(symbol)
    return moments, end_of(floor, bot, symbol)


def end_of(floor: RoughFloor, bot: int, symbol: str) -> dict[str, object]:
    row = floor.bot_row(bot)
    signals = floor.all("SELECT state, code FROM signals WHERE bot_config_id = %s ORDER BY number", (bot,))
    trades = floor.all(
        "SELECT action, status, filled_qty, realized_pnl FROM bot_trades WHERE bot_config_id = %s ORDER BY id",
        (bot,),
    )
    events = floor.all("SELECT kind, state FROM bot_risk_events WHERE bot_config_id = %s ORDER BY id", (bot,))
    return {
        "signals": [tuple(each.values()) for each in signals],
        "orders": [tuple(each.values())[:-1] for each in floor.sent(bot)],
        "broker": [tuple(each.values())[1:] for each in floor.at_broker(symbol)],
        "trades": [tuple(each.values()) for each in trades],
        "events": [tuple(each.values()) for each in events],
        "position": (row["quantity"], row["average_price"], row["total_pnl"], row["total_trades"]),
        "status": row["order_status"],
        "told": told(floor, bot),
    }


def told(floor: RoughFloor, bot: int) -> list[str]:
    name = floor.bot_row(bot)["name"]
    rows = floor.all("SELECT kind FROM notifications WHERE content->>'bot' = %s ORDER BY id", (name,))
    return [row["kind"] for row in rows]


def died_unsent(moments: list[str], limit: int) -> bool:
    """Tell whether the process died with an entry's order committed and not yet handed over."""
    if "entry read" not in moments:
        return False
    read = moments.index("entry read")
    return "order committed" in moments[read:] and read < limit - 1 <= moments.index("order committed", read)


def assert_never_received(end: dict[str, list], expected: dict[str, list]) -> None:
    """Nobody knows whether such an entry went, so it is looked up and never sent: it ends NOT_RECEIVED."""
    *others, last = end["orders"]
    assert others == expected["orders"][:-1]
    assert last[-2:] == ("NOT_RECEIVED", 0)
    assert end["broker"] == [each for each in expected["broker"] if each[-1]][: len(others)]
    assert end["signals"][-1][1] == Code.NOT_RECEIVED
    assert end["position"][0] == 0
    assert end["trades"][-1][1] == "FAILED"
    assert end["told"][-1] == "BOT_REJECTED"


@pytest.mark.parametrize("name", STORIES)
def test_a_death_at_any_moment_changes_nothing(floor: RoughFloor, name: str) -> None:
    story = STORIES[name]
    moments, expected = play(floor, story, 0)
    assert len(moments) > 4
    for limit in range(1, len(moments) + 1):
        lived, end = play(floor, story, limit)
        where = f"died at moment {limit} of {len(moments)}: {lived[-3:]}"
        assert lived == moments[:limit], where
        if died_unsent(moments, limit):
            assert_never_received(end, expected)
        else:
            assert end == expected, where


# The classes of errors


def bought(floor: RoughFloor, **limits) -> int:
    """Give a bot that holds AAPL."""
    bot = floor.bot(**limits)
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"
    return bot


def outcome(floor: RoughFloor, bot: int) -> tuple[str, str]:
    """Return state and code of a bot's newest signal."""
    row = floor.one(
        "SELECT state, code FROM signals WHERE bot_config_id = %s ORDER BY number DESC LIMIT 1", (bot,)
    )
    return row["state"], row["code"]


def ids(floor: RoughFloor) -> list[str]:
    """Return the ids of all orders handed over, again and again."""
    return [intent.client_order_id for intent in floor.line.submitted]


def booked(floor: RoughFloor, bot: int) -> list[tuple[Decimal, str]]:
    rows = floor.all("SELECT quantity, source FROM fills WHERE bot_config_id = %s ORDER BY id", (bot,))
    return [tuple(row.values()) for row in rows]


def forget_the_past(floor: RoughFloor) -> None:
    floor.line.submitted.clear()
    floor.line.calls.clear()


class TestUnavailable:
    """Nothing was received: the same id again after 1, 2, 4 … 15 s."""

    def test_an_entry_goes_again_until_its_age_limit(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.UNREACHED
        bot = floor.bot()
        assert floor.send(bot, "BUY")["state"] == "PLANNED"
        floor.settle(step=0.5)
        assert outcome(floor, bot) == ("FAILED", "NOT_RECEIVED")
        assert floor.line.seconds_of("submit") == [0, 1, 3, 7, 15, 30, 45, 60, 75, 90, 105, 120]
        assert len(set(ids(floor))) == 1
        assert floor.at_broker("AAPL") == []
        trade = floor.one("SELECT status, message FROM bot_trades")
        assert (trade["status"], "could not be reached" in trade["message"]) == ("FAILED", True)

    def test_an_exit_goes_again_without_end(self, floor: RoughFloor) -> None:
        bot = bought(floor)
        forget_the_past(floor)
        floor.line.always["submit"] = Trouble.UNREACHED
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=400, step=0.5)
        times = floor.line.seconds_of("submit")
        assert times[:6] == [0, 1, 3, 7, 15, 30]
        assert times[-1] - times[-2] == 15
        floor.line.forget()
        assert floor.settle(step=0.5) <= 15
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert len(set(ids(floor))) == 1
        floor.assert_books_agree("AAPL")

    def test_the_broker_may_ask_for_a_longer_wait(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Unavailable("too many requests", status=429, retry_after=40))
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert floor.line.seconds_of("submit") == [0, 40]
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")

    def test_a_disabled_server_stops_an_entry_that_waits_to_go_again(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.UNREACHED
        bot = floor.bot()
        floor.send(bot, "BUY")
        switch(floor, Wanted.REDUCING)
        floor.line.forget()
        floor.settle()
        assert outcome(floor, bot) == ("FAILED", "KILL_SWITCH")
        assert floor.at_broker("AAPL") == []


def switch(floor: RoughFloor, wanted: Wanted) -> None:
    with floor.database.transaction() as transaction:
        kill_switch.set_switch(transaction, kill_switch.Scope.SERVER, None, wanted, actor="test")


class TestUnknown:
    """Nobody knows: never resend before the broker has denied the order for good."""

    def test_an_entry_that_never_arrived_is_looked_up_and_not_sent_again(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY")
        assert floor.settle() >= 30
        assert outcome(floor, bot) == ("FAILED", "NOT_RECEIVED")
        times = floor.line.seconds_of("find_order")
        assert len(times) >= 3
        assert times[-1] >= 30
        assert len(ids(floor)) == 1
        assert floor.at_broker("AAPL") == []

    def test_an_exit_that_never_arrived_goes_again_with_the_same_id(self, floor: RoughFloor) -> None:
        bot = bought(floor)
        forget_the_past(floor)
        floor.line.order("submit", Trouble.LOST_BEFORE)
        floor.send(bot, "CLOSE")
        assert floor.settle() >= 30
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert len(ids(floor)) == 2
        assert len(set(ids(floor))) == 1
        assert floor.bot_row(bot)["quantity"] == 0
        floor.assert_books_agree("AAPL")

    def test_an_order_that_arrived_is_found_and_booked_once(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER)
        bot = floor.bot()
        signal = floor.send(bot, "BUY")
        assert signal["state"] == "EXECUTED"
        assert [source for _, source in booked(floor, bot)] == ["look-up"]
        assert len(ids(floor)) == 1
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
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert len(booked(floor, bot)) == len(ids(floor)) == 1
        floor.assert_books_agree("AAPL")

    def test_an_exit_that_arrives_just_before_it_goes_again_is_executed_once(self, floor: RoughFloor) -> None:
        bot = bought(floor)
        forget_the_past(floor)
        floor.line.order("submit", Trouble.LOST_BEFORE)
        floor.line.order("find_order", *[lambda _: None] * 3)
        floor.send(bot, "CLOSE")
        floor.paper.submit(floor.line.submitted[0])
        floor.line.always["find_order"] = Trouble.NONE
        floor.line.order("find_order", *[lambda _: None] * 20)
        while len(ids(floor)) < 2:
            floor.pass_time(1)
            floor.work(bot)
        floor.line.forget()
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert len(set(ids(floor))) == 1
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
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        floor.assert_books_agree("AAPL")

    def test_a_newer_signal_waits_for_the_truth(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER)
        floor.line.order("find_order", *[lambda _: None] * 2)
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.send(bot, "SELL")
        assert len(ids(floor)) == 1
        floor.settle()
        assert [row["side"] for row in floor.at_broker("AAPL")] == ["BUY", "SELL", "SELL"]
        assert floor.bot_row(bot)["quantity"] < 0
        floor.assert_books_agree("AAPL")

    def test_an_entry_that_comes_to_life_after_it_was_given_up_is_booked(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert outcome(floor, bot) == ("FAILED", "NOT_RECEIVED")
        known = floor.paper.submit(floor.line.submitted[0])
        for source in ("stream", "stream", "poll"):
            with floor.database.transaction() as transaction:
                ledger.book_order(transaction, known, source=source, now=floor.now)
        assert [source for _, source in booked(floor, bot)] == ["stream"]
        assert floor.bot_row(bot)["quantity"] == floor.paper.position("AAPL").quantity > 0
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        floor.assert_books_agree("AAPL")

    def test_a_resting_entry_that_comes_to_life_late_is_taken_back(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.LOST_BEFORE)
        bot = floor.bot()
        floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(190))
        floor.settle()
        assert outcome(floor, bot) == ("FAILED", "NOT_RECEIVED")
        floor.paper.submit(floor.line.submitted[0])
        reconciled(floor)
        reconciled(floor)
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


def reconciled(floor: RoughFloor) -> bool:
    with floor.database.session() as session:
        return reconcile(floor.desk, session, floor.connection_id)


class TestConflict:
    """Something else holds the shares, or would trade with us: cancel it or wait, then a new attempt."""

    def test_an_exit_waits_for_a_users_own_order_that_holds_the_shares(self, floor: RoughFloor) -> None:
        bot = bought(floor)
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
        forget_the_past(floor)
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=60)
        assert floor.line.seconds_of("submit")[:5] == [0, 1, 3, 7, 15]
        assert told(floor, bot)[-1] == "EXIT_FAILED"
        assert told(floor, bot).count("EXIT_FAILED") == 1
        floor.paper.cancel(by_hand.broker_order_id)
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert len(set(ids(floor))) == len(ids(floor))
        assert floor.paper.position("AAPL").quantity == 0

    def test_an_exit_takes_back_the_entry_of_another_bot_that_it_would_trade_with(
        self, floor: RoughFloor
    ) -> None:
        bot = bought(floor)
        other = floor.bot(timeframe="1h")
        floor.send(other, "BUY", order_type=OrderType.LIMIT, limit_price=D(190))
        floor.send(bot, "CLOSE")
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert outcome(floor, other)[1] == "SUPERSEDED"
        states = [(row["side"], row["state"]) for row in floor.at_broker("AAPL")]
        assert states == [("BUY", "FILLED"), ("BUY", "CANCELED"), ("SELL", "FILLED")]

    def test_an_entry_tries_three_times(self, floor: RoughFloor) -> None:
        floor.line.always["submit"] = Trouble.HELD
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        assert outcome(floor, bot) == ("FAILED", "BROKER_REJECTED")
        assert floor.line.seconds_of("submit") == [0, 1, 3]
        assert len(set(ids(floor))) == 3


class TestRejected:
    """Final: record it and show the broker's words."""

    def test_an_entry(self, floor: RoughFloor) -> None:
        floor.line.order("submit", Trouble.REFUSED)
        bot = floor.bot()
        signal = floor.send(bot, "BUY")
        assert (signal["state"], signal["code"]) == ("FAILED", "BROKER_REJECTED")
        assert "not today" in signal["sentence"]
        assert floor.bot_row(bot)["order_status"] == "REJECTED"
        assert told(floor, bot) == ["BOT_REJECTED"]

    def test_an_exit_puts_the_bot_in_error_and_tells_its_user(self, floor: RoughFloor) -> None:
        bot = bought(floor)
        floor.line.order("submit", Trouble.REFUSED)
        signal = floor.send(bot, "CLOSE")
        assert (signal["state"], signal["code"]) == ("FAILED", "BROKER_REJECTED")
        assert floor.bot_row(bot)["order_status"] == "ERROR"
        assert told(floor, bot) == ["BOT_FILLED", "EXIT_FAILED"]
        event = floor.one("SELECT kind, sentence FROM bot_risk_events")
        assert (event["kind"], "not today" in event["sentence"]) == ("EXIT_FAILED", True)
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        floor.assert_books_agree("AAPL")

    def test_the_second_leg_of_a_flip_does_not_follow_a_rejected_close(self, floor: RoughFloor) -> None:
        bot = bought(floor)
        floor.line.order("submit", Trouble.REFUSED)
        floor.send(bot, "SELL")
        assert outcome(floor, bot) == ("FAILED", "BROKER_REJECTED")
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
        assert outcome(floor, bot) == ("EXECUTED", "PARTLY_FILLED")
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
        forget_the_past(floor)
        held = floor.bot_row(bot)["quantity"]
        floor.send(bot, "CLOSE")
        for _ in range(120):
            self.cancel_all(floor)
            floor.now += timedelta(seconds=1)
            floor.work(bot)
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
        assert floor.bot_row(bot)["quantity"] == 0
        assert len(ids(floor)) > 3
        assert sum(row["filled_quantity"] for row in floor.sent(bot) if row["side"] == "SELL") == held
        assert told(floor, bot).count("EXIT_FAILED") == 1
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
        switch(floor, Wanted.REDUCING)
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "KILL_SWITCH")
        assert len(floor.at_broker("AAPL")) == 1

    def test_nothing_at_all_goes_while_the_switch_says_halted(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        floor.send(bot, "CLOSE")
        self.cancel_all(floor)
        switch(floor, Wanted.HALTED)
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=30)
        assert len(floor.at_broker("AAPL")) == 2
        switch(floor, Wanted.ACTIVE)
        floor.settle()
        assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
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
    forget_the_past(floor)
    floor.line.order("submit", *[cancelled] * 1000)
    floor.send(bot, "CLOSE")
    with pytest.raises(AssertionError, match="still under way"):
        floor.settle(seconds=60)
    assert 3 < len(ids(floor)) <= 10
    floor.close()


def test_an_exit_in_doubt_does_not_go_again_while_the_switch_says_halted(floor: RoughFloor) -> None:
    bot = bought(floor)
    forget_the_past(floor)
    floor.line.order("submit", Trouble.LOST_BEFORE)
    floor.send(bot, "CLOSE")
    switch(floor, Wanted.HALTED)
    with pytest.raises(AssertionError, match="still under way"):
        floor.settle(seconds=90)
    assert len(ids(floor)) == 1
    switch(floor, Wanted.ACTIVE)
    floor.settle()
    assert len(ids(floor)) == 2
    assert outcome(floor, bot) == ("EXECUTED", "EXECUTED")
