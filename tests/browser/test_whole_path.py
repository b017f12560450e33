"""From an alert to the position, the history and the file, in a real browser; and in and out of the session."""

import csv
import io
import re
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from playwright.sync_api import Page, expect

from database.pool import Database
from tests.browser.visitor import PATIENCE, Visitor
from tests.end_to_end.stack import Stack, Trader

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SYMBOL = "BTC/USD"


@pytest.fixture(scope="module")
def trader(stack: Stack) -> Trader:
    """Give a user with a paper connection, a webhook URL and a bot that holds nothing yet."""
    trader = Trader(stack, "cat@example.com")
    trader.bot(SYMBOL, "15", trader.connect_paper())
    return trader


@pytest.fixture
def cat(visitor: Visitor, trader: Trader) -> Visitor:
    """Give that user at the dashboard, signed in."""
    visitor.sign_in(trader.email)
    return visitor


def stored_trades(stack: Stack, user_id: int) -> list[dict[str, Any]]:
    """Return a user's trades as they stand in the database, the newest first."""
    database = Database(stack.manage("database-url"))
    try:
        with database.transaction() as transaction:
            sql = "SELECT * FROM bot_trades WHERE user_id = %s ORDER BY created_at DESC, id DESC"
            return transaction.all(sql, (user_id,))
    finally:
        database.close()


def cells(page: Page) -> str:
    """Return what stands in the first table, which draws on a canvas and keeps its words beside it."""
    page.get_by_test_id("stDataFrame").first.wait_for(timeout=PATIENCE)
    return " ".join(page.get_by_test_id("stDataFrame").first.locator("td").all_text_contents())


def wait_for_cell(page: Page, text: str) -> None:
    table = page.get_by_test_id("stDataFrame").first
    expect(table.locator("td", has_text=text).first).to_be_attached(timeout=PATIENCE)


def test_an_alert_becomes_a_position_by_itself_and_is_closed_by_hand(cat: Visitor, trader: Trader) -> None:
    cat.opens("Live Positions")
    cat.sees("No bot holds anything at present")
    assert trader.alert("buy", SYMBOL, "15").outcome["state"] == "EXECUTED"
    # Nothing is pressed: the open tab finds it
    cat.sees("▲ LONG")
    (position,) = trader.positions()["bots"]
    cat.sees(f"{Decimal(position['quantity']).normalize():f}")
    cat.opens("Trade History")
    wait_for_cell(cat.page, "● FILLED")
    assert "BUY" in cells(cat.page)
    cat.opens("Live Positions")
    cat.presses("Close position")
    cat.presses("Close it now")
    cat.sees("is closing")
    cat.sees("No bot holds anything at present")
    cat.opens("Trade History")
    wait_for_cell(cat.page, "CLOSE")
    cat.opens("Risk Events")
    wait_for_cell(cat.page, "Closed by hand")
    cat.opens("Performance")
    cat.sees("Equity curve")
    expect(cat.page.get_by_test_id("stPlotlyChart").first).to_be_visible(timeout=PATIENCE)


def test_the_file_holds_what_the_database_holds(cat: Visitor, trader: Trader, tmp_path: Path) -> None:
    trader.alert("buy", SYMBOL, "15")
    trader.alert("sell", SYMBOL, "15")
    cat.opens("Trade History")
    cat.sees("Export to CSV")
    cat.settles()
    with cat.page.expect_download(timeout=PATIENCE) as download:
        cat.presses("Export to CSV")
    assert re.fullmatch(r"trades-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    download.value.save_as(tmp_path / "trades.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trades.csv").read_text())))
    stored = stored_trades(trader.stack, trader.id)
    assert len(rows) == len(stored) >= 2
    for row, kept in zip(rows, stored, strict=True):
        assert [row[name] for name in ("symbol", "action", "status", "order_id")] == [
            kept["symbol"], kept["action"], kept["status"], kept["order_id"] or "",
        ]  # fmt: skip
        assert row["created_at"] == kept["created_at"].isoformat().replace("+00:00", "Z")
        for name in ("filled_qty", "filled_price", "realized_pnl", "fees", "slippage"):
            assert row[name] == ("" if kept[name] is None else plain(kept[name])), name


def plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def test_a_filter_goes_into_the_file(cat: Visitor, trader: Trader) -> None:
    cat.opens("Trade History")
    cat.page.get_by_label("Action", exact=False).first.click()
    cat.page.get_by_role("option", name="CLOSE").click()
    expect(cat.page.get_by_test_id("stDataFrame").first.locator("td", has_text="BUY")).to_have_count(0)
    wait_for_cell(cat.page, "CLOSE")
    cat.settles()
    with cat.page.expect_download(timeout=PATIENCE) as download:
        cat.presses("Export to CSV")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    stored = [row for row in stored_trades(trader.stack, trader.id) if row["action"] == "CLOSE"]
    assert [int(row["id"]) for row in rows] == [row["id"] for row in stored]
    assert rows


def test_a_page_that_the_database_kept_waiting_says_so_and_comes_back_by_itself(cat: Visitor) -> None:
    with closing(psycopg2.connect(cat.stack.manage("database-url"))) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE user_bot_configs IN ACCESS EXCLUSIVE MODE")
        # Its filters are drawn once; nothing but the page's own look brings them back.
        cat.opens("Trade History")
        cat.sees("The database does not answer at present")
        cat.does_not_see("Export to CSV")
    cat.sees("Export to CSV")
    expect(cat.page.get_by_text("The database does not answer")).to_have_count(0, timeout=PATIENCE)


def test_a_click_anywhere_on_a_signal_opens_its_trace(cat: Visitor, trader: Trader) -> None:
    trader.alert("sell", SYMBOL, "15")
    cat.page.goto(f"{cat.url}/signals")
    cat.sees("Click a row to see every step of that signal.")
    cat.settles()
    cat.page.get_by_test_id("stDataFrame").first.click(position={"x": 400, "y": 55})
    cat.sees("The way it went")


def test_a_reload_keeps_the_user_in_and_signing_out_ends_every_tab(cat: Visitor) -> None:
    cat.opens("Live Positions")
    cat.sees("Buying power")
    cat.page.reload()
    cat.sees("Buying power")
    other = cat.page.context.new_page()
    other.goto(cat.page.url)
    expect(other.get_by_text("Buying power").first).to_be_visible(timeout=PATIENCE)
    cat.presses("Sign out")
    expect(cat.page).to_have_url(re.compile("/auth/login"), timeout=PATIENCE)
    expect(other).to_have_url(re.compile("/auth/login"), timeout=PATIENCE)
    expect(other.get_by_text("Buying power")).to_have_count(0)
