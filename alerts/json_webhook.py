"""Carry alerts to a URL of the user's own, as plain JSON with a signature.

docs/json-webhook.md tells the receiver's side.
"""

import hashlib
import hmac
import json
import re
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from alerts.discord_answers import LATER, retry_after, status_words
from alerts.neutral import plain, shortened
from alerts.posting import (
    PORTS,
    Answer,
    Letter,
    NoAnswer,
    Patience,
    Resolve,
    host_and_port,
    post,
    resolve,
)
from alerts.public_address import NotPublic, only_public
from alerts.transport import ChannelGone, Delivered, InvalidAddress, Message, Outcome, Refused, TryLater
from core.addresses import Network
from core.alert import Alert

SIGNATURE_HEADER = "X-DashTrade-Signature"
ID_HEADER = "X-DashTrade-Id"
LONGEST_URL = 2000
LONGEST_TEXT = 4096
FIRST_FREE_PORT = 1024
HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?|[0-9a-f:.]+", re.ASCII)
# Kept by a URL as they stand; everything else that is no letter or digit is percent-encoded
KEPT = "/%:=&?~+!$,;'@()*[]"
GONE = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.GONE,
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A URL and the secret its messages are signed with; kept and sealed as one text."""

    url: str
    secret: str

    def __repr__(self) -> str:
        return f"Address({shown_url(self.url)})"

    @classmethod
    def of(cls, text: str) -> "Address":
        """Return the address of its text; raise `ValueError`."""
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("an address is an object of url and secret")
        return cls(url=str(content.get("url", "")), secret=str(content.get("secret", "")))

    def text(self) -> str:
        """Return the text to seal and keep."""
        return json.dumps(asdict(self))


class JsonWebhook:
    """Send to public addresses, and to the networks the operator allowed.

    `resolve` finds the addresses of a host, `trust` the authorities whose certificates count.
    """

    name = "WEBHOOK"
    most = 20
    merges = False

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        patience: Patience | None = None,
        resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._allowed = tuple(allowed)
        self._patience = patience or Patience()
        self._resolve = resolve
        self._trust = trust
        self._now = now

    def checked_address(self, text: str) -> str:
        """Return the URL with a new secret, as one text; raise `InvalidAddress`.

        Looks the host up. `Address.of` gives the parts back.
        """
        url = checked_url(text)
        try:
            self._addresses(url)
        except NoAnswer as error:
            raise InvalidAddress(f"The URL cannot be used: {error}.") from None
        except NotPublic as error:
            raise InvalidAddress(f"The URL cannot be used: {error}.") from None
        return Address(url=url, secret=f"whsec_{secrets.token_urlsafe(32)}").text()

    def shown(self, address: str) -> str:
        """Return scheme, host and port."""
        try:
            return shown_url(Address.of(address).url)
        except ValueError:
            return "…"

    def render(self, alerts: Sequence[Alert]) -> Message:
        """Return the alerts as plain JSON; markup stays, control characters go."""
        return {"alerts": [_rendered(alert) for alert in alerts]}

    def send(self, address: str, message: Message, key: str) -> Outcome:
        """Send once; the receiver knows a message it already has by its key."""
        try:
            kept = Address.of(address)
            url = checked_url(kept.url)
        except (ValueError, InvalidAddress):
            return ChannelGone(reason="The kept address is not a URL; enter it again.")
        letter = self._letter(Address(url=url, secret=kept.secret), message, key)
        try:
            answer = post(letter, self._addresses(url), patience=self._patience, trust=self._trust)
        except NotPublic as error:
            return ChannelGone(reason=f"Nothing was sent: {error}.")
        except NoAnswer as error:
            return TryLater(reason=f"The webhook was not reached: {error}")
        return outcome(answer)

    def _addresses(self, url: str) -> Sequence[str]:
        return only_public(self._resolve(*host_and_port(url)), self._allowed)

    def _letter(self, address: Address, message: Message, key: str) -> Letter:
        now = self._now()
        content = {"id": key, "sent_at": now.astimezone(UTC).isoformat(), **message}
        body = json.dumps(content, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json",
            ID_HEADER: quote(key, safe=":-"),
            SIGNATURE_HEADER: signature(address.secret, body, now),
        }
        return Letter(url=address.url, body=body, headers=headers)


def signature(secret: str, body: bytes, at: datetime) -> str:
    """Return the value of the signature's header for a body sent at a time."""
    seconds = int(at.timestamp())
    code = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={code.hexdigest()}"


def outcome(answer: Answer) -> Outcome:
    """Return what an answer means; what the receiver wrote is not repeated, its status is."""
    if 200 <= answer.status < 300:
        return Delivered()
    reason = f"The webhook answered {status_words(answer.status)}"
    if 300 <= answer.status < 400:
        reason += ", a redirect; these are not followed, so enter the URL they lead to"
    if answer.status in LATER or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TryLater(reason=reason, seconds=retry_after(answer.headers))
    return ChannelGone(reason=reason) if answer.status in GONE else Refused(reason=reason)


def shown_url(url: str) -> str:
    """Return scheme, host and port of a URL, without what in it may be secret."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…"
    except ValueError:
        return "…"


def checked_url(text: str) -> str:
    """Return an http or https URL in its ASCII form; raise `InvalidAddress`."""
    url = text.strip()
    if not url:
        raise InvalidAddress("Enter the URL to send to, like https://example.com/alerts.")
    if len(url) > LONGEST_URL:
        raise InvalidAddress(f"The URL is longer than {LONGEST_URL} characters.")
    if any(sign.isspace() or not sign.isprintable() or sign == "\\" for sign in url):
        raise InvalidAddress("The URL holds spaces, backslashes or signs that cannot be seen.")
    try:
        parts = urlsplit(url)
        return _written(parts, parts.port)
    except ValueError:
        raise InvalidAddress("This is not a URL with a valid host and port.") from None


def _written(parts: SplitResult, port: int | None) -> str:
    if parts.scheme not in PORTS:
        raise InvalidAddress("The URL must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise InvalidAddress("The URL must not hold a user name or password; verify the signature instead.")
    host = _ascii_host(parts.hostname or "")
    if port is not None and port < FIRST_FREE_PORT and port not in PORTS.values():
        raise InvalidAddress("The port must be 80, 443 or above 1023: the others belong to other services.")
    place = f"[{host}]" if ":" in host else host
    if port not in (None, PORTS[parts.scheme]):
        place += f":{port}"
    return urlunsplit((parts.scheme, place, quote(parts.path, KEPT), quote(parts.query, KEPT), ""))


def _ascii_host(host: str) -> str:
    known = host if host.isascii() else host.encode("idna").decode()
    if not HOST.fullmatch(known):
        raise ValueError("not a host")
    return known


def _rendered(alert: Alert) -> Message:
    return {
        "kind": alert.kind,
        "title": _carried(alert.title),
        "tone": alert.tone.value,
        "text": _carried(alert.text),
        "fields": [{"name": _carried(one.name), "value": _carried(one.value)} for one in alert.fields],
        "footer": _carried(alert.footer),
        "at": alert.at.astimezone(UTC).isoformat(),
        "data": _clean(dict(alert.data)),
    }


def _carried(text: str) -> str:
    return shortened(plain(text), LONGEST_TEXT)


def _clean(value: Any) -> Any:
    """Return plain JSON in which every text may be stored and read everywhere."""
    if isinstance(value, str):
        return _carried(value)
    if isinstance(value, Mapping):
        return {_carried(str(name)): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
