"""History by pages and filters, figures against an independent calculation, and what accounts do not explain."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest

from actions import positions as actions
from actions.acting import Acting, Refused
from bot_database import Database
from core.performance import max_drawdown
from core.spreadsheet import csv_lines
from database import figures, history, holdings, lanes, risk, signal_list
from database.bots import switch_bot
from database.history import Key, Page, TradeFilter
from database.pool import Row
from database.signal_list import SignalFilter
from tests.database.office import open_office
from tests.database.trading_floor import TradingFloor

SYMBOLS = ("AAPL", "MSFT", "TSLA")
SIGNALS = 36


@pytest.fixture
def floor(database: Database) -> TradingFloor:
    """Give a user with three bots that traded at random, and one whose entry was refused."""
    floor = TradingFloor(database)
    trade_at_random(floor, 1)
    return floor


@pytest.fixture
def eve(database: Database, floor: TradingFloor) -> TradingFloor:
    """Give another user who traded the same symbols."""
    eve = TradingFloor(database, email="eve@example.org")
    trade_at_random(eve, 2)
    return eve


def trade_at_random(floor: TradingFloor, seed: int) -> None:
    """Send signals to a bot per symbol, at prices that wander; one bot may not sell short."""
    random = Random(seed)
    prices = dict.fromkeys(SYMBOLS, Decimal(100))
    bots = {symbol: floor.bot(symbol, allow_short=symbol != "TSLA") for symbol in SYMBOLS}
    for _ in range(SIGNALS):
        symbol = random.choice(SYMBOLS)
        prices[symbol] += Decimal(random.randint(-300, 300)) / 100
        floor.market.pin(symbol, prices[symbol], prices[symbol] + Decimal("0.02"))
        floor.wait(random.randint(60, 600))
        floor.send(bots[symbol], random.choice(("BUY", "SELL", "CLOSE")))
    disabled = floor.bot("NVDA")
    with floor.database.transaction() as transaction:
        switch_bot(transaction, floor.user_id, disabled, active=False)
    floor.send(disabled, "BUY")


def pages(floor: TradingFloor, wanted: TradeFilter, size: int) -> Iterator[Page]:
    """Turn the pages from the newest to the oldest."""
    before: Key | None = None
    while True:
        with floor.database.transaction() as transaction:
            page = history.trades_page(transaction, floor.user_id, wanted, before=before, limit=size)
        yield page
        if page.older is None:
            return
        before = page.older


def trades(floor: TradingFloor, wanted: TradeFilter = TradeFilter()) -> list[Row]:  # noqa: B008
    return [row for page in pages(floor, wanted, 1000) for row in page.rows]


def own_trades(floor: TradingFloor) -> list[Row]:
    sql = "SELECT * FROM bot_trades WHERE user_id = %s ORDER BY created_at DESC, id DESC"
    return floor.all(sql, (floor.user_id,))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pages_give_every_trade_once_the_newest_first(
    floor: TradingFloor, eve: TradingFloor, size: int
) -> None:
    turned = list(pages(floor, TradeFilter(), size))
    ids = [row["id"] for page in turned for row in page.rows]
    assert ids == [row["id"] for row in own_trades(floor)]
    assert all(len(page.rows) == size for page in turned[:-1])
    assert turned[-1].rows


def test_a_trade_that_comes_between_two_pages_shifts_nothing(floor: TradingFloor) -> None:
    turning = pages(floor, TradeFilter(), 5)
    first = next(turning)
    floor.send(first.rows[0]["bot_id"], "CLOSE")
    floor.send(first.rows[0]["bot_id"], "BUY")
    second = next(turning)
    ids = [row["id"] for row in (*first.rows, *second.rows)]
    assert len(set(ids)) == 10
    assert all(older < newer for newer, older in pairwise(ids))


def test_each_filter_takes_what_it_says_and_together_they_take_what_all_say(
    floor: TradingFloor, eve: TradingFloor
) -> None:
    rows = own_trades(floor)
    middle = rows[len(rows) // 2]
    kept = {
        TradeFilter(bot_id=middle["bot_config_id"]): lambda row: (
            row["bot_config_id"] == middle["bot_config_id"]
        ),
        TradeFilter(symbol="AAPL"): lambda row: row["symbol"] == "AAPL",
        TradeFilter(action="CLOSE"): lambda row: row["action"] == "CLOSE",
        TradeFilter(status="FILLED"): lambda row: row["status"] == "FILLED",
        TradeFilter(since=middle["created_at"]): lambda row: row["created_at"] >= middle["created_at"],
        TradeFilter(until=middle["created_at"]): lambda row: row["created_at"] < middle["created_at"],
        TradeFilter(only_with_pnl=True): lambda row: row["realized_pnl"] is not None,
        TradeFilter(symbol="AAPL", action="CLOSE", since=middle["created_at"]): lambda row: (
            row["symbol"] == "AAPL" and row["action"] == "CLOSE" and row["created_at"] >= middle["created_at"]
        ),
    }
    for wanted, keeps in kept.items():
        expected = [row["id"] for row in rows if keeps(row)]
        assert [row["id"] for row in trades(floor, wanted)] == expected, wanted
        assert 0 < len(expected) < len(rows), wanted


def test_nobody_reads_anothers_trades(floor: TradingFloor, eve: TradingFloor) -> None:
    bot_of_eve = trades(eve)[0]["bot_id"]
    assert trades(floor, TradeFilter(bot_id=bot_of_eve)) == []
    stranger = TradingFloor(floor.database, email="stranger@example.org")
    assert trades(stranger) == []
    with floor.database.transaction() as transaction:
        assert history.bots_with_history(transaction, stranger.user_id) == []
        assert history.risk_event_counts(transaction, stranger.user_id) == {}
        assert history.risk_events_page(transaction, stranger.user_id).rows == []
        assert figures.fills_of_bot(transaction, floor.user_id, bot_of_eve) == []
        assert figures.realized_curve(transaction, stranger.user_id) == []
        found = figures.performance_of(transaction, floor.user_id, bot_of_eve, with_plots=True)
        assert not any(
            found[name] for name in ("bots", "symbols", "days", "curve", "distribution", "best", "worst")
        )
        assert (found["total"]["trades"], found["total"]["total_pnl"]) == (0, 0)
        assert holdings.held_positions(transaction, stranger.user_id) == []


def test_the_file_holds_every_row_of_the_filter_as_the_table_has_it(
    floor: TradingFloor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "EXPORTED_AT_ONCE", 4)
    floor.all("UPDATE user_bot_configs SET name = '=HYPERLINK(\"x\")' WHERE symbol = 'AAPL' RETURNING id")
    with floor.database.transaction() as transaction:
        rows = history.all_trades(transaction, floor.user_id, TradeFilter(only_with_pnl=True))
        text = "".join(csv_lines(rows, history.EXPORTED))
    written = list(csv.DictReader(io.StringIO(text)))
    stored = [row for row in own_trades(floor) if row["realized_pnl"] is not None]
    assert [int(row["id"]) for row in written] == [row["id"] for row in stored]
    for row, kept in zip(written, stored, strict=True):
        assert datetime.fromisoformat(row["created_at"]) == kept["created_at"]
        assert row["created_at"].endswith("Z")
        for name in ("filled_qty", "filled_price", "realized_pnl", "fees", "slippage"):
            assert Decimal(row[name]) == kept[name]
    assert any(row["realized_pnl"].startswith("-") for row in written)
    assert {row["bot"] for row in written if row["symbol"] == "AAPL"} == {'\'=HYPERLINK("x")'}


def fills(floor: TradingFloor) -> list[Row]:
    return floor.all("SELECT * FROM fills WHERE user_id = %s ORDER BY filled_at, id", (floor.user_id,))


def trips(floor: TradingFloor) -> list[Decimal]:
    """Add up each bot's fills from flat to flat, one after the other."""
    ended, running = [], dict[int, Decimal]()
    for fill in sorted(fills(floor), key=lambda row: row["id"]):
        bot = fill["bot_config_id"]
        running[bot] = running.get(bot, Decimal(0)) + fill["realized_pnl"]
        if fill["position_after"] == 0:
            ended.append(running.pop(bot))
    return ended


def test_the_figures_are_what_the_fills_add_up_to(floor: TradingFloor, eve: TradingFloor) -> None:
    with floor.database.transaction() as transaction:
        found = figures.performance_of(transaction, floor.user_id)
    pnls, total = trips(floor), found["total"]
    assert len(pnls) > 10
    assert total["trades"] == len(pnls)
    assert total["wins"] == sum(pnl > 0 for pnl in pnls)
    assert (total["best"], total["worst"]) == (max(pnls), min(pnls))
    assert total["total_pnl"] == sum(fill["realized_pnl"] for fill in fills(floor))
    assert total["max_drawdown"] == max_drawdown(fill["realized_pnl"] for fill in fills(floor))
    assert sum(row["trades"] for row in found["bots"]) == len(pnls)
    assert sum(row["trades"] for row in found["symbols"]) == len(pnls)
    assert sum(row["total_pnl"] for row in found["symbols"]) == sum(pnls)
    assert sum(row["pnl"] for row in found["days"]) == total["total_pnl"]


def test_one_bots_figures_are_its_own(floor: TradingFloor, eve: TradingFloor) -> None:
    with floor.database.transaction() as transaction:
        whole = figures.performance_of(transaction, floor.user_id)
        for row in whole["bots"]:
            own = figures.performance_of(transaction, floor.user_id, row["bot_id"])
            assert own["bots"] == [row]
            same = ("trades", "wins", "losses", "best", "worst", "win_rate", "profit_factor", "fees")
            assert {name: own["total"][name] for name in same} == {name: row[name] for name in same}


def test_of_many_bots_the_best_and_those_furthest_from_zero_are_given(
    floor: TradingFloor, eve: TradingFloor
) -> None:
    with floor.database.transaction() as transaction:
        whole = figures.performance_of(transaction, floor.user_id)
        few = figures.performance_of(transaction, floor.user_id, most_bots=1)
    traded = [row for row in whole["bots"] if row["trades"]]
    assert len(traded) == few["bots_traded"] == whole["bots_traded"] == 3
    best = max(traded, key=lambda row: row["total_pnl"])
    furthest = max(traded, key=lambda row: abs(row["total_pnl"]))
    assert few["bots"] == sorted(
        {row["bot_id"]: row for row in (best, furthest)}.values(), key=lambda row: row["bot_id"]
    )
    assert {name: few[name] for name in ("total", "symbols", "days")} == {
        name: whole[name] for name in ("total", "symbols", "days")
    }


def test_the_curve_ends_at_the_sum_and_loses_no_fall(floor: TradingFloor, eve: TradingFloor) -> None:
    booked = fills(floor)
    with floor.database.transaction() as transaction:
        fine = figures.realized_curve(transaction, floor.user_id, points=10**6)
        coarse = figures.realized_curve(transaction, floor.user_id, points=5)
    assert [row["at"] for row in fine] == sorted({fill["filled_at"] for fill in booked})
    total = sum(fill["realized_pnl"] for fill in booked)
    assert fine[-1]["total"] == coarse[-1]["total"] == total
    deepest = max_drawdown(fill["realized_pnl"] for fill in booked)
    assert min(row["drawdown"] for row in fine) == min(row["drawdown"] for row in coarse) == -deepest
    assert len(coarse) <= 6


def test_the_distribution_counts_every_trip_in_its_range_and_parts_at_zero(floor: TradingFloor) -> None:
    with floor.database.transaction() as transaction:
        bars = figures.performance_of(transaction, floor.user_id, with_plots=True)["distribution"]
    pnls = trips(floor)
    for bar in bars:
        assert bar["trades"] == sum(bar["low"] <= pnl < bar["high"] for pnl in pnls)
        assert bar["low"] >= 0 or bar["high"] <= 0
    assert sum(bar["trades"] for bar in bars) == len(pnls)
    assert len({bar["high"] - bar["low"] for bar in bars}) == 1


def test_the_best_and_the_worst_are_these(floor: TradingFloor, eve: TradingFloor) -> None:
    with floor.database.transaction() as transaction:
        found = figures.performance_of(transaction, floor.user_id, with_plots=True)
    ranked = sorted(trips(floor))
    assert [row["pnl"] for row in found["best"]] == [pnl for pnl in ranked[::-1] if pnl > 0][:5]
    assert [row["pnl"] for row in found["worst"]] == [pnl for pnl in ranked if pnl < 0][:5]
    assert found["best"]
    assert found["worst"]
    assert all(row["opened_at"] < row["closed_at"] for row in (*found["best"], *found["worst"]))


def test_an_accounts_equity_is_its_brokers_last_word_of_each_span(
    floor: TradingFloor, eve: TradingFloor
) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for number, equity in enumerate((100, 120, 90, 95)):
        floor.all(
            "INSERT INTO equity_snapshots VALUES (%s, %s, %s, 0, 0) RETURNING equity",
            (floor.connection_id, start + timedelta(hours=number), equity),
        )
    since, until = start - timedelta(seconds=1), start + timedelta(hours=4)
    with floor.database.transaction() as transaction:
        whole = figures.equity_curve(
            transaction, floor.user_id, floor.connection_id, since=since, until=until, points=400
        )
        halves = figures.equity_curve(
            transaction, floor.user_id, floor.connection_id, since=since, until=until, points=2
        )
        stolen = figures.equity_curve(
            transaction, eve.user_id, floor.connection_id, since=since, until=until, points=400
        )
        assert figures.equity_begins(transaction, floor.user_id, floor.connection_id) == start
        assert figures.equity_begins(transaction, eve.user_id, floor.connection_id) is None
    assert [(row["total"], row["drawdown"]) for row in whole] == [(100, 0), (120, 0), (90, -30), (95, -25)]
    assert [row["total"] for row in halves] == [120, 95]
    assert stolen == []


def test_the_filters_of_signals_offer_what_the_users_own_signals_have(
    floor: TradingFloor, eve: TradingFloor
) -> None:
    eve.all("UPDATE signals SET source = 'evening star' WHERE user_id = %s RETURNING id", (eve.user_id,))
    stored = floor.all("SELECT code, source, state FROM signals WHERE user_id = %s", (floor.user_id,))
    with floor.database.transaction() as transaction:
        offered = signal_list.choices(transaction, floor.user_id)
        refused = signal_list.signals_page(
            transaction, floor.user_id, SignalFilter(state="REFUSED"), limit=100
        ).rows
        assert signal_list.choices(transaction, eve.user_id)["sources"] == ["evening star"]
        assert signal_list.choices(transaction, 0) == {"codes": [], "sources": []}
    assert offered["codes"] == sorted({row["code"] for row in stored if row["code"]})
    assert offered["sources"] == sorted({row["source"] for row in stored})
    assert len(offered["codes"]) > 1
    assert len(refused) == sum(row["state"] == "REFUSED" for row in stored) > 0


def test_risk_events_come_in_pages_by_kind_and_bot(floor: TradingFloor, eve: TradingFloor) -> None:
    bot = trades(floor)[0]["bot_id"]
    with floor.database.transaction() as transaction:
        for number in range(7):
            kind = "PRICE_FAULT" if number % 2 else "EXIT_FAILED"
            note = {"user_id": floor.user_id, "connection_id": floor.connection_id, "sentence": str(number)}
            risk.note_event(transaction, **note, kind=kind, bot_id=bot if number < 3 else None)
    found, before = [], None
    while True:
        with floor.database.transaction() as transaction:
            page = history.risk_events_page(transaction, floor.user_id, before=before, limit=3)
        found += [row["sentence"] for row in page.rows]
        if page.older is None:
            break
        before = page.older
    assert found == list("6543210")
    with floor.database.transaction() as transaction:
        faults = history.risk_events_page(transaction, floor.user_id, kind="PRICE_FAULT").rows
        of_bot = history.risk_events_page(transaction, floor.user_id, bot_id=bot).rows
        counts = history.risk_event_counts(transaction, floor.user_id)
        assert history.risk_events_page(transaction, eve.user_id).rows == []
    assert [row["sentence"] for row in faults] == list("531")
    assert [row["sentence"] for row in of_bot] == list("210")
    assert counts == {"EXIT_FAILED": 4, "PRICE_FAULT": 3}


def test_positions_held_are_named_with_side_and_price_and_found_by_text(database: Database) -> None:
    floor = TradingFloor(database)
    floor.market.pin("AAPL", "100", "100")
    floor.market.pin("MSFT", "50", "50")
    apple, soft = floor.bot("AAPL"), floor.bot("MSFT")
    floor.send(apple, "BUY")
    floor.send(soft, "SELL")
    floor.market.pin("AAPL", "101", "101")
    floor.market.pin("MSFT", "49", "49")
    with database.transaction() as transaction:
        risk.store_positions(transaction, floor.connection_id, floor.paper.positions(), floor.now)
        total = holdings.held_in_all(transaction, floor.user_id)
        rows = holdings.held_positions(transaction, floor.user_id)
        page = holdings.held_positions(transaction, floor.user_id, limit=1, offset=1)
        named = holdings.held_positions(transaction, floor.user_id, text=" msf")
    assert (total["total"], total["longs"], total["shorts"], total["unpriced"]) == (2, 1, 1, 0)
    expected = [row["quantity"] * (row["current_price"] - row["average_price"]) for row in rows]
    assert [row["unrealized"] for row in rows] == expected
    assert total["unrealized"] == sum(expected) > 0
    assert [row["id"] for row in rows] == [apple, soft]
    assert [row["id"] for row in page] == [row["id"] for row in named] == [soft]
    assert not any(row["exit_asked"] for row in rows)


def mismatched(floor: TradingFloor, own: Decimal) -> tuple[Acting, Row]:
    """Let the account hold what no bot explains; return who acts and the mismatch as the page reads it."""
    bot = floor.bot("AAPL")
    floor.market.pin("AAPL", "100", "100")
    floor.send(bot, "BUY")
    with floor.database.transaction() as transaction:
        (position,) = floor.paper.positions()
        held = replace(position, quantity=position.quantity + own)
        risk.store_positions(transaction, floor.connection_id, [held], floor.now)
        risk.store_account(transaction, floor.connection_id, floor.paper.account(), curve=False)
        lanes.note_mismatch(transaction, floor.bot_row(bot)["lane_id"], floor.now)
        (row,) = holdings.mismatches_of(transaction, floor.user_id)
    return Acting(owner=floor.user_id, actor="ann@example.org"), row


@pytest.mark.parametrize("own", [Decimal(3), Decimal(-2)])
def test_a_holding_is_said_to_be_the_users_own(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, own: Decimal
) -> None:
    tools = open_office(database_url, monkeypatch).services
    floor = TradingFloor(database, email="floor@example.org")
    acting, row = mismatched(floor, own)
    assert row["unexplained"] == own
    assert row["settled"]
    assert actions.acknowledge(tools, acting, row["lane_id"], own=own) == "AAPL"
    assert floor.one("SELECT * FROM lanes WHERE id = %s", (row["lane_id"],))["foreign_quantity"] == own
    with database.transaction() as transaction:
        assert holdings.mismatches_of(transaction, floor.user_id) == []
    noted = floor.one("SELECT * FROM audit_log WHERE action = 'positions acknowledge'")
    assert noted["after"] == {"quantity": str(own)}
    with pytest.raises(Refused, match="adds up again"):
        actions.acknowledge(tools, acting, row["lane_id"], own=own)


def test_what_has_moved_meanwhile_or_is_anothers_is_not_declared(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = open_office(database_url, monkeypatch).services
    floor = TradingFloor(database, email="floor@example.org")
    acting, row = mismatched(floor, Decimal(3))
    stranger = Acting(owner=floor.user_id + 100, actor="eve@example.org")
    for who, own, words in ((acting, Decimal(2), "moved meanwhile"), (stranger, Decimal(3), "adds up again")):
        with pytest.raises(Refused, match=words):
            actions.acknowledge(tools, who, row["lane_id"], own=own)
    # A fill that the broker's word of the account does not know yet
    floor.wait(60)
    floor.send(
        floor.all("SELECT id FROM user_bot_configs WHERE lane_id = %s", (row["lane_id"],))[0]["id"], "CLOSE"
    )
    with database.transaction() as transaction:
        unsettled = holdings.mismatch_of(transaction, floor.user_id, row["lane_id"])
    assert unsettled is not None
    assert not unsettled["settled"]
    with pytest.raises(Refused, match="An order moves AAPL just now"):
        actions.acknowledge(tools, acting, row["lane_id"], own=unsettled["unexplained"])
    assert floor.one("SELECT * FROM lanes WHERE id = %s", (row["lane_id"],))["foreign_quantity"] == 0
