"""Write a picture of every page and tab: `python -m tests.browser.screenshots FOLDER`, or `make screenshots`.

It starts everything on free ports with a database of its own, fills it with the demo, and looks at each
page as a wide screen and a phone show it, light and dark.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS, MISSING, PROGRAMS
from tests.browser.visitor import SETTLED
from tests.end_to_end.stack import PASSWORD, Stack, running_stack

ADMIN = "admin@example.com"
DEMO = "demo@dashtrade.local"
SCREENS = {"wide": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
TABS = ("Setup", "My Bots", "Live Positions", "Trade History", "Performance", "Risk Events")
TALLEST = 6000


def pages(stack: Stack) -> Iterator[tuple[str, str]]:
    """Give the name and address of every page and tab of the demo's user."""
    yield "overview", "/"
    for tab in TABS:
        yield f"bot {tab}", f"/Trading_Bot?tab={quote(tab)}"
    bot = stack.read("bots", DEMO)[0]["id"]
    yield "bot one bot", f"/Trading_Bot?tab=My%20Bots&bot={bot}"
    yield "signals", "/signals"
    signals = stack.read("signals", DEMO)
    for state in ("EXECUTED", "SKIPPED", "REFUSED"):
        found = next((each for each in signals if each["state"] == state), None)
        if found is not None:
            yield f"signal {state}", f"/signals?signal={found['signal_id']}"
    for tab in ("Kill switch", "Profile", "Sessions", "Second factor"):
        yield f"settings {tab}", f"/settings?tab={quote(tab)}"


def admin_pages() -> Iterator[tuple[str, str]]:
    """Give the name and address of every tab that admins have."""
    for tab in ("Health", "Users", "Kill switch", "Audit log", "Backups"):
        yield f"admin {tab}", f"/admin?tab={quote(tab)}"
    yield "empty overview", "/"
    yield "empty signals", "/signals"
    for tab in TABS:
        yield f"empty {tab}", f"/Trading_Bot?tab={quote(tab)}"


def take(page: Page, url: str, file: Path, size: tuple[int, int]) -> None:
    """Write one picture of a page, as tall as the page is."""
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    page.get_by_test_id("stMain").wait_for()
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(1500)
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": min(max(height, int(tall)), TALLEST)})
    page.wait_for_timeout(500)
    page.screenshot(path=file)


def look(
    browser: Browser, stack: Stack, email: str, password: str, shown: list[tuple[str, str]], folder: Path
) -> None:
    """Sign in once for each screen and scheme, and take all pages."""
    base = f"http://127.0.0.1:{stack.environ['DASHBOARD_PORT']}"
    for screen, size in SCREENS.items():
        for scheme in SCHEMES:
            context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            page = context.new_page()
            page.goto(base)
            page.screenshot(path=folder / f"sign-in-{screen}-{scheme}.png")
            page.get_by_label("E-mail").fill(email)
            page.locator("input[name=password]").fill(password)
            page.keyboard.press("Enter")
            page.get_by_test_id("stMain").wait_for()
            for name, path in shown:
                take(
                    page,
                    base + path,
                    folder / f"{name.replace(' ', '-').lower()}-{screen}-{scheme}.png",
                    size,
                )
            context.close()


def main(folder: Path) -> int:
    """Start, fill, look; return the exit code."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        print(MISSING.replace("make test", "make screenshots"), file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with running_stack() as stack, sync_playwright() as playwright:
        stack.manage("user", "add", ADMIN, "--password-stdin", given=PASSWORD)
        printed = stack.run_manage("demo").stdout
        password = re.search(r"password (\S+)", printed)
        if password is None:
            print(f"The demo was not made: {printed}", file=sys.stderr)
            return 1
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        look(browser, stack, DEMO, password[1], list(pages(stack)), folder)
        look(browser, stack, ADMIN, PASSWORD, list(admin_pages()), folder)
        browser.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
