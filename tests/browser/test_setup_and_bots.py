"""Setup and My Bots in a real browser: real money's confirmation, closing, deleting, the kill switch."""

from decimal import Decimal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitor import Visitor
from tests.end_to_end.stack import Stack, Trader, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
KEY, SECRET = "PKBROWSER0123456", "the secret of a test's account"


@pytest.fixture(scope="module")
def trader(stack: Stack) -> Trader:
    """Give a user with a paper connection, a webhook URL and a bot."""
    trader = Trader(stack, "ben@example.com")
    trader.bot("ADA/USD", "15", trader.connect_paper())
    return trader


@pytest.fixture
def ben(visitor: Visitor, trader: Trader) -> Visitor:
    """Give that user at the dashboard, signed in."""
    visitor.sign_in(trader.email)
    return visitor


@pytest.fixture
def holding(trader: Trader, request: pytest.FixtureRequest) -> int:
    """Give a bot that holds something, of a symbol of the test's own."""
    bot = trader.bot(request.param, "15", 1, "--size", 1000)
    assert trader.alert("buy", request.param, "15").outcome["state"] == "EXECUTED"
    return bot


def test_real_money_needs_the_name_typed(ben: Visitor, trader: Trader) -> None:
    ben.stack.broker.account(KEY, SECRET)
    ben.opens("Setup")
    ben.page.get_by_text("Connect another broker").click()
    ben.page.get_by_text("Live: real money").click()
    # The form for paper stands there until the one for live has come.
    ben.sees("Live: bots on this connection trade real money.")
    ben.settles()
    ben.types("API key ID", KEY)
    ben.types("API secret key", SECRET)
    ben.presses("Save API Keys")
    ben.sees("This trades real money. To confirm, type the name of the connection: alpaca live")
    ben.page.get_by_label("To confirm that this trades real money").fill("alpaca live")
    ben.presses("Save API Keys")
    # The confirmation was taken; the test's broker is not the real one, and that is said.
    ben.sees("but this connection is live")
    assert len(ben.stack.read("positions", trader.email)["money"]) == 1


def test_keys_are_tried_before_they_are_kept_and_shown_as_a_beginning(ben: Visitor, trader: Trader) -> None:
    ben.stack.broker.account(KEY, SECRET)
    ben.opens("Setup")
    ben.page.get_by_text("Connect another broker").click()
    ben.types("Name of the connection", "Mine")
    ben.types("API key ID", KEY)
    ben.types("API secret key", "not the secret")
    ben.presses("Save API Keys")
    ben.sees("The broker refused these keys")
    ben.types("API secret key", SECRET)
    ben.presses("Save API Keys")
    ben.sees("Mine is connected.")
    ben.sees("key PKBR…")
    ben.does_not_see(KEY)
    ben.does_not_see(SECRET)


def test_a_bot_is_made_by_the_form_with_the_usual_settings(ben: Visitor, trader: Trader) -> None:
    ben.opens("My Bots")
    ben.page.get_by_text("Add New Bot").click()
    ben.types("Symbol", "NO SUCH THING")
    ben.presses("Create Bot")
    ben.sees("does not trade NO SUCH THING")
    ben.settles()
    symbol = ben.page.get_by_label("Symbol", exact=True).first
    expect(symbol).to_have_value("NO SUCH THING")
    symbol.fill("eth/usd")
    symbol.press("Enter")
    ben.sees("Bot ETH/USD 15 Min is ready")
    expect(symbol).to_have_value("")
    (bot,) = [each for each in ben.stack.read("bots", trader.email) if each["symbol"] == "ETH/USD"]
    assert (bot["timeframe"], bot["position_size"], bot["risk_limit_percent"]) == ("15 Min", "5000", "10")


@pytest.mark.parametrize("holding", ["SOL/USD"], indirect=True)
def test_deleting_a_bot_that_holds_something_asks_and_closes_first(
    ben: Visitor, trader: Trader, holding: int
) -> None:
    ben.opens("My Bots", bot=holding)
    ben.sees("holds LONG")
    expect(ben.page.get_by_role("button", name="Close and delete")).to_be_disabled()
    ben.page.get_by_text("Yes, delete this bot").click()
    ben.presses("Close and delete")
    ben.sees("It is deleted when the close is final")
    wait_for(lambda: holding not in trader.bots(), 30)
    opened, closed = trader.trades(holding)
    assert (opened["action"], closed["action"], closed["status"]) == ("BUY", "CLOSE", "FILLED")


@pytest.mark.parametrize("holding", ["LTC/USD"], indirect=True)
def test_the_kill_switch_flattens_and_blocks(ben: Visitor, trader: Trader, holding: int) -> None:
    ben.opens("My Bots", bot=holding)
    ben.page.get_by_text("Flatten", exact=True).click()
    ben.presses("Set the switch")
    ben.sees("is flatten now")
    wait_for(lambda: trader.bots()[holding]["trading_state"] == "HALTED", 30)
    assert abs(trader.held(holding)) < Decimal("0.001")
    assert trader.alert("buy", "LTC/USD", "15").outcome["code"] == "KILL_SWITCH"
    ben.sees("HALTED by its kill switch")


def test_another_users_bot_looks_like_none(ben: Visitor, stack: Stack) -> None:
    eve = Trader(stack, "eve@example.com")
    theirs = eve.bot("XRP/USD", "15", eve.connect_paper(), "--name", "The secret bot")
    ben.opens("My Bots", bot=theirs)
    ben.sees(f"There is no bot {theirs}.")
    ben.does_not_see("The secret bot")
    ben.does_not_see("XRP")


def test_a_second_browser_sees_what_the_first_did(ben: Visitor, trader: Trader, chromium: Browser) -> None:
    bot = trader.bot("DOGE/USD", "15", 1)
    context = chromium.new_context()
    other = Visitor(ben.stack, context.new_page())
    other.sign_in(trader.email)
    other.opens("My Bots", bot=bot)
    ben.opens("My Bots", bot=bot)
    ben.presses("Disable")
    other.sees("DISABLED")
    context.close()
