"""Write a picture of every page and tab: `python -m tests.browser.screenshots FOLDER`, or `make screenshots`.

It starts everything on free ports with a database of its own, fills it with the demo, and looks at each
page as a wide screen and a phone show it, light and dark. `--guide` writes the pictures of the README and of
the guides instead, as `make pictures` does: `python -m tests.browser.screenshots --guide docs/pictures`.
"""

import json
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from paho.mqtt.client import CallbackAPIVersion, Client
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from administration.demo_watched import PREFIX
from tests.browser.conftest import FLAGS, MISSING, PROGRAMS
from tests.browser.visitor import SETTLED
from tests.end_to_end.stack import PASSWORD, Stack, running_stack

ADMIN = "admin@example.com"
DEMO = "demo@dashtrade.local"
SCREENS = {"wide": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
TABS = ("Setup", "My Bots", "Live Positions", "Trade History", "Performance", "Risk Events")
WATCHED_TABS = ("Now", "Trades", "Messages", "Connect")
ALERT_TABS = (
    *("Where to", "Which alerts", "History", "Signal channels", "Your Discord account", "Reversal signals"),
)
REVERSAL_TABS = ("Signals", "Latest scores", "Track record", "Market data")
JOURNAL_TABS = ("Open trades", "History")
UP_SECONDS, BEAT_SECONDS = 189_700, 15
TALLEST = 6000
# Plots and tables come after the words: their programs are loaded when the first of them is drawn.
DRAWN = """() => {
    const all = part => [...document.querySelectorAll(`[data-testid=${part}]`)];
    const shown = part => all(part).filter(each => each.checkVisibility());
    return shown('stPlotlyChart').every(each => each.querySelector('.main-svg'))
        && shown('stDataFrame').every(each => each.querySelector('canvas')) && !shown('stSkeleton').length;
}"""
SIDEBAR = "open the sidebar"
COLOURS, SHARPNESS = 128, 1.5
# A busy machine needs longer for six weeks of trades than a person would wait
DEMO_SECONDS = 300


@dataclass(frozen=True, slots=True)
class View:
    """One picture: its name, the address, what is clicked there, and how much of its height is shown."""

    name: str
    path: str
    clicks: tuple[str, ...] = ()
    height: int | None = None


def pages(stack: Stack) -> Iterator[View]:
    """Give every page and tab of the demo's user, and what opens on them."""
    yield View("overview", "/")
    for tab in TABS:
        yield View(f"bot {tab}", bot_tab(tab))
    bot = stack.read("bots", DEMO)[0]["id"]
    yield View("bot one bot", bot_tab("My Bots") + f"&bot={bot}")
    yield View("new bot", bot_tab("My Bots"), ("Add New Bot", "Advanced"))
    yield View("close position", bot_tab("Live Positions"), ("Close position",))
    yield View("live form", bot_tab("Setup"), ("Connect another broker", "Alpaca", "Live: real money"))
    yield View("limits", bot_tab("Setup"), ("Limits",))
    yield View("signals", "/signals")
    signals = stack.read("signals", DEMO)
    for state in ("EXECUTED", "SKIPPED", "REFUSED"):
        found = next((each for each in signals if each["state"] == state), None)
        if found is not None:
            yield View(f"signal {state}", f"/signals?signal={found['signal_id']}")
    for tab in WATCHED_TABS:
        yield View(f"watched {tab}", f"/watched_bots?tab={quote(tab)}")
    for tab in ALERT_TABS:
        yield View(f"alerts {tab}", f"/discord?tab={quote(tab)}")
    yield View("alerts change", "/discord", ("Change",))
    yield View("new channel", "/discord?tab=Signal%20channels", ("Register a channel", "More"))
    channel = stack.read("channels", DEMO)[0]["id"]
    yield View("one channel", f"/discord?tab=Signal%20channels&channel={channel}")
    yield from reversal_pages(stack)
    for tab in ("Kill switch", "Profile", "Sessions", "Second factor"):
        yield View(f"settings {tab}", f"/settings?tab={quote(tab)}")
    yield View("flatten", "/settings?tab=Kill%20switch", ("Flatten",))
    yield View("sidebar", "/", (SIDEBAR,))


def reversal_pages(stack: Stack) -> Iterator[View]:
    """Give the pages of reversal signals and of the journal, with one signal and one trade of each kind."""
    for tab in REVERSAL_TABS:
        yield View(f"reversals {tab}", f"/reversal_signals?tab={quote(tab)}")
    trades = stack.read("tracked", "list", DEMO, "--all")
    answered = next(each for each in trades if each["signal_notification_id"])
    yield View("one reversal", f"/reversal_signals?signal={answered['signal_notification_id']}")
    for tab in JOURNAL_TABS:
        yield View(f"journal {tab}", f"/trade_journal?tab={quote(tab)}")
    yield View("journal by hand", "/trade_journal", ("Open a trade by hand",))
    for state in ("open", "closed"):
        found = next((each for each in trades if each["status"] == state), None)
        if found is not None:
            yield View(f"journal {state} trade", f"/trade_journal?trade={found['id']}")


def admin_pages() -> Iterator[View]:
    """Give every tab that admins have, and what is empty while nothing was done."""
    for tab in ("Health", "Users", "Signals by day", "Kill switch", "Audit log", "Backups"):
        yield View(f"admin {tab}", f"/admin?tab={quote(tab)}")
    yield View("empty overview", "/")
    yield View("empty signals", "/signals")
    for tab in TABS:
        yield View(f"empty {tab}", bot_tab(tab))
    yield View("empty watched", "/watched_bots")
    for tab in REVERSAL_TABS:
        yield View(f"empty reversals {tab}", f"/reversal_signals?tab={quote(tab)}")
    for tab in JOURNAL_TABS:
        yield View(f"empty journal {tab}", f"/trade_journal?tab={quote(tab)}")
    for tab in ALERT_TABS:
        yield View(f"empty alerts {tab}", f"/discord?tab={quote(tab)}")


def guide_pages(stack: Stack) -> Iterator[View]:
    """Give what the README and the guides show of the demo's user."""
    yield View("overview", "/", height=1180)
    yield View("new bot", bot_tab("My Bots"), ("Add New Bot",), height=500)
    yield View("my bots", bot_tab("My Bots"), height=760)
    yield View("live positions", bot_tab("Live Positions"), height=800)
    yield View("trade history", bot_tab("Trade History"), height=700)
    yield View("performance", bot_tab("Performance"), height=1120)
    yield View("risk events", bot_tab("Risk Events"), height=560)
    yield View("watched bots", "/watched_bots", height=1200)
    yield View("alerts", "/discord?tab=History", height=760)
    yield View("signals", "/signals", height=760)
    signals = stack.read("signals", DEMO)
    executed = next(each for each in signals if each["state"] == "EXECUTED")
    yield View("signal", f"/signals?signal={executed['signal_id']}", height=900)
    refused = next(each for each in signals if each["state"] == "REFUSED")
    yield View("signal refused", f"/signals?signal={refused['signal_id']}", height=700)


def phone_pages() -> Iterator[View]:
    """Give what the README shows of a phone."""
    yield View("phone live positions", bot_tab("Live Positions"), height=1000)


def bot_tab(tab: str) -> str:
    """Return the address of a tab of the page 🤖 Trading Bot."""
    return f"/Trading_Bot?tab={quote(tab)}"


@contextmanager
def beating(stack: Stack) -> Iterator[None]:
    """Let the demo's watched bot send heartbeats meanwhile, so that it is seen online."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(int(stack.environ["MQTT_BROKER_PORT"]), ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(port: int, ended: threading.Event) -> None:
    began = time.time()
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while not ended.is_set():
        up = int(UP_SECONDS + time.time() - began)
        said = {"timestamp": time.time(), "uptime_seconds": up, "open_positions": 2, "total_trades": 19}
        client.publish(f"{PREFIX}status/bot/heartbeat", json.dumps(said), qos=1)
        ended.wait(BEAT_SECONDS)
    client.disconnect()
    client.loop_stop()


def take(page: Page, base: str, view: View, file: Path, size: tuple[int, int]) -> None:
    """Write one picture of a page, as tall as the page is where its view sets no height."""
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    page.goto(base + view.path)
    page.get_by_test_id("stMain").wait_for()
    settle(page)
    for click in view.clicks:
        if click != SIDEBAR:
            page.get_by_text(click).first.click()
        elif page.get_by_test_id("stExpandSidebarButton").is_visible():
            page.get_by_test_id("stExpandSidebarButton").click()
        settle(page)
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": view.height or min(max(height, int(tall)), TALLEST)})
    settle(page)
    page.screenshot(path=file)


def settle(page: Page) -> None:
    """Wait until everything is drawn."""
    for _ in range(2):
        page.wait_for_timeout(500)
        page.wait_for_function(SETTLED)
        page.wait_for_function(DRAWN)


def signed_in(browser: Browser, base: str, email: str, password: str, **look: Any) -> Page:
    """Return a page of the dashboard in a window of its own, after signing in."""
    page = browser.new_context(**look).new_page()
    page.goto(base)
    page.get_by_label("E-mail").fill(email)
    page.locator("input[name=password]").fill(password)
    page.keyboard.press("Enter")
    page.get_by_test_id("stMain").wait_for()
    return page


def look(browser: Browser, base: str, email: str, password: str, views: list[View], folder: Path) -> None:
    """Sign in once for each screen and scheme, and take all pages."""
    for screen, size in SCREENS.items():
        for scheme in SCHEMES:
            shown = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}
            stranger = browser.new_context(**shown).new_page()
            stranger.goto(base)
            stranger.screenshot(path=folder / f"sign-in-{screen}-{scheme}.png")
            stranger.context.close()
            page = signed_in(browser, base, email, password, **shown)
            for view in views:
                take(page, base, view, folder / f"{file_name(view)}-{screen}-{scheme}.png", size)
            page.context.close()


def look_for_guide(
    browser: Browser,
    base: str,
    email: str,
    password: str,
    views: list[View],
    folder: Path,
    screen: str = "wide",
) -> None:
    """Take pictures small enough for a repository: one screen, the light scheme, few colours."""
    size = SCREENS[screen]
    shown = {"viewport": {"width": size[0], "height": size[1]}, "device_scale_factor": SHARPNESS}
    page = signed_in(browser, base, email, password, **shown)
    for view in views:
        file = folder / f"{file_name(view)}.png"
        take(page, base, view, file, size)
        Image.open(file).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    page.context.close()


def file_name(view: View) -> str:
    """Return the name of a view's picture without its ending."""
    return view.name.replace(" ", "-").lower()


def main(folder: Path, *, for_guide: bool) -> int:
    """Start, fill, look; return the exit code."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        print(MISSING.replace("make test", "make screenshots"), file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with running_stack() as stack, sync_playwright() as playwright:
        stack.manage("user", "add", ADMIN, "--password-stdin", given=PASSWORD)
        printed = stack.manage("demo", "--seconds", DEMO_SECONDS)
        password = re.search(r"password (\S+)", printed)
        if password is None:
            print(f"The demo was not made: {printed}", file=sys.stderr)
            return 1
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        base = f"http://127.0.0.1:{stack.environ['DASHBOARD_PORT']}"
        with beating(stack):
            if for_guide:
                setup = [View("setup", bot_tab("Setup"), ("Alpaca",), height=860)]
                look_for_guide(browser, base, ADMIN, PASSWORD, setup, folder)
                look_for_guide(browser, base, DEMO, password[1], list(guide_pages(stack)), folder)
                look_for_guide(browser, base, DEMO, password[1], list(phone_pages()), folder, "phone")
            else:
                look(browser, base, DEMO, password[1], list(pages(stack)), folder)
                look(browser, base, ADMIN, PASSWORD, list(admin_pages()), folder)
        browser.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")
    return 0


if __name__ == "__main__":
    arguments = [each for each in sys.argv[1:] if each != "--guide"]
    sys.exit(main(Path(arguments[0]), for_guide="--guide" in sys.argv))
