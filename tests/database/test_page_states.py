"""Every page and tab in every state: empty, normal, broker down, real money, database slow, away, and back."""

import ast
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from core.bot import ConnectionStatus
from database import alert_channels, audit, bots, embedded, risk
from database.accounts import create_user
from database.pool import Database
from encryption import Vault, new_key
from tests.conftest import TEMPLATE, _database_for_one_test, _free_port
from tests.database.office import with_database
from tests.database.reversal_office import ReversalOffice
from tests.database.trading_floor import TradingFloor
from tests.database.watched_desk import WatchedDesk, a_life, listening
from tests.database.whole_pages import Browser, everything, new_browser, open_session
from ui.calm import NO_DATABASE
from ui.services import services

EMAIL = "ann@example.org"
DOWN = "The broker answers nothing but 503."
# A page's statement is given up this soon here; see PATIENCE_SECONDS for the real dashboard.
IMPATIENT = "?options=-c%20statement_timeout%3D300"
WHO = ("users", "user_sessions")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A page or tab by its address, and what a reader finds there in each state."""

    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    empty: str
    normal: str
    down: str = ""
    live: str = ""
    slow: str = NO_DATABASE

    def expected(self, state: str) -> str:
        """Return what must be read there; what a state does not change is as ever."""
        return str(getattr(self, state, "") or self.normal)


def tab(path: str, name: str, empty: str, normal: str, **more: str) -> Place:
    return Place(path=path, query=(("tab", name),), empty=empty, normal=normal, **more)


BOT, CONNECT, MAKE = "Trading_Bot", "Connect a broker first", "Make one in the tab My Bots"
LIVE = r":red-badge\[LIVE\]"
PLACES = {
    "Overview": Place(empty="Connect a broker", normal="AAPL", down=DOWN, live=LIVE),
    "Setup": tab(BOT, "Setup", "Connect the paper broker", "● connected", down=DOWN, live=LIVE),
    "My Bots": tab(
        BOT, "My Bots", CONNECT, "▲ FILLED|● FILLED", down="Its connection has a problem", live=LIVE
    ),
    "Live Positions": tab(BOT, "Live Positions", CONNECT, "▲ LONG", down=DOWN, live=LIVE),
    "Trade History": tab(BOT, "Trade History", MAKE, "● FILLED"),
    "Performance": tab(BOT, "Performance", MAKE, "Profit factor"),
    "Risk Events": tab(BOT, "Risk Events", "Nothing happened yet", "Stop reached"),
    "one bot": Place(
        path=BOT,
        query=(("tab", "My Bots"), ("bot", "1")),
        empty="There is no bot 1",
        normal="AAPL 15 Min",
        down="Its connection has a problem",
        live=LIVE,
    ),
    "Signals": Place(path="signals", empty="No signal came yet", normal="● executed"),
    "one signal": Place(
        path="signals",
        query=(("signal", "the newest"),),
        empty="There is no such signal of yours",
        normal=r"\*\*Executed",
        live=LIVE,
    ),
    "watched bot": tab("watched_bots", "Now", "No bot is watched yet", "● ONLINE"),
    "its trades": tab("watched_bots", "Trades", "No bot is watched yet", "ETH/USD"),
    "its messages": tab("watched_bots", "Messages", "No bot is watched yet", "rate limit"),
    "how it connects": tab("watched_bots", "Connect", "Watch a bot", "mosquitto_pub"),
    "where alerts go": tab("discord", "Where to", "your alerts go nowhere", "● ACTIVE"),
    "which alerts": tab("discord", "Which alerts", "Order rejected or failed", "Order rejected or failed"),
    "alerts so far": tab("discord", "History", "Nothing happened yet", "Stop reached|Position opened"),
    "signal channels": tab("discord", "Signal channels", "Connect a broker first", "Register the channel"),
    "Discord account": tab("discord", "Your Discord account", "NOT LINKED", "● LINKED"),
    "settings of signals": tab(
        "discord", "Reversal signals", "is not linked yet", "tried again|not delivered", slow=NO_DATABASE
    ),
    "reversal signals": tab("reversal_signals", "Signals", "is not linked yet", "left to answer"),
    "one reversal": Place(
        path="reversal_signals",
        query=(("signal", "1"),),
        empty="There is no such signal of yours",
        normal="Open this trade",
    ),
    "scores": tab("reversal_signals", "Latest scores", "No bar was scored yet", "… on its way"),
    "track record": tab("reversal_signals", "Track record", "No model is in use yet", "No edge shown"),
    "market data": tab("reversal_signals", "Market data", "Nobody looks at the markets", "1 of 2 feeds fail"),
    "open trades": tab("trade_journal", "Open trades", "No trade is open", "of the way"),
    "journal": tab("trade_journal", "History", "No trade was followed yet", "Win rate"),
    "one trade": Place(
        path="trade_journal",
        query=(("trade", "1"),),
        empty="There is no such trade of yours",
        normal="Edit stop and target",
    ),
    "signals by day": tab("admin", "Signals by day", "No day is counted yet", "Signals sent"),
    "Kill switch": tab("settings", "Kill switch", "No connection yet", "Practice", live=LIVE),
    "Profile": tab("settings", "Profile", "Change your password", f"Signed in as.*{EMAIL}", slow=EMAIL),
    "Sessions": tab("settings", "Sessions", "✓ this one", "✓ this one", slow="✓ this one"),
    "Second factor": tab("settings", "Second factor", "Set it up", "Set it up", slow="Set it up"),
    "Health": tab("admin", "Health", "never started", "never started"),
    "Users": tab("admin", "Users", r"badge\[you\]", "2 bots"),
    "server's switch": tab("admin", "Kill switch", "of every account", "of every account"),
    "Audit log": tab("admin", "Audit log", "Nothing was done yet", "a deed of the test"),
    "Backups": tab("admin", "Backups", "Download a backup", "Download a backup", slow="Download a backup"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A database in a state, and the session of its only user, an admin."""

    state: str
    url: str
    token: str
    signal: str

    def page(self, browser: Browser, place: Place) -> AppTest:
        """Draw a place for the user."""
        browser.use(self.token)
        named = {"the newest": self.signal}
        return browser.opens(place.path, **{name: named.get(value, value) for name, value in place.query})


def empty(database: Database, url: str) -> World:
    """Make a user who has nothing yet."""
    with database.transaction() as transaction:
        user = create_user(transaction, EMAIL, "correct horse battery")
    token = open_session(database, user.id)
    return World(state="empty", url=url, token=token, signal="00000000-0000-0000-0000-000000000000")


def normal(database: Database, url: str) -> World:
    """Make a user whose bots hold a long and a short and have a closed trade, a stop and a deed in the log."""
    floor = TradingFloor(database, email=EMAIL)
    apple, soft = floor.bot("AAPL", stop_loss_percent=Decimal(5)), floor.bot("MSFT")
    for symbol, price in (("AAPL", "100"), ("MSFT", "50")):
        floor.market.pin(symbol, price, price)
    for action in ("BUY", "CLOSE", "BUY"):
        floor.wait(60)
        newest = floor.send(apple, action)["uuid"]
    floor.send(soft, "SELL")
    said = datetime.now(UTC)
    with database.transaction() as transaction:
        transaction.execute("UPDATE users SET role = 'admin'")
        risk.store_positions(transaction, floor.connection_id, floor.paper.positions(), said)
        account = replace(floor.paper.account(), at=said)
        risk.store_account(transaction, floor.connection_id, account, curve=True)
        risk.note_event(
            transaction, user_id=floor.user_id, connection_id=floor.connection_id, kind="STOP", bot_id=apple,
            sentence="Said.", action_taken="position closed",
        )  # fmt: skip
        audit.record(transaction, actor=EMAIL, action="a deed of the test", subject="bot 1")
        vault = Vault(SecretStr(new_key()))
        alert_channels.keep_channel(transaction, vault, floor.user_id, "DISCORD", "an address", "a hook")
    a_life(WatchedDesk(database, floor.user_id))
    listening(database)
    ReversalOffice(database, floor.user_id).live()
    floor.paper_database.close()
    return World(state="normal", url=url, token=open_session(database, floor.user_id), signal=str(newest))


def down(database: Database, url: str) -> World:
    """Make the broker of a normal user unreachable."""
    world = normal(database, url)
    with database.transaction() as transaction:
        bots.note_connection(transaction, 1, ConnectionStatus.PROBLEM, DOWN, datetime.now(UTC))
    return replace(world, state="down")


def live(database: Database, url: str) -> World:
    """Let a normal user trade real money."""
    world = normal(database, url)
    with database.transaction() as transaction:
        transaction.execute("UPDATE user_api_keys SET broker = 'alpaca', mode = 'live'")
    return replace(world, state="live")


@pytest.fixture(scope="module", params=[empty, normal, down, live], ids=lambda make: make.__name__)
def world(server: embedded.Server, request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a database in each state in turn; the pages change nothing in it."""
    yield from made(server, request.param)


@pytest.fixture(scope="module")
def usual(server: embedded.Server) -> Iterator[World]:
    """Give a normal user's database, for what is done to the database itself."""
    yield from made(server, normal)


def made(server: embedded.Server, make) -> Iterator[World]:
    for url in _database_for_one_test(server, TEMPLATE):
        with closing(Database(url)) as database:
            yield make(database, url)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    yield new_browser(monkeypatch)
    services().database.close()
    services.cache_clear()


@contextmanager
def locked(url: str, *, only: tuple[str, ...] = ()) -> Iterator[None]:
    """Keep everybody waiting for these tables, or for all but those that say who somebody is."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)",
            (list(WHO),),
        )
        names = only or tuple(row[0] for row in cursor.fetchall())
        cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        yield


def assert_read(page: AppTest, words: str) -> None:
    text = everything(page)
    assert re.search(words, text), text
    assert "Traceback" not in text


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_place_says_how_things_are(
    world: World, place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(world.url, monkeypatch)
    page = world.page(browser, place)
    assert_read(page, place.expected(world.state))
    if world.state != "live":
        assert not re.search(LIVE, everything(page))
    if world.state != "down":
        assert DOWN not in everything(page)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_slow_database_is_said_calmly_and_the_place_comes_back(
    usual: World, place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(usual.url + IMPATIENT, monkeypatch)
    with locked(usual.url):
        page = usual.page(browser, place)
        assert_read(page, re.escape(place.slow))
    page.run()
    assert_read(page, place.normal)
    assert NO_DATABASE not in everything(page)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_without_the_database_nobody_is_known_and_nothing_shown(
    usual: World, place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(f"postgresql://u:p@127.0.0.1:{_free_port()}/d", monkeypatch)
    text = everything(usual.page(browser, place))
    assert NO_DATABASE in text
    assert EMAIL not in text


def test_who_cannot_be_looked_up_sees_nothing_and_is_not_signed_out(
    usual: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(usual.url + IMPATIENT, monkeypatch)
    page = usual.page(browser, PLACES["Live Positions"])
    with locked(usual.url, only=WHO):
        text = everything(page.run())
        assert NO_DATABASE in text
        assert "AAPL" not in text
        assert "signed out" not in text
    assert_read(page.run(), "▲ LONG")


def test_the_dashboard_does_not_wait_for_ever(usual: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def limit() -> str:
        with services().database.transaction() as transaction:
            return str(transaction.value("SHOW statement_timeout"))

    with_database(usual.url, monkeypatch)
    assert limit() == "10s"
    # What the operator says in the address counts
    with_database(usual.url + IMPATIENT, monkeypatch)
    assert limit() == "300ms"
    with closing(Database(usual.url)) as worker, worker.transaction() as transaction:
        assert transaction.value("SHOW statement_timeout") == "0"


def fragments() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Give each function that Streamlit runs alone, after the page was drawn, and that asks the database."""
    for path in sorted((*ROOT.glob("ui/**/*.py"), *ROOT.glob("pages/*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or "services()" not in ast.unparse(node):
                continue
            if "st.fragment" in map(_name, node.decorator_list):
                yield f"{path.relative_to(ROOT)} {node.name}", node


def _name(decorator: ast.expr) -> str:
    return ast.unparse(decorator).partition("(")[0]


@pytest.mark.parametrize("function", [pytest.param(node, id=name) for name, node in fragments()])
def test_what_runs_alone_stays_calm_by_itself(function: ast.FunctionDef) -> None:
    """What AppTest cannot run: a part that refreshes alone, without the page that caught its failures."""
    text = ast.unparse(function)
    assert "with calm():" in text or "except psycopg2.Error" in text
