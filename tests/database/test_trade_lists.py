"""Lists, figures, files and the archive of tracked trades: of their owner alone."""

from datetime import timedelta
from decimal import Decimal

import pytest

from core.pips import Direction
from core.spreadsheet import csv_lines
from database import tracked_trades
from database.pool import Database
from database.tracked_trades import EXPORTED, TradeFilters
from tests.database.trade_desk import TradeDesk

CRYPTO = {"pair": "BTC/USD", "entry": Decimal(60000), "stop": Decimal(59000), "target": Decimal(62000)}


@pytest.fixture
def desk(database: Database) -> TradeDesk:
    return TradeDesk(database)


@pytest.fixture
def history(desk):
    """Open and close a few: won 108, lost 54, even, 1000 dollars lost in points, one that runs; one of Eve's."""
    made = {}
    for name, wish, price in (
        ("won", {}, "1.0962"),
        ("lost", {"direction": Direction.SHORT, "notes": "=HYPERLINK(1)"}, "1.0908"),
        ("even", {}, "1.08545"),
        ("coins", {**CRYPTO, "lots": Decimal(1)}, "59000"),
    ):
        made[name] = desk.open(**wish).trade_id
        desk.wait(hours=2)
        desk.close(made[name], price)
    made["runs"] = desk.open().trade_id
    made["eves"] = desk.open(desk.eve).trade_id
    desk.close(made["eves"], "1.2000", desk.eve)
    return made


def in_transaction(desk, function, *arguments, **more):
    with desk.database.transaction() as transaction:
        found = function(transaction, *arguments, **more)
        return found if isinstance(found, list | dict | int) else list(found)


def ids(rows):
    return [row["id"] for row in rows]


def test_open_trades_are_listed_to_their_owner(desk, history):
    assert ids(in_transaction(desk, tracked_trades.open_of, desk.ann)) == [history["runs"]]
    assert in_transaction(desk, tracked_trades.open_of, desk.eve) == []


def test_pages_go_back_in_time_and_end(desk, history):
    first = in_transaction(desk, tracked_trades.page, desk.ann, count=2)
    second = in_transaction(desk, tracked_trades.page, desk.ann, before=first[-1]["id"], count=10)
    assert ids(first + second) == sorted((history[each] for each in history if each != "eves"), reverse=True)
    assert (second[0]["unit"], second[0]["duration_seconds"], first[0]["duration_seconds"]) == (
        "pips",
        7200,
        None,
    )


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"pair": "BTC/USD"}, ["coins"]),
        ({"direction": "short"}, ["lost"]),
        ({"result": "breakeven"}, ["even"]),
        ({"status": "open"}, ["runs"]),
        ({"close_reason": "manual_close", "result": "win"}, ["won"]),
        ({"source": "replay"}, []),
    ],
)
def test_filters_take_what_they_say(desk, history, filters, names):
    found = in_transaction(desk, tracked_trades.page, desk.ann, TradeFilters(**filters))
    assert ids(found) == [history[name] for name in names]


def test_filters_by_time_are_about_the_entry(desk, history):
    since = desk.now - timedelta(hours=4)
    found = in_transaction(desk, tracked_trades.page, desk.ann, TradeFilters(since=since, until=desk.now))
    assert ids(found) == [history["coins"], history["even"]]


def test_figures_are_those_of_the_closed_trades(desk, history):
    found = in_transaction(desk, tracked_trades.statistics, desk.ann)
    assert (found["trades"], found["won"], found["lost"], found["breakeven"], found["open"]) == (
        4,
        1,
        2,
        1,
        1,
    )
    assert round(found["win_rate"], 2) == Decimal("33.33")
    assert (found["average_reward_to_risk"], found["average_seconds"]) == (2, 7200)
    assert (found["total_pips"], found["total_points"]) == (Decimal("54.5"), Decimal(-100_000))
    assert (found["total_profit_loss"], found["currency"]) == (Decimal("-945.5"), "USD")
    assert (found["best"]["id"], found["worst"]["id"]) == (history["won"], history["coins"])
    assert (found["best"]["profit_loss"], found["worst"]["unit"]) == (108, "points")


def test_figures_of_nothing_are_nothing(desk):
    found = in_transaction(desk, tracked_trades.statistics, desk.ann)
    assert (found["trades"], found["win_rate"], found["total_profit_loss"], found["best"]) == (
        0,
        None,
        None,
        None,
    )


def test_money_of_other_currencies_and_of_none_is_counted_and_not_added(desk, history):
    desk.run("UPDATE user_trades SET account_currency = 'EUR' WHERE id = %s", (history["won"],))
    desk.run("UPDATE user_trades SET profit_loss = NULL WHERE id = %s", (history["lost"],))
    found = in_transaction(desk, tracked_trades.statistics, desk.ann)
    assert (found["in_other_currencies"], found["without_rate"]) == (1, 1)
    assert found["total_profit_loss"] == Decimal("-999.5")


def test_figures_obey_the_filters(desk, history):
    found = in_transaction(desk, tracked_trades.statistics, desk.ann, TradeFilters(pair="EUR/USD"))
    assert (found["trades"], found["total_points"]) == (3, 0)
    assert found["worst"]["id"] == history["lost"]


def test_a_file_has_plain_numbers_utc_times_and_runs_nothing(desk, history):
    rows = in_transaction(desk, tracked_trades.csv_rows, desk.ann)
    lines = list(csv_lines(rows, EXPORTED))
    assert lines[0] == ",".join(EXPORTED) + "\n"
    cells = dict(zip(EXPORTED, lines[4].rstrip("\n").split(","), strict=True))
    assert (cells["id"], cells["pips"], cells["unit"], cells["profit_loss"]) == (
        str(history["lost"]),
        "-54",
        "pips",
        "-54",
    )
    assert (cells["entry_time"], cells["notes"]) == ("2026-11-18T17:00:00Z", "'=HYPERLINK(1)")
    assert len(lines) == 6


def test_old_trades_leave_the_lists_and_are_found_where_asked(desk, history):
    assert in_transaction(desk, tracked_trades.archive, desk.now - timedelta(hours=3), 10) == 2
    assert in_transaction(desk, tracked_trades.archive, desk.now - timedelta(hours=3), 10) == 0
    shown = ids(in_transaction(desk, tracked_trades.page, desk.ann))
    assert shown == [history["runs"], history["coins"], history["even"]]
    everything = TradeFilters(with_archived=True)
    assert len(in_transaction(desk, tracked_trades.page, desk.ann, everything)) == 5
    assert in_transaction(desk, tracked_trades.statistics, desk.ann, everything)["trades"] == 4
    assert len(in_transaction(desk, tracked_trades.csv_rows, desk.ann, everything)) == 5


def test_the_archive_takes_no_more_than_asked_for_and_no_open_trade(desk, history):
    later = desk.now + timedelta(days=1)
    assert in_transaction(desk, tracked_trades.archive, later, 3) == 3
    assert in_transaction(desk, tracked_trades.archive, later, 10) == 2
    assert desk.trade(history["runs"])["archived_at"] is None
