"""Measure every page in Chromium with a long history: first view, switch, what is read, memory of ten sessions.

`python -m bench.pages` takes some ten minutes, `python -m bench.pages Overview Signals` those pages alone.
One user has 1,000 bots with 101,000 trades from 51,000 signals, another a tenth of that in the same tables.
Only database and dashboard run beside the browser. It prints tables as docs/performance.md has them.
"""

import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import FrameType
from urllib.parse import quote

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from bench import ground
from bench.house import EMAIL, PASSWORD, House, another_dashboard, house, processor_seconds
from tests.browser.conftest import FLAGS, PROGRAMS

AGAIN, SESSIONS = 5, 10
PATIENCE = 60_000
STANDING_SECONDS, SETTLING_SECONDS = 12, 10
LIMIT_SECONDS = 1500
AIMS = {"first view": 1.5, "switch": 0.7}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page or tab: what is written on it when it is complete, and how many plots it has then.

    `link` is what leads to it from `next_to` by a click: a tab or, on another page, the sidebar's.
    """

    name: str
    path: str
    words: str
    plots: int = 0
    link: str = ""
    next_to: str = ""
    refreshes: bool = False


def _tab(
    page: str, path: str, name: str, words: str, next_to: str, *, plots: int = 0, refreshes: bool = False
) -> View:
    where = f"{path}?tab={quote(name)}"
    return View(name=f"{page}, {name}" if page else name, path=where, words=words, plots=plots, link=name,
                next_to=next_to, refreshes=refreshes)  # fmt: skip


BOT, SETTINGS, ADMIN = "/Trading_Bot", "/settings", "/admin"
VIEWS = (
    View(name="Overview", path="/", words="Last signals", plots=1, link="Overview", next_to="Signals", refreshes=True),
    _tab("", BOT, "Setup", "4. Try it", "Risk Events"),
    _tab("", BOT, "My Bots", "MSFT 15 Min no. 1", "Setup", refreshes=True),
    View(name="one bot", path=f"{BOT}?tab={quote('My Bots')}&bot={{bot}}", words="Set the switch"),
    _tab("", BOT, "Live Positions", "In the accounts", "Setup", refreshes=True),
    _tab("", BOT, "Trade History", "1 to 50, newest first", "Setup", refreshes=True),
    _tab("", BOT, "Performance", "Worst trades", "Setup", plots=5),
    _tab("", BOT, "Risk Events", "1 to 50, newest first", "Setup", refreshes=True),
    View(name="Signals", path="/signals", words="1 to 50, newest first", link="Signals", next_to="Overview",
         refreshes=True),
    View(name="a signal's trace", path="/signals?signal={signal}", words="Signal id"),
    _tab("Settings", SETTINGS, "Kill switch", "own switch is in My Bots", "Settings, Profile"),
    _tab("Settings", SETTINGS, "Profile", "Change your password", "Settings, Kill switch"),
    _tab("Settings", SETTINGS, "Sessions", "A session that you end", "Settings, Kill switch"),
    _tab("Settings", SETTINGS, "Second factor", "Set it up", "Settings, Kill switch"),
    _tab("Admin", ADMIN, "Health", "None: no loop has failed", "Admin, Backups", refreshes=True),
    _tab("Admin", ADMIN, "Users", "Invite somebody", "Admin, Backups"),
    _tab("Admin", ADMIN, "Kill switch", "over the bots of every account", "Admin, Backups"),
    _tab("Admin", ADMIN, "Audit log", "1 to 50, newest first", "Admin, Backups"),
    _tab("Admin", ADMIN, "Backups", "To restore, stop DashTrade", "Admin, Health"),
)  # fmt: skip
BY_NAME = {view.name: view for view in VIEWS}
# Everything is drawn when no script runs, nothing is a grey placeholder, tables have their cells and plots their lines.
COMPLETE = """([words, plots]) => {
    const app = document.querySelector('[data-testid=stApp]');
    return app && app.getAttribute('data-test-script-state') === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton]')
        && [...document.querySelectorAll('[data-testid=stDataFrame]')].every(
            table => !table.checkVisibility() || table.querySelector('canvas'))
        && document.querySelector('[data-testid=stMain]').innerText.includes(words)
        && document.querySelectorAll('.js-plotly-plot .main-svg').length >= plots;
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long a view took, in seconds: from its address, by a click, and the processors' part of the former."""

    first: Sequence[float]
    switch: Sequence[float]
    dashboard: float
    database: float
    browser: float


@dataclass(slots=True)
class Visit:
    """Somebody signed in at the dashboard, in one window."""

    page: Page
    house: House
    named: dict[str, object]

    def opens(self, view: View) -> None:
        """Go to the view's address and wait until it is complete."""
        self.page.goto(self.house.url + view.path.format(**self.named), wait_until="commit")
        self.until_complete(view)

    def leaves(self) -> None:
        """Go where nothing is asked of the dashboard."""
        self.page.goto("about:blank")

    def until_complete(self, view: View) -> None:
        """Wait until everything of a view is drawn."""
        arg = [view.words, view.plots]
        self.page.wait_for_function(COMPLETE, arg=arg, timeout=PATIENCE, polling="raf")

    def first_view(self, view: View) -> float:
        """Return how long a view takes from its address, with the scripts in the browser's cache."""
        self.leaves()
        return timed(lambda: self.opens(view))

    def switched(self, view: View) -> float:
        """Return how long it takes from the click that leads to a view until it is complete."""
        other = BY_NAME[view.next_to]
        self.opens(other)
        self.page.wait_for_timeout(500)
        role = "tab" if "?tab=" in view.path else "link"
        link = self.page.get_by_role(role, name=view.link, exact=role == "tab").first

        def follow() -> None:
            link.click()
            self.until_complete(view)

        return timed(follow)


def timed(action: Callable[[], None]) -> float:
    """Return how many seconds something takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def sign_in(browser: Browser, house: House) -> Visit:
    """Open a browser that was never here and sign in."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(house.url + "/auth/login")
    page.locator("input[type=email]").fill(EMAIL)
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Sign out").first.wait_for()
    return Visit(page, house, {"bot": house.first_bot(), "signal": house.newest_signal()})


def measure_times(visit: Visit, view: View) -> Times:
    """Look at a view again and again, once before to warm everything."""
    visit.first_view(view)
    visit.leaves()
    before, browser_before = visit.house.work(), browser_seconds()
    first = [visit.first_view(view) for _ in range(AGAIN)]
    browser = browser_seconds() - browser_before
    visit.leaves()
    done = visit.house.work().since(before)
    switch = [visit.switched(view) for _ in range(AGAIN)] if view.link else []
    return Times(
        first=first,
        switch=switch,
        dashboard=done.dashboard / AGAIN,
        database=done.database / AGAIN,
        browser=browser / AGAIN,
    )


def browser_seconds() -> float:
    """Return the processor time that the browser's processes have taken so far."""
    children = psutil.Process().children(recursive=True)
    return sum(processor_seconds(child) for child in children if child.name().startswith("chrom"))


def measure_reading(visit: Visit, view: View) -> list[str]:
    """Return the queries and rows of a first view, and those of a minute in which the page stands open."""
    visit.leaves()
    before = visit.house.work()
    visit.opens(view)
    visit.leaves()
    viewed = visit.house.work().since(before)
    cells = [f"{viewed.queries}", f"{viewed.rows:,}"]
    if not view.refreshes:
        return [*cells, "", "", ""]
    before = visit.house.work()
    visit.opens(view)
    visit.page.wait_for_timeout(1000 * STANDING_SECONDS)
    visit.leaves()
    stood = visit.house.work().since(before).since(viewed)
    minute = 60 / STANDING_SECONDS
    share = (stood.dashboard + stood.database) / STANDING_SECONDS
    return [*cells, f"{stood.queries * minute:.0f}", f"{stood.rows * minute:,.0f}", f"{share:.1%}"]


def measure_memory(browser: Browser, old: House) -> list[list[str]]:
    """Open session after session at a fresh dashboard, each on another page, and weigh it."""
    chosen = [BY_NAME[name] for name in ("Overview", "My Bots", "Live Positions", "Performance", "Signals")]
    with another_dashboard(old) as house:
        rows = [["started, nobody there", f"{_settled(house):.0f} MB", ""]]
        one = sign_in(browser, house)
        for view in VIEWS:
            one.opens(view)
        one.opens(chosen[0])
        alone, share = _settled(house), _processor_share(house)
        rows.append(["one session that has seen every page", f"{alone:.0f} MB", f"{share:.1%}"])
        for number in range(1, SESSIONS):
            sign_in(browser, house).opens(chosen[number % len(chosen)])
        together, share = _settled(house), _processor_share(house)
        rows.append([f"{SESSIONS} sessions", f"{together:.0f} MB", f"{share:.1%}"])
        rows.append(["each session more", f"{(together - alone) / (SESSIONS - 1):.1f} MB", ""])
        for context in browser.contexts:
            context.close()
    return rows


def _settled(house: House) -> float:
    time.sleep(SETTLING_SECONDS)
    return house.memory()


def _processor_share(house: House) -> float:
    """Return which part of one core dashboard and database take while the pages stand open."""
    before, began = house.processor_seconds(), time.monotonic()
    time.sleep(STANDING_SECONDS)
    return (sum(house.processor_seconds()) - sum(before)) / (time.monotonic() - began)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as a page of docs/ has it."""
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def time_cells(name: str, times: Times) -> list[str]:
    """Write a view's medians, with the largest, and mark what misses its aim."""
    cells = [name, _spread(times.first, AIMS["first view"]), _spread(times.switch, AIMS["switch"])]
    return [*cells, *(f"{1000 * part:.0f} ms" for part in (times.dashboard, times.database, times.browser))]


def _spread(seconds: Sequence[float], aim: float) -> str:
    if not seconds:
        return ""
    middle = statistics.median(seconds)
    text = f"{middle:.2f} s (to {max(seconds):.2f})"
    return f"**{text}**" if middle > aim else text


def measure(browser: Browser, here: House, views: Sequence[View]) -> None:
    """Measure views and print each table as soon as it is full."""
    visit = sign_in(browser, here)
    times = []
    for view in views:
        times.append(time_cells(view.name, measure_times(visit, view)))
        print(f"{'; '.join(times[-1])}  [{ground.load_words()}]", file=sys.stderr, flush=True)
    print(f"Medians of {AGAIN}, in brackets the slowest; bold misses its aim. {ground.load_words()}.")
    markdown(("view", "first view", "switch", "processor: dashboard", "database", "browser"), times)
    here.count_queries()
    read = [[view.name, *measure_reading(visit, view)] for view in views]
    markdown(("view", "queries", "rows read", "standing open: queries/min", "rows/min", "processor"), read)
    visit.page.context.close()


def main() -> None:
    """Measure the views named, or every one and then ten sessions at once."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.signal(signal.SIGTERM, _give_up)
    signal.alarm(LIMIT_SECONDS)
    program = next(filter(None, map(shutil.which, PROGRAMS)))
    named = sys.argv[1:]
    views = [BY_NAME[name] for name in named] or list(VIEWS)
    with house() as here, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            measure(browser, here, views)
            if not named:
                print(f"Memory and processor of the dashboard. {ground.load_words()}.")
                markdown(("", "resident", "processor of one core"), measure_memory(browser, here))
        finally:
            browser.close()


def _give_up(number: int, _frame: FrameType | None) -> None:
    # Raised, so that everything started is stopped on the way out.
    raise SystemExit(f"stopped by {signal.Signals(number).name}")


if __name__ == "__main__":
    main()
