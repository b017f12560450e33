"""What the routes share: the database, the settings, and who may come in."""

import ipaddress
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app, request

from database.keys import hash_key
from database.pool import Database, Transaction
from encryption import Vault, keyed_hash
from settings import Settings
from webhook.counts import Counts

WAITING_AT_ONCE = 4
_NAME = "dashtrade"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True, kw_only=True)
class Services:
    """What one app was made with. Nothing connects before the first request."""

    settings: Settings
    database: Database
    vault: Vault
    proxies: tuple[Network, ...]
    allowed: tuple[Network, ...]
    waiting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(WAITING_AT_ONCE)
    )
    counts: Counts = field(default_factory=Counts)
    _hash_key: bytes | None = None

    @property
    def hash_key(self) -> bytes:
        """Return the key of the hashes by which tokens are looked up; it never changes."""
        if self._hash_key is None:
            with self.database.transaction() as transaction:
                self._hash_key = hash_key(transaction, self.vault)
        return self._hash_key

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction in which tokens can be looked up."""
        # Made at its first use, the key is committed by itself, whatever becomes of the request.
        _ = self.hash_key
        with self.database.transaction() as transaction:
            yield transaction

    def hash(self, secret: str) -> bytes:
        """Return what a token is looked up by."""
        return keyed_hash(self.hash_key, secret)


def install(app: Flask, settings: Settings, database: Database) -> None:
    """Give an app its services."""
    app.extensions[_NAME] = Services(
        settings=settings,
        database=database,
        vault=Vault(settings.encryption_key),
        proxies=networks(settings.trusted_proxies),
        allowed=networks(settings.webhook_allowed_addresses),
    )


def services() -> Services:
    """Return the services of the app that handles this request."""
    return cast(Services, current_app.extensions[_NAME])


def client_address() -> str:
    """Return the address that sent this request."""
    return address_behind(
        request.remote_addr or "", request.headers.getlist("X-Forwarded-For"), services().proxies
    )


def address_behind(peer: str, forwarded: list[str], proxies: tuple[Network, ...]) -> str:
    """Return who really sent: the last address on the way that is no proxy of ours.

    Each proxy appends the one it heard from; what stands further left is only that one's word.
    """
    way = [part.strip() for header in forwarded for part in header.split(",")]
    address = peer
    while way and is_in(address, proxies):
        address = way.pop()
    return address if _parsed(address) else peer


def is_in(address: str, networks: tuple[Network, ...]) -> bool:
    """Tell whether an address lies in one of the networks."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return networks of their texts."""
    return tuple(ipaddress.ip_network(text) for text in texts)
