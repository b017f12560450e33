"""Every page, tab and address that bears an id, as owner, other user, admin and stranger."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import SecretStr

from actions import tracked_trades
from actions.tracked_trades import TradeRequest
from core.pips import Direction
from database import (
    alert_channels,
    audit,
    channel_messages,
    discord_accounts,
    embedded,
    risk,
    signal_channels,
    tokens,
)
from database.accounts import create_user
from database.channel_messages import MessageState, SeenMessage
from database.pool import Database
from encryption import Vault, new_key
from settings import Settings
from tests.conftest import TEMPLATE, _database_for_one_test
from tests.database.office import with_database
from tests.database.reversal_office import HOUR, ReversalOffice
from tests.database.trading_floor import TradingFloor
from tests.database.watched_desk import WatchedDesk
from tests.database.whole_pages import Browser, everything, new_browser, open_session
from ui.services import services

OWNER, OTHER, ADMIN = "owner@example.org", "other@example.org", "admin@example.org"
ACCOUNT, PLACE, BOT, TOKEN = OWNER, "Owners-place", "Owners-bot", "Owners-token"
EVENT, SYMBOL, BROWSER = "Owners-event", "NFLX", "Owners-browser"
WATCHED, MARKET, MESSAGE, HOOK = "Owners-watched", "Owners-market", "Owners-message", "Owners-hook"
CHANNEL, SAID, LINKED = "Owners-channel", "Owners-said", "Owners-discord"
FOLLOWED, NOTED, UNSENT = "OWN/CHF", "Owners-notes", "Owners-reason"
HIDDEN = (
    ACCOUNT,
    PLACE,
    BOT,
    TOKEN,
    EVENT,
    SYMBOL,
    BROWSER,
    WATCHED,
    MARKET,
    MESSAGE,
    HOOK,
    CHANNEL,
    SAID,
    LINKED,
    FOLLOWED,
    NOTED,
    UNSENT,
)

ADMIN_TABS = ("Health", "Users", "Signals by day", "Kill switch", "Audit log", "Backups")
# Each address with what the owner must find there: else a page that shows nothing at all would pass.
ADDRESSES = {
    ("", ""): (PLACE, BOT, SYMBOL),
    ("Trading_Bot", "tab=Setup"): (PLACE, TOKEN),
    ("Trading_Bot", "tab=My Bots"): (BOT, SYMBOL),
    ("Trading_Bot", "tab=My Bots&bot={bot}"): (BOT, SYMBOL),
    ("Trading_Bot", "tab=Live Positions"): (PLACE, BOT),
    ("Trading_Bot", "tab=Trade History"): (BOT, SYMBOL),
    ("Trading_Bot", "tab=Performance"): (BOT, SYMBOL),
    ("Trading_Bot", "tab=Risk Events"): (EVENT, BOT),
    ("signals", ""): (BOT, SYMBOL),
    ("signals", "signal={signal}"): (BOT, SYMBOL, PLACE),
    ("watched_bots", ""): (WATCHED, MARKET),
    ("watched_bots", "watched={watched}"): (WATCHED, MARKET),
    ("watched_bots", "tab=Trades&watched={watched}"): (MARKET,),
    ("watched_bots", "tab=Messages&watched={watched}"): (MESSAGE,),
    ("watched_bots", "tab=Connect&watched={watched}"): (WATCHED,),
    ("discord", ""): (HOOK,),
    ("discord", "tab=Which alerts"): (),
    ("discord", "tab=History"): (MARKET, MESSAGE),
    ("discord", "tab=Signal channels"): (CHANNEL, PLACE),
    ("discord", "tab=Signal channels&channel={channel}"): (CHANNEL, PLACE, SAID, BOT),
    ("discord", "channel={channel}"): (CHANNEL, SAID),
    ("discord", "tab=Your Discord account"): (LINKED,),
    ("discord", "tab=Reversal signals"): (FOLLOWED, UNSENT),
    ("reversal_signals", ""): (FOLLOWED, UNSENT),
    ("reversal_signals", "signal={reversal}"): (FOLLOWED, UNSENT),
    ("reversal_signals", "tab=Latest scores"): ("● yes",),
    ("reversal_signals", "tab=Track record"): (),
    ("reversal_signals", "tab=Market data"): (),
    ("trade_journal", ""): (FOLLOWED,),
    ("trade_journal", "trade={trade}"): (FOLLOWED, NOTED),
    ("trade_journal", "tab=History"): (FOLLOWED, NOTED),
    ("settings", "tab=Kill switch"): (PLACE,),
    ("settings", "tab=Profile"): (ACCOUNT,),
    ("settings", "tab=Sessions"): (BROWSER,),
    ("settings", "tab=Second factor"): (),
    **{
        ("admin", f"tab={tab}"): ()
        for tab in ("Health", "Users", "Signals by day", "Kill switch", "Audit log", "Backups")
    },
}
ADMINS_ALONE = (
    *("Who may sign up", "of every account", "Faults", "Download a backup", "Owners-deed"),
    "The figures of a day are made",
)
pytestmark = pytest.mark.usefixtures("dashboard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """An owner with everything, another user with a little, an admin; and the addresses of the owner's things."""

    url: str
    key: str
    sessions: dict[str, str]
    ids: dict[str, object]

    def text(self, browser: Browser, email: str | None, address: tuple[str, str]) -> str:
        """Return all that somebody is sent who opens an address."""
        path, query = address
        browser.use(None if email is None else self.sessions[email])
        named = dict(part.split("=") for part in query.format(**self.ids).split("&") if part)
        return everything(browser.opens(path, **named))


def floor_of(database: Database, email: str, symbol: str, name: str) -> TradingFloor:
    """Give a user a bot with a closed trade and a position, known to the broker's last word."""
    floor = TradingFloor(database, email=email)
    bot = floor.bot(symbol, stop_loss_percent=Decimal(5))
    floor.market.pin(symbol, "100", "100")
    for action in ("BUY", "CLOSE", "BUY"):
        floor.wait(60)
        floor.send(bot, action)
    said = datetime.now(UTC)
    with database.transaction() as transaction:
        transaction.execute("UPDATE user_bot_configs SET name = %s WHERE id = %s", (f"{name}-bot", bot))
        transaction.execute(
            "UPDATE user_api_keys SET label = %s WHERE id = %s", (f"{name}-place", floor.connection_id)
        )
        risk.store_positions(transaction, floor.connection_id, floor.paper.positions(), said)
        account = replace(floor.paper.account(), at=said)
        risk.store_account(transaction, floor.connection_id, account, curve=True)
        risk.note_event(transaction, user_id=floor.user_id, connection_id=floor.connection_id, kind="STOP",
                        bot_id=bot, sentence=f"{name}-event", action_taken="position closed")  # fmt: skip
        audit.record(transaction, actor=email, action=f"{name}-deed", subject=f"bot {bot}")
        vault = Vault(SecretStr(new_key()))
        alert_channels.keep_channel(
            transaction, vault, floor.user_id, "DISCORD", f"{name}-address", f"{name}-hook"
        )
    listen(database, floor, bot, name)
    reverse(database, floor.user_id, name)
    watch(WatchedDesk(database, floor.user_id, prefix=f"{name}/", name=f"{name}-watched"), name)
    floor.paper_database.close()
    return floor


def listen(database: Database, floor: TradingFloor, bot: int, name: str) -> None:
    """Register a Discord channel for a user, with a message and a bot, and link a Discord account."""
    now, room = datetime.now(UTC), 900_000_000_000_000_000 + floor.user_id
    seen = SeenMessage(message_id=room, author_id=room, author="ana", text=f"{name}-said", posted_at=now)
    columns = {
        "name": f"{name}-channel",
        "position_size": 1,
        "max_position_size": 9,
        "leverage": 1,
        "max_leverage": 1,
    }
    with database.transaction() as transaction:
        channel = signal_channels.create(
            transaction,
            user_id=floor.user_id,
            connection_id=floor.connection_id,
            channel_id=room,
            columns=columns,
        )
        channel_messages.note_not_sent(transaction, [channel], seen, MessageState.LATE, "Too old.", now)
        transaction.execute(
            "UPDATE user_bot_configs SET signal_channel_id = %s WHERE id = %s", (channel, bot)
        )
        discord_accounts.link(transaction, floor.user_id, room, f"{name}-discord", now, actor="test")


def reverse(database: Database, user_id: int, name: str) -> None:
    """Tell a user of two reversals, one of them in vain, and let them follow a trade in the pair."""
    reversals, pair = ReversalOffice(database, user_id), FOLLOWED.replace("OWN", name[:3].upper())
    score = reversals.score(pair=pair)
    reversals.sent(score, sent_at=reversals.now)
    earlier = replace(score, bar_opened_at=score.bar_opened_at - HOUR, bar_closed_at=score.bar_opened_at)
    reversals.sent(earlier, failed_at=reversals.now, last_error=f"{name}-reason")
    if name == "Owners":
        reversals.scored(reversals.score(pair="EUR/USD"))
        reversals.model({})
        reversals.sent(reversals.score(pair="EUR/USD"), sent_at=reversals.now)
    wanted = TradeRequest(
        pair=pair, direction=Direction.LONG, entry=score.entry, lots=Decimal("0.1"), stop=score.stop or score.entry,
        target=score.target or score.entry, notes=f"{name}-notes", request_key="test",
    )  # fmt: skip
    settings = Settings(database_url=database.url, public_url="http://127.0.0.1")
    tracked_trades.open_trade(database, settings, user_id, "test", wanted, reversals.now)


def watch(desk: WatchedDesk, name: str) -> None:
    """Let a watched bot open a position, complete another, and fail."""
    desk.hears("status/bot/heartbeat", {"balance": 1})
    desk.hears("trading/position/opened", {"symbol": f"{name}-market", "entry_price": 1})
    desk.hears("trading/trade/completed", {"symbol": f"{name}-market", "trade_id": f"{name}-1", "pnl": 1})
    desk.hears("trading/position/opened", {"symbol": f"{name}-market", "entry_price": 2})
    desk.hears("status/bot/error", {"error_message": f"{name}-message"})


@pytest.fixture(scope="module")
def town(server: embedded.Server) -> Iterator[Town]:
    for url in _database_for_one_test(server, TEMPLATE):
        with closing(Database(url)) as database:
            with database.transaction() as transaction:
                admin = create_user(transaction, ADMIN, "correct horse battery")
            owner = floor_of(database, OWNER, SYMBOL, "Owners")
            other = floor_of(database, OTHER, "MSFT", "Others")
            signal = owner.one("SELECT uuid FROM signals WHERE user_id = %s LIMIT 1", (owner.user_id,))
            people = ((OWNER, owner.user_id), (OTHER, other.user_id), (ADMIN, admin.id))
            sessions = {
                email: open_session(database, user_id, agent=f"{email.split('@')[0].capitalize()}s-browser")
                for email, user_id in people
            }
            watched = owner.one("SELECT id FROM watched_bots WHERE user_id = %s", (owner.user_id,))["id"]
            reversal = owner.one(
                "SELECT id FROM signal_notifications WHERE user_id = %s AND failed_at IS NOT NULL",
                (owner.user_id,),
            )
            trade = owner.one("SELECT id FROM user_trades WHERE user_id = %s", (owner.user_id,))
            ids = {
                "reversal": reversal["id"],
                "trade": trade["id"],
                "watched": watched,
                "channel": 1,
                "bot": 1,
                "signal": signal["uuid"],
                "owner": owner.user_id,
                "other": other.user_id,
            }
            key = new_key()
            with database.transaction() as transaction:
                tokens.create_token(transaction, Vault(SecretStr(key)), owner.user_id, name=TOKEN)
            yield Town(url=url, key=key, sessions=sessions, ids=ids)


@pytest.fixture
def dashboard(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with_database(town.url, monkeypatch, ENCRYPTION_KEY=town.key)
    yield
    services().database.close()
    services.cache_clear()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    return new_browser(monkeypatch)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_the_owner_alone_sees_what_is_there(town: Town, browser: Browser, address: tuple[str, str]) -> None:
    own = town.text(browser, OWNER, address)
    assert [mark for mark in ADDRESSES[address] if mark not in own] == []
    others = town.text(browser, OTHER, address)
    assert [mark for mark in HIDDEN if mark in others] == []
    assert OTHER in others
    nobodys = town.text(browser, None, address)
    assert [mark for mark in (*HIDDEN, OTHER, ADMIN, "Sign out") if mark in nobodys] == []
    assert "You are signed out" in nobodys


def test_what_is_hidden_is_there_to_be_seen(town: Town, browser: Browser) -> None:
    seen = "".join(town.text(browser, OWNER, address) for address in ADDRESSES)
    assert [mark for mark in HIDDEN if mark not in seen] == []


@pytest.mark.parametrize("address", [each for each in ADDRESSES if each[0] == "admin"], ids=str)
def test_the_admins_page_is_nobody_elses(town: Town, browser: Browser, address: tuple[str, str]) -> None:
    for email in (OWNER, OTHER):
        text = town.text(browser, email, address)
        assert [words for words in ADMINS_ALONE if words in text] == []
    assert any(words in town.text(browser, ADMIN, address) for words in ADMINS_ALONE)


def test_an_admin_sees_the_accounts_but_not_their_trades(town: Town, browser: Browser) -> None:
    for address in ADDRESSES:
        if address[0] != "admin":
            text = town.text(browser, ADMIN, address)
            assert [mark for mark in HIDDEN if mark in text] == []


@pytest.mark.parametrize("made_up", ["0", "-1", "1e3", "999999999999999999", "' OR 1=1 --", "1;2", "١"])
@pytest.mark.parametrize("name", ["bot", "signal", "tab", "watched", "trade", "reversal"])
def test_a_made_up_address_shows_nothing_and_breaks_nothing(
    town: Town, browser: Browser, name: str, made_up: str
) -> None:
    paths = {
        "signal": "signals",
        "watched": "watched_bots",
        "trade": "trade_journal",
        "reversal": "reversal_signals",
    }
    path = paths.get(name, "Trading_Bot")
    own = {"watched": name, "trade": name, "reversal": "signal"}
    named = {own[name]: made_up} if name in own else {"tab": "My Bots", name: made_up}
    browser.use(town.sessions[OTHER])
    text = everything(browser.opens(path, **named))
    assert [mark for mark in HIDDEN if mark in text] == []


def test_a_page_that_comes_back_with_another_session_forgets_the_first(town: Town, browser: Browser) -> None:
    """Streamlit gives a page that lost its line its state again, whoever is signed in by then."""
    browser.use(town.sessions[OWNER])
    page = browser.opens("Trading_Bot", tab="Setup")
    next(button for button in page.button if button.label == "Show").click().run()
    (shown,) = page.session_state["shown webhook tokens"].values()
    assert shown in everything(page)
    browser.use(town.sessions[OTHER])
    text = everything(page.run())
    assert shown not in text
    assert [mark for mark in HIDDEN if mark in text] == []
    assert OTHER in text
