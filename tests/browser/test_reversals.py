"""Reversal signals in a real browser: wishes, a signal, its trade with an edited stop, the journal, and the file."""

import csv
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from database import accounts, discord_accounts
from database.pool import Database
from tests.browser.test_whole_path import wait_for_cell
from tests.browser.visitor import Visitor
from tests.database.reversal_office import ReversalOffice
from tests.end_to_end.stack import PASSWORD, Stack, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EMAIL = "dora@example.com"
# No recording has it, so no bar of the running monitor ends the trade
PAIR = "GBP/USD"


@pytest.fixture(scope="module")
def stack(chromium: Browser) -> Iterator[Stack]:
    with running_stack() as stack:
        stack.manage("user", "add", EMAIL, "--password-stdin", given=PASSWORD)
        yield stack


@pytest.fixture(scope="module")
def reversals(stack: Stack) -> Iterator[ReversalOffice]:
    """Give the hand of the scan in the running database, with the user's Discord account linked."""
    with closing(Database(stack.manage("database-url"))) as database:
        with database.transaction() as transaction:
            user = accounts.user_by_email(transaction, EMAIL)
        assert user is not None
        reversals = ReversalOffice(database, user.id)
        reversals.link()
        yield reversals


@pytest.fixture
def dora(stack: Stack, page: Page) -> Visitor:
    """Give that user at the dashboard, signed in."""
    visitor = Visitor(stack, page)
    visitor.sign_in(EMAIL)
    return visitor


def test_wishes_are_saved_and_still_there_after_a_reload(dora: Visitor, reversals: ReversalOffice) -> None:
    dora.page.goto(f"{dora.url}/discord?tab=Reversal signals")
    dora.sees("Minimum confidence")
    dora.settles()
    dora.types("At most a day", "a lot")
    dora.presses("Save")
    dora.sees("is a whole number of signals from 0 to 200")
    dora.settles()
    dora.types("At most a day", "7")
    dora.page.get_by_text("Only where an edge was shown").first.click()
    dora.presses("Save")
    dora.sees("Your settings of reversal signals are saved.")
    dora.page.reload()
    dora.sees("Minimum confidence")
    dora.settles()
    expect(dora.page.get_by_label("At most a day", exact=True).first).to_have_value("7")
    with reversals.database.transaction() as transaction:
        row = discord_accounts.settings_of(transaction, reversals.user_id)
    assert (row["max_notifications_per_day"], row["only_with_edge"]) == (7, False)


def test_a_signal_becomes_a_trade_with_an_edited_stop_that_ends_in_the_file(
    dora: Visitor, reversals: ReversalOffice, tmp_path: Path
) -> None:
    dora.page.goto(f"{dora.url}/reversal_signals")
    dora.sees("No signal waits for your answer.")
    signal_id = reversals.sent(reversals.score(pair=PAIR))
    # It appears by itself
    dora.sees("left to answer")
    dora.sees("REPLAY")
    dora.settles()
    dora.presses("Open trade")
    dora.sees("Open this trade")
    assert f"signal={signal_id}" in dora.page.url
    dora.settles()
    dora.types("Stop loss", "1.0900")
    dora.presses("Open the trade")
    dora.sees("stands below its entry")
    dora.settles()
    dora.types("Stop loss", "1.0810")
    dora.types("Lots", "0.5")
    dora.types("Notes", "=1+1")
    dora.presses("Open the trade")
    dora.sees("is opened: GBP/USD LONG")
    dora.settles()
    dora.page.goto(f"{dora.url}/trade_journal")
    dora.sees("0.5 lots")
    dora.settles()
    dora.presses("Details")
    dora.sees("Edit stop and target")
    dora.sees("1.08100")
    dora.settles()
    dora.presses("Close trade")
    dora.types("Price", "1.0962")
    dora.presses("Close it")
    dora.sees("Closed by hand: +108 pips (+$540)")
    dora.settles()
    dora.page.goto(f"{dora.url}/trade_journal?tab=History")
    dora.sees("100.0 %")
    dora.sees("▲ +540.00 USD")
    wait_for_cell(dora.page, "▲ won")
    with dora.page.expect_download() as waiting:
        dora.presses("Export to CSV")
    file = tmp_path / "journal.csv"
    waiting.value.save_as(file)
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert (row["pair"], row["result"], row["close_reason"]) == (PAIR, "win", "manual_close")
    assert (Decimal(row["stop_loss"]), Decimal(row["profit_loss"])) == (Decimal("1.081"), Decimal(540))
    assert row["notes"] == "'=1+1"


def test_the_pages_fit_a_phone(dora: Visitor, reversals: ReversalOffice) -> None:
    reversals.model({})
    dora.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("reversal_signals", "reversal_signals?tab=Latest scores", "reversal_signals?tab=Track record",
                 "reversal_signals?tab=Market data", "trade_journal", "trade_journal?tab=History",
                 "discord?tab=Reversal signals"):  # fmt: skip
        dora.page.goto(f"{dora.url}/{path}")
        dora.page.get_by_role("tab").first.wait_for()
        dora.settles()
        wide = dora.page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert wide <= 390, path
