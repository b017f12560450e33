"""Sessions and the second factor in real browsers: what is ended in one place is over in the other."""

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.visitor import PATIENCE, Visitor
from tests.end_to_end.stack import PASSWORD, Stack, Trader

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SIGN_IN = re.compile("/auth/login")
STEP = timedelta(seconds=30)

_numbers = itertools.count()


@pytest.fixture
def trader(stack: Stack) -> Trader:
    """Give a user of the test's own with a connection, so that pages have something to hide."""
    trader = Trader(stack, f"dan{next(_numbers)}@example.com")
    trader.connect_paper()
    return trader


@pytest.fixture
def dan(visitor: Visitor, trader: Trader) -> Visitor:
    """Give that user at the dashboard, signed in."""
    visitor.sign_in(trader.email)
    return visitor


@pytest.fixture
def elsewhere(dan: Visitor, chromium: Browser, trader: Trader) -> Iterator[Visitor]:
    """Give the same user in another browser, with a page open that shows their account."""
    context = chromium.new_context(user_agent="Firefox/140 on Windows")
    context.set_default_timeout(PATIENCE)
    other = Visitor(dan.stack, context.new_page())
    other.sign_in(trader.email)
    other.opens("Live Positions")
    other.sees("Buying power")
    yield other
    context.close()


def opens_settings(visitor: Visitor, tab: str) -> None:
    visitor.page.goto(f"{visitor.url}/settings?tab={tab}")
    visitor.settles()


def test_a_session_ended_in_settings_ends_the_other_browsers_page(dan: Visitor, elsewhere: Visitor) -> None:
    opens_settings(dan, "Sessions")
    dan.sees("Firefox on Windows")
    dan.presses("End it")
    dan.sees("That session is over.")
    # Nothing is pressed in the other browser: its page leaves by itself, and this one stays.
    expect(elsewhere.page).to_have_url(SIGN_IN, timeout=PATIENCE)
    expect(elsewhere.page.get_by_text("Buying power")).to_have_count(0)
    elsewhere.page.goto(elsewhere.url)
    expect(elsewhere.page).to_have_url(SIGN_IN, timeout=PATIENCE)
    dan.does_not_see("Firefox on Windows")
    dan.opens("Live Positions")
    dan.sees("Buying power")


def test_all_other_sessions_end_at_once(dan: Visitor, elsewhere: Visitor) -> None:
    opens_settings(dan, "Sessions")
    dan.presses("Sign out everywhere else")
    dan.sees("ended.")
    expect(elsewhere.page).to_have_url(SIGN_IN, timeout=PATIENCE)
    dan.page.reload()
    dan.sees("✓ this one")


def test_a_new_password_ends_the_other_browsers_page(dan: Visitor, elsewhere: Visitor) -> None:
    opens_settings(dan, "Profile")
    dan.types("Current password", PASSWORD)
    dan.types("New password", PASSWORD + "!")
    dan.types("The new password again", PASSWORD + "!")
    dan.presses("Change the password")
    expect(elsewhere.page).to_have_url(SIGN_IN, timeout=PATIENCE)
    dan.page.reload()
    dan.sees("Change your password")


def test_a_second_factor_is_switched_on_and_asked_for(visitor: Visitor, stack: Stack) -> None:
    Trader(stack, "fay@example.com")
    visitor.sign_in("fay@example.com")
    opens_settings(visitor, "Second factor")
    visitor.presses("Set it up")
    key = visitor.page.get_by_test_id("stCode").first.inner_text(timeout=PATIENCE)
    factor = pyotp.TOTP("".join(key.split()))
    visitor.types("Code", "000000")
    visitor.presses("Turn it on")
    visitor.sees("That is not the code of now")
    visitor.types("Code", factor.at(datetime.now(UTC)))
    visitor.presses("Turn it on")
    visitor.sees("The second factor is on")
    visitor.presses("Sign out")
    expect(visitor.page).to_have_url(SIGN_IN, timeout=PATIENCE)
    visitor.page.get_by_label("E-mail").fill("fay@example.com")
    visitor.page.locator("input[name=password]").fill(PASSWORD)
    visitor.page.keyboard.press("Enter")
    visitor.page.get_by_label("Code").fill("000000")
    visitor.page.keyboard.press("Enter")
    visitor.sees("That code is not right")
    # The code of now may have switched it on; the next one is taken half a minute early.
    visitor.page.get_by_label("Code").fill(factor.at(datetime.now(UTC) + STEP))
    visitor.page.keyboard.press("Enter")
    visitor.sees("Sign out")
