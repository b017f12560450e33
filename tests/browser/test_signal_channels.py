"""Signals of Discord in a real browser: BloFin's keys, a channel, a message tried, and the bot that trades it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.blofin_server.local import Control, running_server
from tests.browser.visitor import Visitor
from tests.end_to_end.stack import PASSWORD, Stack, running_stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EMAIL = "dora@example.com"
KEY, SECRET, PASSPHRASE = "bf-browser-0123456", "the secret of a test's key", "the passphrase"
GUILD, ROOM, AUTHOR = 800_000_000_000_000_001, 900_000_000_000_000_001, 700_000_000_000_000_001
CARD = "PAIR: BTC/USDT\nSIDE: LONG\nENTRY: {}\nSL: {}\nTP1: {}\nTP2: {}\nLEVERAGE: {}x"


@pytest.fixture(scope="module")
def blofin() -> Iterator[Control]:
    with running_server("demo") as control:
        control.account(KEY, SECRET, PASSPHRASE, balance=10_000)
        control.price("BTC-USDT", 60_000)
        yield control


@pytest.fixture(scope="module")
def stack(chromium: Browser, blofin: Control) -> Iterator[Stack]:
    """Run everything, with a server that behaves like BloFin."""
    with running_stack(BLOFIN_BASE_URL=blofin.url) as stack:
        stack.manage("user", "add", EMAIL, "--password-stdin", given=PASSWORD)
        yield stack


@pytest.fixture
def dora(stack: Stack, page: Page) -> Visitor:
    """Give a user at the dashboard, signed in."""
    visitor = Visitor(stack, page)
    visitor.sign_in(EMAIL)
    return visitor


def test_from_keys_to_a_position(dora: Visitor, blofin: Control) -> None:
    connect(dora)
    register(dora)
    try_messages(dora)
    send(dora.stack)
    see_what_became_of_it(dora, blofin)


def connect(dora: Visitor) -> None:
    """Enter the keys of a demo account: a wrong passphrase is refused, real money asks for the name."""
    dora.opens("Setup")
    dora.sees("Connect a broker")
    dora.settles()
    dora.page.get_by_text("BloFin", exact=True).click()
    dora.sees("API passphrase")
    dora.settles()
    dora.page.get_by_text("Live: real money").click()
    dora.sees("Live: bots on this connection trade real money.")
    dora.settles()
    dora.page.get_by_text("Demo: play money").click()
    expect(dora.page.get_by_text("Live: bots on this connection trade real money.")).to_have_count(0)
    dora.settles()
    dora.types("API key", KEY)
    dora.types("API secret key", SECRET)
    dora.types("API passphrase", "not the passphrase")
    dora.presses("Save API Keys")
    dora.sees("The broker refused these keys")
    dora.types("API passphrase", PASSPHRASE)
    dora.presses("Save API Keys")
    dora.sees("blofin demo is connected.")
    dora.sees("bound to no IP address")
    dora.does_not_see(SECRET)


def register(dora: Visitor) -> None:
    """Register a channel by its link."""
    dora.page.goto(f"{dora.url}/discord?tab=Signal channels")
    dora.sees("No Discord bot runs here yet")
    dora.settles()
    dora.types("Channel's id or link", f"https://discord.com/channels/{GUILD}/{ROOM}")
    dora.types("Name", "calls")
    dora.types("Authors", str(AUTHOR))
    dora.types("Leverage", "50")
    dora.presses("Register the channel")
    dora.sees("above its maximum, 10x")
    dora.types("Leverage", "5")
    dora.presses("Register the channel")
    dora.sees("#calls is registered.")
    dora.sees("5x, max 10x")


def try_messages(dora: Visitor) -> None:
    """Try messages in the channel: one is refused, one would trade."""
    dora.settles()
    dora.presses("Details")
    dora.sees("No signal came yet.")
    dora.settles()
    dora.types("Message", CARD.format(60_100, 58_000, 62_000, 64_000, 20))
    dora.presses("Read it")
    dora.sees("asks for leverage 20x; this channel takes up to 10x")
    dora.settles()
    dora.types("Message", CARD.format(60_100, 58_000, 62_000, 64_000, 8))
    dora.presses("Read it")
    dora.sees("Limit 60,100, for 1 h")
    dora.sees("8x isolated")


def send(stack: Stack) -> None:
    """Send a signal as the Discord bot does."""
    body = {
        "action": "buy", "symbol": "BTC-USDT", "price": "60100", "stop_loss": "58000",
        "take_profit": ["62000", "64000"], "leverage": "8", "source": "discord", "channel": str(ROOM),
        "author": str(AUTHOR), "message_id": "1000000000000000001", "format": "ALERT_CARD",
        "posted_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    answer = stack.post_as_service(body)
    assert answer.status == 202, answer


def see_what_became_of_it(dora: Visitor, blofin: Control) -> None:
    """Find the bot and its position with leverage, margin, liquidation and both targets."""
    wait_for(lambda: blofin.books(KEY)["positions"], 60)
    dora.opens("My Bots")
    dora.sees("BTC-USDT from #calls")
    dora.sees("5x isolated")
    dora.opens("Live Positions")
    for said in (
        "8x isolated",
        "Liquidation",
        "Targets: 62,000.00 (50 %) · 64,000.00 (50 %)",
        "resting at the broker",
    ):
        dora.sees(said)
    dora.opens("My Bots")
    dora.page.get_by_role("link", name="from #calls").click()
    dora.sees("Messages of 1 author, all formats")
