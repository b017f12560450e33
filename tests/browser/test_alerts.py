"""Alerts and watched bots in a real browser: a webhook, its test, a choice, and a bot that comes alive."""

import json
from collections.abc import Iterator

import pytest
from paho.mqtt import publish
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitor import Visitor
from tests.discord_server.answers import Answer
from tests.discord_server.server import DiscordServer
from tests.end_to_end.stack import PASSWORD, Stack, running_stack, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# Below the header of a table, in pixels
FIRST_ROW = 52
EMAIL, HOOK = "cleo@example.com", 123456789


@pytest.fixture(scope="module")
def discord() -> Iterator[DiscordServer]:
    with DiscordServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(chromium: Browser, discord: DiscordServer) -> Iterator[Stack]:
    """Run everything, with a server that behaves like Discord and an MQTT broker on a port of its own."""
    with running_stack(DISCORD_BASE_URL=discord.base) as stack:
        stack.manage("user", "add", EMAIL, "--password-stdin", given=PASSWORD)
        yield stack


@pytest.fixture
def cleo(stack: Stack, page: Page) -> Visitor:
    """Give a user at the dashboard, signed in."""
    visitor = Visitor(stack, page)
    visitor.sign_in(EMAIL)
    return visitor


def report(stack: Stack, topic: str, said: dict[str, object]) -> None:
    """Let a bot say something, as mosquitto_pub does."""
    port = int(stack.environ["MQTT_BROKER_PORT"])
    publish.single(topic, json.dumps(said), qos=1, hostname="127.0.0.1", port=port)


def test_a_webhook_is_entered_tried_and_what_discord_says_appears_by_itself(
    cleo: Visitor, discord: DiscordServer
) -> None:
    cleo.page.goto(f"{cleo.url}/discord")
    cleo.sees("You have no address of your own yet")
    cleo.settles()
    cleo.types("Webhook URL", discord.url_of(HOOK))
    cleo.presses("Save the Discord webhook")
    cleo.sees("The Discord webhook is saved")
    cleo.sees("127.0.0.1/api/webhooks/1234…")
    cleo.settles()
    cleo.presses("Send test alert")
    cleo.sees("Discord took it")
    assert [embed["title"] for message in discord.taken(HOOK) for embed in message["embeds"]] == [
        "🔔 Test alert"
    ]
    discord.script(HOOK, Answer.unknown_webhook())
    cleo.presses("Send test alert")
    cleo.sees("Unknown Webhook (code 10015)")
    cleo.sees("SWITCHED OFF")
    cleo.settles()
    cleo.presses("Try it again")
    cleo.sees("The channel is on again")


def test_a_choice_of_kinds_is_kept(cleo: Visitor) -> None:
    cleo.page.goto(f"{cleo.url}/discord?tab=Which alerts")
    cleo.sees("Order filled")
    cleo.settles()
    first = cleo.page.get_by_test_id("stButtonGroup").first
    first.get_by_text("Off", exact=True).click()
    cleo.sees("Saved")
    cleo.page.reload()
    cleo.sees("Order filled")
    cleo.settles()
    chosen = cleo.page.get_by_test_id("stButtonGroup").first.get_by_role("radio", checked=True)
    expect(chosen).to_have_text("Off")


def test_a_bot_that_is_watched_comes_alive_on_the_page(cleo: Visitor, discord: DiscordServer) -> None:
    cleo.page.goto(f"{cleo.url}/watched_bots?tab=Connect")
    cleo.sees("Let the bot report")
    cleo.settles()
    cleo.page.get_by_text("Watch another bot").click()
    cleo.types("Name", "Cleo's hunter")
    cleo.types("Prefix of its topics", "hunter")
    cleo.presses("Watch it")
    cleo.sees("A prefix ends with a slash: hunter/")
    cleo.settles()
    cleo.types("Prefix of its topics", "hunter/")
    cleo.presses("Watch it")
    cleo.sees("Cleo's hunter is watched from now on")
    cleo.settles()
    cleo.page.get_by_role("tab", name="Now").click()
    cleo.sees("nothing was heard yet")

    def comes_alive() -> bool:
        report(cleo.stack, "hunter/status/bot/heartbeat", {"uptime_seconds": 60, "open_positions": 0})
        cleo.page.wait_for_timeout(1000)
        return cleo.page.get_by_text("● ONLINE", exact=True).count() > 0

    wait_for(comes_alive, 60)
    expect(cleo.page.get_by_text("Let the bot report")).to_have_count(0)
    cleo.sees("Trades listed here")
    report(cleo.stack, "hunter/status/bot/error", {"error_message": "rate limit", "severity": "warning"})
    assert discord.wait_for_taken(HOOK, 2)[-1]["embeds"][0]["description"] == "rate limit"
    cleo.page.get_by_role("tab", name="Messages").click()
    cleo.sees("Click a row to see the message as it came.")
    cleo.settles()
    place = cleo.page.get_by_test_id("stDataFrame").bounding_box()
    assert place is not None
    cleo.page.mouse.click(place["x"] + 150, place["y"] + FIRST_ROW)
    cleo.sees("The list stands still while this is open.")
    shown = cleo.page.get_by_test_id("stCode")
    expect(shown).to_contain_text("rate limit")
    report(cleo.stack, "hunter/status/bot/error", {"error_message": "another", "severity": "warning"})
    discord.wait_for_taken(HOOK, 3)
    expect(shown).to_contain_text("rate limit")
    cleo.presses("Close")
    expect(shown).to_have_count(0)
