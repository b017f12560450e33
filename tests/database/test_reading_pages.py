"""Live Positions, Trade History, Performance and Risk Events in each state: empty, normal, broker or database down."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from streamlit.testing.v1 import AppTest

from core.bot import ConnectionStatus
from database import accounts, bots, lanes, risk
from database.history import TradeFilter
from tests.database.office import Office, open_office, with_database
from tests.database.test_setup_pages import press, words
from tests.database.trading_floor import TradingFloor
from ui.services import services
from ui.trading_bot import live_positions, performance, risk_events, trade_history
from ui.trading_bot.trade_history import exported, time_range

TABS = (live_positions, trade_history, performance, risk_events)


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


@pytest.fixture
def floor(office: Office) -> TradingFloor:
    """Give a user whose bots hold a long and a short and have closed trades with gain and loss."""
    floor = TradingFloor(office.services.database, email="floor@example.org")
    apple, soft = floor.bot("AAPL", stop_loss_percent=Decimal(5)), floor.bot("MSFT")
    for at in ("100", "103", "101"):
        floor.market.pin("AAPL", at, at)
        floor.market.pin("MSFT", "50", "50")
        floor.wait(60)
        floor.send(apple, "BUY")
        floor.wait(60)
        floor.send(apple, "CLOSE")
        floor.market.pin("AAPL", "102", "102")
        floor.send(apple, "BUY")
        floor.market.pin("AAPL", "101", "101")
        floor.send(apple, "CLOSE")
    floor.send(apple, "BUY")
    floor.send(soft, "SELL")
    heard(floor)
    return floor


def heard(floor: TradingFloor, at: datetime | None = None) -> None:
    """Store what the broker says now, as if it had been said at a time."""
    at = at or datetime.now(UTC)
    account = replace(floor.paper.account(), at=at)
    with floor.database.transaction() as transaction:
        risk.store_positions(transaction, floor.connection_id, floor.paper.positions(), at)
        risk.store_account(transaction, floor.connection_id, account, curve=True)


def of(floor: TradingFloor) -> Office:
    """Return the dashboard of the floor's user."""
    with floor.database.transaction() as transaction:
        user = accounts.user(transaction, floor.user_id)
    assert user is not None
    return Office(services=services(), user=user)


def table(page: AppTest, number: int = 0) -> list[dict[str, str]]:
    return page.dataframe[number].value.to_dict("records")


@pytest.mark.parametrize(
    ("tab", "told"),
    [
        (live_positions, "Connect a broker first"),
        (trade_history, "Make one in the tab My Bots"),
        (performance, "Make one in the tab My Bots"),
        (risk_events, "Nothing happened yet"),
    ],
)
def test_an_empty_tab_says_what_to_do(office: Office, tab, told: str) -> None:
    page = office.draw(tab.draw)
    assert told in words(page)
    assert not page.dataframe


def test_a_bot_that_never_traded_is_told_so(office: Office) -> None:
    floor = TradingFloor(office.services.database, email="floor@example.org")
    floor.bot("AAPL")
    assert "No trade yet. Send a test alert" in words(of(floor).draw(trade_history.draw))
    assert "No trade is booked yet" in words(of(floor).draw(performance.draw))
    assert "No bot holds anything" in words(of(floor).draw(live_positions.draw))


@pytest.mark.parametrize("tab", TABS)
def test_a_database_that_is_away_is_said_calmly(
    office: Office, tab, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{free_port}/d", monkeypatch)
    assert "The database does not answer" in words(office.draw(tab.draw))


def test_positions_show_side_prices_and_who_watches_the_stop(floor: TradingFloor) -> None:
    text = words(of(floor).draw(live_positions.draw))
    for shown in (
        "▲ LONG",
        "▼ SHORT",
        "**2** open",
        "**1** long",
        "**1** short",
        "Buying power",
        "prices are simulated",
    ):
        assert shown in text
    assert "Stop 95.95 · no target · watched by DashTrade" in text
    assert "No stop and no target." in text
    assert "price from 0 s ago" in text or "price from 1 s ago" in text
    assert "PAPER" in text


def test_a_position_is_closed_after_asking(floor: TradingFloor) -> None:
    office = of(floor)
    page = office.draw(live_positions.draw)
    assert "Close **LONG 49" in words(page)
    page.button(key="close-1").click().run()
    assert "is closing" in words(page)
    event = floor.one("SELECT * FROM bot_risk_events WHERE kind = 'MANUAL_CLOSE'")
    assert (event["bot_config_id"], event["state"]) == (1, "OPEN")
    # Asked once, it is not asked again
    assert "close-1" not in {button.key for button in page.button}
    assert "Its close is under way." in words(page)
    floor.work(1)
    heard(floor)
    again = words(office.draw(live_positions.draw))
    assert "**1** open" in again
    assert "LONG" not in again


def test_an_old_price_and_a_broker_that_is_down_are_said(floor: TradingFloor) -> None:
    heard(floor, datetime.now(UTC) - timedelta(minutes=10))
    with floor.database.transaction() as transaction:
        bots.note_connection(
            transaction, floor.connection_id, ConnectionStatus.PROBLEM, "unauthorized.", datetime.now(UTC)
        )
    text = words(of(floor).draw(live_positions.draw))
    assert "10 min ago" in text
    assert "price and P&L are old" in text
    assert "unauthorized" in text
    assert "▲ LONG" in text


def test_real_money_is_marked(floor: TradingFloor) -> None:
    floor.all("UPDATE user_api_keys SET broker = 'alpaca', mode = 'live' RETURNING id")
    text = words(of(floor).draw(live_positions.draw))
    assert ":red-badge[LIVE]" in text
    assert "simulated" not in text
    # No prices are kept of that broker: nothing is drawn between the fills
    page = of(floor).draw(performance.draw)
    page.selectbox(key="performance bot").select_index(1).run()
    assert "Prices between the fills are not kept" in words(page)


def test_an_account_that_does_not_add_up_waits_for_its_user(floor: TradingFloor) -> None:
    lane_id = floor.bot_row(1)["lane_id"]
    with floor.database.transaction() as transaction:
        (apple,) = [each for each in floor.paper.positions() if each.symbol == "AAPL"]
        more = replace(apple, quantity=apple.quantity + 3)
        risk.store_positions(transaction, floor.connection_id, [more], datetime.now(UTC))
        lanes.note_mismatch(transaction, lane_id, datetime.now(UTC))
    page = of(floor).draw(live_positions.draw)
    assert "does not add up" in words(page)
    assert "**3 AAPL** are yours" in words(page)
    press(page, "Yes, it is mine")
    assert "count as your own" in words(page)
    assert "does not add up" not in words(page)
    assert floor.one("SELECT * FROM lanes WHERE id = %s", (lane_id,))["foreign_quantity"] == 3
    assert (
        floor.one("SELECT * FROM audit_log WHERE action = 'positions acknowledge'")["actor"]
        == "floor@example.org"
    )


def test_history_shows_each_trade_and_its_filters_take_away(floor: TradingFloor) -> None:
    page = of(floor).draw(trade_history.draw)
    rows = table(page)
    assert len(rows) == 14
    assert (
        rows[0] | {"Symbol": "MSFT", "Action": "SELL", "Status": "● FILLED", "Timeframe": "15 Min"} == rows[0]
    )
    assert {"Filled", "Price", "P&L", "Fees", "Reason", "Order ID"} <= rows[0].keys()
    page.selectbox(key="history Action").select("CLOSE").run()
    assert {row["Action"] for row in table(page)} == {"CLOSE"}
    assert {row["P&L"][0] for row in table(page)} <= {"▲", "▼", "0"}
    page.selectbox(key="history Status").select("REJECTED").run()
    assert "No trade matches" in words(page)


def test_history_turns_pages_and_begins_anew_with_another_filter(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.history.trades_page.__kwdefaults__", {"before": None, "limit": 5})
    monkeypatch.setattr("database.history.PAGE", 5)
    page = of(floor).draw(trade_history.draw)
    seen = [row["Order ID"] for row in table(page)]
    for first in ("6 to 10", "11 to 14"):
        page = press(page, "Older")
        assert first in words(page)
        seen += [row["Order ID"] for row in table(page)]
    assert len(set(seen)) == 14
    assert [button.disabled for button in page.button if button.label == "Older"] == [True]
    page = press(page, "Newer")
    assert "6 to 10" in words(page)
    page.selectbox(key="history Action").select("BUY").run()
    assert "1 to 5" in words(page)


def test_the_file_is_the_filters_whole_content(floor: TradingFloor) -> None:
    of(floor)
    rows = list(csv.DictReader(io.StringIO(exported(floor.user_id, TradeFilter(action="CLOSE")).decode())))
    stored = floor.all("SELECT * FROM bot_trades WHERE action = 'CLOSE' ORDER BY created_at DESC, id DESC")
    assert [row["id"] for row in rows] == [str(row["id"]) for row in stored]
    assert [Decimal(row["realized_pnl"]) for row in rows] == [row["realized_pnl"] for row in stored]
    assert exported(floor.user_id + 1, TradeFilter()).decode().count("\n") == 1


def test_days_are_the_users_days() -> None:
    days = (datetime(2026, 3, 7, tzinfo=UTC).date(), datetime(2026, 3, 8, tzinfo=UTC).date())
    since, until = time_range(days, "America/New_York")
    assert since == datetime(2026, 3, 7, 5, tzinfo=UTC)
    # The clocks went forward on the 8th
    assert until == datetime(2026, 3, 9, 4, tzinfo=UTC)
    assert time_range(days[:1], "UTC") == (datetime(2026, 3, 7, tzinfo=UTC), None)
    assert time_range((), "UTC") == (None, None)


def test_performance_says_the_figures_and_draws_each_plot(floor: TradingFloor) -> None:
    page = of(floor).draw(performance.draw)
    text = words(page)
    for name in (
        "Total P&L",
        "Trades",
        "Win rate",
        "Profit factor",
        "Max drawdown",
        "Best trade",
        "Worst trade",
    ):
        assert name in text
    assert "**6**" in text
    assert [each.value for each in page.subheader] == [
        "Equity curve", "P&L by day", "Per symbol", "Per bot", "Wins and losses"
    ]  # fmt: skip
    assert len(page.get("plotly_chart")) == 5
    page.segmented_control(key="curve of").set_value("Practice").run()
    assert len(page.get("plotly_chart")) == 5
    page.selectbox(key="performance bot").select_index(1).run()
    assert "Entries and exits" in [each.value for each in page.subheader]
    assert "simulated market's price" in words(page)


def test_risk_events_name_threshold_and_actual_with_their_unit(floor: TradingFloor) -> None:
    found = (
        ("STOP", "95.95", "95.9", "95.95", "95.90"),
        ("RISK_LIMIT", "10", "11.234", "10 % loss", "11.23 % loss"),
        ("DAILY_LOSS_LIMIT", "500", "512.5", "500.00 loss", "512.50 loss"),
        ("ACCOUNT_MISMATCH", "10", "13", "10 AAPL", "13 AAPL"),
        ("PROTECTION_MISSING", None, "75", "–", "75 s"),
        ("MANUAL_CLOSE", None, None, "–", "–"),
    )
    with floor.database.transaction() as transaction:
        for kind, threshold, actual, *_ in found:
            risk.note_event(
                transaction, user_id=floor.user_id, connection_id=floor.connection_id, kind=kind, bot_id=1,
                lane_id=floor.bot_row(1)["lane_id"], sentence="Said.", action_taken="position closed",
                threshold=threshold and Decimal(threshold), actual=actual and Decimal(actual),
            )  # fmt: skip
    page = of(floor).draw(risk_events.draw)
    rows = table(page)
    assert [(row["Threshold"], row["Actual"]) for row in reversed(rows)] == [
        (each[3], each[4]) for each in found
    ]
    assert {(row["Bot"], row["Action taken"]) for row in rows} == {("AAPL 15 Min", "position closed")}
    page.selectbox(key="risk events kind").select("STOP").run()
    assert [row["What"] for row in table(page)] == ["Stop reached"]


def test_a_user_sees_nothing_of_anothers(floor: TradingFloor, office: Office) -> None:
    with floor.database.transaction() as transaction:
        risk.note_event(transaction, user_id=floor.user_id, connection_id=floor.connection_id,
                        kind="PRICE_FAULT", sentence="Only theirs.")  # fmt: skip
    stranger = TradingFloor(office.services.database, email="stranger@example.org")
    stranger.bot("TSLA")
    for tab in TABS:
        page = of(stranger).draw(tab.draw)
        assert "AAPL" not in words(page)
        assert "Only theirs." not in words(page)
        assert not page.dataframe
