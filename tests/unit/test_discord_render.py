"""What Discord is shown: within its limits, readable, and without any effect of what others wrote."""

import datetime as dt
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings

from alerts.discord_embeds import COLOURS, MOST_FIELDS
from alerts.discord_webhook import DiscordWebhook
from alerts.neutral import BREAK, length, neutral, plain, shortened, unlinked
from alerts.transport import InvalidAddress
from core.alert import Alert, AlertField, Tone
from tests.discord_server import limits
from tests.unit.any_alerts import HOSTILE, some_alerts, some_text

DISCORD = DiscordWebhook()
AT = dt.datetime(2026, 11, 21, 10, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))
TOKEN = "Zk3-" + "a" * 64
HOOK = f"https://discord.com/api/webhooks/123456789012345678/{TOKEN}"

# What Discord's clients would make something of, as their parser finds it.
EFFECTS = re.compile(
    r"@everyone|@here|<@[!&]?\d+>|<#\d+>|<a?:\w+:\d+>|<t:-?\d+|</[\w-]+:\d+>|<id:\w+>|https?://\S|<https?:"
    r"|discord(?:app)?\.(?:gg|io|me|li|com/invite)/\w",
    re.IGNORECASE,
)
MARKS = re.compile(r"[*_~`|\[\]]|^\s*(?:#{1,3}\s|-#\s|>{1,3}\s)", re.MULTILINE)


def alert(**changed: object) -> Alert:
    said: dict[str, object] = {"kind": "KIND", "title": "Title", "tone": Tone.INFO, "at": AT}
    return Alert(**{**said, **changed})  # type: ignore[arg-type]


def embed(**changed: object) -> dict[str, object]:
    [only] = DISCORD.render([alert(**changed)])["embeds"]
    return only


def test_an_alert_becomes_an_embed() -> None:
    fields = (AlertField("Side", "long"), AlertField("Reason", "spike", wide=True))
    assert DISCORD.render([alert(text="Opened", fields=fields, footer="BTC bot", tone=Tone.GOOD)]) == {
        "username": "DashTrade",
        "allowed_mentions": {"parse": []},
        "embeds": [
            {
                "title": "Title",
                "description": "Opened",
                "color": COLOURS[Tone.GOOD],
                "timestamp": "2026-11-21T09:30:00.000+00:00",
                "footer": {"text": "BTC bot"},
                "fields": [
                    {"name": "Side", "value": "long", "inline": True},
                    {"name": "Reason", "value": "spike", "inline": False},
                ],
            }
        ],
    }


def test_what_is_empty_is_left_out_or_filled() -> None:
    assert embed() == {
        "title": "Title",
        "color": COLOURS[Tone.INFO],
        "timestamp": "2026-11-21T09:30:00.000+00:00",
    }
    assert embed(title=" \n ")["title"] == "KIND"
    assert embed(title="", kind="")["title"] == "—"
    assert embed(fields=(AlertField("", " "),))["fields"] == [{"name": BREAK, "value": "—", "inline": True}]


def test_every_tone_has_a_colour_of_its_own() -> None:
    assert len({COLOURS[tone] for tone in Tone}) == len(Tone)


def test_fields_beyond_discords_limit_are_counted() -> None:
    fields = embed(fields=tuple(AlertField(f"n{number}", "v") for number in range(40)))["fields"]
    assert isinstance(fields, list)
    assert len(fields) == MOST_FIELDS
    assert fields[-2]["name"] == "n23"
    assert fields[-1] == {"name": "…", "value": "16 more", "inline": False}
    exact = embed(fields=tuple(AlertField(f"n{number}", "v") for number in range(25)))["fields"]
    assert isinstance(exact, list)
    assert exact[-1]["name"] == "n24"


def test_the_longest_texts_give_way_first() -> None:
    alerts = [alert(title=f"Alert {number}", text="x" * 4000) for number in range(9)]
    short = alert(title="The short one", text="Its whole text stays")
    embeds = DISCORD.render([*alerts, short])["embeds"]
    assert [one["title"] for one in embeds] == [*(f"Alert {number}" for number in range(9)), "The short one"]
    assert embeds[-1]["description"] == "Its whole text stays"
    assert {len(one["description"]) for one in embeds[:-1]} == {656}
    assert all(one["description"].endswith("x…") for one in embeds[:-1])
    assert sum(len(one["title"]) + len(one["description"]) for one in embeds) == 6000


@pytest.mark.parametrize("count", [0, 11])
def test_a_message_holds_one_to_ten_alerts(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 10"):
        DISCORD.render([alert()] * count)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(alerts=some_alerts())
def test_whatever_comes_is_within_the_limits_and_without_effect(alerts: list[Alert]) -> None:
    message = DISCORD.render(alerts)
    assert limits.faults(message) == []
    assert len(message["embeds"]) == len(alerts)
    assert json.loads(json.dumps(message, ensure_ascii=False).encode()) == message
    for one in message["embeds"]:
        texts = [one["title"], one.get("description", "")]
        texts += [text for field in one.get("fields", ()) for text in (field["name"], field["value"])]
        for text in texts:
            assert not EFFECTS.search(text)
            assert not MARKS.search(re.sub(r"\\.", "x", text, flags=re.DOTALL))
        assert not EFFECTS.search(one.get("footer", {}).get("text", ""))


@pytest.mark.parametrize("text", [text for text in HOSTILE if plain(text) and "\u200b" not in text])
def test_what_is_neutral_still_shows_the_same_letters(text: str) -> None:
    seen = re.sub(r"\\([^\w\s])", r"\1", neutral(f"a {text} b")).replace(BREAK, "")
    assert seen == plain(f"a {text} b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone", f"@{BREAK}everyone"),
        ("<@&12>", f"<{BREAK}@{BREAK}&12>"),
        ("<#12>", f"<{BREAK}#12>"),
        ("[pay](https://evil.example)", f"\\[pay\\](https:{BREAK}//evil.example)"),
        ("```\nx```", "\\`\\`\\`\nx\\`\\`\\`"),
        ("# a\n  ## b\n-# c\n> d\n- e", "\\# a\n  \\## b\n\\-# c\n\\> d\n\\- e"),
        ("||x||", "\\|\\|x\\|\\|"),
        ("Discord.GG/abc", f"Discord.GG/{BREAK}abc"),
        ("-5.2 % < 3, #2 at 10:30 a@b", f"-5.2 % < 3, #2 at 10:30 a@{BREAK}b"),
        ("\\@here", f"\\\\@{BREAK}here"),
        ("a\tb\r\nc\x00\x1b[0m\u202ed\ud800", "a b\nc\\[0md"),
    ],
)
def test_neutral(text: str, shown: str) -> None:
    assert neutral(text) == shown


def test_a_footer_shows_no_escapes() -> None:
    assert unlinked("my_bot @here") == f"my_bot @{BREAK}here"
    assert embed(footer="my_bot")["footer"] == {"text": "my_bot"}


@settings(deadline=None)
@given(text=some_text(300))
def test_shortening_keeps_to_the_limit_and_cuts_no_sign(text: str) -> None:
    whole = neutral(text)
    for limit in (1, 2, 3, 10, 250):
        short = shortened(whole, limit)
        assert length(short) <= limit
        short.encode()
        assert short == whole or short.endswith("…")
        trailing = short.removesuffix("…")
        assert (len(trailing) - len(trailing.rstrip("\\"))) % 2 == 0 or short == whole


def test_a_text_of_a_million_signs_is_rendered() -> None:
    for text in ("\n", " ", "<", "discord ", "\\", "@", "🐂", "> "):
        assert limits.faults(DISCORD.render([alert(title=text * 10**6, text=text * 10**6)])) == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (HOOK, HOOK),
        (f"  {HOOK}/\n", HOOK),
        (HOOK.replace("discord.com", "discordapp.com"), HOOK.replace("discord.com", "discordapp.com")),
        (HOOK.replace("discord.com", "PTB.Discord.com"), HOOK.replace("discord.com", "ptb.discord.com")),
        (
            HOOK.replace("discord.com", "canary.discord.com:443"),
            HOOK.replace("discord.com", "canary.discord.com"),
        ),
        (HOOK.replace("/api/", "/api/v10/"), HOOK.replace("/api/", "/api/v10/")),
        (f"{HOOK}?wait=true&thread_id=77#x", f"{HOOK}?thread_id=77"),
        (HOOK.replace("https", "HTTPS"), HOOK),
    ],
)
def test_addresses_that_are_taken(text: str, kept: str) -> None:
    assert DISCORD.checked_address(text) == kept
    assert DISCORD.checked_address(kept) == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Enter the webhook's URL"),
        ("   ", "Enter the webhook's URL"),
        ("my webhook", "spaces"),
        (HOOK + "\u200b", "spaces or letters"),
        (HOOK.replace("https", "http"), "https://"),
        ("discord.com/api/webhooks/1/abcdefghij", "https://"),
        ("https://[", "not a URL"),
        (HOOK.replace("discord.com", "discord.com.evil.example"), "discord.com"),
        (HOOK.replace("discord.com", "evil.example"), "discord.com"),
        (HOOK.replace("discord.com", "discord.com@evil.example"), "discord.com"),
        (HOOK.replace("discord.com", "evil.example@discord.com"), "discord.com"),
        (HOOK.replace("discord.com", "discord.com:8443"), "discord.com"),
        (HOOK.replace("discord.com", "127.0.0.1"), "discord.com"),
        (HOOK + "/slack", "/slack"),
        (HOOK + "/github?wait=true", "/github"),
        ("https://discord.com/channels/1/2", "link to a channel"),
        ("https://discord.com/api/webhooks/123", "not a webhook's"),
        ("https://discord.com/api/webhooks/123/", "not a webhook's"),
        (HOOK + "/../../users/@me", "not a webhook's"),
        (HOOK + "/messages/1", "not a webhook's"),
        ("https://discord.gg/abc", "discord.com"),
        (f"{HOOK}?thread_id=abc", "thread_id"),
    ],
)
def test_addresses_that_are_not(text: str, words: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        DISCORD.checked_address(text)
    assert words in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_an_address_shows_no_token() -> None:
    assert DISCORD.shown(HOOK) == "discord.com/api/webhooks/1234…"
