"""The page Trade journal: open trades, the form, moving and closing one, filters, figures, and the file."""

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from actions import tracked_trades as actions
from actions.acting import Acting
from actions.tracked_trades import TradeRequest
from brokers.base import BrokerName, Mode
from core.pips import Direction
from database import bots, journal, tracked_trades
from database.pool import Database
from database.tracked_trades import TradeFilters
from tests.database.office import Office, open_office
from tests.database.test_setup_pages import press, words
from ui.journal_pages import history, open_trades, page, panel

KEYS = itertools.count()
START = datetime(2026, 11, 2, 9, tzinfo=UTC)


@pytest.fixture
def office(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Office:
    return open_office(database_url, monkeypatch)


def follow(office: Office, acting: Acting | None = None, **changes: Any) -> int:
    """Let a user follow a trade that was opened just now; return its number."""
    usual: dict[str, Any] = {
        "pair": "EUR/USD", "direction": Direction.LONG, "entry": Decimal("1.0854"), "lots": Decimal("0.1"),
        "stop": Decimal("1.08"), "target": Decimal("1.0962"), "notes": "",
    }  # fmt: skip
    at = changes.pop("at", datetime.now(UTC))
    wanted = TradeRequest(**(usual | changes), request_key=f"test {next(KEYS)}")
    who = acting or office.acting
    return actions.open_trade(
        office.services.database, office.services.settings, who.owner, who.actor, wanted, at
    ).trade_id


def closed(office: Office, price: str, hours: int = 1, **changes: Any) -> int:
    """Let a trade run for some hours and close at a price."""
    number = follow(office, at=START, **changes)
    at = START + timedelta(hours=hours)
    actions.close_trade(office.services.database, office.user.id, "test", number, at, Decimal(price))
    return number


def tab(office: Office, name: str, **query: object) -> AppTest:
    drawn = office.draw(page.draw)
    drawn.query_params["tab"] = name
    drawn.session_state["tab"] = name
    for key, value in query.items():
        drawn.query_params[key] = str(value)
    return drawn.run()


def trade(office: Office, number: int) -> dict[str, Any]:
    with office.services.database.transaction() as transaction:
        found = tracked_trades.trade(transaction, office.user.id, number)
    assert found is not None
    return found


def by_hand(office: Office) -> AppTest:
    """Return the page with the form for a trade open."""
    drawn = office.draw(page.draw)
    drawn.session_state["open-by-hand"] = True
    return drawn.run()


def typed(drawn: AppTest, **fields: str) -> AppTest:
    for name, text in fields.items():
        drawn.text_input(key=f"by-hand-0-{name}").set_value(text)
    return drawn


def test_empty_it_says_what_to_do_next(office: Office) -> None:
    assert open_trades.NOTHING_OPEN in words(office.draw(page.draw))
    assert history.NOTHING_YET in words(tab(office, "History"))


def test_a_trade_is_opened_by_hand_once(office: Office) -> None:
    drawn = typed(by_hand(office), pair="gbp/usd", entry="1.2700", stop="1.2750", target="1.26")
    drawn = press(drawn, "Open the trade")
    assert "The stop loss of a LONG stands below its entry" in words(drawn)
    drawn = press(typed(drawn, stop="1.26", target="1.29"), "Open the trade")
    text = words(drawn)
    assert "Trade #1 is opened: GBP/USD LONG at 1.27000." in text
    assert "Nothing gives prices of GBP/USD here" in text
    assert (trade(office, 1)["pair"], trade(office, 1)["lot_size"]) == ("GBP/USD", Decimal("0.1"))
    assert "gbp" not in [each.value for each in drawn.text_input]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pair": "EURUSD!"}, "is no pair: write EUR/USD, BTC/USD or AAPL"),
        ({"entry": "about 1.1"}, "Entry price: 'about 1.1' is not a number above 0"),
        ({"stop": "-1.08"}, "Stop loss: '-1.08' is not a number above 0"),
        ({"lots": "200"}, "Lots go from 0.01 to 100; 200 is outside."),
        ({"target": "1.05"}, "The take profit of a LONG stands above its entry"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_opened(
    office: Office, fields: dict[str, str], said: str
) -> None:
    good = {"pair": "EUR/USD", "entry": "1.0854", "stop": "1.08", "target": "1.0962"}
    drawn = press(typed(by_hand(office), **(good | fields)), "Open the trade")
    assert said in words(drawn)
    # What the browser checks itself it holds back without a word
    assert not any(each.proto.validate_regex for each in drawn.text_input)
    drawn = press(typed(drawn, **(good | {"target": "far"})), "Open the trade")
    assert said not in words(drawn)
    with office.services.database.transaction() as transaction:
        assert tracked_trades.count_open(transaction, office.user.id) == 0


def test_an_open_trade_is_a_card_between_its_stop_and_its_target(office: Office) -> None:
    number = follow(office)
    assert "No price came since it was opened" in words(office.draw(page.draw))
    with office.services.database.transaction() as transaction:
        columns = {
            "current_price": Decimal("1.0881"),
            "current_pips": Decimal(27),
            "current_pnl": Decimal(27),
        }
        tracked_trades.change(transaction, office.user.id, number, columns)
    drawn = office.draw(page.draw)
    text = words(drawn)
    for each in ("▲ LONG", "EUR/USD", "0.1 lots", "REPLAY", "▲ +27.00 USD", "▲ +27.0 pips", "1.08810"):
        assert each in text, each
    (bar,) = drawn.get("progress")
    assert (bar.proto.value, "50 % of the way (entry at 33 %)" in bar.proto.text) == (50, True)
    assert press(drawn, "Details").query_params["trade"] == str(number)


def test_stop_and_target_are_moved_and_the_trade_closed_from_its_own_page(office: Office) -> None:
    number = follow(office, notes="=1+1 my reason")
    drawn = tab(office, "Open trades", trade=number)
    drawn.text_input(key=f"edit-{number}-stop").set_value("1.0860")
    drawn.text_input(key=f"edit-{number}-target").set_value("1.05")
    assert "take profit" in words(press(drawn, "Save"))
    drawn.text_input(key=f"edit-{number}-target").set_value("1.10")
    assert "Stop and target of trade #1 are changed" in words(press(drawn, "Save"))
    assert (trade(office, number)["stop_loss"], trade(office, number)["take_profit"]) == (
        Decimal("1.0860"), Decimal("1.10"),
    )  # fmt: skip
    drawn = press(drawn, "Close it")
    assert "No price of EUR/USD is known: say at which price you closed." in words(drawn)
    drawn.text_input(key=f"close-{number}-price").set_value("1.0962")
    text = words(press(drawn, "Close it"))
    assert "Closed by hand: +108 pips (+$108)" in text
    assert "▲ won" in text
    assert "closed by hand" in text
    assert trade(office, number)["profit_loss"] == Decimal("108.00")


def test_a_trade_of_somebody_else_is_not_there(office: Office) -> None:
    number = follow(office, office.another_user())
    for path in (number, 999):
        assert panel.NO_SUCH in words(tab(office, "Open trades", trade=path))
    assert open_trades.NOTHING_OPEN in words(office.draw(page.draw))


def test_history_counts_what_its_filters_leave(office: Office) -> None:
    closed(office, "1.0962", hours=2)
    closed(office, "1.0800", hours=3, notes="a")
    closed(office, "1.0854", hours=4, notes="b")
    cross = {"entry": Decimal("0.85"), "stop": Decimal("0.84"), "target": Decimal("0.87")}
    closed(office, "0.86", pair="EUR/GBP", **cross)
    follow(office)
    drawn = tab(office, "History")
    text = words(drawn)
    for each in ("**4**", "2 / 1 / 1", "66.7 %", "▲ +54.00 USD", "▲ +154.0 pips", "1 : 2", "2h 30m"):
        assert each in text, each
    assert "The P&L leaves out 1 without a known rate into USD." in text
    assert len(drawn.dataframe[0].value) == 5
    drawn.selectbox(key="journal Result").set_value("loss")
    drawn = drawn.run()
    (row,) = drawn.dataframe[0].value.to_dict("records")
    assert (row["Result"], row["P&L"], row["Pips"], row["Why"]) == (
        "▼ lost", "▼ −54.00 USD", "▼ −54.0 pips", "closed by hand",
    )  # fmt: skip
    drawn.selectbox(key="journal Pair").set_value("EUR/GBP")
    assert history.NONE_MATCH in words(drawn.run())
    drawn.selectbox(key="journal Result").set_value(None)
    drawn.selectbox(key="journal Status").set_value("open")
    assert history.NONE_CLOSED in words(drawn.run())


def test_the_file_has_every_row_of_the_filter_plain_and_neutral(office: Office) -> None:
    for number in range(60):
        closed(office, "1.0962", hours=number + 1, notes="=HYPERLINK(1)", lots=Decimal("0.5"))
    lines = list(csv.DictReader(io.StringIO(history.exported(office.user.id, TradeFilters()).decode())))
    assert len(lines) == 60
    newest = lines[0]
    assert (newest["notes"], newest["entry_time"]) == ("'=HYPERLINK(1)", "2026-11-02T09:00:00Z")
    assert (newest["pips"], newest["profit_loss"], newest["entry_price"]) == ("108", "540", "1.0854")
    assert newest["duration_seconds"] == str(60 * 3600)
    nothing = history.exported(office.user.id, TradeFilters(result="loss")).decode()
    assert list(csv.DictReader(io.StringIO(nothing))) == []
    stranger = office.another_user()
    assert list(csv.DictReader(io.StringIO(history.exported(stranger.owner, TradeFilters()).decode()))) == []


def test_the_curve_holds_each_sum_and_how_far_it_fell(office: Office) -> None:
    for number, price in enumerate(("1.0962", "1.0800", "1.0800", "1.0962")):
        closed(office, price, hours=number + 1, notes=str(number))
    with office.services.database.transaction() as transaction:
        money = journal.money_curve(transaction, office.user.id, "USD")
        pips = journal.pips_curve(transaction, office.user.id, TradeFilters(result="loss"))
        assert journal.money_curve(transaction, office.user.id, "EUR") == []
    assert [(row["total"], row["drawdown"]) for row in money] == [
        (108, 0), (54, -54), (0, -108), (108, 0),
    ]  # fmt: skip
    assert [row["at"] for row in money] == [START + timedelta(hours=each) for each in (1, 2, 3, 4)]
    assert [(row["total"], row["drawdown"]) for row in pips] == [(-54, -54), (-108, -108)]


def test_a_long_curve_keeps_its_ends_and_its_deepest_fall(office: Office) -> None:
    many(office.services.database, office.user.id, 2005)
    with office.services.database.transaction() as transaction:
        points = journal.money_curve(transaction, office.user.id, "USD")
        whole = tracked_trades.statistics(transaction, office.user.id)
        falls = transaction.all(
            """
            SELECT total - greatest(0, max(total) OVER (ORDER BY id)) AS fall
              FROM (SELECT id, sum(profit_loss) OVER (ORDER BY id) AS total FROM user_trades) AS sums
            """
        )
    assert len(points) <= journal.POINTS
    assert points[-1]["total"] == whole["total_profit_loss"]
    assert min(row["drawdown"] for row in points) == min(row["fall"] for row in falls)


def test_pages_go_back_by_key(office: Office) -> None:
    many(office.services.database, office.user.id, 120)
    drawn = tab(office, "History")
    first = list(drawn.dataframe[0].value["Trade"])
    drawn = press(drawn, "Older")
    second = list(drawn.dataframe[0].value["Trade"])
    assert (first[0], first[-1], second[0]) == ("↻ #120", "↻ #71", "↻ #70")
    assert "51 to 100, newest first" in words(drawn)


def test_where_a_connection_trades_the_order_can_be_sent_there(office: Office) -> None:
    with office.services.database.transaction() as transaction:
        bots.create_connection(
            transaction, user_id=office.user.id, broker=BrokerName.PAPER, mode=Mode.PAPER, label="Practice"
        )
    drawn = by_hand(office)
    (place,) = [each for each in drawn.selectbox if each.label == "Where it is traded"]
    assert place.options[1] == "Send the order to Practice (paper)"


def many(database: Database, user_id: int, count: int) -> None:
    """Give a user closed trades, one an hour, that win and lose by turns of uneven length."""
    with database.transaction() as transaction:
        transaction.execute(
            """
            INSERT INTO user_trades (user_id, pair, direction, entry_price, entry_time, lot_size, stop_loss,
                take_profit, reward_to_risk, account_currency, source, status, close_price, close_time, close_reason,
                result, pips, profit_loss, looked_until, request_key, created_at, updated_at)
            SELECT %(user)s, 'EUR/USD', 'long', 1.1, at, 0.1, 1.09, 1.12, 2, 'USD', 'replay', 'closed', 1.1, at,
                   'manual_close', CASE WHEN won THEN 'win' ELSE 'loss' END, CASE WHEN won THEN 20 ELSE -10 END,
                   CASE WHEN won THEN 20 ELSE -10 END, at, 'many-' || %(user)s || '-' || number, at, at
              FROM (SELECT number, number::bigint * number %% 7 < 2 AS won,
                           timestamptz '2020-01-01' + number * interval '1 hour' AS at
                      FROM generate_series(1, %(count)s) AS number) AS hours
            """,
            {"user": user_id, "count": count},
        )
