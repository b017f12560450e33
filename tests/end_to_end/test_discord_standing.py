"""What /health and `manage.py doctor` say of the Discord bot."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import discord
import pytest
from pydantic import SecretStr

import discord_bot
from administration import doctor_discord
from administration.console import Console
from database import discord_status, health, keys
from discord_bot.process import STOPPED
from discord_bot.standing import LOST, PERMISSIONS, WRONG_KEY
from encryption import new_token
from tests.discord_room.room import KEY_NAME, in_room, new_bot, serving
from tests.end_to_end.webhook_desk import ROOT, WebhookDesk


@pytest.fixture
def console(desk, monkeypatch):
    for name, value in {"DATABASE_URL": desk.database.url, "DISCORD_BOT_TOKEN": "a.token"}.items():
        monkeypatch.setenv(name, value)
    console = Console()
    yield console
    console.database.close()


def beat(desk, process="host:1"):
    with desk.database.transaction() as transaction:
        health.beat(transaction, discord_bot.PART, process, datetime.now(UTC))


def note(desk, **changes):
    given = {
        "is_connected": True,
        "now": datetime.now(UTC),
        "name": "dashtrade",
        "application_id": 5,
        **changes,
    }
    with desk.database.transaction() as transaction:
        discord_status.note(transaction, **given)


def lines(console):
    return [str(finding) for finding in doctor_discord.discord_bot(console)]


def test_doctor_says_that_it_is_not_set_up(console, monkeypatch):
    monkeypatch.delenv("DISCORD_BOT_TOKEN")
    assert lines(console) == ["ok     discord bot: not set up: there is no DISCORD_BOT_TOKEN"]


def test_doctor_says_that_it_does_not_run(console):
    [line] = lines(console)
    assert line.startswith("FAULT  discord bot: never ran. To mend it, start DashTrade")


def test_doctor_says_why_it_is_not_connected(desk, console):
    beat(desk)
    note(desk, is_connected=False, words="Discord refuses the token: set DISCORD_BOT_TOKEN")
    [line] = lines(console)
    assert line.startswith("FAULT  discord bot: not connected")
    assert "refuses the token" in line


def test_doctor_names_each_thing_it_lacks_and_where_to_invite_it(desk, console):
    beat(desk)
    beat(desk, "host:2")
    guilds = [{"id": "1", "name": "Traders"}]
    note(
        desk,
        guilds=guilds,
        lacking=["Send Messages in #signals (Traders)", "scope applications.commands"],
        latency_ms=42,
    )
    connected, *lacks = lines(console)
    assert connected == "ok     discord bot: connected as dashtrade in Traders, 42 ms, 1 more waiting"
    assert [line.split(". To mend")[0] for line in lacks] == [
        "FAULT  discord bot: missing: Send Messages in #signals (Traders)",
        "FAULT  discord bot: missing: scope applications.commands",
    ]
    assert all("client_id=5&" in line for line in lacks)


def test_the_invite_asks_for_what_the_bot_needs():
    needed = discord.Permissions(**dict.fromkeys(PERMISSIONS, True)).value
    asked = parse_qs(urlsplit(discord_bot.invite_address(5)).query)
    assert asked == {"client_id": ["5"], "scope": ["bot applications.commands"], "permissions": [str(needed)]}
    assert f"permissions={needed}`" in (ROOT / "docs/discord-bot.md").read_text()


def test_health_tells_how_it_stands_and_nothing_of_whose_it_is(database_url):
    desk = WebhookDesk(database_url, discord_bot_token="a.token")
    try:
        silent = desk.client.get("/health").json["parts"]["discord bot"]
        assert (silent["alive"], silent["connected"], silent["lacking"]) == (0, False, 0)
        beat(desk)
        note(
            desk,
            guilds=[{"id": "1", "name": "Secret server"}],
            lacking=["View Channel in #secret"],
            latency_ms=42,
        )
        answer = desk.client.get("/health")
        said = answer.json["parts"]["discord bot"]
        assert (said["alive"], said["connected"], said["lacking"], said["latency_ms"]) == (1, True, 1, 42)
        assert "ecret" not in answer.text
    finally:
        desk.close()


def test_a_bot_that_leaves_by_itself_says_nothing_of_a_lost_connection(desk):
    settings = desk.settings.model_copy(update={"signal_api_key": SecretStr(new_token("svc_"))})

    async def play():
        bot = new_bot(settings, desk.database)
        note(desk)
        await bot.on_disconnect()
        assert desk.value("SELECT words FROM discord_bot_status") == LOST
        await bot.close()
        note(desk, is_connected=False, words=STOPPED)
        await bot.on_disconnect()
        assert desk.value("SELECT words FROM discord_bot_status") == STOPPED

    asyncio.run(play())


def test_a_key_that_the_webhook_server_does_not_know_is_named_until_it_does(desk):
    key = new_token("svc_")

    async def play(room):
        await room.until(lambda: desk.value("SELECT lacking FROM discord_bot_status") == [WRONG_KEY])
        with desk.database.transaction() as transaction:
            keys.keep_service_key(transaction, desk.vault, KEY_NAME, key)
        await room.until(lambda: desk.value("SELECT lacking FROM discord_bot_status") == [])

    with serving(desk) as served:
        in_room(desk, served, play, settings={"signal_api_key": key})


def test_a_server_that_is_away_is_not_taken_for_a_wrong_key(desk):
    async def play(room):
        served.stop()
        await room.leave()
        note(desk, is_connected=False, words="gone", lacking=["something"])
        await room.come_back()
        await room.until(lambda: desk.value("SELECT is_connected FROM discord_bot_status"))
        assert desk.value("SELECT lacking FROM discord_bot_status") == []

    with serving(desk) as served:
        in_room(desk, served, play)
