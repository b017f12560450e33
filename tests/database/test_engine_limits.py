"""Limits that act on a position or stop an entry: risk, switches, reservations, rate, dust (trading.md §2-§7)."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot_database import Database, kill_switch, risk
from brokers.simulator import Rules
from core.order import OrderType
from core.signal import Level, LevelKind, PositionSide
from database.kill_switch import Scope, Wanted
from tests.database.rough_line import RoughFloor, RoughLine, Trouble, signal

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


@pytest.fixture
def floor(database: Database) -> Iterator[RoughFloor]:
    floor = RoughFloor(database)
    yield floor
    floor.close()


def price_at(floor: RoughFloor, bid: str, symbol: str = "AAPL") -> None:
    """Move the market and let the monitor look, twice as it does, and the lane work."""
    floor.market.pin(symbol, D(bid), D(bid) + D("0.10"))
    floor.watch_risk()
    floor.watch_risk()
    floor.settle()


class TestRisk:
    """The monitor inserts an event, unique per bot and opening fill; the lane exits."""

    def test_a_risk_limit_disables_closes_records_and_tells(self, floor: RoughFloor) -> None:
        bot = floor.bought(risk_limit_percent=D(5))
        price_at(floor, "190.50")
        assert floor.held(bot) > 0
        price_at(floor, "190.00")
        row = floor.bot_row(bot)
        assert (row["quantity"], row["is_active"], row["order_status"]) == (0, False, "RISK LIMIT HIT")
        (event,) = floor.events(bot)
        assert (event["kind"], event["state"], event["threshold"]) == ("RISK_LIMIT", "DONE", D(5))
        assert event["actual"] > 5
        assert event["position_before"] > 0
        assert event["action_taken"].startswith("Bot disabled. Sold")
        assert "RISK_LIMIT_HIT" in floor.told(bot)
        assert floor.send(bot, "BUY")["code"] == "BOT_DISABLED"
        floor.assert_books_agree("AAPL")

    def test_a_stop_closes_and_leaves_the_bot_on(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "BUY", stop_loss=Level(kind=LevelKind.PRICE, value=D(195)))
        price_at(floor, "195.50")
        assert floor.held(bot) > 0
        price_at(floor, "194.90")
        row = floor.bot_row(bot)
        assert (row["quantity"], row["is_active"], row["own_exit"]) == (0, True, "LONG")
        assert [(event["kind"], event["state"]) for event in floor.events(bot)] == [("STOP", "DONE")]

    def test_a_target_closes_a_short(self, floor: RoughFloor) -> None:
        bot = floor.bot(take_profit_percent=D(5))
        floor.send(bot, "SELL")
        price_at(floor, "189.00")
        assert floor.held(bot) == 0
        assert [event["kind"] for event in floor.events(bot)] == ["TARGET"]
        assert floor.bot_row(bot)["total_pnl"] > 0

    def test_a_daily_loss_limit_closes_and_refuses_entries_until_the_day_turns(
        self, floor: RoughFloor
    ) -> None:
        bot = floor.bought(daily_loss_limit=D(200))
        price_at(floor, "191.00")
        assert floor.held(bot) == 0
        assert [event["kind"] for event in floor.events(bot)] == ["DAILY_LOSS_LIMIT"]
        assert floor.bot_row(bot)["is_active"] is True
        assert floor.send(bot, "BUY")["code"] == "DAILY_LOSS_LIMIT"
        floor.now += timedelta(days=3)
        assert floor.send(bot, "BUY")["state"] == "EXECUTED"

    def test_a_second_position_gets_its_own_event(self, floor: RoughFloor) -> None:
        bot = floor.bought(stop_loss_percent=D(5))
        price_at(floor, "180.00")
        floor.send(bot, "BUY")
        price_at(floor, "170.00")
        assert [event["state"] for event in floor.events(bot)] == ["DONE", "DONE"]
        assert len({event["opening_fill_id"] for event in floor.events(bot)}) == 2
        assert floor.held(bot) == 0

    def test_a_price_of_zero_triggers_nothing_and_is_shown(self, floor: RoughFloor) -> None:
        bot = floor.bought(stop_loss_percent=D(5))
        floor.line.order("positions", lambda found: tuple(replace(p, current_price=D(0)) for p in found))
        floor.line.order("quote", Trouble.UNREACHED)
        floor.watch_risk()
        floor.settle()
        assert floor.held(bot) > 0
        assert [event["kind"] for event in floor.events(bot)] == ["PRICE_FAULT"]

    def test_a_newer_signal_does_not_take_a_stop_back(self, floor: RoughFloor) -> None:
        """The exit waits while the broker cannot be asked; a signal for the same side must not end it."""
        bot = floor.bought(stop_loss_percent=D(5))
        floor.line.always["position"] = Trouble.UNREACHED
        floor.market.pin("AAPL", "180", "180.10")
        floor.watch_risk()
        floor.work(bot)
        floor.send(bot, "BUY")
        floor.work(bot)
        floor.line.forget()
        floor.settle()
        assert [row["side"] for row in floor.at_broker("AAPL")][:2] == ["BUY", "SELL"]
        assert floor.events(bot)[0]["state"] == "DONE"

    def test_an_event_about_a_position_that_is_gone_closes_nothing_newer(self, floor: RoughFloor) -> None:
        bot = floor.bought(stop_loss_percent=D(5))
        floor.market.pin("AAPL", "180", "180.10")
        floor.watch_risk()
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE bot_risk_events SET wake_at = %s", (floor.now + timedelta(days=1),))
            event = transaction.value("UPDATE bot_risk_events SET state = 'PLANNED' RETURNING id")
        floor.send(bot, "CLOSE")
        floor.send(bot, "BUY")
        held = floor.held(bot)
        assert held > 0
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE bot_risk_events SET state = 'OPEN' WHERE id = %s", (event,))
        floor.now += timedelta(days=3)
        floor.settle()
        assert floor.held(bot) == held
        assert floor.events(bot)[0]["state"] == "DONE"


class TestOwnExits:
    """We left by ourselves and the strategy does not know (trading.md §2)."""

    @pytest.fixture
    def stopped(self, floor: RoughFloor) -> int:
        bot = floor.bought(stop_loss_percent=D(5))
        floor.market.pin("AAPL", "180", "180.10")
        floor.watch_risk()
        floor.settle()
        assert floor.held(bot) == 0
        return bot

    def test_the_first_opposite_signal_is_the_end_of_that_trade(
        self, floor: RoughFloor, stopped: int
    ) -> None:
        assert floor.send(stopped, "SELL")["code"] == "FLAT_BY_OWN_EXIT"
        assert floor.send(stopped, "SELL")["state"] == "EXECUTED"

    def test_the_same_side_again_enters(self, floor: RoughFloor, stopped: int) -> None:
        assert floor.send(stopped, "BUY")["state"] == "EXECUTED"

    def test_a_close_agrees(self, floor: RoughFloor, stopped: int) -> None:
        assert floor.send(stopped, "CLOSE")["code"] == "ALREADY_FLAT"
        assert floor.send(stopped, "SELL")["state"] == "EXECUTED"

    def test_an_alert_with_both_positions_enters_only_where_they_differ(
        self, floor: RoughFloor, stopped: int
    ) -> None:
        still_long = floor.send(stopped, "BUY", position_before=LONG, position_after=LONG)
        assert still_long["code"] == "FLAT_BY_OWN_EXIT"
        to_short = floor.send(stopped, "SELL", position_before=LONG, position_after=SHORT)
        assert to_short["state"] == "EXECUTED"

    def test_a_lost_alert_is_told(self, floor: RoughFloor) -> None:
        bot = floor.bot()
        floor.send(bot, "SELL", position_before=LONG, position_after=SHORT)
        assert floor.held(bot) < 0
        assert "MISSED_ALERT" in floor.told(bot)
        assert floor.events(bot)[0]["kind"] == "MISSED_ALERT"


class TestKillSwitch:
    """REDUCING lets only exits through, HALTED nothing, flatten closes all and then halts."""

    @pytest.mark.parametrize("scope", list(Scope))
    def test_reducing_at_every_level(self, floor: RoughFloor, scope: Scope) -> None:
        bot, other = floor.bought(), floor.bot(timeframe="1h")
        ids = {
            Scope.SERVER: None,
            Scope.USER: floor.user_id,
            Scope.CONNECTION: floor.connection_id,
            Scope.BOT: bot,
        }
        floor.switch(Wanted.REDUCING, scope, ids[scope])
        assert floor.send(bot, "SELL")["code"] == "KILL_SWITCH"
        assert floor.held(bot) == 0
        assert floor.send(bot, "BUY")["code"] == "KILL_SWITCH"
        expected = "EXECUTED" if scope is Scope.BOT else "KILL_SWITCH"
        assert floor.send(other, "BUY")["code"] == expected

    def test_halted_sends_not_even_protection(self, floor: RoughFloor) -> None:
        bot = floor.bought(stop_loss_percent=D(5))
        floor.switch(Wanted.HALTED)
        floor.market.pin("AAPL", "180", "180.10")
        floor.watch_risk()
        floor.send(bot, "CLOSE")
        with pytest.raises(AssertionError, match="still under way"):
            floor.settle(seconds=60)
        assert len(floor.at_broker("AAPL")) == 1
        floor.switch(Wanted.ACTIVE)
        floor.settle()
        assert floor.held(bot) == 0
        assert len(floor.at_broker("AAPL")) == 2

    def test_flatten_closes_everything_and_then_halts(self, floor: RoughFloor) -> None:
        bots = [floor.bought(), floor.bought(timeframe="1h"), floor.bought("MSFT")]
        resting = floor.bot(timeframe="4h")
        floor.send(resting, "BUY", order_type=OrderType.LIMIT, limit_price=D(150))
        floor.switch(Wanted.FLATTEN, Scope.USER, floor.user_id)
        floor.settle()
        assert [floor.held(bot) for bot in bots] == [0, 0, 0]
        assert all(row["state"] in {"FILLED", "CANCELED"} for row in floor.at_broker("AAPL"))
        with floor.database.transaction() as transaction:
            finished = kill_switch.finish_flattened(transaction)
        assert [(change.scope, change.after) for change in finished] == [(Scope.USER, Wanted.HALTED)]
        assert floor.paper.positions() == ()
        assert {event["state"] for bot in bots for event in floor.events(bot)} == {"DONE"}


class TestReservations:
    """What holds for a whole connection is checked and reserved under its row's lock."""

    def enter_at_once(self, floor: RoughFloor, bots: list[int]) -> list[str]:
        """Let every bot's lane decide at the same time, each seeing the broker before any order."""
        everybody = threading.Barrier(len(bots), timeout=5)
        local = threading.local()

        def meet(name: str) -> None:
            if name == "entry read" and not getattr(local, "met", False):
                local.met = True
                everybody.wait()

        floor.desk = replace(floor.desk, step=meet)
        for bot in bots:
            floor.store(bot, signal(floor.bot_row(bot)["symbol"], "BUY"))
        threads = [threading.Thread(target=floor.work, args=(bot,)) for bot in bots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        floor.desk = replace(floor.desk, step=lambda _name: None)
        floor.settle()
        return sorted(floor.outcome(bot)[1] for bot in bots)

    def test_open_positions(self, floor: RoughFloor) -> None:
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET max_open_positions = 2")
        bots = [floor.bot(symbol, size="1000") for symbol in ("AAPL", "MSFT", "NVDA", "AMD")]
        codes = self.enter_at_once(floor, bots)
        assert codes == ["EXECUTED", "EXECUTED", "MAX_OPEN_POSITIONS", "MAX_OPEN_POSITIONS"]

    def test_positions_that_are_held_count_too(self, floor: RoughFloor) -> None:
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_api_keys SET max_open_positions = 2")
        bots = [floor.bot(symbol, size="1000") for symbol in ("AAPL", "MSFT", "NVDA")]
        codes = [floor.send(bot, "BUY")["code"] for bot in bots]
        assert codes == ["EXECUTED", "EXECUTED", "MAX_OPEN_POSITIONS"]

    def test_buying_power(self, floor: RoughFloor) -> None:
        """Two of 150,000 do not both fit into 200,000: the second gets what the first leaves."""
        bots = [floor.bot(symbol, size="150000") for symbol in ("QAAA", "QBBB")]
        codes = self.enter_at_once(floor, bots)
        assert codes == ["EXECUTED", "EXECUTED"]
        spent = floor.one("SELECT sum(quantity * price) AS money FROM fills")["money"]
        assert D(150_000) < spent <= D(200_000)
        assert floor.all("SELECT * FROM orders WHERE state = 'REJECTED'") == []
        assert floor.paper.account().buying_power >= 0


class TestRate:
    """One bucket per connection; a third of it is kept for exits and look-ups."""

    def test_entries_leave_a_third_for_exits(self, floor: RoughFloor) -> None:
        limited = RoughLine(floor.line, lambda: floor.now)
        limited.capabilities = replace(floor.paper.capabilities, calls_per_minute=30)
        floor.broker = limited
        with floor.database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_api_keys SET rate_tokens = 30, rate_refilled_at = %s", (floor.now,)
            )
        bots = [floor.bot(timeframe=f"{number} Min", size="500") for number in (1, 2, 3, 5, 10, 15, 30, 45)]
        entered = [bot for bot in bots if floor.send(bot, "BUY")["state"] == "EXECUTED"]
        assert 0 < len(entered) < len(bots)
        left = floor.one("SELECT rate_tokens FROM user_api_keys")["rate_tokens"]
        assert left >= 5
        assert floor.send(entered[0], "CLOSE")["state"] == "EXECUTED"
        floor.settle()
        assert all(floor.outcome(bot)[0] == "EXECUTED" for bot in bots)

    def test_a_bucket_gives_entries_two_thirds_and_exits_the_rest(self, floor: RoughFloor) -> None:
        taken = {True: 0, False: 0}
        with floor.database.transaction() as transaction:
            transaction.execute(
                "UPDATE user_api_keys SET rate_tokens = 30, rate_refilled_at = %s", (floor.now,)
            )
            for for_entry in (True, False):
                while risk.take_tokens(
                    transaction,
                    floor.connection_id,
                    calls=1,
                    per_minute=30,
                    for_entry=for_entry,
                    now=floor.now,
                ):
                    taken[for_entry] += 1
        assert taken == {True: 20, False: 10}


class TestCrypto:
    """A fee in the base asset is taken from the holding; a rest below the minimum is dust and counts as flat."""

    @pytest.fixture
    def floor(self, database: Database) -> Iterator[RoughFloor]:
        floor = RoughFloor(database)
        floor.market.pin("BTC/USD", D(60000), D(60010))
        yield floor
        floor.close()

    def test_the_fee_reduces_the_holding_and_the_exit_sells_all_of_it(self, floor: RoughFloor) -> None:
        bot = floor.bought("BTC/USD")
        bought = floor.sent(bot)[0]["filled_quantity"]
        assert floor.held(bot) == floor.paper.position("BTC/USD").quantity
        assert D("0.997") < floor.held(bot) / bought < D("0.998")
        assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
        assert floor.held(bot) == floor.paper.position("BTC/USD").quantity == 0
        floor.assert_books_agree("BTC/USD")

    def test_a_rest_below_the_minimum_is_flat(self, floor: RoughFloor) -> None:
        bot = floor.bought("BTC/USD")
        dust = D("0.000005")
        with floor.database.transaction() as transaction:
            transaction.execute("UPDATE user_bot_configs SET quantity = quantity + %s", (dust,))
        floor.send(bot, "CLOSE")
        floor.settle()
        assert floor.held(bot) <= dust
        assert floor.send(bot, "CLOSE")["code"] == "ALREADY_FLAT"
        assert floor.send(bot, "BUY")["state"] == "EXECUTED"
        assert floor.bot_row(bot)["total_trades"] == 1

    def test_a_short_of_what_cannot_be_sold_short_is_refused(self, floor: RoughFloor) -> None:
        bot = floor.bought("BTC/USD")
        signal = floor.send(bot, "SELL")
        assert (signal["state"], signal["code"]) == ("EXECUTED", "SHORT_NOT_ALLOWED")
        assert floor.held(bot) == 0


def test_large_orders_that_fill_in_pieces_are_booked_piece_by_piece(database: Database) -> None:
    floor = RoughFloor(database, rules=Rules(full_fill_notional=D(1000)))
    bot = floor.bot()
    floor.send(bot, "BUY")
    floor.settle()
    assert len(floor.booked(bot)) >= 4
    floor.send(bot, "CLOSE")
    floor.settle()
    floor.assert_books_agree("AAPL")
    floor.close()


def test_a_signal_that_waited_too_long_is_refused(floor: RoughFloor) -> None:
    """A signal that came in time but could not be decided in time is refused, with its age."""
    bot = floor.bot()
    floor.store(bot, signal("AAPL", "BUY"))
    floor.now += timedelta(seconds=121)
    floor.settle()
    assert floor.outcome(bot) == ("REFUSED", "SIGNAL_TOO_OLD")
