"""The local Discord itself: it refuses what Discord refuses, and serves a library that knows only Discord."""

import re
from typing import Any

import discord_webhook
import pytest
import requests

from tests.discord_server import DiscordServer

EMBED = {"title": "x"}
REFUSED = [
    ({}, "50006"),
    ({"content": ""}, "50006"),
    ({"content": "x" * 2001}, "content.*BASE_TYPE_MAX_LENGTH"),
    ({"content": "x", "username": "My Discord"}, "username.*USERNAME_INVALID_CONTAINS"),
    ({"content": "x", "username": "y" * 81}, "username.*BASE_TYPE_MAX_LENGTH"),
    ({"content": "x", "allowed_mentions": {"parse": ["all"]}}, "allowed_mentions.*BASE_TYPE_CHOICES"),
    ({"embeds": [EMBED] * 11}, "embeds.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{}]}, "embeds.*BASE_TYPE_REQUIRED"),
    ({"embeds": [{"title": "x" * 257}]}, "title.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": "🐂" * 129}]}, "title.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"title": 5}]}, "title.*BASE_TYPE_STRING"),
    ({"embeds": [{"title": "\ud800"}]}, "title.*BASE_TYPE_BAD_STRING"),
    ({"embeds": [{"description": "x" * 4097}]}, "description.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{**EMBED, "footer": {"text": "x" * 2049}}]}, "footer.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{**EMBED, "footer": {"text": ""}}]}, "footer.*BASE_TYPE_REQUIRED"),
    ({"embeds": [{**EMBED, "color": 0x1000000}]}, "color.*NUMBER_TYPE_MAX"),
    ({"embeds": [{**EMBED, "timestamp": "soon"}]}, "timestamp.*DATE_TIME_TYPE_PARSE"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, "fields.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"fields": [{"name": " ", "value": "v"}]}]}, "fields.*0.*name.*BASE_TYPE_REQUIRED"),
    ({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}, "fields.*0.*value.*BASE_TYPE_REQUIRED"),
    ({"embeds": [{"fields": [{"name": "n" * 257, "value": "v"}]}]}, "name.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v" * 1025}]}]}, "value.*BASE_TYPE_MAX_LENGTH"),
    ({"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]}, "MAX_EMBED_SIZE_EXCEEDED"),
]


@pytest.mark.parametrize(("message", "words"), REFUSED)
def test_the_server_refuses_what_discord_refuses(message: dict[str, Any], words: str) -> None:
    with DiscordServer() as server:
        answer = requests.post(server.url_of(1), json=message, timeout=60)
        assert answer.status_code == 400
        assert re.search(words, answer.text)
        assert server.taken(1) == []


def test_the_server_takes_what_is_just_within_the_limits() -> None:
    field = {"name": "n" * 256, "value": "v" * 1024}
    full = {
        "embeds": [
            {"title": "t" * 256, "description": "d" * 4096, "footer": {"text": "f" * 368}, "fields": [field]}
        ]
    }
    with DiscordServer() as server:
        assert requests.post(server.url_of(1), json=full, timeout=60).status_code == 204
        answer = requests.post(server.url_of(1), json=full, params={"wait": "true"}, timeout=60)
        assert answer.json()["id"] == server.taken(1)[1]["id"]
        assert requests.post(server.url_of(1) + "x", json=full, timeout=60).json()["code"] == 50027
        assert requests.post(server.base + "/api/nothing", json=full, timeout=60).status_code == 404


def test_the_server_serves_the_library_too() -> None:
    with DiscordServer() as server:
        hook = discord_webhook.DiscordWebhook(server.url_of(3), content="hello", timeout=30)
        assert hook.execute().status_code == 200
        assert hook.id == server.taken(3)[0]["id"]
        named = discord_webhook.DiscordWebhook(
            server.url_of(3), content="x", username="My Discord", timeout=30
        )
        assert named.execute().status_code == 400
        wrong = discord_webhook.DiscordWebhook(server.url_of(3) + "x", content="hello", timeout=30)
        assert wrong.execute().json()["code"] == 50027
        assert len(server.taken(3)) == 1
