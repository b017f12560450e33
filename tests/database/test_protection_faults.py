"""What may go wrong around protection that rests at BloFin: no exit hangs, nothing is left, nothing goes twice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from bot_database import Database, Row, protections
from core.order import OrderType
from engine.monitor import watch_risk
from tests.blofin_server.local import running_server
from tests.database.perpetuals import BTC, Perpetuals, at, enter
from tests.database.trading_floor import TradingFloor

D = Decimal
TPSL = "*tpsl*"
NOTHING = '{"code": "0", "msg": "", "data": []}'


@pytest.fixture
def floor(database: Database) -> Iterator[Perpetuals]:
    with running_server() as server:
        floor = Perpetuals(database, server)
        yield floor
        floor.paper_database.close()


def after_step(floor: TradingFloor, name: str, act: Callable[[], object]) -> None:
    """Act once, in the moment after the engine's next step of that name."""
    waiting = [name]

    def step(done: str) -> None:
        if done in waiting:
            waiting.clear()
            act()

    floor.desk = replace(floor.desk, step=step)


def drop(floor: Perpetuals, price: int) -> Callable[[], None]:
    return lambda: floor.server.price(BTC, price, price + 1)


def sold(floor: Perpetuals) -> list[Decimal]:
    return [D(each["size"]) for each in floor.server.orders("key") if each["side"] == "sell"]


# An exit never hangs


def test_a_close_does_not_hang_while_protection_cannot_be_reached(floor: Perpetuals) -> None:
    """And what it could not take away goes as soon as the exchange answers again."""
    bot = enter(floor, 65_000)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    signal = floor.send(bot, "CLOSE")
    floor.go_on(bot, 8)
    assert floor.signal(signal["uuid"])["state"] == "EXECUTED"
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert len(floor.resting()) == 1
    floor.server.clear_faults()
    floor.wait(60)
    floor.go_on(bot, 3)
    assert floor.resting() == []
    assert floor.all("SELECT * FROM leftover_protections") == []


def test_an_entry_waits_for_what_the_last_position_left(floor: Perpetuals) -> None:
    bot = enter(floor, max_signal_age_seconds=600)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.send(bot, "CLOSE")
    floor.go_on(bot, 3)
    floor.send(bot, "BUY", stop_loss=at(57_000)[0])
    floor.go_on(bot, 3)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    floor.server.clear_faults()
    floor.wait(20)
    floor.go_on(bot)
    assert floor.held() == floor.booked(bot) == D("0.1")
    assert floor.resting() == [("57000", "", "100")]


def test_a_time_limit_closes_while_protection_cannot_be_reached(floor: Perpetuals) -> None:
    bot = enter(floor, time_limit_minutes=10)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.wait(700)
    floor.look(bot, passes=8)
    assert (floor.booked(bot), floor.held()) == (0, 0)


def hide_exits(floor: Perpetuals) -> None:
    """Let the exchange say that a stop triggered, and never by which order."""
    floor.server.fault("answer_before", "GET", "*/orders-history", status=200, body=NOTHING, count=-1)


def test_a_close_does_not_hang_when_the_order_of_a_triggered_stop_is_never_shown(floor: Perpetuals) -> None:
    bot = enter(floor)
    hide_exits(floor)
    drop(floor, 57_900)()
    signal = floor.send(bot, "CLOSE")
    floor.go_on(bot, 16)
    assert floor.signal(signal["uuid"])["state"] == "EXECUTED"
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert ("EXTERNAL_CLOSE", "NOTED") in floor.events()


def test_a_triggered_stop_whose_order_is_never_shown_is_booked_in_the_end(floor: Perpetuals) -> None:
    """Even where the price came back, so that the engine's own stop has nothing to say."""
    bot = enter(floor)
    hide_exits(floor)
    drop(floor, 57_900)()
    drop(floor, 60_000)()
    for _ in range(8):
        floor.look(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    asked = [r["path"] for r in floor.server.requests() if "orders-history" in r["path"]]
    assert len(asked) < 40


def test_protection_stays_while_the_exit_cannot_be_sized(floor: Perpetuals) -> None:
    """A stop that is lifted too early leaves a position bare that nobody else can watch."""
    bot = enter(floor)
    floor.server.fault("answer_before", "GET", "*/account/positions", status=503, count=-1)
    floor.send(bot, "CLOSE")
    floor.go_on(bot, 4)
    assert floor.resting() == [("58000", "", "100")]
    floor.server.clear_faults()
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.resting() == []


# What triggers is booked by what it really did


def two_pieces(floor: Perpetuals) -> int:
    """Enter by two orders, so that two stops of the same price rest."""
    floor.server.settings(fill_size=60, attach_at_first_fill=True)
    bot = floor.perpetual()
    floor.send(bot, "BUY", stop_loss=at(58_000)[0])
    floor.server.end("key", floor.server.orders("key")[0]["orderId"])
    floor.server.settings(fill_size=None)
    floor.go_on(bot)
    assert sorted(size for _, _, size in floor.resting()) == ["40", "60"]
    assert floor.booked(bot) == D("0.1")
    return bot


def test_two_stops_of_one_position_are_both_booked(floor: Perpetuals) -> None:
    bot = two_pieces(floor)
    floor.look(bot, 57_900)
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    exits = floor.all("SELECT filled_quantity FROM orders WHERE purpose = 'CLOSE' ORDER BY 1")
    assert [each["filled_quantity"] for each in exits] == [D("0.04"), D("0.06")]
    assert {kind for kind, _ in floor.events()} == {"STOP"}


def test_one_of_two_stops_that_triggers_leaves_the_other_in_force(floor: Perpetuals) -> None:
    bot = two_pieces(floor)
    smaller = next(p for p in floor.server.protections("key") if p["size"] == "40")
    floor.blofin.cancel_protection(BTC, smaller["tpslId"])
    drop(floor, 57_900)()
    drop(floor, 60_000)()
    floor.wait(60)
    floor.go_on(bot, 12)
    assert floor.held() == floor.booked(bot) == D("0.04")
    assert floor.resting() == [("58000", "", "40")]
    assert floor.protection()["held_by"] == "BROKER"


def test_a_stop_that_triggers_beside_a_target_is_booked_as_a_stop(floor: Perpetuals) -> None:
    bot = enter(floor, 62_000, 64_000)
    after_step(floor, "exit committed", drop(floor, 57_900))
    floor.look(bot, 62_000, passes=12)
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert {kind for kind, _ in floor.events()} == {"TARGET", "STOP"}
    assert sold(floor) == [100]


def test_a_stop_that_triggers_before_a_target_is_planned_keeps_its_kind(floor: Perpetuals) -> None:
    """Its cool-down counts, and the target that came to nothing says so."""
    bot = enter(floor, 62_000, 64_000)
    floor.server.price(BTC, 62_000, 62_001)
    floor.watch()
    drop(floor, 57_900)()
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert sorted(floor.events()) == [("STOP", "DONE"), ("TARGET", "DONE")]
    assert floor.bot_row(bot)["last_stop_out_at"] is not None


def test_a_stop_that_triggers_while_it_is_moved_is_booked(floor: Perpetuals) -> None:
    bot = enter(floor, trailing_stop_percent=D(1))
    after_step(floor, "protection placed", drop(floor, 57_900))
    floor.look(bot, 63_000)
    floor.look(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.events() == [("STOP", "DONE")]


def test_a_stop_that_triggers_while_it_is_lifted_is_booked(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.store_close(bot)
    after_step(floor, "exit to be freed", drop(floor, 57_900))
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.events() == [("STOP", "DONE")]
    assert sold(floor) == [100]


def test_a_close_that_meets_a_triggered_stop_ends_the_strategys_trade(floor: Perpetuals) -> None:
    """The next signal opens: the strategy has left as well, so that it is not its exit."""
    bot = enter(floor)
    drop(floor, 57_900)()
    floor.send(bot, "CLOSE")
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    floor.send(bot, "SELL")
    floor.go_on(bot)
    assert floor.held() == floor.booked(bot) < 0


def test_an_entry_still_filling_is_cancelled_when_its_stop_has_triggered(floor: Perpetuals) -> None:
    floor.server.settings(hold_fills=True, attach_at_first_fill=True)
    bot = floor.perpetual()
    floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(60_000), stop_loss=at(58_000)[0])
    entry = floor.server.orders("key")[0]["orderId"]
    floor.server.fill("key", entry, 40)
    floor.wait(60)
    floor.go_on(bot)
    assert floor.booked(bot) == D("0.04")
    drop(floor, 57_900)()
    stop = next(each for each in floor.server.orders("key") if each["side"] == "sell")
    floor.server.fill("key", stop["orderId"])
    floor.wait(60)
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    states = {each["orderId"]: each["state"] for each in floor.server.orders("key")}
    assert states[entry] == "partially_canceled"
    assert floor.resting() == []


# Nothing is left


def test_a_target_that_takes_everything_leaves_no_stop(floor: Perpetuals) -> None:
    """What would stay after the first target is too small to be sold later, so it goes along."""
    floor.server.instrument(BTC, minimum=1)
    floor.server.settings(hold_fills=True, attach_at_first_fill=True)
    bot = floor.perpetual(size_mode="units", position_size=D("0.005"), target_shares=[D(70)])
    floor.send(
        bot,
        "BUY",
        order_type=OrderType.LIMIT,
        limit_price=D(60_000),
        stop_loss=at(58_000)[0],
        take_profits=at(62_000, 64_000),
    )
    entry = floor.server.orders("key")[0]["orderId"]
    floor.server.fill("key", entry, "1.5")
    floor.server.end("key", entry)
    floor.server.settings(hold_fills=False)
    floor.wait(60)
    floor.go_on(bot)
    assert [size for _, _, size in floor.resting()] == ["1.5"]
    floor.look(bot, 62_000)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.resting() == []


def test_a_position_closed_by_hand_leaves_no_stop_for_the_next(floor: Perpetuals) -> None:
    bot = enter(floor, 62_000, 64_000)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.by_hand()
    floor.send(bot, "CLOSE")
    floor.go_on(bot, 12)
    assert floor.booked(bot) == 0
    assert ("EXTERNAL_CLOSE", "NOTED") in floor.events()
    floor.server.clear_faults()
    floor.wait(60)
    floor.go_on(bot)
    assert floor.resting() == []


def test_a_stop_of_the_users_own_is_left_alone(floor: Perpetuals) -> None:
    bot = enter(floor)
    own = floor.rest_by_hand("57000")
    floor.send(bot, "CLOSE")
    floor.go_on(bot)
    assert floor.held() == 0
    live = [p["tpslId"] for p in floor.server.protections("key") if p["state"] == "live"]
    assert live == [own]


def test_nothing_is_placed_again_while_an_exit_is_under_way(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.server.settings(hold_fills=True)
    floor.send(bot, "CLOSE")
    floor.wait(60)
    floor.go_on(bot)
    assert floor.booked(bot) == D("0.1")
    assert floor.resting() == []
    floor.server.settings(hold_fills=False)
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert "leftover looked at" not in floor.steps


def test_a_flip_lifts_the_old_stop_and_gets_its_own(floor: Perpetuals) -> None:
    bot = enter(floor, 65_000)
    signal = floor.send(bot, "SELL", stop_loss=at(63_000)[0], take_profits=at(57_000))
    floor.go_on(bot)
    assert floor.signal(signal["uuid"])["state"] == "EXECUTED"
    assert floor.held() == floor.booked(bot) < 0
    assert [(stop, target) for stop, target, _ in floor.resting()] == [("63000", "57000")]


def test_a_flip_that_meets_a_triggered_stop_still_turns(floor: Perpetuals) -> None:
    bot = enter(floor)
    drop(floor, 57_900)()
    floor.send(bot, "SELL", stop_loss=at(61_000)[0])
    floor.go_on(bot)
    assert floor.held() == floor.booked(bot) < 0
    assert [stop for stop, _, _ in floor.resting()] == ["61000"]
    assert floor.bot_row(bot)["own_exit"] is None


def test_an_exit_that_is_refused_gets_its_protection_back(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.server.operation_error("102004", path="/api/v1/trade/order")
    signal = floor.send(bot, "CLOSE")
    floor.go_on(bot)
    assert floor.signal(signal["uuid"])["state"] == "FAILED"
    assert floor.booked(bot) == D("0.1")
    floor.wait(30)
    floor.go_on(bot)
    assert floor.resting() == [("58000", "", "100")]


def test_a_stop_after_the_owner_has_closed_a_part_ends_in_nothing(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.by_hand(D("0.05"))
    floor.look(bot, 57_900, passes=2)
    floor.look(bot, passes=4)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.resting() == []
    assert sold(floor) == [50, 50]


def test_a_liquidation_is_booked_and_leaves_nothing(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.blofin.cancel_protection(BTC, floor.protection()["broker_ids"][0])
    floor.look(bot, 47_000, passes=12)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert ("EXTERNAL_CLOSE", "NOTED") in floor.events()
    assert floor.resting() == []


@pytest.mark.parametrize("price", [57_900, 65_100, None])
def test_an_account_in_hedged_mode_is_protected_as_well(floor: Perpetuals, price: int | None) -> None:
    floor.server.account("key", "secret", "phrase", balance=100_000, position_mode="long_short_mode")
    bot = enter(floor, 65_000)
    assert floor.resting() == [("58000", "65000", "100")]
    if price is None:
        floor.send(bot, "CLOSE")
    floor.look(bot, price)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.resting() == []


def test_an_entry_that_fills_again_after_its_stop_is_protected(floor: Perpetuals) -> None:
    """What the cancel did not catch is a position like any other."""
    floor.server.settings(hold_fills=True, attach_at_first_fill=True)
    bot = floor.perpetual()
    floor.send(bot, "BUY", order_type=OrderType.LIMIT, limit_price=D(60_000), stop_loss=at(58_000)[0])
    entry = floor.server.orders("key")[0]["orderId"]
    floor.server.fill("key", entry, 40)
    floor.go_on(bot, 8)
    drop(floor, 57_900)()
    stop = next(each for each in floor.server.orders("key") if each["side"] == "sell")
    floor.server.fill("key", stop["orderId"])
    drop(floor, 60_000)()
    after_step(floor, "cancel noted", lambda: floor.server.fill("key", entry, 60))
    floor.wait(30)
    floor.go_on(bot, 12)
    assert floor.held() == floor.booked(bot) == D("0.06")
    assert [(stop, size) for stop, _, size in floor.resting()] == [("58000", "60")]


# The kill switch


def test_a_halted_connection_sends_no_protection(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.blofin.cancel_protection(BTC, floor.protection()["broker_ids"][0])
    floor.switch("HALTED")
    floor.wait(60)
    floor.go_on(bot)
    assert floor.resting() == []
    floor.switch("REDUCING")
    floor.wait(60)
    floor.go_on(bot)
    assert floor.resting() == [("58000", "", "100")]


def test_what_triggers_while_halted_is_booked(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.switch("HALTED")
    drop(floor, 57_900)()
    floor.wait(60)
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.events() == [("STOP", "DONE")]


# Calls


def test_a_trailing_stop_is_not_moved_for_every_tick(floor: Perpetuals) -> None:
    bot = enter(floor, trailing_stop_percent=D(2))
    floor.look(bot, 60_300)
    placed = len(floor.server.requests("POST", "/api/v1/trade/order-tpsl"))
    for price in range(60_301, 60_309):
        floor.look(bot, price, passes=1)
    assert len(floor.server.requests("POST", "/api/v1/trade/order-tpsl")) == placed
    assert floor.protection()["stop_price"] > 59_100
    floor.look(bot, 61_000)
    assert len(floor.server.requests("POST", "/api/v1/trade/order-tpsl")) == placed + 1


# What the monitor decides is about the position it has looked at


def pair(database: Database) -> tuple[TradingFloor, int, int]:
    floor = TradingFloor(database)
    made = []
    for symbol in ("AAPL", "MSFT"):
        floor.market.pin(symbol, D("200"), D("200.10"))
        made.append(floor.bot(symbol, trailing_stop_percent=D(10)))
    for bot in made:
        floor.send(bot, "BUY", stop_loss=at(190)[0])
        floor.wait(5)
        floor.work(bot)
    return floor, made[0], made[1]


def watch(floor: TradingFloor) -> None:
    with floor.database.session() as session:
        watch_risk(floor.desk, session, floor.connection_id)


def test_a_stop_of_the_last_position_never_closes_the_next(database: Database) -> None:
    floor, _, bot = pair(database)

    def enter_again() -> None:
        floor.send(bot, "CLOSE")
        floor.wait(5)
        floor.send(bot, "BUY", stop_loss=at(150)[0])
        floor.work(bot)

    floor.market.pin("MSFT", D("185"), D("185.10"))
    after_step(floor, "risk judged", enter_again)
    watch(floor)
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] > 0
    assert floor.all("SELECT kind FROM bot_risk_events") == []
    floor.paper_database.close()


def test_a_stop_moved_meanwhile_is_not_moved_back(database: Database) -> None:
    """The stop went to the entry while the monitor was asking for prices."""
    floor, _, bot = pair(database)

    def to_the_entry() -> None:
        with floor.database.transaction() as transaction:
            protections.move_stop(transaction, bot, stop_price=D("200.10"), best=None, now=floor.now)

    floor.market.pin("MSFT", D("201"), D("201.10"))
    after_step(floor, "risk judged", to_the_entry)
    watch(floor)
    stop: Row = floor.one("SELECT stop_price, trail_best FROM protections WHERE bot_config_id = %s", (bot,))
    assert (stop["stop_price"], stop["trail_best"]) == (D("200.10"), D("201"))
    floor.paper_database.close()
