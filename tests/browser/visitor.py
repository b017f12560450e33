"""Somebody at the dashboard, who does what people do: reads, types, clicks."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.stack import PASSWORD, Stack

PATIENCE = 30_000
SETTLED = """() => !document.querySelector('[data-testid=stSkeleton]')
    && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState !== 'running'"""


@dataclass(slots=True)
class Visitor:
    """One person in one window."""

    stack: Stack
    page: Page

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.environ['DASHBOARD_PORT']}"

    def sign_up_first(self, email: str) -> None:
        """Make the first account with the code that DashTrade printed where it was started."""
        printed = re.search(r"Sign-up code.*: (\S+)", self.stack.log.read_text())
        assert printed is not None
        self.page.goto(self.url)
        self.page.get_by_label("E-mail").fill(email)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.locator("input[name=again]").fill(PASSWORD)
        self.page.get_by_label("Sign-up code").fill(printed[1])
        self.page.keyboard.press("Enter")

    def sign_in(self, email: str) -> None:
        """Sign in with the password that every test's account has."""
        self.page.goto(self.url)
        self.page.get_by_label("E-mail").fill(email)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        self.sees("Sign out")

    def opens(self, tab: str, **query: object) -> None:
        """Open a tab of the page 🤖 Trading Bot by its address."""
        named = "".join(f"&{name}={value}" for name, value in query.items())
        self.page.goto(f"{self.url}/Trading_Bot?tab={quote(tab)}{named}")

    def button(self, name: str) -> Locator:
        """Return the button of exactly that name."""
        return self.page.get_by_role("button", name=name, exact=True).first

    def presses(self, name: str) -> None:
        """Wait for a button and press it."""
        # An icon's name stands before a button's own.
        self.page.get_by_role("button", name=name).first.click()

    def types(self, label: str, text: str) -> None:
        """Fill the field of that label."""
        self.page.get_by_label(label, exact=True).first.fill(text)

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)

    def settles(self) -> None:
        """Wait until the page stands still: what is pressed earlier may be what the old page meant."""
        self.page.wait_for_function(SETTLED, timeout=PATIENCE)

    def does_not_see(self, text: str) -> None:
        """Make sure that a text is not on the page."""
        expect(self.page.get_by_text(text)).to_have_count(0)
