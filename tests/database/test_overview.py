"""The Overview in each state, and that what it reads stays small however many bots there are."""

from decimal import Decimal

import pytest

from core.bot import ConnectionStatus
from core.instrument import AssetClass
from core.trading_day import trading_day
from database import bot_list, bots, reports
from tests.database.office import Office, open_office, with_database
from tests.database.test_reading_pages import heard, of
from tests.database.test_setup_pages import words
from tests.database.trading_floor import TradingFloor
from ui import overview
from ui.services import now


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def floor(office: Office) -> TradingFloor:
    """Give a user with eight bots, of which one holds something."""
    floor = TradingFloor(office.services.database, email="floor@example.org")
    floor.market.pin("AAPL", "100", "100")
    first, *_ = [floor.bot("AAPL", f"{number} Min") for number in (5, 15, 30, 45)]
    for number in (5, 15, 30, 45):
        floor.bot("MSFT", f"{number} Min")
    floor.send(first, "BUY")
    heard(floor)
    return floor


def set_bots(floor: TradingFloor, count: int, **columns: str) -> None:
    values = ", ".join(f"{name} = %({name})s" for name in columns)
    floor.all(
        f"""
        UPDATE user_bot_configs SET {values} WHERE id IN (
            SELECT id FROM user_bot_configs WHERE user_id = %(user)s ORDER BY id LIMIT %(count)s) RETURNING id
        """,
        {"user": floor.user_id, "count": count, **columns},
    )


def test_a_new_account_sees_what_runs_and_no_figure(office: Office) -> None:
    page = office.draw(overview.draw)
    text = words(page)
    assert "Worker is not started" in text
    assert "No bot holds anything." in text
    assert "No signal came yet" in text
    assert not page.metric


def test_money_positions_and_signals_are_there(floor: TradingFloor) -> None:
    page = of(floor).draw(overview.draw)
    assert not page.exception
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Open positions"] == "1"
    assert shown["Bots enabled"] == "8 of 8"
    positions, signals = (frame.value for frame in page.dataframe)
    assert len(positions) == len(signals) == 1
    assert "needs a look" not in words(page)


@pytest.mark.parametrize(("count", "said"), [(1, "1 bot needs a look"), (8, "8 bots need a look")])
def test_bots_in_trouble_are_named_and_counted(floor: TradingFloor, count: int, said: str) -> None:
    set_bots(floor, count, order_status="ERROR")
    assert said in words(of(floor).draw(overview.draw))
    with floor.database.transaction() as transaction:
        rows = bot_list.bots_in_trouble(transaction, floor.user_id, 6)
    assert len(rows) == min(count, 6)
    assert {row["in_all"] for row in rows} == {count}


def test_a_few_stopped_bots_are_named_and_many_are_counted(floor: TradingFloor) -> None:
    set_bots(floor, 1, trading_state="HALTED")
    assert "is HALTED: nothing is sent, not even protection." in words(of(floor).draw(overview.draw))
    set_bots(floor, 8, trading_state="REDUCING")
    assert "8 bots are stopped by their kill switch." in words(of(floor).draw(overview.draw))


def test_only_switches_that_stop_something_are_read_and_none_of_anothers(
    office: Office, floor: TradingFloor
) -> None:
    eve = TradingFloor(office.services.database, email="eve@example.org")
    eve.bot("AAPL")
    set_bots(floor, 7, trading_state="REDUCING")
    floor.all(
        "UPDATE user_api_keys SET trading_state = 'HALTED' WHERE user_id = %s RETURNING id", (floor.user_id,)
    )
    with office.services.database.transaction() as transaction:
        rows = reports.switches_that_stop(transaction, floor.user_id, 3)
        assert reports.switches_that_stop(transaction, eve.user_id, 3) == []
        assert bot_list.bots_in_trouble(transaction, eve.user_id, 3) == []
    assert [row["scope"] for row in rows] == ["connection", "bot", "bot", "bot"]
    assert {row["bots_in_all"] for row in rows if row["scope"] == "bot"} == {7}


def test_a_broker_in_trouble_and_live_money_are_said(floor: TradingFloor) -> None:
    with floor.database.transaction() as transaction:
        bots.note_connection(
            transaction, floor.connection_id, ConnectionStatus.PROBLEM, "The broker is down.", floor.now
        )
    floor.all("UPDATE user_api_keys SET mode = 'live', broker = 'alpaca' WHERE user_id = %s RETURNING id",
              (floor.user_id,))  # fmt: skip
    text = words(of(floor).draw(overview.draw))
    assert "Practice: trouble" in text
    assert "The broker is down." in text
    assert "LIVE" in text


def test_a_database_that_is_away_is_said_calmly(
    office: Office, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{free_port}/d", monkeypatch)
    assert "The database does not answer" in words(office.draw(overview.draw))


def test_todays_gain_is_that_of_today(floor: TradingFloor) -> None:
    made = Decimal("12.34")
    floor.all(
        """
        INSERT INTO bot_performance (bot_config_id, user_id, day, pnl)
        SELECT id, user_id, %(today)s::date - number, %(pnl)s * (1 + 9 * number)
          FROM user_bot_configs, generate_series(0, 1) AS number WHERE user_id = %(user)s AND symbol = 'MSFT'
        RETURNING day
        """,
        {"user": floor.user_id, "pnl": made, "today": trading_day(now(), AssetClass.STOCK)},
    )
    page = of(floor).draw(overview.draw)
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["P&L today"] == "▲ +49.36"
