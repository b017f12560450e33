"""The verification of BloFin's request signature, written from the documented rule alone."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.blofin_server.errors import Refused

WINDOW_MS = 60_000
HEADERS = ("ACCESS-KEY", "ACCESS-SIGN", "ACCESS-TIMESTAMP", "ACCESS-NONCE", "ACCESS-PASSPHRASE")


def signature(secret: str, target: str, method: str, timestamp: str, nonce: str, body: str) -> str:
    """Return the signature of a request: base64 of the hexadecimal text of the HMAC, not of its bytes.

    `target` is the path with its query string as it was sent.
    """
    message = target + method + timestamp + nonce + body
    digest = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


@dataclass(slots=True)
class Nonces:
    """Remember the nonces of each key for as long as they must not come again."""

    seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def use(self, key: str, nonce: str, now: int) -> None:
        """Count a nonce as used; raises `Refused` when it comes again within 60 seconds."""
        self.seen = {pair: at for pair, at in self.seen.items() if now - at < WINDOW_MS}
        if (key, nonce) in self.seen:
            raise Refused("152407")
        self.seen[key, nonce] = now


def checked_timestamp(text: str, now: int) -> None:
    """Raise `Refused` unless a timestamp is in milliseconds and near the server's clock."""
    if not (text.isascii() and text.isdigit() and len(text) == 13):
        raise Refused("152410")
    if abs(int(text) - now) > WINDOW_MS:
        raise Refused("152405")


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header; raises `Refused` when it is missing or empty."""
    if not headers.get(name):
        raise Refused("152001", name)
    return headers[name]
