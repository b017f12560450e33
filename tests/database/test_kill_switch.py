"""The kill switch against the real engine and the paper broker: what goes, what is closed, what is told."""

import pytest

from actions.safety import in_words
from core.bot import TradingState
from database import audit, bots, kill_switch, reports
from database.kill_switch import Change, NoSuchScope, Scope, Wanted
from database.pool import Database
from tests.database.trading_floor import TradingFloor


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    return TradingFloor(database)


def set_to(floor: TradingFloor, scope: Scope, scope_id: int | None, wanted: Wanted) -> Change:
    with floor.database.transaction() as transaction:
        return kill_switch.set_switch(transaction, scope, scope_id, wanted, actor="ann@example.org")


def finish(floor: TradingFloor) -> list[tuple[Scope, int | None]]:
    with floor.database.transaction() as transaction:
        return [(change.scope, change.id) for change in kill_switch.finish_flattened(transaction)]


def state(floor: TradingFloor, scope: Scope) -> tuple[str, bool]:
    with floor.database.transaction() as transaction:
        rows = kill_switch.switches_of(transaction, floor.user_id)
    (row,) = [row for row in rows if row["scope"] == scope]
    return row["trading_state"], row["flatten"]


def ids(floor: TradingFloor, bot: int) -> dict[Scope, int | None]:
    return {
        Scope.SERVER: None,
        Scope.USER: floor.user_id,
        Scope.CONNECTION: floor.connection_id,
        Scope.BOT: bot,
    }


@pytest.mark.parametrize("scope", list(Scope))
def test_reducing_refuses_entries_and_lets_exits_through(floor: TradingFloor, scope: Scope) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    set_to(floor, scope, ids(floor, bot)[scope], Wanted.REDUCING)
    assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
    refused = floor.send(bot, "BUY")
    assert (refused["state"], refused["code"]) == ("REFUSED", "KILL_SWITCH")
    set_to(floor, scope, ids(floor, bot)[scope], Wanted.ACTIVE)
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"


@pytest.mark.parametrize("scope", list(Scope))
def test_flatten_closes_everything_then_halts(floor: TradingFloor, scope: Scope) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    change = set_to(floor, scope, ids(floor, bot)[scope], Wanted.FLATTEN)
    assert (change.before, change.after, change.closing) == (Wanted.ACTIVE, Wanted.FLATTEN, (bot,))
    assert state(floor, scope) == ("REDUCING", True)
    assert finish(floor) == []
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] == 0
    assert finish(floor) == [(scope, ids(floor, bot)[scope])]
    assert state(floor, scope) == ("HALTED", False)
    assert finish(floor) == []
    assert floor.paper.positions() == ()


def test_flatten_of_one_bot_leaves_the_others_alone(floor: TradingFloor) -> None:
    first, second = floor.bot(timeframe="5 Min"), floor.bot(timeframe="15 Min")
    floor.send(first, "BUY")
    floor.send(second, "BUY")
    change = set_to(floor, Scope.BOT, first, Wanted.FLATTEN)
    assert change.closing == (first,)
    assert in_words(change) == "Closing what one bot holds; then it halts."
    floor.work(first)
    assert floor.bot_row(first)["quantity"] == 0
    assert floor.bot_row(second)["quantity"] > 0
    assert finish(floor) == [(Scope.BOT, first)]


def test_flatten_with_nothing_held_halts_at_once(floor: TradingFloor) -> None:
    bot = floor.bot()
    assert set_to(floor, Scope.USER, floor.user_id, Wanted.FLATTEN).closing == ()
    assert finish(floor) == [(Scope.USER, floor.user_id)]
    assert floor.bot_row(bot)["quantity"] == 0


def test_flatten_pressed_twice_asks_once(floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    for _ in range(2):
        set_to(floor, Scope.USER, floor.user_id, Wanted.FLATTEN)
    events = floor.all("SELECT state FROM bot_risk_events WHERE kind = 'FLATTEN'")
    assert [event["state"] for event in events] == ["OPEN"]


def test_flatten_also_closes_what_a_second_position_of_the_bot_holds(floor: TradingFloor) -> None:
    """An exit asked for while the bot is between two positions is not about the old one."""
    bot = floor.bot()
    floor.send(bot, "BUY")
    set_to(floor, Scope.BOT, bot, Wanted.FLATTEN)
    # What an entry under way at that moment still filled: another opening fill than at the asking.
    with floor.database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET opening_fill_id = opening_fill_id + 1000")
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] == 0


def test_active_again_withdraws_exits_that_are_not_planned(floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    set_to(floor, Scope.BOT, bot, Wanted.FLATTEN)
    set_to(floor, Scope.BOT, bot, Wanted.ACTIVE)
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] > 0
    (event,) = floor.all("SELECT * FROM bot_risk_events WHERE kind = 'FLATTEN'")
    assert event["state"] == "DONE"
    assert "Withdrawn" in event["action_taken"]


def test_active_again_leaves_the_exits_that_a_wider_switch_wants(floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    set_to(floor, Scope.USER, floor.user_id, Wanted.FLATTEN)
    set_to(floor, Scope.BOT, bot, Wanted.ACTIVE)
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] == 0


def test_flatten_says_which_bots_a_halted_switch_holds_back(floor: TradingFloor) -> None:
    bot = floor.bot()
    floor.send(bot, "BUY")
    set_to(floor, Scope.BOT, bot, Wanted.HALTED)
    change = set_to(floor, Scope.USER, floor.user_id, Wanted.FLATTEN)
    assert change.held_back == (bot,)
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] > 0
    assert finish(floor) == []
    set_to(floor, Scope.BOT, bot, Wanted.REDUCING)
    floor.wait(10)
    floor.work(bot)
    assert floor.bot_row(bot)["quantity"] == 0
    assert finish(floor) == [(Scope.USER, floor.user_id)]


def test_a_switch_of_somebody_else_does_not_exist(floor: TradingFloor) -> None:
    bot = floor.bot()
    stranger = floor.one(
        "INSERT INTO users (email, password_hash) VALUES ('eve@example.org', 'x') RETURNING id"
    )
    for scope, scope_id in ids(floor, bot).items():
        with pytest.raises(NoSuchScope), floor.database.transaction() as transaction:
            kill_switch.set_switch(
                transaction, scope, scope_id, Wanted.HALTED, actor="eve", owner=stranger["id"]
            )
    with pytest.raises(NoSuchScope, match="no bot 4711"):
        set_to(floor, Scope.BOT, 4711, Wanted.HALTED)


def test_every_change_is_written_down_and_told(floor: TradingFloor) -> None:
    set_to(floor, Scope.USER, floor.user_id, Wanted.HALTED)
    with floor.database.transaction() as transaction:
        (record,) = audit.newest(transaction, user_id=floor.user_id)
    assert (record["actor"], record["before"]["state"], record["after"]["state"]) == (
        "ann@example.org", "ACTIVE", "HALTED",
    )  # fmt: skip
    (news,) = floor.all("SELECT * FROM notifications")
    assert (news["kind"], news["content"]["state"], news["content"]["scope"]) == (
        "KILL_SWITCH",
        "HALTED",
        "user",
    )


def test_after_a_restore_a_connection_is_halted_until_it_is_reconciled(floor: TradingFloor) -> None:
    bot = floor.bot()
    with floor.database.transaction() as transaction:
        assert kill_switch.halt_after_restore(transaction) == 1
        assert kill_switch.halt_after_restore(transaction) == 1
        assert kill_switch.waiting_for_reconcile(transaction) == 1
        assert bots.trading_states(transaction, bot).connection is TradingState.HALTED
        assert kill_switch.lift_after_reconcile(transaction, floor.connection_id)
        assert not kill_switch.lift_after_reconcile(transaction, floor.connection_id)
        assert bots.trading_states(transaction, bot).connection is TradingState.ACTIVE


@pytest.mark.parametrize("wanted", [Wanted.ACTIVE, Wanted.REDUCING, Wanted.HALTED])
def test_what_is_set_after_a_restore_holds_from_the_reconcile_on(floor: TradingFloor, wanted: Wanted) -> None:
    bot = floor.bot()
    with floor.database.transaction() as transaction:
        kill_switch.halt_after_restore(transaction)
    assert set_to(floor, Scope.CONNECTION, floor.connection_id, wanted).waits_for_reconcile
    with floor.database.transaction() as transaction:
        assert bots.trading_states(transaction, bot).connection is TradingState.HALTED
        kill_switch.lift_after_reconcile(transaction, floor.connection_id)
        assert bots.trading_states(transaction, bot).connection == wanted.state


def test_a_trace_tells_the_whole_way_of_a_signal_to_its_owner_only(floor: TradingFloor) -> None:
    bot = floor.bot()
    row = floor.send(bot, "BUY")
    with floor.database.transaction() as transaction:
        found = reports.trace(transaction, floor.user_id, row["uuid"])
        assert reports.trace(transaction, floor.user_id + 1, row["uuid"]) is None
        assert reports.owner_of_signal(transaction, row["uuid"]) == floor.user_id
    assert found is not None
    assert (found["state"], found["code"]) == ("EXECUTED", "EXECUTED")
    (leg,) = found["plan"]["legs"]
    assert leg["trade"]["filled_qty"] == floor.bot_row(bot)["quantity"]
    (order,) = leg["orders"]
    assert sum(fill["quantity"] for fill in order["fills"]) == order["filled_quantity"]
    times = [step["at"] for step in found["steps"]]
    assert times == sorted(times)
    assert {"received", "decided", "outcome: EXECUTED"} <= {step["what"] for step in found["steps"]}
