"""Named cases of a lane: what crosses, what was done by hand, what nets, what waits (trading.md §1, §2)."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bot_database import Database, lanes, ledger
from brokers.simulator import Rules
from core.order import Order, OrderIntent, OrderState, OrderType, Side
from tests.database.rough_line import RoughFloor, Trouble, signal

D = Decimal
FRIDAY_EVENING = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)


@pytest.fixture
def floor(database: Database) -> Iterator[RoughFloor]:
    floor = RoughFloor(database)
    yield floor
    floor.close()


@pytest.fixture
def slow_floor(database: Database) -> Iterator[RoughFloor]:
    """Give a floor where orders rest until time passes."""
    floor = RoughFloor(database, rules=Rules(fill_on_submit=False))
    yield floor
    floor.close()


def by_hand(floor: RoughFloor, side: Side, quantity: Decimal, **fields) -> Order:
    """Trade in the account past all bots."""
    number = next(_numbers)
    return floor.paper.submit(
        OrderIntent(client_order_id=f"hand{number}", symbol="AAPL", side=side, quantity=quantity, **fields)
    )


_numbers = itertools.count(1)


def sides(floor: RoughFloor, symbol: str = "AAPL") -> list[str]:
    return [row["side"] for row in floor.at_broker(symbol)]


def states(floor: RoughFloor, bot: int) -> list[tuple[str, str]]:
    rows = floor.all("SELECT state, code FROM signals WHERE bot_config_id = %s ORDER BY number", (bot,))
    return [tuple(row.values()) for row in rows]


class TestCrossing:
    """Signals that meet an execution under way."""

    def test_a_close_between_the_legs_of_a_flip(self, slow_floor: RoughFloor) -> None:
        floor = slow_floor
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        floor.send(bot, "SELL")
        assert sides(floor) == ["BUY", "SELL"]
        floor.send(bot, "CLOSE")
        floor.settle()
        assert sides(floor) == ["BUY", "SELL"]
        assert states(floor, bot)[1:] == [("EXECUTED", "SUPERSEDED"), ("SKIPPED", "ALREADY_FLAT")]
        assert floor.held(bot) == floor.paper.position("AAPL").quantity == 0

    def test_a_close_just_before_the_second_leg_is_committed(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        moments = []

        def store_in_between(name: str) -> None:
            moments.append(name)
            if name == "entry read" and moments.count(name) == 1:
                floor.store(bot, signal("AAPL", "CLOSE"))

        floor.desk = replace(floor.desk, step=store_in_between)
        floor.send(bot, "SELL")
        floor.settle()
        assert sides(floor) == ["BUY", "SELL"]
        assert states(floor, bot)[1:] == [("EXECUTED", "SUPERSEDED"), ("SKIPPED", "ALREADY_FLAT")]

    @pytest.mark.parametrize("arrives", [True, False])
    def test_a_sell_after_a_buy_whose_order_is_in_doubt(self, floor: RoughFloor, arrives: bool) -> None:
        floor.line.order("submit", Trouble.LOST_AFTER if arrives else Trouble.LOST_BEFORE)
        floor.line.order("find_order", Trouble.UNREACHED, Trouble.UNREACHED)
        bot = floor.bot()
        floor.send(bot, "BUY")
        assert floor.send(bot, "SELL")["state"] == "STORED"
        floor.settle()
        assert sides(floor) == (["BUY", "SELL", "SELL"] if arrives else ["SELL"])
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        assert floor.held(bot) < 0
        floor.assert_books_agree("AAPL")

    def test_signals_are_decided_by_their_number_whatever_their_row(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        late, early = floor.store(bot, signal("AAPL", "CLOSE")), floor.store(bot, signal("AAPL", "BUY"))
        with floor.database.transaction() as transaction:
            for uuid, number in ((late, 12), (early, 11)):
                transaction.execute("UPDATE signals SET number = %s WHERE uuid = %s", (number, uuid))
        floor.settle()
        assert (floor.signal(early)["code"], floor.signal(late)["code"]) == ("SUPERSEDED", "ALREADY_FLAT")
        assert sides(floor) == []

    def test_a_number_is_never_seen_before_a_smaller_one(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        lane = floor.bot_row(bot)["lane_id"]
        done = threading.Event()

        def store_second() -> None:
            floor.store(bot, signal("AAPL", "CLOSE"))
            done.set()

        with floor.database.transaction() as first:
            first.value("SELECT last_number FROM lanes WHERE id = %s FOR NO KEY UPDATE", (lane,))
            thread = threading.Thread(target=store_second)
            thread.start()
            floor.work(bot)
            assert not done.wait(0.3)
        thread.join(10)
        assert done.is_set()
        floor.settle()
        assert floor.outcome(bot) == ("SKIPPED", "ALREADY_FLAT")

    def test_of_three_signals_while_the_first_works_the_last_counts(self, slow_floor: RoughFloor) -> None:
        floor = slow_floor
        bot = floor.bot()
        floor.send(bot, "BUY")
        floor.settle()
        for action in ("SELL", "BUY", "SELL"):
            floor.send(bot, action)
        floor.settle()
        assert floor.held(bot) < 0
        assert len([code for _, code in states(floor, bot) if code is None]) == 0
        floor.assert_books_agree("AAPL")

    def test_two_who_hear_the_same_bell_do_the_work_once(self, floor: RoughFloor) -> None:
        bots = [floor.bot(timeframe=timeframe, size="1000") for timeframe in ("15 Min", "30 Min", "1h")]
        for bot in bots:
            floor.store(bot, signal("AAPL", "BUY"))
        threads = [threading.Thread(target=floor.work, args=(bots[0],)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        floor.settle()
        assert sides(floor) == ["BUY"] * 3
        floor.assert_books_agree("AAPL")


class TestByHand:
    """What left the account, or came to it, past the bots."""

    def test_a_position_closed_by_hand_is_booked_and_no_order_goes(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        held = floor.held(bot)
        by_hand(floor, Side.SELL, held)
        floor.line.forget_the_past()
        floor.send(bot, "CLOSE")
        floor.settle()
        assert floor.line.ids() == []
        assert floor.outcome(bot) == ("EXECUTED", "EXTERNAL_CLOSE")
        assert floor.held(bot) == 0
        fill = floor.one("SELECT * FROM fills WHERE kind = 'EXTERNAL_CLOSE'")
        assert (fill["quantity"], fill["price"]) == (held, D(200))
        assert [event["kind"] for event in floor.events(bot)] == ["EXTERNAL_CLOSE"]
        assert floor.told(bot)[-1] == "EXTERNAL_CLOSE"

    def test_a_position_partly_closed_by_hand_shrinks_the_exit(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        held = floor.held(bot)
        by_hand(floor, Side.SELL, D(4))
        floor.send(bot, "CLOSE")
        floor.settle()
        assert floor.sent(bot)[-1]["quantity"] == held - 4
        assert floor.outcome(bot)[0] == "EXECUTED"
        assert floor.held(bot) == floor.paper.position("AAPL").quantity == 0

    def test_what_is_missing_is_taken_from_the_first_of_several_bots_that_closes(
        self, floor: RoughFloor
    ) -> None:
        first, second = floor.bought(timeframe="15 Min"), floor.bought(timeframe="1h")
        held = floor.held(second)
        by_hand(floor, Side.SELL, D(10))
        floor.send(first, "CLOSE")
        floor.settle()
        assert floor.sent(first)[-1]["quantity"] == held - 10
        assert floor.held(second) == held == floor.paper.position("AAPL").quantity
        floor.send(second, "CLOSE")
        floor.settle()
        assert floor.sent(second)[-1]["quantity"] == held
        assert floor.paper.position("AAPL").quantity == 0

    def test_a_flip_of_a_position_closed_by_hand_goes_on_with_its_second_leg(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        by_hand(floor, Side.SELL, floor.held(bot))
        floor.send(bot, "SELL")
        floor.settle()
        assert floor.held(bot) == floor.paper.position("AAPL").quantity < 0

    def test_a_position_closed_by_hand_between_two_attempts_is_not_sold_short(
        self, floor: RoughFloor
    ) -> None:
        bot = floor.bought()
        own = by_hand(floor, Side.SELL, floor.held(bot), order_type=OrderType.LIMIT, limit_price=D(230))
        floor.send(bot, "CLOSE")
        floor.pass_time(2)
        floor.work(bot)
        floor.market.pin("AAPL", "231", "231.10")
        floor.settle()
        assert floor.paper.find_order(own.client_order_id).state is OrderState.FILLED
        assert floor.held(bot) == floor.paper.position("AAPL").quantity == 0
        assert floor.bot_row(bot)["order_status"] != "ERROR"
        assert [event["kind"] for event in floor.events(bot)] == ["EXTERNAL_CLOSE"]

    def test_an_account_that_lags_behind_is_not_believed(self, floor: RoughFloor) -> None:
        """Broker positions may trail fills; the same lag twice within a minute is still no gap that stood."""
        bot = floor.bot()
        for _ in range(3):
            assert floor.send(bot, "BUY")["state"] == "EXECUTED"
            floor.line.order("position", lambda position: replace(position, quantity=D(0)))
            floor.send(bot, "CLOSE")
            floor.settle()
            assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
            floor.wait(10)
        assert floor.all("SELECT * FROM fills WHERE kind <> 'TRADE'") == []
        floor.assert_books_agree("AAPL")

    def test_an_account_that_cannot_be_read_is_never_taken_for_flat(self, floor: RoughFloor) -> None:
        bot = floor.bought()
        floor.line.always["position"] = Trouble.LOST_BEFORE
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=60)
        assert floor.held(bot) > 0
        floor.line.forget()
        floor.settle()
        assert floor.outcome(bot) == ("EXECUTED", "EXECUTED")
        floor.assert_books_agree("AAPL")

    def test_an_unexplained_holding_stops_entries_until_it_is_acknowledged(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        by_hand(floor, Side.BUY, D(3))
        for _ in range(3):
            assert floor.reconcile()
            floor.wait(5)
        assert floor.one("SELECT kind FROM bot_risk_events")["kind"] == "ACCOUNT_MISMATCH"
        assert len(floor.all("SELECT * FROM notifications WHERE kind = 'ACCOUNT_MISMATCH'")) == 1
        assert floor.send(bot, "BUY")["code"] == "ACCOUNT_MISMATCH"
        with floor.database.transaction() as transaction:
            lanes.acknowledge_foreign(transaction, floor.bot_row(bot)["lane_id"], D(3))
        assert floor.send(bot, "BUY")["state"] == "EXECUTED"
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        assert floor.paper.position("AAPL").quantity == 3

    def test_an_entry_meets_an_unexplained_holding_before_reconcile_does(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        by_hand(floor, Side.BUY, D(3))
        floor.send(bot, "BUY")
        floor.settle()
        assert floor.outcome(bot) == ("REFUSED", "ACCOUNT_MISMATCH")
        assert floor.one("SELECT kind FROM bot_risk_events")["kind"] == "ACCOUNT_MISMATCH"


class TestFillsOnce:
    """Stream, poll and reconcile bring the same fill, in any order, at the same time."""

    def reports(self, floor: RoughFloor, bot: int) -> list[Order]:
        intent = floor.line.submitted[-1]
        order = floor.paper.find_order(intent.client_order_id)
        pieces = (D(4), D(11), order.quantity)
        prices = (D("200.10"), D("200.20"), D("200.30"))
        state = {True: OrderState.FILLED, False: OrderState.PARTIALLY_FILLED}
        return [
            replace(order, filled_quantity=piece, average_price=price, state=state[piece == order.quantity])
            for piece, price in zip(pieces, prices, strict=True)
        ]

    @pytest.mark.parametrize("order_of_arrival", list(itertools.permutations(range(3))))
    def test_in_any_order(self, slow_floor: RoughFloor, order_of_arrival: tuple[int, ...]) -> None:
        floor = slow_floor
        bot = floor.bot()
        floor.send(bot, "BUY")
        reports = self.reports(floor, bot)
        for source, index in itertools.product(("stream", "poll", "reconcile"), order_of_arrival):
            with floor.database.transaction() as transaction:
                ledger.book_order(transaction, reports[index], source=source, now=floor.now)
        row = floor.bot_row(bot)
        assert (row["quantity"], round(row["average_price"], 20)) == (reports[-1].quantity, D("200.30"))
        assert floor.sent(bot)[0]["state"] == "FILLED"
        assert sum(quantity for quantity, _ in floor.booked(bot)) == row["quantity"]
        trade = floor.one("SELECT filled_qty, filled_price FROM bot_trades")
        assert (trade["filled_qty"], round(trade["filled_price"], 10)) == (row["quantity"], D("200.30"))

    def test_by_six_messengers_at_once(self, slow_floor: RoughFloor) -> None:
        floor = slow_floor
        bot = floor.bot()
        floor.send(bot, "BUY")
        reports = self.reports(floor, bot)
        failures: list[BaseException] = []

        def bring(source: str) -> None:
            try:
                for report in reports:
                    with floor.database.transaction() as transaction:
                        ledger.book_order(transaction, report, source=source, now=floor.now)
            except BaseException as error:
                failures.append(error)

        threads = [
            threading.Thread(target=bring, args=(name,)) for name in ("stream", "poll", "reconcile") * 2
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert floor.held(bot) == reports[-1].quantity
        assert sum(quantity for quantity, _ in floor.booked(bot)) == reports[-1].quantity

    def test_a_fill_that_comes_after_the_cancel_counts(self, slow_floor: RoughFloor) -> None:
        floor = slow_floor
        bot = floor.bot()
        floor.send(bot, "BUY")
        first, second, _ = self.reports(floor, bot)
        for report in (replace(first, state=OrderState.CANCELED), second, second, first):
            with floor.database.transaction() as transaction:
                ledger.book_order(transaction, report, source="stream", now=floor.now)
        assert floor.held(bot) == 11
        assert floor.sent(bot)[0]["filled_quantity"] == 11
        assert floor.sent(bot)[0]["state"] == "CANCELED"


class TestSeveralBots:
    """Bots are independent although the broker nets them."""

    def test_three_timeframes_of_one_symbol_are_held_apart(self, floor: RoughFloor) -> None:
        bots = [floor.bought(timeframe=name, size="1000") for name in ("5 Min", "15 Min", "30 Min")]
        held = [floor.held(bot) for bot in bots]
        assert floor.paper.position("AAPL").quantity == sum(held)
        assert floor.send(bots[1], "CLOSE")["state"] == "EXECUTED"
        assert [floor.held(bot) for bot in bots] == [held[0], 0, held[2]]
        assert floor.paper.position("AAPL").quantity == held[0] + held[2]
        assert floor.send(bots[1], "SELL")["code"] == "OPPOSITE_POSITION"
        assert floor.send(bots[0], "BUY")["code"] == "ALREADY_LONG"
        floor.assert_books_agree("AAPL")

    def netting(self, floor: RoughFloor) -> None:
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET allow_netting = true")

    def test_an_entry_through_zero_goes_in_two_parts(self, floor: RoughFloor) -> None:
        self.netting(floor)
        first, second = floor.bought(timeframe="5 Min", size="1000"), floor.bot(timeframe="1h", size="3000")
        held = floor.held(first)
        assert held == held.to_integral_value()
        signal = floor.send(second, "SELL")
        floor.settle()
        assert floor.outcome(second) == ("EXECUTED", "EXECUTED"), signal["sentence"]
        quantities = [row["quantity"] for row in floor.sent(second)]
        assert [row["part"] for row in floor.sent(second)] == [1, 2]
        assert quantities[0] == held
        assert -sum(quantities) == floor.held(second)
        assert floor.paper.position("AAPL").quantity == held - sum(quantities)
        floor.send(first, "CLOSE")
        floor.send(second, "CLOSE")
        floor.settle()
        assert floor.held(first) == floor.held(second) == floor.paper.position("AAPL").quantity == 0
        floor.assert_books_agree("AAPL")

    def test_an_exit_through_zero_goes_in_two_parts(self, floor: RoughFloor) -> None:
        self.netting(floor)
        first, second = floor.bought(timeframe="5 Min", size="3000"), floor.bot(timeframe="1h", size="1000")
        floor.send(second, "SELL")
        floor.settle()
        assert floor.outcome(second) == ("EXECUTED", "EXECUTED")
        account = floor.paper.position("AAPL").quantity
        assert account == floor.held(first) + floor.held(second) > 0
        floor.send(first, "CLOSE")
        floor.settle()
        assert [row["quantity"] for row in floor.sent(first)[1:]] == [account, 14 - account]
        assert floor.held(first) == 0
        assert floor.paper.position("AAPL").quantity == floor.held(second) < 0
        floor.assert_books_agree("AAPL")


class TestClosedMarket:
    """An exit while the market is closed is kept for the open; a newer signal replaces it."""

    @pytest.fixture
    def holding(self, floor: RoughFloor) -> int:
        bot = floor.bought()
        floor.now = FRIDAY_EVENING
        return bot

    def open_market(self, floor: RoughFloor) -> None:
        floor.now = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
        floor.settle()

    def test_it_goes_at_the_open_whatever_its_age(self, floor: RoughFloor, holding: int) -> None:
        signal = floor.send(holding, "CLOSE")
        assert (signal["state"], signal["code"]) == ("WAITING_FOR_OPEN", "MARKET_CLOSED")
        floor.wait(3600)
        floor.work(holding)
        assert len(floor.at_broker("AAPL")) == 1
        self.open_market(floor)
        assert floor.outcome(holding) == ("EXECUTED", "EXECUTED")
        floor.assert_books_agree("AAPL")

    def test_a_newer_signal_takes_its_place(self, floor: RoughFloor, holding: int) -> None:
        floor.send(holding, "CLOSE")
        assert floor.send(holding, "BUY")["code"] == "ALREADY_LONG"
        self.open_market(floor)
        assert states(floor, holding) == [
            ("EXECUTED", "EXECUTED"),
            ("SKIPPED", "SUPERSEDED"),
            ("SKIPPED", "ALREADY_LONG"),
        ]
        assert floor.held(holding) > 0

    def test_of_a_flip_only_the_exit_is_left_at_the_open(self, floor: RoughFloor, holding: int) -> None:
        assert floor.send(holding, "SELL")["state"] == "WAITING_FOR_OPEN"
        self.open_market(floor)
        assert floor.outcome(holding) == ("EXECUTED", "SIGNAL_TOO_OLD")
        assert floor.held(holding) == floor.paper.position("AAPL").quantity == 0

    def test_an_entry_is_refused(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.now = FRIDAY_EVENING
        assert floor.send(bot, "BUY")["code"] == "MARKET_CLOSED"


class TestRestingEntries:
    """A limit entry that is open at the broker."""

    @pytest.fixture
    def resting(self, floor: RoughFloor) -> int:
        bot = floor.bot()
        floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(190))
        assert floor.at_broker("AAPL")[0]["state"] == "SUBMITTED"
        return bot

    def test_the_same_side_again_is_pending(self, floor: RoughFloor, resting: int) -> None:
        assert floor.send(resting, "BUY")["code"] == "ENTRY_PENDING"

    def test_the_other_side_takes_it_back_first(self, floor: RoughFloor, resting: int) -> None:
        floor.send(resting, "SELL")
        floor.settle()
        rows = [(row["side"], row["state"]) for row in floor.at_broker("AAPL")]
        assert rows == [("BUY", "CANCELED"), ("SELL", "FILLED")]
        assert floor.held(resting) < 0
        assert states(floor, resting)[0][1] == "SUPERSEDED"

    def test_a_close_takes_it_back_and_closes_what_filled(self, database: Database) -> None:
        floor = RoughFloor(database, rules=Rules(full_fill_notional=D(1000)))
        bot = floor.bot()
        floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(201))
        assert 0 < floor.held(bot) < 24
        floor.send(bot, "CLOSE")
        floor.settle()
        assert sides(floor) == ["BUY", "SELL"]
        assert floor.held(bot) == floor.paper.position("AAPL").quantity == 0
        floor.assert_books_agree("AAPL")
        floor.close()

    def test_a_cancel_that_does_not_arrive_is_asked_again(self, floor: RoughFloor, resting: int) -> None:
        floor.line.order("cancel", Trouble.LOST_BEFORE, Trouble.UNREACHED)
        floor.send(resting, "CLOSE")
        floor.settle()
        assert [row["state"] for row in floor.at_broker("AAPL")] == ["CANCELED"]
        assert floor.outcome(resting) == ("EXECUTED", "EXECUTED")
        sentence = floor.one("SELECT sentence FROM signals ORDER BY id DESC LIMIT 1")["sentence"]
        assert sentence == "The entry that was still open has been cancelled; the bot holds nothing."

    def test_a_fill_that_wins_against_the_cancel_is_booked_before_the_next_decision(
        self, floor: RoughFloor, resting: int
    ) -> None:
        floor.line.always["cancel"] = Trouble.LOST_BEFORE
        floor.send(resting, "SELL")
        floor.market.pin("AAPL", D("189"), D("189.10"))
        floor.pass_time(1)
        floor.line.forget()
        floor.settle()
        assert sides(floor) == ["BUY", "SELL", "SELL"]
        assert floor.held(resting) < 0
        floor.assert_books_agree("AAPL")
