"""What the routes share: the database, the settings, and who may come in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from flask import Flask, current_app, request

from core.addresses import Network, address_behind, networks
from database.keys import hash_key
from database.pool import Database, Transaction
from encryption import Vault, keyed_hash
from settings import Settings
from webhook.counting import Counted
from webhook.counts import Counts

if TYPE_CHECKING:
    from brokers.registry import Registry

WAITING_AT_ONCE = 4
_NAME = "dashtrade"


@dataclass(slots=True, kw_only=True)
class Services:
    """What one app was made with. Nothing connects before the first request."""

    settings: Settings
    database: Database
    vault: Vault
    proxies: tuple[Network, ...]
    allowed: tuple[Network, ...]
    metrics_from: tuple[Network, ...]
    counted: Counted
    waiting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(WAITING_AT_ONCE)
    )
    counts: Counts = field(default_factory=Counts)
    _hash_key: bytes | None = None
    _registry: "Registry | None" = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @property
    def registry(self) -> "Registry":
        """Return the brokers: only a channel's first signal in a symbol asks one, and alerts never do."""
        # Their libraries take a second to load and much memory, which most processes never need.
        from brokers.registry import Registry

        with self._opening:
            if self._registry is None:
                self._registry = Registry(self.database, self.vault, self.settings)
            return self._registry

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


def install(app: Flask, settings: Settings, database: Database) -> Services:
    """Give an app its services, and return them."""
    made = Services(
        settings=settings,
        database=database,
        vault=Vault(settings.encryption_key),
        proxies=networks(settings.trusted_proxies),
        allowed=networks(settings.webhook_allowed_addresses),
        metrics_from=networks(settings.metrics_networks),
        counted=Counted(database),
    )
    app.extensions[_NAME] = made
    return made


def services() -> Services:
    """Return the services of the app that handles this request."""
    return cast(Services, current_app.extensions[_NAME])


def client_address() -> str:
    """Return the address that sent this request."""
    return address_behind(
        request.remote_addr or "", request.headers.getlist("X-Forwarded-For"), services().proxies
    )
