"""What reconcile makes of an account that does not hold what the bots do."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from bot_database import Database, lanes
from core.errors import Unavailable
from engine.reconcile import reconcile
from tests.database.trading_floor import TradingFloor

D = Decimal


@pytest.fixture
def floor(database: Database) -> Iterator[TradingFloor]:
    floor = TradingFloor(database)
    floor.market.pin("BTC/USD", D("50000"), D("50001"))
    yield floor
    floor.paper_database.close()


def look(floor: TradingFloor) -> None:
    with floor.database.session() as session:
        assert reconcile(floor.desk, session, floor.connection_id)


def move_account(floor: TradingFloor, change: Decimal) -> None:
    """Let the account's holding change without any order of ours."""
    with floor.database.transaction() as transaction:
        transaction.execute("UPDATE paper_positions SET quantity = quantity + %s", (change,))


def test_a_fee_put_right_is_booked_and_nobody_is_alarmed(floor: TradingFloor) -> None:
    bot, other = floor.bot("BTC/USD"), floor.bot("BTC/USD", "1 Hour", size="10000")
    floor.send(bot, "BUY")
    floor.send(other, "BUY")
    move_account(floor, D("0.0002"))
    look(floor)
    assert not floor.all("SELECT * FROM fills WHERE kind <> 'TRADE'")
    floor.wait(6)
    look(floor)
    corrections = floor.all("SELECT * FROM fills WHERE kind = 'FEE_CORRECTION' ORDER BY id")
    assert [row["bot_config_id"] for row in corrections] == [bot, other]
    assert sum(row["quantity"] for row in corrections) == D("0.0002")
    assert corrections[1]["quantity"] > corrections[0]["quantity"]
    held = floor.bot_row(bot)["quantity"] + floor.bot_row(other)["quantity"]
    assert held == floor.paper.position("BTC/USD").quantity
    assert not floor.all("SELECT * FROM bot_risk_events")
    assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
    assert floor.send(other, "CLOSE")["state"] == "EXECUTED"
    assert abs(floor.paper.position("BTC/USD").quantity) < D("0.00000001")


def test_what_nobody_explains_stops_entries_until_the_user_decides(floor: TradingFloor) -> None:
    bot, other = floor.bot("BTC/USD"), floor.bot("BTC/USD", "1 Hour")
    floor.send(bot, "BUY")
    move_account(floor, D("0.5"))
    look(floor)
    assert not floor.all("SELECT * FROM bot_risk_events")
    floor.wait(6)
    look(floor)
    look(floor)
    (event,) = floor.all("SELECT * FROM bot_risk_events")
    assert event["kind"] == "ACCOUNT_MISMATCH"
    (told,) = floor.all("SELECT * FROM notifications WHERE kind = 'ACCOUNT_MISMATCH'")
    assert "BTC/USD" in told["content"]["sentence"]
    assert floor.send(other, "BUY")["code"] == "ACCOUNT_MISMATCH"
    before = floor.bot_row(bot)["quantity"]
    assert floor.send(bot, "CLOSE")["state"] == "EXECUTED"
    assert floor.paper.position("BTC/USD").quantity == D("0.5")
    assert before > 0
    with floor.database.transaction() as transaction:
        lanes.acknowledge_foreign(transaction, floor.bot_row(bot)["lane_id"], D("0.5"))
    assert floor.send(other, "BUY")["state"] == "EXECUTED"


def test_a_mismatch_that_goes_away_lifts_itself(floor: TradingFloor) -> None:
    bot = floor.bot("BTC/USD")
    floor.send(bot, "BUY")
    move_account(floor, D("0.5"))
    look(floor)
    floor.wait(6)
    look(floor)
    lane = floor.one("SELECT * FROM lanes")
    assert lane["mismatch_since"] is not None
    move_account(floor, D("-0.5"))
    look(floor)
    assert floor.one("SELECT * FROM lanes")["mismatch_since"] is None


def test_one_silence_of_the_broker_is_no_problem_and_two_are(floor: TradingFloor) -> None:
    class Silent:
        capabilities = floor.paper.capabilities

        def account(self) -> None:
            raise Unavailable("connection refused")

    def try_it() -> dict[str, object]:
        with floor.database.session() as session:
            assert not reconcile(floor.desk, session, floor.connection_id)
        return floor.one("SELECT status, last_error FROM user_api_keys")

    bot = floor.bot("BTC/USD")
    floor.broker = Silent()  # type: ignore[assignment]
    assert try_it() == {"status": "OK", "last_error": "connection refused"}
    assert not floor.all("SELECT * FROM notifications")
    assert try_it()["status"] == "PROBLEM"
    assert try_it()["status"] == "PROBLEM"
    (told,) = floor.all("SELECT * FROM notifications")
    assert told["kind"] == "CONNECTION_BROKEN"
    assert floor.send(bot, "BUY")["code"] == "CONNECTION_PROBLEM"
    floor.broker = floor.paper
    look(floor)
    assert floor.one("SELECT status, last_error FROM user_api_keys") == {"status": "OK", "last_error": None}
    assert floor.send(bot, "BUY")["state"] == "EXECUTED"
