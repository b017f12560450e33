"""A stop that rests at BloFin and triggers before anybody has seen its id: what it closed is booked as its trade."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from bot_database import Database
from engine.reconcile import reconcile
from tests.blofin_server.local import running_server
from tests.database.perpetuals import BTC, Perpetuals, at, enter

D = Decimal
TPSL = "*tpsl*"
START = D(100_000)


@pytest.fixture
def floor(database: Database) -> Iterator[Perpetuals]:
    with running_server() as server:
        floor = Perpetuals(database, server)
        yield floor
        floor.paper_database.close()


def money(floor: Perpetuals) -> tuple[Decimal, Decimal]:
    """Return what the ledger says was earned, and what the account's money changed by."""
    [details] = floor.server.books("key")["balance"]["details"]
    earned = floor.one("SELECT sum(total_pnl) AS earned FROM user_bot_configs")["earned"]
    return earned, D(details["balance"]) - START


def through_the_stop_unseen(floor: Perpetuals, bot: int) -> None:
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.price(BTC, 60_000, 60_001)
    floor.server.clear_faults()
    for _ in range(4):
        floor.look(bot)


def test_what_it_closed_is_no_close_from_outside(floor: Perpetuals) -> None:
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    bot = enter(floor)
    assert floor.protection()["broker_ids"] == []
    through_the_stop_unseen(floor, bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert [kind for kind, _ in floor.events()] == ["STOP"]
    assert floor.all("SELECT kind FROM fills WHERE kind <> 'TRADE'") == []
    earned, changed = money(floor)
    assert earned == changed < 0


def test_a_signal_to_leave_that_comes_first_books_it_as_well(floor: Perpetuals) -> None:
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    bot = enter(floor)
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.clear_faults()
    floor.send(bot, "CLOSE")
    floor.go_on(bot)
    assert (floor.booked(bot), floor.held()) == (0, 0)
    assert floor.all("SELECT kind FROM fills WHERE kind <> 'TRADE'") == []
    earned, changed = money(floor)
    assert earned == changed < 0


def test_the_stop_of_the_position_before_is_not_taken_for_this_ones(floor: Perpetuals) -> None:
    """The same prices, a moment later, and its own stop not seen yet: only what is not booked may be its exit."""
    bot = enter(floor)
    floor.server.price(BTC, 57_900, 57_901)
    floor.look(bot)
    assert floor.booked(bot) == 0
    floor.server.price(BTC, 60_000, 60_001)
    nothing = '{"code": "0", "msg": "", "data": []}'
    floor.server.fault("answer_before", "GET", "*tpsl-pending", status=200, body=nothing, count=2)
    again = enter_again(floor, bot)
    assert floor.booked(bot) == floor.held() == again
    floor.go_on(bot)
    assert floor.booked(bot) == floor.held() == again
    assert floor.resting() == [("58000", "", "100")]


def enter_again(floor: Perpetuals, bot: int) -> Decimal:
    """Enter as before; return what is held then."""
    floor.send(bot, "BUY", stop_loss=at(58_000)[0])
    return floor.held()


def compare(floor: Perpetuals) -> None:
    """Let the watch compare the books, twice and far enough apart to believe a gap."""
    for _ in range(3):
        with floor.database.session() as session:
            reconcile(floor.desk, session, floor.connection_id)
        floor.wait(6)


def test_what_a_stop_closed_is_nobodys_gap_before_it_was_looked_at(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.price(BTC, 60_000, 60_001)
    compare(floor)
    assert (floor.booked(bot), floor.held(), floor.events()) == (D("0.1"), 0, [])
    floor.server.clear_faults()
    compare(floor)
    floor.go_on(bot)
    assert [kind for kind, _ in floor.events()] == ["STOP"]
    assert floor.booked(bot) == 0


def test_a_stop_that_is_booked_while_the_gap_is_judged_is_none(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.price(BTC, 60_000, 60_001)
    compare(floor)
    floor.server.clear_faults()
    floor.desk = replace(floor.desk, step=lambda name: floor.work(bot) if name == "gap stands" else None)
    compare(floor)
    assert [kind for kind, _ in floor.events()] == ["STOP"]
    assert floor.booked(bot) == floor.held() == 0


def test_an_entry_of_another_bot_waits_until_the_stop_was_looked_at(floor: Perpetuals) -> None:
    enter(floor)
    other = floor.perpetual(timeframe="1 Hour")
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.server.price(BTC, 57_900, 57_901)
    floor.server.price(BTC, 60_000, 60_001)
    floor.send(other, "BUY")
    floor.go_on(other, passes=4)
    assert floor.events() == []
    floor.server.clear_faults()
    floor.go_on(other)
    assert [kind for kind, _ in floor.events()] == ["STOP"]
    assert floor.booked(other) == floor.held() > 0


def test_a_gap_that_no_stop_explains_is_told_as_soon_as_the_stop_was_looked_at(floor: Perpetuals) -> None:
    bot = enter(floor)
    floor.by_hand()
    compare(floor)
    floor.go_on(bot)
    compare(floor)
    assert ("ACCOUNT_MISMATCH", "NOTED") in floor.events()


def test_a_gap_is_told_in_the_end_although_nobody_can_look(floor: Perpetuals) -> None:
    enter(floor)
    floor.server.fault("answer_before", "*", TPSL, status=503, count=-1)
    floor.by_hand()
    compare(floor)
    floor.wait(120)
    compare(floor)
    assert ("ACCOUNT_MISMATCH", "NOTED") in floor.events()


def test_a_stop_that_was_moved_often_keeps_no_exit_waiting(floor: Perpetuals) -> None:
    """What was taken away at each move lies in the exchange's history, and none of it is asked for."""
    bot = enter(floor, trailing_stop_percent=D(1))
    for price in range(61_000, 65_000, 1_000):
        floor.look(bot, price)
    before = len(floor.server.requests())
    floor.send(bot, "CLOSE")
    asked = [request["path"] for request in floor.server.requests()[before:]]
    assert floor.booked(bot) == floor.held() == 0
    assert len([path for path in asked if path.endswith("tpsl-history")]) <= 2
