"""Carry alerts to a channel of Discord through its webhook.

The embeds are those of the discord-webhook library. It does not send them: its `execute` follows
redirects, waits without end, puts its own settings into the body, logs what Discord says and fails on an
answer that is not JSON, after the message was delivered.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from alerts.discord_answers import outcome
from alerts.discord_embeds import MOST_EMBEDS, embeds
from alerts.posting import Answer, Letter, NoAnswer, Patience, host_and_port, post, resolve
from alerts.transport import ChannelGone, InvalidAddress, Message, Outcome, TryLater
from core.alert import Alert

DISCORD = "https://discord.com"
HOSTS = frozenset(
    start + host for host in ("discord.com", "discordapp.com") for start in ("", "ptb.", "canary.")
)
PATH = re.compile(r"(/api/(?:v\d{1,2}/)?webhooks/)(\d{1,20})/([\w-]{1,200})/?", re.ASCII)
EXAMPLE = "https://discord.com/api/webhooks/1234…/…"
USERNAME = "DashTrade"  # Discord refuses names with "discord" or "clyde" in them


class DiscordWebhook:
    """Send to webhooks of Discord, or of one other `base`: a server of the tests that behaves like it."""

    name = "DISCORD"
    most = MOST_EMBEDS
    merges = True

    def __init__(self, base: str = DISCORD, *, patience: Patience | None = None) -> None:
        self._base = base
        self._patience = patience or Patience()

    def checked_address(self, text: str) -> str:
        """Return the webhook's URL, with nothing in its query but a thread; raise `InvalidAddress`."""
        address = text.strip()
        if not address:
            raise InvalidAddress(f"Enter the webhook's URL, like {EXAMPLE}.")
        if not address.isascii() or not address.isprintable() or " " in address:
            raise InvalidAddress("The URL holds spaces or letters that no Discord webhook has.")
        return self._origin(address) + _path(address) + _thread(address)

    def shown(self, address: str) -> str:
        """Return the host and the first digits of the webhook's id."""
        try:
            parts = urlsplit(address)
        except ValueError:
            return "…"
        known = PATH.fullmatch(parts.path)
        return f"{parts.hostname}/api/webhooks/{known.group(2)[:4] if known else ''}…"

    def render(self, alerts: Sequence[Alert]) -> Message:
        """Return a message of one embed for each of at most ten alerts; nobody is mentioned by it."""
        return {"username": USERNAME, "embeds": embeds(alerts), "allowed_mentions": {"parse": []}}

    def send(self, address: str, message: Message, key: str) -> Outcome:
        """Send once. Discord's webhooks know no key: an answer that is lost may mean a second message."""
        try:
            checked = self.checked_address(address)
        except InvalidAddress as error:
            return ChannelGone(reason=str(error))
        try:
            addresses = resolve(*host_and_port(checked))
            answer = post(_letter(checked, message), addresses, patience=self._patience)
        except NoAnswer as error:
            return TryLater(reason=f"Discord was not reached: {error}")
        return outcome(_without_token(answer, checked))

    def _origin(self, address: str) -> str:
        try:
            parts = urlsplit(address)
            origin = f"{parts.scheme}://{parts.netloc.lower()}"
        except ValueError:
            raise InvalidAddress(f"This is not a URL. A webhook's looks like {EXAMPLE}.") from None
        if self._base != DISCORD and origin == self._base:
            return origin
        if parts.scheme != "https":
            raise InvalidAddress("The URL must begin with https://.")
        if self._base != DISCORD or parts.netloc.lower().removesuffix(":443") not in HOSTS:
            raise InvalidAddress(
                "The URL must be one of discord.com, as Discord shows it under Integrations."
            )
        return origin.removesuffix(":443")


def _path(address: str) -> str:
    path = urlsplit(address).path
    known = PATH.fullmatch(path)
    if known:
        return "".join(known.group(1, 2)) + "/" + known.group(3)
    if path.startswith("/channels/"):
        raise InvalidAddress(
            "This is a link to a channel. Copy the webhook's URL under Channel settings, Integrations."
        )
    if path.rstrip("/").endswith(("/slack", "/github")):
        raise InvalidAddress(
            "Take the ending /slack or /github off the URL: alerts are sent in Discord's form."
        )
    raise InvalidAddress(f"The URL is not a webhook's, which looks like {EXAMPLE}.")


def _thread(address: str) -> str:
    threads = parse_qs(urlsplit(address).query).get("thread_id", [])
    if not threads:
        return ""
    if not re.fullmatch(r"\d{1,20}", threads[0], re.ASCII):
        raise InvalidAddress("The thread_id in the URL must be a number.")
    return f"?thread_id={threads[0]}"


def _letter(address: str, message: Message) -> Letter:
    # Without wait=true Discord answers before it knows whether the message is any good
    url = f"{address}{'&' if '?' in address else '?'}wait=true"
    body = json.dumps(message).encode()
    return Letter(
        url=url, body=body, headers={"Content-Type": "application/json", "Accept": "application/json"}
    )


def _without_token(answer: Answer, address: str) -> Answer:
    """Return the answer with the webhook's token hidden, should Discord have repeated it."""
    token = urlsplit(address).path.rpartition("/")[2]
    return replace(answer, body=answer.body.replace(token.encode(), b"***"))
