"""Measure the page 🤖 Trading Bot in Chromium with a long history: first view, switch of tab, what is read.

`python -m bench.pages`. One user has 1,000 bots with 101,000 trades from 51,000 signals, another a tenth of
that in the same tables. Only database and dashboard run, so that nothing else is in the way.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import psutil
import psycopg2
from playwright.sync_api import Browser, Error, Page, sync_playwright

from bench import ground
from bench.many_trades import fill
from database import accounts, bots, embedded, migrate
from database.pool import Database
from encryption import new_key
from tests.browser.conftest import FLAGS, PROGRAMS
from tests.conftest import KEPT_FROM_OUTSIDE, _free_port

ROOT = Path(__file__).resolve().parents[1]
EMAIL, PASSWORD = "ann@example.org", "correct horse battery"
AGAIN, SESSIONS = 5, 10
PATIENCE = 60_000
# A query that a page sends, as the server's log tells it; not what begins and ends transactions.
QUERY = re.compile(r"statement: (?!BEGIN|COMMIT|ROLLBACK|SELECT 1$)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A tab, what is written on it when it is complete, and how many plots it has then."""

    name: str
    words: str
    plots: int = 0


TABS = (
    Tab(name="Setup", words="4. Try it"),
    Tab(name="My Bots", words="MSFT 15 Min no. 1"),
    Tab(name="Live Positions", words="In the accounts"),
    Tab(name="Trade History", words="Export to CSV"),
    Tab(name="Performance", words="Worst trades", plots=5),
    Tab(name="Risk Events", words="1 to 50, newest first"),
)
COMPLETE = """([words, plots]) => {
    const app = document.querySelector('[data-testid=stApp]');
    return app && app.getAttribute('data-test-script-state') === 'notRunning'
        && document.body.innerText.includes(words)
        && document.querySelectorAll('.js-plotly-plot .main-svg').length >= plots;
}"""


@dataclass(slots=True)
class House:
    """A database with a history, and a dashboard on it."""

    database: Database
    log: Path
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, tab: Tab) -> str:
        """Return where a tab is."""
        return f"{self.url}/Trading_Bot?tab={quote(tab.name)}"

    def memory(self) -> float:
        """Return the dashboard's resident memory in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 2**20)

    def rows_read(self) -> int:
        """Return how many rows the database has read from tables, by whatever way."""
        # A connection tells the server what it read a second after it went idle.
        time.sleep(1.5)
        sql = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
        with self.database.transaction() as transaction:
            return int(transaction.value(sql))


@contextmanager
def house() -> Iterator[House]:
    """Make the history and start the dashboard."""
    with TemporaryDirectory(prefix="dashtrade-bench-") as folder:
        server = embedded.Server(folder=Path(folder) / "data", port=_free_port(), password=new_key())
        server.start()
        try:
            url = server.url("dashtrade")
            migrate.apply(url)
            database = Database(url)
            make_history(database)
            with dashboard(url) as (port, process):
                yield House(database, Path(folder) / "data" / "start.log", port, process)
            database.close()
        finally:
            server.stop()


def make_history(database: Database) -> None:
    """Make two users with bots, trades, signals and an equity of months."""
    for email, count in ((EMAIL, 1000), ("bob@example.org", 100)):
        with database.transaction() as transaction:
            user = accounts.create_user(transaction, email, PASSWORD)
            connection_id = bots.create_connection(
                transaction, user_id=user.id, broker="paper", mode="paper", label="Practice"
            )
            fill(transaction, user.id, connection_id, bots=count)
    run_alone(database, "VACUUM ANALYZE")


def run_alone(database: Database, *statements: str) -> None:
    """Run statements that no transaction may hold."""
    with closing(psycopg2.connect(database.url)) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


@contextmanager
def dashboard(url: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run the dashboard alone."""
    port = _free_port()
    environ = {name: os.environ[name] for name in KEPT_FROM_OUTSIDE if name in os.environ} | {
        "DATABASE_URL": url, "ENCRYPTION_KEY": new_key(), "DASHTRADE_ENV_FILE": "/nowhere/.env",
        "DASHBOARD_PORT": str(port), "WEBHOOK_PORT": str(_free_port()),
    }  # fmt: skip
    where = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *where]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(20)


def sign_in(browser: Browser, house: House) -> Page:
    """Open a browser that was never here and sign in."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    for _ in range(100):
        try:
            page.goto(house.url + "/auth/login")
            break
        except Error:
            time.sleep(0.2)
    page.locator("input[type=email]").fill(EMAIL)
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_text("Sign out").first.wait_for()
    return page


def until_complete(page: Page, tab: Tab) -> None:
    """Wait until everything of a tab is drawn."""
    page.wait_for_function(COMPLETE, arg=[tab.words, tab.plots], timeout=PATIENCE, polling="raf")


def first_view(page: Page, house: House, tab: Tab) -> float:
    """Return how long a tab takes from its address to its last plot, with the scripts in the browser's cache."""
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(house.address(tab), wait_until="commit")
    until_complete(page, tab)
    return time.perf_counter() - began


def switched(page: Page, house: House, tab: Tab) -> float:
    """Return how long it takes from the click on a tab to its last plot."""
    other = TABS[3] if tab is TABS[0] else TABS[0]
    page.goto(house.address(other))
    until_complete(page, other)
    page.wait_for_timeout(300)
    began = time.perf_counter()
    page.get_by_role("tab", name=tab.name).click()
    until_complete(page, tab)
    return time.perf_counter() - began


def read_by(page: Page, house: House, tab: Tab) -> tuple[int, int]:
    """Return how many queries a first view sends, and how many rows the database reads for them."""
    before, mark = house.rows_read(), house.log.stat().st_size
    page.goto("about:blank")
    page.goto(house.address(tab))
    until_complete(page, tab)
    page.goto("about:blank")
    with open(house.log) as log:
        log.seek(mark)
        queries = len(QUERY.findall(log.read()))
    return queries, house.rows_read() - before


def main() -> None:
    """Measure every tab, then ten sessions at once."""
    program = next(filter(None, map(shutil.which, PROGRAMS)))
    with house() as here, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = sign_in(browser, here)
        times = {}
        for tab in TABS:
            first_view(page, here, tab)
            views = [first_view(page, here, tab) for _ in range(AGAIN)]
            switches = [switched(page, here, tab) for _ in range(AGAIN)]
            times[tab.name] = (statistics.median(views), statistics.median(switches))
        run_alone(here.database, "ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()")
        read = {tab.name: read_by(page, here, tab) for tab in TABS}
        one = here.memory()
        for number in range(SESSIONS - 1):
            until_complete_of(sign_in(browser, here), here, TABS[number % len(TABS)])
        rows = [
            (name, f"{first:.2f} s", f"{switch:.2f} s", *map(str, read[name]))
            for name, (first, switch) in times.items()
        ]
        head = ("tab", "first view", "switch", "queries", "rows read")
        ground.table("🤖 Trading Bot with 1,000 bots and 101,000 trades (medians of 5)", head, rows)
        print(f"\nDashboard: {one:.0f} MB with one session, {here.memory():.0f} MB with {SESSIONS}")
        browser.close()


def until_complete_of(page: Page, house: House, tab: Tab) -> None:
    """Open a tab and leave it open."""
    page.goto(house.address(tab))
    until_complete(page, tab)


if __name__ == "__main__":
    main()
