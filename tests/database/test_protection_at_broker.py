"""Stops and targets that rest at BloFin: attached, shrunk, moved, lifted, restored, and booked when they trigger."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest

from bot_database import Database
from brokers.blofin import BlofinBroker
from core.signal import Action, Signal
from engine.monitor import watch_risk
from tests.blofin_server.local import running_server
from tests.database.perpetuals import BTC, KEYS, Perpetuals, at, enter

D = Decimal


@pytest.fixture
def floor(database: Database) -> Iterator[Perpetuals]:
    with running_server() as server:
        floor = Perpetuals(database, server)
        yield floor
        floor.paper_database.close()


def test_stop_and_target_rest_for_the_filled_quantity(floor: Perpetuals) -> None:
    bot = enter(floor, 65_000)
    assert floor.bot_row(bot)["quantity"] == D("0.1")
    assert floor.resting() == [("58000", "65000", "100")]
    row = floor.protection()
    assert (row["held_by"], len(row["broker_ids"])) == ("BROKER", 1)
    order = floor.one("SELECT * FROM orders")
    assert (order["leverage"], order["margin_mode"], order["stop_loss"]) == (5, "isolated", 58_000)


@pytest.mark.parametrize(("price", "kind", "pnl"), [(57_900, "STOP", -1), (65_100, "TARGET", 1)])
def test_what_triggers_at_the_exchange_is_booked_to_the_bot(
    floor: Perpetuals, price: int, kind: str, pnl: int
) -> None:
    bot = enter(floor, 65_000)
    floor.look(bot, price)
    row = floor.bot_row(bot)
    assert row["quantity"] == 0
    assert floor.held() == 0
    assert floor.events() == [(kind, "DONE")]
    assert row["total_pnl"] * pnl > 200
    exits = floor.all("SELECT * FROM orders WHERE purpose = 'CLOSE'")
    assert [(each["state"], each["filled_quantity"]) for each in exits] == [("FILLED", D("0.1"))]
    assert row["own_exit"] == "LONG"
    assert floor.resting() == []
    assert floor.all("SELECT * FROM protections") == []
    assert len([o for o in floor.server.orders("key") if o["side"] == "sell"]) == 1


def test_a_trigger_that_only_the_lane_sees_is_booked_as_well(floor: Perpetuals) -> None:
    """The price was there and back before the monitor looked."""
    bot = enter(floor, 65_000)
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.price(BTC, 60_000, 60_001)
    floor.wait(60)
    floor.go_on(bot)
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.events() == [("STOP", "DONE")]


def test_a_close_lifts_what_rests_first(floor: Perpetuals) -> None:
    bot = enter(floor, 65_000)
    signal = floor.send(bot, "CLOSE")
    floor.go_on(bot)
    signal = floor.signal(signal["uuid"])
    assert signal["state"] == "EXECUTED"
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.resting() == []
    exits = [o for o in floor.server.orders("key") if o["side"] == "sell"]
    assert [str(each["reduceOnly"]).lower() for each in exits] == ["true"]


def test_a_close_that_meets_a_triggered_stop_closes_nothing_twice(floor: Perpetuals) -> None:
    bot = enter(floor, 65_000)
    floor.server.price(BTC, 57_900, 57_901)
    signal = floor.send(bot, "CLOSE")
    floor.go_on(bot)
    signal = floor.signal(signal["uuid"])
    assert (signal["state"], signal["code"]) == ("EXECUTED", "ALREADY_FLAT"), signal
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.held() == 0
    assert len([o for o in floor.server.orders("key") if o["side"] == "sell"]) == 1


def test_the_stop_shrinks_after_each_target(floor: Perpetuals) -> None:
    bot = enter(floor, 62_000, 64_000, break_even_after=1)
    assert floor.resting() == [("58000", "", "100")]
    floor.look(bot, 62_000)
    assert floor.bot_row(bot)["quantity"] == D("0.05")
    assert [(D(stop) > 60_001, size) for stop, _, size in floor.resting()] == [(True, "50")]
    floor.look(bot, 64_000)
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.held() == 0
    assert floor.resting() == []


def test_a_trailing_stop_is_moved_at_the_exchange(floor: Perpetuals) -> None:
    bot = enter(floor, trailing_stop_percent=D(1))
    floor.look(bot, 63_000)
    moved = floor.protection()["stop_price"]
    assert moved > 62_000
    assert [D(stop) for stop, _, _ in floor.resting()] == [moved]
    floor.look(bot, 62_000)
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.held() == 0


def test_a_stop_that_somebody_took_away_is_restored_and_told(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.blofin.cancel_protection(BTC, floor.protection()["broker_ids"][0])
    assert floor.resting() == []
    floor.wait(60)
    floor.go_on(bot)
    assert floor.resting() == [("58000", "", "100")]
    assert floor.events() == [("PROTECTION_MISSING", "NOTED")]
    assert len(floor.all("SELECT id FROM notifications WHERE kind = 'PROTECTION_MISSING'")) == 1


def test_with_a_second_bot_on_the_symbol_the_engine_holds_all(floor: Perpetuals) -> None:
    first = enter(floor, 65_000)
    second = enter(floor, 66_000, timeframe="30 Min")
    floor.wait(60)
    floor.go_on(first)
    assert floor.resting() == []
    assert {row["held_by"] for row in floor.all("SELECT held_by FROM protections")} == {"ENGINE"}
    floor.look(first, 65_000)
    assert floor.bot_row(first)["quantity"] == 0
    assert floor.bot_row(second)["quantity"] > 0
    assert floor.held() == floor.bot_row(second)["quantity"]


def test_a_short_is_protected_from_above(floor: Perpetuals) -> None:
    bot = enter(floor, 57_000, stop=62_000, action="SELL")
    assert floor.bot_row(bot)["quantity"] < 0
    assert [(stop, target) for stop, target, _ in floor.resting()] == [("62000", "57000")]
    floor.look(bot, 62_100)
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.held() == 0


@pytest.mark.parametrize("kind", ["answer_after", "drop_after"])
def test_a_placing_whose_answer_is_lost_rests_once(floor: Perpetuals, kind: str) -> None:
    bot = enter(floor, 62_000, 64_000)
    status = {"status": 502} if kind == "answer_after" else {}
    floor.server.fault(kind, "POST", "/api/v1/trade/order-tpsl", **status)
    floor.look(bot, 62_000, passes=14)
    assert [size for _, _, size in floor.resting()] == ["50"]


def test_a_stop_the_exchange_refuses_is_watched_by_the_engine(floor: Perpetuals) -> None:
    bot = enter(floor, 62_000, 64_000)
    floor.server.operation_error("102037", path="/api/v1/trade/order-tpsl", count=50)
    floor.blofin.cancel_protection(BTC, floor.protection()["broker_ids"][0])
    floor.wait(60)
    floor.go_on(bot)
    assert ("PROTECTION_MISSING", "NOTED") in floor.events()
    floor.look(bot, 57_900)
    assert floor.bot_row(bot)["quantity"] == 0
    assert floor.held() == 0


def test_a_stop_behind_the_liquidation_is_refused(floor: Perpetuals) -> None:
    bot = floor.perpetual()
    signal = floor.send(bot, "BUY", stop_loss=at(47_000)[0])
    assert (signal["state"], signal["code"]) == ("REFUSED", "LIQUIDATION_BEFORE_STOP")
    assert floor.server.orders("key") == []


def test_the_signals_leverage_counts_up_to_the_bots_maximum(floor: Perpetuals) -> None:
    bot = floor.perpetual(max_leverage=20)
    refused = floor.send(bot, "BUY", leverage=D(25))
    assert (refused["state"], refused["code"]) == ("REFUSED", "LEVERAGE_TOO_HIGH")
    floor.send(bot, "BUY", leverage=D(20))
    floor.go_on(bot)
    assert floor.one("SELECT leverage FROM orders")["leverage"] == 20
    assert floor.blofin.positions()[0].leverage == 20


# Dying in between


class Died(BaseException):
    """Stand for the end of the process."""


def live(floor: Perpetuals, bot: int, moments: int) -> list[str]:
    """Work the lane as a process that dies at its `moments`th step; return the steps it lived, all with 0."""
    lived: list[str] = []

    def step(name: str) -> None:
        lived.append(name)
        if len(lived) == moments:
            raise Died

    alive = floor.desk
    floor.desk = replace(alive, step=step)
    with suppress(Died):
        floor.go_on(bot)
    floor.desk = alive
    return lived


def begin_again(floor: Perpetuals) -> None:
    """Let a new process take over: it knows nothing but the tables."""
    floor.blofin = BlofinBroker(KEYS, base_url=floor.server.url)
    floor.broker = floor.blofin


def story(floor: Perpetuals, name: str) -> int:
    """Bring about what the lane is to do something about."""
    if name == "entry":
        bot = floor.perpetual()
        floor.store(bot, signal("BUY", stop=58_000, targets=(65_000,)))
        return bot
    bot = enter(floor, 62_000, 64_000, break_even_after=1)
    if name == "close":
        floor.store(bot, signal("CLOSE"))
    else:
        floor.server.price(BTC, *{"target": (62_000, 62_001), "stop": (57_900, 57_901)}[name])
        with floor.database.session() as session:
            watch_risk(floor.desk, session, floor.connection_id)
    return bot


def signal(action: str, *, stop: int | None = None, targets: tuple[int, ...] = ()) -> Signal:
    return Signal(
        action=Action(action),
        symbol=BTC,
        stop_loss=at(stop)[0] if stop else None,
        take_profits=at(*targets),
    )


def end(floor: Perpetuals, bot: int) -> dict[str, object]:
    row = floor.bot_row(bot)
    assert floor.held() == row["quantity"]
    orders = [(o["side"], o["size"]) for o in floor.server.orders("key")]
    return {
        "position": (row["quantity"], row["total_pnl"], row["total_trades"]),
        "orders": sorted(orders),
        "resting": floor.resting(),
        "events": floor.events(),
        "signals": [tuple(s.values()) for s in floor.all("SELECT state, code FROM signals ORDER BY id")],
    }


@pytest.mark.parametrize("name", ["entry", "close", "target", "stop"])
def test_a_death_at_any_moment_leaves_the_same_protection(database: Database, name: str) -> None:
    expected: dict[str, object] = {}
    moments = 0
    while True:
        with running_server() as server:
            floor = Perpetuals(database, server)
            bot = story(floor, name)
            lived = live(floor, bot, moments)
            begin_again(floor)
            floor.go_on(bot, passes=30)
            ended = end(floor, bot)
            floor.paper_database.close()
            with database.transaction() as transaction:
                transaction.execute("DELETE FROM users")
        if not moments:
            expected = ended
            steps = len(lived)
            assert steps > 3
        else:
            assert unsent(lived, ended) or ended == expected, f"died at {moments}: {lived[-3:]}"
        if moments == steps:
            return
        moments += 1


def unsent(lived: list[str], ended: dict[str, object]) -> bool:
    """Tell whether an entry died before it was handed over: nobody knows of it, so it is never sent."""
    died_before_sending = lived[-1] in {"leg started", "order committed", "attempt committed"}
    return died_before_sending and ended["signals"] == [("FAILED", "NOT_RECEIVED")] and ended["orders"] == []
